# SPDX-License-Identifier: Apache-2.0
"""Runs of the writer: same bytes, resumed, in parallel, refused, interrupted."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from langocc import cli
from langocc.errors import ConfigError
from langocc.scenes.city import recording
from langocc.scenes.city.plan import CitySettings
from langocc.scenes.city.write import even_processes, write_city

TINY = CitySettings(1, 1, 0, frames_per_scene=1, width=64, height=36, seed=3)
ARGUMENTS = [
    *("--scenes-train", "1", "--scenes-val", "1", "--scenes-test", "0", "--seed", "3"),
    *("--frames-per-scene", "1", "--image-size", "64", "36"),
]


def digests(root: Path) -> dict[str, str]:
    """Every file of a folder -> hash of its bytes."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("undisturbed") / "city"
    write_city(root, TINY, workers=2)
    return root, digests(root)


def test_settings_are_checked():
    for wrong in (
        {"scenes_train": 0, "scenes_val": 0, "scenes_test": 0},
        {"scenes_train": -1},
        {"frames_per_scene": 0},
        {"width": 8},
        {"version": "mini"},
        {"version": "v1.0-../.."},
    ):
        with pytest.raises(ConfigError):
            CitySettings(**wrong)


def test_scenes_have_their_own_names_tokens_and_times():
    plans = CitySettings(2, 2, 1).scenes()
    assert [plan.split for plan in plans] == ["train", "train", "val", "val", "test"]
    assert len({plan.name for plan in plans}) == 5
    assert len({plan.token("sample", 0) for plan in plans}) == 5
    other_seed = CitySettings(2, 2, 1, seed=1).scenes()
    assert plans[0].token("scene") != other_seed[0].token("scene")
    assert plans[1].timestamp_us(0.0) > plans[0].timestamp_us(plans[0].duration_s)
    assert all(0.05 < t < plans[0].duration_s for t in plans[0].key_times_s)


@pytest.mark.slow
def test_killed_command_goes_on_to_the_same_bytes(tmp_path: Path, undisturbed):
    """SIGKILL after the first scene, with two processes; then the command again."""
    root = tmp_path / "city"
    command = [sys.executable, "-m", "langocc", "city", str(root), *ARGUMENTS, "--workers", "2"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    parts = root / "city" / "unfinished"
    deadline = time.monotonic() + 240
    while not list(parts.glob("city-*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (root / "splits.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in parts.glob("city-*.json")}
    first = next(iter(finished)).stem
    things = root / "city" / f"{first}.npz"
    written_ns = things.stat().st_mtime_ns
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "2 key frames" in done.stdout
    assert things.stat().st_mtime_ns == written_ns  # the finished scene was not written again
    assert digests(root) == undisturbed[1]


def test_failed_run_keeps_its_scenes_and_goes_on(
    tmp_path: Path, undisturbed, monkeypatch: pytest.MonkeyPatch, capsys
):
    """The disk fills up in the second scene."""
    root = tmp_path / "city"
    saved = 0

    def save(path: Path, **arrays: np.ndarray) -> None:
        nonlocal saved
        saved += "semantics" in arrays
        if saved == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real_save(path, **arrays)

    real_save = np.savez_compressed
    with monkeypatch.context() as patch:
        patch.setattr(recording.np, "savez_compressed", save)
        assert cli.run(["city", str(root), *ARGUMENTS, "--workers", "1"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in (root / "city" / "unfinished").iterdir()] == ["city-0000.json"]
    assert not (root / "splits.json").exists()
    done: list[int] = []
    write_city(root, TINY, frames_done=done.append)
    assert done[0] == 1  # the first scene is not made again
    assert done[-1] == TINY.frames
    assert digests(root) == undisturbed[1]


def test_finished_city_is_left_alone(undisturbed):
    root, before = undisturbed
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_city(root, TINY)
    assert digests(root) == before
    assert times == {path: path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.mark.slow
def test_another_seed_makes_another_city(tmp_path: Path, undisturbed):
    root = tmp_path / "city"
    write_city(root, CitySettings(1, 0, 0, frames_per_scene=1, width=64, height=36, seed=4))
    mine, theirs = digests(root), undisturbed[1]
    image = next(name for name in mine if "CAM_FRONT/" in name)
    assert image in theirs  # same place and time
    assert mine[image] != theirs[image]


@pytest.mark.parametrize(
    ("scenes", "cores", "processes"),
    [(20, 16, 20), (10, 2, 2), (11, 2, 3), (3, 8, 3), (32, 16, 16), (1, 1, 1)],
)
def test_no_round_of_scenes_is_nearly_empty(scenes: int, cores: int, processes: int):
    assert even_processes(scenes, cores) == processes


def test_folder_with_something_else_is_refused(tmp_path: Path, capsys):
    (tmp_path / "thesis.tex").write_text("x")
    assert cli.run(["city", str(tmp_path), *ARGUMENTS]) == 1
    error = capsys.readouterr().err
    assert "thesis.tex" in error
    assert "key frames" not in error  # no empty bar above it
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert cli.run(["city", str(tmp_path / "thesis.tex"), *ARGUMENTS]) == 1
    assert "expected a folder" in capsys.readouterr().err
    assert cli.run(["city", str(tmp_path / "thesis.tex" / "city"), *ARGUMENTS]) == 1


def test_city_with_other_settings_is_refused(undisturbed):
    root, before = undisturbed
    with pytest.raises(ConfigError, match="seed 3 \\(asked for: 5\\)"):
        write_city(root, CitySettings(1, 1, 0, 1, 64, 36, seed=5))
    assert digests(root) == before


def test_command_line_says_what_is_wrong(tmp_path: Path, capsys):
    assert cli.run(["city", str(tmp_path / "a"), "--frames-per-scene", "0"]) == 1
    assert "frames_per_scene" in capsys.readouterr().err
    assert cli.run(["city", str(tmp_path / "a"), "--workers", "-1"]) == 1
    assert "workers" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
