"""Shards and stores on disk: slices, damage, two writers, a full disk."""

import errno
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from langocc.errors import ConfigError, DataError
from langocc.features.claim import ClaimedError, claimed
from langocc.features.codecs import Int8
from langocc.features.rows import row_dtype
from langocc.features.shard import CHUNK_ROWS, Shard, write_shard
from langocc.features.store import create_store, open_store
from langocc.features.store_record import StoreRecord

RECORD = StoreRecord("teacher-1", 6, "int8", {"source": "random", "seed": 0})
COUNTS = {"f0": 300, "f1": 0, "f2": 64, "f3": 1}


def some_rows(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    raw = generator.integers(0, 256, size=(count, row_dtype(8).itemsize), dtype=np.uint8)
    return np.frombuffer(raw.tobytes(), dtype=row_dtype(8))


def write(path, counts=COUNTS, record=RECORD):
    with write_shard(path, "scene", record, Int8(6)) as writer:
        for seed, (token, count) in enumerate(counts.items()):
            writer.add(token, some_rows(count, seed))
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "scene.shard")


def test_rows_come_back_as_they_went_in(path):
    shard = Shard(path)
    assert list(shard.frames) == list(COUNTS)
    for seed, (token, count) in enumerate(COUNTS.items()):
        assert shard.rows_of(token) == count
        assert shard.read(token).tobytes() == some_rows(count, seed).tobytes()
    assert shard.index.record == RECORD
    assert shard.rows_of("nowhere") == 0


@pytest.mark.parametrize("start", [0, 1, CHUNK_ROWS - 1, CHUNK_ROWS, 299])
@pytest.mark.parametrize("count", [0, 1, CHUNK_ROWS, 130, 300])
def test_slices_wrap_around(path, start, count):
    expected = np.take(some_rows(300, 0), range(start, start + count), mode="wrap")
    assert Shard(path).read("f0", start, count).tobytes() == expected.tobytes()


def test_slices_out_of_range_are_refused(path):
    shard = Shard(path)
    for start, count in ((300, 1), (0, 301), (-1, 1)):
        with pytest.raises(ValueError, match="within 300 rows"):
            shard.read("f0", start, count)
    with pytest.raises(DataError, match="'f9'"):
        shard.read("f9")


def read_all(path):
    shard = Shard(path)
    return [shard.read(token) for token in shard.frames]


def test_every_flipped_bit_is_found(path):
    """Anywhere in the file: rows, arrays, index or tail."""
    content = path.read_bytes()
    for at in [
        *range(0, 40),
        *range(40, len(content), 97),
        *range(len(content) - 40, len(content)),
    ]:
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"scene\.shard"):
            read_all(path)


def test_damage_in_one_place_leaves_the_rest_readable(path):
    content = bytearray(path.read_bytes())
    stride = row_dtype(8).itemsize
    content[8 + 200 * stride] ^= 4
    path.write_bytes(content)
    shard = Shard(path)
    with pytest.raises(DataError, match="frame f0"):
        shard.read("f0", 190, 20)
    assert len(shard.read("f0", 0, 64)) == 64
    assert len(shard.read("f2")) == 64


@pytest.mark.parametrize("keep", [0, 5, 8, 100, 2000, -1, -30])
def test_a_shard_cut_short_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="cut short"):
        Shard(path)


def test_two_writers_of_one_shard(tmp_path):
    path = tmp_path / "scene.shard"
    with claimed(path) as file:
        file.write(b"first")
        with pytest.raises(ClaimedError, match=r"scene\.shard"), claimed(path):
            pass
        assert not path.exists()
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["scene.shard"]


def test_remainder_of_a_killed_writer_is_taken_over(tmp_path):
    path = tmp_path / "scene.shard"
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom langocc.features.claim import claimed\n"
        "with claimed(Path(sys.argv[1])) as file:\n"
        "    file.write(b'x' * 100000)\n    file.flush()\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert not path.exists()
    assert (tmp_path / ".scene.shard.part").stat().st_size > 0
    write(path)
    assert path.read_bytes() == write(tmp_path / "undisturbed.shard").read_bytes()
    assert not (tmp_path / ".scene.shard.part").exists()


