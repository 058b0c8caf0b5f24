# SPDX-License-Identifier: Apache-2.0
"""Damaged tables: a message that names the file, and the rest stays usable."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nuscenes_kit import Records, edit_table, write_nuscenes

from langocc.errors import DataError
from langocc.scenes import index as index_module
from langocc.scenes import tables
from langocc.scenes.nuscenes import load

ALL = [f"{scene}-{number}" for scene in ("scene-0061", "scene-0103") for number in range(3)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_nuscenes(tmp_path / "nuscenes")


def tokens(root: Path) -> list[str]:
    return [frame.token for frame in load(root).frames()]


def first(records: Records, **wanted: object) -> dict:
    return next(r for r in records if all(r[key] == value for key, value in wanted.items()))


def test_no_such_folder(tmp_path: Path):
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        load(tmp_path / "nowhere")


def test_a_folder_without_tables(tmp_path: Path):
    with pytest.raises(DataError, match=r"no nuScenes tables; expected v1\.0-mini/sample\.json"):
        load(tmp_path)


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_a_missing_table(root: Path, name: str):
    (root / "v1.0-mini" / f"{name}.json").unlink()
    with pytest.raises(DataError, match=f"{name}.json" if name != "sample" else "sample"):
        load(root)


@pytest.mark.parametrize("chunk_bytes", [1000, tables.CHUNK_BYTES])
@pytest.mark.parametrize("name", ["log", "sample", "sample_data", "ego_pose"])
def test_truncated_json(root: Path, name: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
    path = root / "v1.0-mini" / f"{name}.json"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 20])
    with pytest.raises(DataError, match=rf"{name}\.json: cut short at byte {len(content) - 20}:"):
        load(root)


@pytest.mark.parametrize("chunk_bytes", [1000, tables.CHUNK_BYTES])
def test_malformed_json(root: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
    path = root / "v1.0-mini" / "sample_data.json"
    content = bytearray(path.read_bytes())
    at = content.index(b'"sample_token"', 9000)
    content[at] = ord("?")
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"sample_data\.json: malformed at byte {at}:"):
        load(root)


@pytest.mark.parametrize("chunk_bytes", [1000, tables.CHUNK_BYTES])
@pytest.mark.parametrize(
    ("name", "column"),
    [("scene", "name"), ("sample", "timestamp"), ("sample_data", "ego_pose_token"),
     ("ego_pose", "rotation"), ("calibrated_sensor", "camera_intrinsic"), ("sensor", "channel")],
)  # fmt: skip
def test_a_missing_column(
    root: Path, name: str, column: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
    edit_table(root, name, lambda records: records[-1].pop(column) and None)
    count = len(edit_table(root, name, lambda records: None).read_bytes().split(b'"token"')) - 1
    with pytest.raises(
        DataError, match=rf"{name}\.json: record {count - 1} has no column `{column}`"
    ):
        load(root)


def test_a_column_of_another_type(root: Path):
    edit_table(root, "sample", lambda records: records[2].update(timestamp="noon"))
    with pytest.raises(
        DataError, match=r"sample\.json: record 2, column `timestamp`: expected `int`"
    ):
        load(root)


def test_not_a_list(root: Path):
    (root / "v1.0-mini" / "scene.json").write_text('{"token": "a"}')
    with pytest.raises(DataError, match=r"scene\.json: expected a JSON list of records"):
        load(root)


def test_braces_in_a_string_do_not_confuse_the_cutting(root: Path, monkeypatch: pytest.MonkeyPatch):
    edit_table(root, "sample_data", lambda r: [{**e, "note": "}, {" * 9} for e in r])
    for chunk_bytes in (100, 333, 1000, 5000):
        monkeypatch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
        found = [
            e.token for c in tables.read_chunks(root / "v1.0-mini", tables.SampleData) for e in c
        ]
        assert len(found) == len(set(found)) == 6 * 8 * 2


def test_every_chunk_size_reads_the_same(root: Path, monkeypatch: pytest.MonkeyPatch):
    folder = root / "v1.0-mini"
    whole = [e.token for c in tables.read_chunks(folder, tables.EgoPose) for e in c]
    for chunk_bytes in range(200, 1200, 37):
        monkeypatch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
        chunks = list(tables.read_chunks(folder, tables.EgoPose))
        assert len(chunks) > 5
        assert [e.token for c in chunks for e in c] == whole


@pytest.mark.parametrize(
    ("name", "column", "named"),
    [
        ("scene", "log_token", "scene"),
        ("sample", "scene_token", "sample"),
        ("calibrated_sensor", "sensor_token", "calibrated_sensor"),
        ("sample_data", "sample_token", "sample_data"),
        ("sample_data", "calibrated_sensor_token", "sample_data"),
        ("sample_data", "ego_pose_token", "ego_pose"),
    ],
)
def test_a_token_that_is_not_there(root: Path, name: str, column: str, named: str):
    edit_table(root, name, lambda records: records[0].update({column: "nobody"}))
    with pytest.raises(
        DataError, match=rf"{named}\.json: .*'nobody'.*are the tables of one version"
    ):
        load(root)


@pytest.mark.parametrize("name", ["log", "scene", "sensor", "sample", "calibrated_sensor"])
def test_a_token_twice(root: Path, name: str):
    edit_table(root, name, lambda records: [*records, records[0]])
    with pytest.raises(DataError, match=rf"{name}\.json: two records have the token"):
        load(root)


def test_a_record_twice(root: Path):
    edit_table(root, "sample_data", lambda records: [*records, records[0]])
    with pytest.raises(DataError, match=r"sample_data\.json: record .* second CAM_FRONT of sample"):
        load(root)


def test_a_pose_twice(root: Path):
    token = "e-d-scene-0061-0-CAM_BACK-True"
    edit_table(root, "ego_pose", lambda records: [*records, first(records, token=token)])
    with pytest.raises(DataError, match=rf"ego_pose\.json: two records have the token '{token}'"):
        load(root)


def drop_camera(records: Records) -> Records:
    return [r for r in records if r["token"] != "d-scene-0061-1-CAM_BACK-True"]


def pose_of_back(change: Callable[[dict], object]) -> Callable[[Records], None]:
    def edit(records: Records) -> None:
        change(first(records, token="e-d-scene-0061-1-CAM_BACK-True"))

    return edit


def width_of_back(records: Records) -> None:
    first(records, token="d-scene-0061-1-CAM_BACK-True")["width"] = 0


@pytest.mark.parametrize(
    ("name", "edit", "what"),
    [
        ("sample_data", drop_camera, "sample_data.json: no key-frame image (CAM_BACK)"),
        ("sample_data", width_of_back, "sample_data.json: image width or height is missing or 0"),
        ("ego_pose", pose_of_back(lambda p: p.update(translation=[0.0, np.nan, 0.0])), "pose"),
        ("ego_pose", pose_of_back(lambda p: p.update(rotation=[np.inf, 0, 0, 0])), "pose"),
        ("ego_pose", pose_of_back(lambda p: p.update(rotation=[0, 0, 0, 0])), "pose"),
        ("ego_pose", pose_of_back(lambda p: p.update(rotation=[1.0, 0.0])), "pose"),
        ("ego_pose", pose_of_back(lambda p: p.update(translation=None)), "pose"),
    ],
    ids=["no camera", "no width", "NaN", "infinite", "zero rotation", "two numbers", "null"],
)
@pytest.mark.parametrize("chunk_bytes", [1000, tables.CHUNK_BYTES])
def test_a_damaged_key_frame_is_dropped_and_counted(
    root: Path,
    name: str,
    edit: Callable,
    what: str,
    chunk_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(tables, "CHUNK_BYTES", chunk_bytes)
    edit_table(root, name, edit)
    for _ in range(2):  # from the tables, and from the index
        dataset = load(root)
        assert [f.token for f in dataset.frames()] == [t for t in ALL if t != "scene-0061-1"]
        ((reason, dropped),) = dataset.index.dropped.items()
        assert dropped == ["scene-0061-1"]
        assert what in reason
        assert "CAM_BACK" in reason
        assert all(
            np.isfinite(f.cameras["CAM_BACK"].global_from_ego).all() for f in dataset.frames()
        )
    assert "1 key frames left out" in caplog.text


@pytest.mark.parametrize("focal", [0.0, -5.0, np.nan])
def test_a_camera_without_focal_length(root: Path, focal: float):
    def edit(records: Records) -> Records:
        bad = {**first(records, token="c-CAM_BACK"), "token": "bad"}
        bad["camera_intrinsic"] = [[focal, 0, 16], [0, 20, 9], [0, 0, 1]]
        return [*records, bad]

    edit_table(root, "calibrated_sensor", edit)
    assert tokens(root) == ALL  # nobody uses it yet
    token = "d-scene-0103-2-CAM_BACK-True"
    edit_table(
        root, "sample_data", lambda r: first(r, token=token).update(calibrated_sensor_token="bad")
    )
    assert tokens(root) == ALL[:-1]
    (reason,) = load(root).index.dropped
    assert reason == "calibrated_sensor.json: focal length is not > 0 (CAM_BACK)"


def test_nothing_left(root: Path):
    edit_table(root, "ego_pose", lambda r: [{**e, "rotation": [0, 0, 0, 0]} for e in r])
    with pytest.raises(DataError, match=r"no usable key frame; ego_pose\.json: pose is not finite"):
        load(root)
    write_nuscenes(root, samples=0)
    with pytest.raises(DataError, match="no usable key frame; no samples"):
        load(root)


def full_disk(path: Path, content: bytes) -> int:
    with open(path, "wb") as file:
        file.write(content[:50])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # names no file, as a real one


def interrupt(path: Path, content: bytes) -> int:
    with open(path, "wb") as file:
        file.write(content[:50])
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [full_disk, interrupt])
def test_no_half_written_index(
    root: Path, tmp_path: Path, failure: Callable, monkeypatch: pytest.MonkeyPatch
):
    work = tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(index_module.Path, "write_bytes", failure)
        with pytest.raises((OSError, KeyboardInterrupt)) as error:
            load(root, work=work)
    if isinstance(error.value, OSError):
        assert error.value.filename == str(work / "index" / "v1.0-mini.msgpack")
    assert not [path for path in work.rglob("*") if path.is_file()]
    assert len(list(load(root, work=work).frames())) == 6


def test_the_default_work_folder_may_be_read_only(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(index_module.Path, "write_bytes", refuse)
    assert tokens(root) == ALL
    assert "index not kept (Read-only file system); name a folder with --work" in caplog.text
    with pytest.raises(OSError, match="Read-only file system"):
        load(root, work=root / "elsewhere")


def test_a_root_that_nobody_may_write_into_stays_as_it_is(
    root: Path, caplog: pytest.LogCaptureFixture
):
    root.chmod(0o555)  # the superuser could write all the same
    try:
        assert tokens(root) == ALL
        assert not (root / "langocc").exists()
    finally:
        root.chmod(0o755)
    assert "index not kept" in caplog.text
