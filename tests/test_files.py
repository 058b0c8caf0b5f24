"""Files are whole or not there, and readable by whom the umask allows."""

import os

import pytest
import torch
from safetensors.torch import save_file

from langocc.files import replacing


def test_weights_are_as_readable_as_other_files(tmp_path):
    (tmp_path / "other").write_text("")
    with replacing(tmp_path / "weights.safetensors") as part:
        save_file({"a": torch.zeros(3)}, part)
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def half() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