def test_full_disk_leaves_nothing_behind_and_names_the_shard(tmp_path):
    """The system's own limit on file sizes stands for the full disk."""
    script = """
import resource, signal, sys
from pathlib import Path
from langocc.features.claim import claimed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    with claimed(Path(sys.argv[1])) as file:
        for _ in range(100):
            file.write(bytes(1000))
except OSError as error:
    print(error.errno, error.filename)
"""
    path = tmp_path / "scene.shard"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(errno.EFBIG), str(path)]
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_layout_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="rows: expected"),
        write_shard(tmp_path / "a.shard", "a", RECORD, Int8(6)) as writer,
    ):
        writer.add("f0", np.zeros(3, dtype=row_dtype(9)))
    assert list(tmp_path.iterdir()) == []


class TestStore:
    def test_opens_what_was_created(self, tmp_path):
        created = create_store(tmp_path / "store", RECORD)
        write(created.path_of("scene"))
        store = open_store(tmp_path / "store", teacher="teacher-1", channels=6)
        assert store.record == RECORD
        assert store.scenes() == ["scene"]
        assert len(store.shard("scene").read("f0")) == 300
        assert create_store(tmp_path / "store", RECORD).record == RECORD

    @pytest.mark.parametrize(
        "change",
        [{"teacher": "other"}, {"channels": 7}, {"codec": "fp16"}, {"rays": {"source": "grid"}}],
    )
    def test_another_store_in_its_place_is_refused(self, tmp_path, change):
        create_store(tmp_path, RECORD)
        with pytest.raises(ConfigError, match=next(iter(change))):
            create_store(tmp_path, replace(RECORD, **change))

    def test_wrong_teacher_or_size_is_named(self, tmp_path):
        create_store(tmp_path, RECORD)
        with pytest.raises(DataError, match="'other', found 'teacher-1'"):
            open_store(tmp_path, teacher="other")
        with pytest.raises(DataError, match="expected features of 512 channels, found 6"):
            open_store(tmp_path, channels=512)

    def test_a_shard_of_another_store_is_refused(self, tmp_path):
        store = create_store(tmp_path, RECORD)
        write(store.path_of("scene"), record=replace(RECORD, teacher="other"))
        with pytest.raises(DataError, match="teacher: teacher-1, not other"):
            store.shard("scene")

    def test_no_store_and_no_json(self, tmp_path):
        with pytest.raises(DataError, match="langocc extract"):
            open_store(tmp_path)
        (tmp_path / "store.json").write_text("{")
        with pytest.raises(DataError, match="not a store's record"):
            open_store(tmp_path)

    @pytest.mark.parametrize("name", ["../up", "", ".hidden"])
    def test_scene_names_cannot_leave_the_folder(self, tmp_path, name):
        with pytest.raises(DataError, match="name"):
            create_store(tmp_path, RECORD).path_of(name)

    def test_goes_to_another_process_without_open_files(self, tmp_path):
        store = create_store(tmp_path, RECORD)
        write(store.path_of("scene"))
        store.shard("scene")
        again = pickle.loads(pickle.dumps(store))
        assert len(again.shard("scene").read("f2")) == 64

    def test_keeps_few_files_open(self, tmp_path, monkeypatch):
        monkeypatch.setattr("langocc.features.store.OPEN_SHARDS", 2)
        store = create_store(tmp_path, RECORD)
        for name in "abcd":
            write(store.path_of(name))
        before = len(os.listdir("/proc/self/fd"))
        for name in "abcdabcd":
            assert len(store.shard(name).read("f2")) == 64
        assert len(os.listdir("/proc/self/fd")) <= before + 2
