# SPDX-License-Identifier: Apache-2.0
"""`langocc check`: what is there, what is missing, what can be done; exit codes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from nuscenes_kit import Records, edit_table, write_nuscenes

from langocc.cli import run
from langocc.scenes.blobs import groups
from langocc.scenes.inventory import take_inventory
from langocc.scenes.nuscenes import load

VERBS = (
    "prepare", "extract", "train", "predict", "evaluate occ3d", "evaluate rayiou",
    "evaluate retrieval",
)  # fmt: skip


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_nuscenes(tmp_path / "nuscenes")
    return tmp_path


def rows(output: str) -> dict[str, tuple[str, str]]:
    """Verb -> key frames, and the text of all its lines."""
    found: dict[str, tuple[str, str]] = {}
    verb = ""
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if len(cells) == 3:
            verb = cells[0] or verb
            count, text = found.get(verb, (cells[1], ""))
            found[verb] = count, f"{text} {cells[2]}".strip()
    return {verb: found[verb] for verb in VERBS}


def check(*arguments: object) -> int:
    return run(["check", *map(str, arguments)])


def label_all(root: Path) -> None:
    for frame in load(root).frames():
        path = root / "gts" / frame.scene / frame.token / "labels.npz"
        path.parent.mkdir(parents=True)
        path.touch()


def benchmark(root: Path, *tokens: str) -> None:
    folder = root / "retrieval_benchmark"
    (folder / "annotations").mkdir(parents=True)
    lines = []
    for token in tokens:
        (folder / "annotations" / f"{token}__retrieval.npy").touch()
        lines.append(
            f"{token};val;annotations/{token}__retrieval.npy;matching_points/{token}__points.npy;bus"
        )
    (folder / "retrieval_anns_all.csv").write_text("\n".join(lines))


def test_everything_is_there(root: Path, capsys: pytest.CaptureFixture):
    label_all(root)
    benchmark(root, "scene-0103-0")
    assert check(root, "--images") == 0
    output = capsys.readouterr().out
    table = rows(output)
    assert {verb: count for verb, (count, _) in table.items()} == {
        "prepare": "6", "extract": "6", "train": "3", "predict": "6",
        "evaluate occ3d": "3", "evaluate rayiou": "3", "evaluate retrieval": "1",
    }  # fmt: skip
    assert not any(re.search(r"- \w", text) for _, text in table.values())
    assert table["extract"][1] == "58.7 MB = 6 x 9.79 MB with codec int8 (12 MB with pca-int8)"
    assert "not complete" not in output
    assert "v1.0-mini: scenes 2, key frames 6 (train 3, val 3)" in output


def test_the_real_key_frame(real_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    before = sorted(real_root.rglob("*"))
    assert check(real_root, "--work", tmp_path, "--images") == 0
    assert sorted(real_root.rglob("*")) == before
    table = rows(capsys.readouterr().out)
    assert table["prepare"][0] == table["extract"][0] == table["train"][0] == "1"
    assert "no key frame has an earlier one: no stereo" in table["train"][1]
    for verb in VERBS[4:]:
        assert table[verb][0] == "none"
    assert "no gts folder" in table["evaluate occ3d"][1]
    assert "no scene of split val is here" in table["evaluate rayiou"][1]
    assert "no retrieval_benchmark folder" in table["evaluate retrieval"][1]


def test_a_partial_download(root: Path, capsys: pytest.CaptureFixture):
    label_all(root)
    benchmark(root, "scene-0103-0", "somewhere-else")
    nuscenes = root / "nuscenes"
    for path in [
        *nuscenes.glob("samples/CAM_BACK/scene-0103-0*"),
        *nuscenes.glob("samples/LIDAR_TOP/scene-0061-[12]*"),
        *root.glob("gts/scene-0103/scene-0103-1/labels.npz"),
    ]:
        path.unlink()
    assert check(root) == 0
    output = capsys.readouterr().out
    table = rows(output)
    assert table["prepare"][0] == "5"
    assert "--rays lidar_pixels: 2 of 5 have no LiDAR sweep" in table["prepare"][1]
    assert table["evaluate occ3d"][0] == "1"
    assert "1 of 3 val key frames lack their Occ3D label" in table["evaluate occ3d"][1]
    assert "1 of 3 val key frames lack the images" in table["evaluate occ3d"][1]
    assert table["evaluate retrieval"][0] == "none"
    assert "1 of 2 queries are on frames of another version" in table["evaluate retrieval"][1]
    assert "1 lack images, sweep or annotation" in table["evaluate retrieval"][1]
    assert re.search(r"v1\.0-mini\.tgz .*5 of 6 .*CAM_BACK 1, LIDAR_TOP 2", output)


def test_archives_of_trainval(tmp_path: Path):
    names = ("scene-0001", "scene-0102", "scene-0103", "scene-1110")
    write_nuscenes(tmp_path, version="v1.0-trainval", scenes=names, samples=2)
    for path in tmp_path.glob("samples/CAM_*/scene-0103*"):
        path.unlink()
    found = {group.name: group for group in groups(load(tmp_path, present_only=False))}
    assert list(found) == [f"v1.0-trainval{number:02d}_blobs.tgz" for number in (1, 2, 10)]
    second = found["v1.0-trainval02_blobs.tgz"]
    assert (second.scenes, second.key_frames, second.usable) == (["scene-0103"], 2, 0)
    assert second.missing == dict.fromkeys(load(tmp_path).index.cameras, 2)
    assert found["v1.0-trainval01_blobs.tgz"].scenes == ["scene-0001", "scene-0102"]
    assert not found["v1.0-trainval01_blobs.tgz"].missing


def test_unknown_scenes_are_grouped_by_log(tmp_path: Path):
    write_nuscenes(tmp_path, scenes=("a", "b"))
    assert [group.name for group in groups(load(tmp_path))] == ["log n015-a", "log n015-b"]


def test_inventory(root: Path):
    label_all(root)
    nuscenes = root / "nuscenes"
    for path in [
        *nuscenes.glob("samples/CAM_BACK/scene-0061-0*"),
        *nuscenes.glob("samples/LIDAR_TOP/scene-0103-1*"),
        *root.glob("gts/scene-0061/scene-0061-2/labels.npz"),
    ]:
        path.unlink()
    dataset = load(root, present_only=False)
    for name, suffix in (("lidarseg", "_lidarseg.bin"), ("panoptic", "_panoptic.npz")):
        path = nuscenes / name / "v1.0-mini" / f"{dataset.index.lidar_tokens[4]}{suffix}"
        path.parent.mkdir(parents=True)
        path.touch()
    found = take_inventory(dataset)
    for claims, expected in (
        (found.has_images, [0, 1, 1, 1, 1, 1]),
        (found.has_sweep, [1, 1, 1, 1, 0, 1]),
        (found.has_occ3d, [1, 1, 0, 1, 1, 1]),
        (found.has_lidarseg, [0, 0, 0, 0, 1, 0]),
        (found.has_panoptic, [0, 0, 0, 0, 1, 0]),
        (found.has_previous, [0, 0, 1, 0, 1, 1]),
        (found.in_split["train"], [1, 1, 1, 0, 0, 0]),
        (found.in_split["val"], [0, 0, 0, 1, 1, 1]),
    ):
        np.testing.assert_array_equal(claims, np.array(expected, dtype=bool))


def test_damaged_files_are_listed_and_fail(root: Path, capsys: pytest.CaptureFixture):
    nuscenes = root / "nuscenes"
    image = nuscenes / "samples/CAM_BACK/scene-0061-1__CAM_BACK.jpg"
    image.write_bytes(image.read_bytes()[:-300])
    sweep = nuscenes / "samples/LIDAR_TOP/scene-0103-1__LIDAR_TOP.pcd.bin"
    sweep.write_bytes(sweep.read_bytes()[:-3])
    assert check(root) == 0
    assert check(root, "--images") == 1
    output = capsys.readouterr()
    assert "2 faults; what is not damaged works" in output.err
    assert re.search(rf"{image}: cannot be decoded", output.err)
    assert re.search(rf"{sweep}: expected rows of 20 bytes", output.err)
    assert rows(output.out)["prepare"][0] == "6"


def test_damaged_records_are_listed_and_fail(root: Path, capsys: pytest.CaptureFixture):
    def edit(records: Records) -> None:
        token = "e-d-scene-0103-2-LIDAR_TOP-True"
        next(r for r in records if r["token"] == token)["rotation"] = [float("nan"), 0, 0, 0]

    edit_table(root / "nuscenes", "ego_pose", edit)
    assert check(root) == 1
    output = capsys.readouterr()
    assert "1 faults" in output.err
    path = root / "nuscenes/v1.0-mini/ego_pose.json"
    assert f"{path}: pose is not finite, or its rotation is 0 (LIDAR_TOP): 1 key" in output.err
    assert "(scene-0103-2)" in output.err
    assert rows(output.out)["prepare"][0] == "5"


def test_no_images_at_all(root: Path, capsys: pytest.CaptureFixture):
    for path in root.glob("nuscenes/samples/CAM_*/*"):
        path.unlink()
    assert check(root) == 1
    output = capsys.readouterr()
    assert "no key frame of v1.0-mini has its images" in output.err
    assert {count for count, _ in rows(output.out).values()} == {"none"}


def test_a_wrong_benchmark_table_is_a_fault(root: Path, capsys: pytest.CaptureFixture):
    (root / "retrieval_benchmark").mkdir()
    assert check(root) == 1
    assert "retrieval_anns_train.csv: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([".", "--version", "v1.0-test"], "nuscenes: no version 'v1.0-test'; there are v1.0-mini"),
        ([".", "--work", "/proc/nothing"], "/proc/nothing"),
    ],
)
def test_errors(
    root: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    monkeypatch.chdir(root)
    assert check(*arguments) == 1
    assert f"langocc check: {message}" in capsys.readouterr().err


def test_all_versions_are_checked(root: Path, capsys: pytest.CaptureFixture):
    write_nuscenes(root / "nuscenes", version="v1.0-test", scenes=("scene-0077",))
    assert check(root) == 0
    output = capsys.readouterr().out
    assert "v1.0-mini: scenes 2" in output
    assert "v1.0-test: scenes 1" in output


def test_ctrl_c_leaves_nothing_half_done(root: Path):
    """A real process, a real signal, while the index is being written."""
    script = (
        "import sys, time, langocc.scenes.index as index\n"
        "from langocc.cli import run\n"
        "def slow(path, content):\n"
        "    path.open('wb').write(content[:10]); print('writing', flush=True); time.sleep(60)\n"
        "index.Path.write_bytes = slow\n"
        "sys.exit(run(['check', sys.argv[1]]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert process.stdout is not None
    while "writing" not in process.stdout.readline():
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert [path for path in (root / "langocc").rglob("*") if path.is_file()] == []
    assert check(root) == 0
