"""The verbs one after the other on a small city, and what happens when one is cut off."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langocc import cli

TRAIN = ["--preset", "tiny", "--steps", "3", "--sample.rays", "256", "--sample.cache-bytes", "0"]


def langocc(*words: object) -> str:
    """Runs the command in its own process; returns what it prints."""
    command = [sys.executable, "-m", "langocc", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def path_of(root: Path, work: Path, run: Path) -> dict[str, list[str]]:
    """Every verb of the path, as typed."""
    words = {
        "prepare": ["prepare", root, "--work", work, "--sky-rays", 200],
        "extract": ["extract", root, "--work", work, "--codec", "pca-int8", "--components", 16],
        "train": ["train", root, "--work", work, "--run", run, *TRAIN],
        "predict": ["predict", run, "--root", root, "--work", work, "--split", "val", "--points"],
        "evaluate": ["evaluate", "all", run, "--root", root, "--parts", "val"],
    }
    return {verb: [str(word) for word in line] for verb, line in words.items()}


@pytest.fixture(scope="module")
def walked(small_city, tmp_path_factory):
    """The small city after all verbs: their command lines, the folder, what each printed."""
    folder = tmp_path_factory.mktemp("path")
    lines = path_of(small_city, folder / "work", folder / "run")
    return lines, folder, {verb: langocc(*line) for verb, line in lines.items()}


def files_under(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_every_verb_says_what_it_did(walked):
    _, folder, printed = walked
    assert "rays of 4 scenes written" in printed["prepare"]
    assert "features of 4 scenes written" in printed["extract"]
    assert "checkpoint:" in printed["train"]
    assert "langocc calibrate" in printed["train"]  # what to do next
    assert len(list((folder / "run" / "predictions" / "val").glob("*.npz"))) == 4
    assert "mIoU" in printed["evaluate"]
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["prepare", "extract", "train", "predict"])
def test_a_second_time_writes_nothing_new(walked, verb):
    lines, folder, _ = walked
    results = [p for p in files_under(folder) if p.suffix in (".shard", ".npz", ".safetensors")]
    before = {path: path.stat().st_mtime_ns for path in results}
    langocc(*lines[verb])
    assert before == {path: path.stat().st_mtime_ns for path in results}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["prepare", "extract", "train", "predict", "evaluate"])
@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "No space left"),
    ],
)
def test_cut_off_in_mid_write(
    walked, small_city, tmp_path, monkeypatch, capfd, verb, fault, code, word
):
    lines, folder, _ = walked
    # What the verb reads was made by those before it; what it writes goes to a new place.
    moved = {
        "prepare": {str(folder / "work"): str(tmp_path / "work")},
        "extract": {"extract": "extract"},
        "train": {str(folder / "run"): str(tmp_path / "run")},
        "predict": {},
        "evaluate": {},
    }[verb]
    line = [moved.get(word, word) for word in lines[verb]]
    if verb == "extract":
        line += ["--codec", "fp16"]  # another store in the same work folder
    if verb in ("predict", "evaluate"):
        line += ["--out", str(tmp_path / "out")]

    def fail(_):
        raise fault

    monkeypatch.setattr("langocc.files.os.fsync", fail)
    assert cli.run(line) == code
    assert word in capfd.readouterr().err
    for place in (folder, tmp_path):
        assert not list(place.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["prepare", "train", "predict", "evaluate"])
def test_an_output_that_cannot_be_written_is_named(walked, capfd, verb):
    lines, _, _ = walked
    forbidden = "/proc/langocc"  # nobody can make a folder there, not even root
    option = {"prepare": "--work", "train": "--run"}.get(verb, "--out")
    line = [*lines[verb], option, forbidden]
    if option in lines[verb]:
        line = list(lines[verb])
        line[line.index(option) + 1] = forbidden
    assert cli.run(line) == 1
    assert "/proc" in capfd.readouterr().err


@pytest.mark.slow
def test_city_is_interrupted_and_goes_on(tmp_path):
    counts = ["--scenes-train", "1", "--scenes-val", "1", "--scenes-test", "0"]
    sizes = ["--frames-per-scene", "2", "--image-size", "160", "90", "--workers", "1"]
    command = [sys.executable, "-m", "langocc", "city", str(tmp_path / "city"), *counts, *sizes]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "city").is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert not (tmp_path / "city" / "splits.json").exists()
    assert "4 key frames" in langocc(*command[3:])


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run([verb, "--help"])
    assert stopped.value.code == 0
    assert "usage: langocc" in capsys.readouterr().out


def test_unknown_verbs_and_options_are_usage_errors(capsys):
    assert cli.run(["fly"]) == 2
    assert "fly" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        cli.run(["check", "--rot", "x"])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "line",
    [
        ["check", "/nowhere"],
        ["prepare", "/nowhere"],
        ["extract", "/nowhere"],
        ["train", "/nowhere", "--run", "/tmp/none", "--preset", "tiny"],
        ["predict", "/nowhere", "--root", "/nowhere"],
        ["evaluate", "all", "/nowhere", "--root", "/nowhere"],
        ["view", "/nowhere", "--root", "/nowhere"],
    ],
    ids=lambda line: line[0],
)
def test_missing_root_is_named(line, capfd):
    assert cli.run(line) == 1
    assert "/nowhere" in capfd.readouterr().err
