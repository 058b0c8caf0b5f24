"""The kernels compile for a GPU, on machines that have none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

from langocc.render import ray_kernels, row_kernels


def test_kernels_compile(tmp_path: Path) -> None:
    """In a process of its own, because here Triton may have been told to interpret."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    compiled = {line.split()[0] for line in done.stdout.splitlines()}
    assert compiled == {
        name
        for kernels in (ray_kernels, row_kernels)
        for name in dir(kernels)
        if name.endswith("_kernel")
    }
