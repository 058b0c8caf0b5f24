# SPDX-License-Identifier: Apache-2.0
"""A shard: the rows of one scene in one file, readable in slices, every byte checksummed.

Layout (little-endian)::

    magic                               8 bytes: "LORAYS", 0, 1
    rows of frame 0, of frame 1, ...    stride bytes each
    arrays                              the codec's, and the checksums
    index                               JSON, `ShardIndex`
    offset u64, length u32, crc u32     of the index
    magic                               8 bytes: "LORAYS", 0, 1

The index comes last, so that frames stream through memory and a file that was cut short has none.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from langocc.errors import DataError
from langocc.features.claim import claimed
from langocc.features.codecs import Codec, codec_of
from langocc.features.rows import Rows, row_dtype
from langocc.features.store_record import StoreRecord

MAGIC = b"LORAYS\0\1"
CHUNK_ROWS = 64
"""Rows under one checksum: a slice reads at most this many more at each end."""

_TAIL = struct.Struct("<QII8s")


@dataclass(frozen=True)
class FrameEntry:
    """Where the rows of a frame lie: `rows` of them, from byte `offset`; its first checksum."""

    token: str
    rows: int
    offset: int
    first_chunk: int


@dataclass(frozen=True)
class ArrayEntry:
    """Where an array lies."""

    name: str
    dtype: str
    shape: list[int]
    offset: int
    crc: int


@dataclass(frozen=True)
class ShardIndex:
    """What a shard says of itself."""

    scene: str
    stride: int
    chunk_rows: int
    record: StoreRecord
    frames: list[FrameEntry]
    arrays: list[ArrayEntry]


class ShardWriter:
    """Appends frames to an open file; `write_shard` makes and finishes one."""

    def __init__(self, file: BinaryIO, scene: str, record: StoreRecord, codec: Codec) -> None:
        """Starts a shard at the file's beginning."""
        self._file, self._scene, self._record, self._codec = file, scene, record, codec
        self._dtype = row_dtype(codec.row_bytes)
        self._frames: list[FrameEntry] = []
        self._checksums: list[int] = []
        self._offset = 0
        self._put(MAGIC)

    def add(self, token: str, rows: Rows) -> None:
        """The rows of the next frame, in the order in which they will be read."""
        if rows.dtype != self._dtype:
            raise ValueError(f"rows: expected {self._dtype}, got {rows.dtype}")
        entry = FrameEntry(token, len(rows), self._offset, len(self._checksums))
        content = np.ascontiguousarray(rows).view(np.uint8).data
        self._checksums += _chunk_checksums(content, CHUNK_ROWS * self._dtype.itemsize)
        self._frames.append(entry)
        self._put(content)

    def finish(self) -> None:
        """Writes arrays and index."""
        arrays = dict(self._codec.arrays)
        arrays["checksums"] = np.array(self._checksums, dtype=np.uint32)
        entries = []
        for name, array in arrays.items():
            content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
            crc = zlib.crc32(content)
            entries.append(ArrayEntry(name, array.dtype.str, list(array.shape), self._offset, crc))
            self._put(content)
        index = ShardIndex(
            self._scene, self._dtype.itemsize, CHUNK_ROWS, self._record, self._frames, entries
        )
        content = msgspec.json.encode(asdict(index), order="deterministic")
        tail = _TAIL.pack(self._offset, len(content), zlib.crc32(content), MAGIC)
        self._put(content + tail)

    def _put(self, content: bytes | memoryview) -> None:
        self._file.write(content)
        self._offset += len(content)


@contextmanager
def write_shard(path: Path, scene: str, record: StoreRecord, codec: Codec) -> Iterator[ShardWriter]:
    """A writer whose shard is at `path` when the block ends well, and leaves nothing otherwise.

    Raises:
        ClaimedError: another process writes this shard now.
        OSError: the disk is full or the folder not writable.
    """
    with claimed(path) as file:
        writer = ShardWriter(file, scene, record, codec)
        yield writer
        writer.finish()


class Shard:
    """A finished shard, open for reading; many readers and processes at once."""

    def __init__(self, path: Path) -> None:
        """Opens a shard and checks its index.

        Raises:
            DataError: missing, cut short, damaged, or not a shard.
        """
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise DataError(f"{path}: no such shard") from None
        try:
            self.index = self._read_index()
            self.arrays = {entry.name: self._read_array(entry) for entry in self.index.arrays}
            self.codec = codec_of(self.index.record.codec, self.index.record.channels, self.arrays)
            self._dtype = row_dtype(self.codec.row_bytes)
            if self._dtype.itemsize != self.index.stride:
                raise DataError(
                    f"{path}: expected rows of {self._dtype.itemsize} bytes, found "
                    f"{self.index.stride}"
                )
        except BaseException:
            self.close()
            raise

    @cached_property
    def frames(self) -> Mapping[str, FrameEntry]:
        """Frames by token, in the order in which they lie."""
        return {entry.token: entry for entry in self.index.frames}

    def rows_of(self, token: str) -> int:
        """Rows of a frame; 0 if it is not in the shard."""
        entry = self.frames.get(token)
        return 0 if entry is None else entry.rows

    def read(self, token: str, start: int = 0, count: int | None = None) -> Rows:
        """Consecutive rows of a frame; past its last row they go on with its first.

        Args:
            token: The frame.
            start: First row, in [0, rows).
            count: Rows, at most the frame's; None: all.

        Raises:
            DataError: the frame is not in the shard, or what is read is damaged.
            ValueError: start or count out of range.
        """
        if token not in self.frames:
            raise DataError(f"{self.path}: no frame has the token {token!r}")
        entry = self.frames[token]
        count = entry.rows if count is None else count
        if not (0 <= count <= entry.rows and 0 <= start < max(entry.rows, 1)):
            raise ValueError(
                f"rows: expected start and count within {entry.rows} rows, got {start}, {count}"
            )
        head = min(count, entry.rows - start)
        parts = [self._read_range(entry, start, head)]
        if count > head:
            parts.append(self._read_range(entry, 0, count - head))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def empty(self) -> Rows:
        """No rows, in the shard's layout."""
        return np.zeros(0, dtype=self._dtype)

    def close(self) -> None:
        """Closes the file; the shard cannot be read afterwards."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        """Closes the file."""
        if getattr(self, "_file", -1) >= 0:
            self.close()

    def _read_range(self, entry: FrameEntry, start: int, count: int) -> Rows:
        if count == 0:
            return self.empty()
        stride, chunk = self.index.stride, self.index.chunk_rows
        first = start // chunk
        last_row = min(-(-(start + count) // chunk) * chunk, entry.rows)
        offset = entry.offset + first * chunk * stride
        content = self._pread((last_row - first * chunk) * stride, offset)
        found = _chunk_checksums(content, chunk * stride)
        expected = self.arrays["checksums"][entry.first_chunk + first :][: len(found)]
        if not np.array_equal(expected, found):
            raise DataError(
                f"{self.path}: damaged rows of frame {entry.token} near byte {offset}: checksums "
                "differ; delete the shard and extract its scene again"
            )
        rows = np.frombuffer(content, dtype=self._dtype)
        return rows[start - first * chunk :][:count]

    def _read_index(self) -> ShardIndex:
        size = os.fstat(self._file).st_size
        if size < len(MAGIC) + _TAIL.size or self._pread(len(MAGIC), 0) != MAGIC:
            raise DataError(f"{self.path}: not a shard of rays, or cut short ({size} bytes)")
        offset, length, crc, magic = _TAIL.unpack(self._pread(_TAIL.size, size - _TAIL.size))
        if magic != MAGIC or offset + length + _TAIL.size != size:
            raise DataError(f"{self.path}: cut short: its last bytes are not an index's end")
        content = self._pread(length, offset)
        if zlib.crc32(content) != crc:
            raise DataError(f"{self.path}: its index is damaged: checksums differ")
        try:
            return msgspec.convert(msgspec.json.decode(content), ShardIndex)
        except msgspec.MsgspecError as error:
            raise DataError(f"{self.path}: not this version's index: {error}") from None

    def _read_array(self, entry: ArrayEntry) -> np.ndarray:
        dtype = np.dtype(entry.dtype)
        content = self._pread(int(np.prod(entry.shape)) * dtype.itemsize, entry.offset)
        if zlib.crc32(content) != entry.crc:
            raise DataError(f"{self.path}: its array {entry.name} is damaged: checksums differ")
        return np.frombuffer(content, dtype=dtype).reshape(entry.shape)

    def _pread(self, count: int, offset: int) -> bytes:
        content = os.pread(self._file, count, offset)
        if len(content) != count:
            raise DataError(
                f"{self.path}: cut short: expected {count} bytes at {offset}, found {len(content)}"
            )
        return content


def _chunk_checksums(content: bytes | memoryview, chunk_bytes: int) -> list[int]:
    view = memoryview(content)
    return [zlib.crc32(view[at : at + chunk_bytes]) for at in range(0, len(view), chunk_bytes)]
