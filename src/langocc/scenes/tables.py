# SPDX-License-Identifier: Apache-2.0
"""nuScenes v1.0 tables: the columns we use, read a chunk at a time.

`sample_data.json` of trainval holds 2.6 million records in 1.3 GB. A chunk is decoded, the caller
keeps its key frames, and the rest is gone before the next chunk comes.

Source: formats.md section 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from langocc.errors import DataError

CHUNK_BYTES = 4 << 20
"""Fits the processor's cache: 32 MB chunks take 1.7 times as long."""


class Record(msgspec.Struct, gc=False):
    """What every record has."""

    token: str


class Log(Record, gc=False):
    """One outing of one vehicle."""

    logfile: str


class Scene(Record, gc=False):
    """20 seconds of driving."""

    name: str
    log_token: str


class Sensor(Record, gc=False):
    """A kind of sensor: a place on the vehicle."""

    channel: str
    modality: str


class CalibratedSensor(Record, gc=False):
    """A sensor as calibrated on one vehicle; sensor -> ego."""

    sensor_token: str
    translation: msgspec.Raw
    rotation: msgspec.Raw
    camera_intrinsic: msgspec.Raw


class EgoPose(Record, gc=False):
    """Ego -> global. Left undecoded: one pose in eleven belongs to a key frame."""

    translation: msgspec.Raw
    rotation: msgspec.Raw


class Sample(Record, gc=False):
    """A key frame."""

    timestamp: int
    scene_token: str


class SampleData(Record, gc=False):
    """One image or sweep."""

    sample_token: str
    ego_pose_token: str
    calibrated_sensor_token: str
    filename: str
    timestamp: int
    is_key_frame: bool
    width: int | None = None
    height: int | None = None


TABLES: dict[str, type[Record]] = {
    "log": Log,
    "scene": Scene,
    "sensor": Sensor,
    "calibrated_sensor": CalibratedSensor,
    "ego_pose": EgoPose,
    "sample": Sample,
    "sample_data": SampleData,
}
"""The tables that are read. The other six of nuScenes' thirteen are not needed."""

RecordT = TypeVar("RecordT", bound=Record)


def table_path(tables: Path, record: type[Record]) -> Path:
    """File of a table in the folder `tables` (`.../v1.0-trainval`)."""
    name = next(name for name, kind in TABLES.items() if kind is record)
    return tables / f"{name}.json"


def read_table(tables: Path, record: type[RecordT]) -> dict[str, RecordT]:
    """A whole table by token, in file order.

    Raises:
        DataError: the table is missing, truncated, malformed, lacks a column, or has a token twice.
    """
    by_token: dict[str, RecordT] = {}
    for records in read_chunks(tables, record):
        for entry in records:
            if entry.token in by_token:
                path = table_path(tables, record)
                raise DataError(f"{path}: two records have the token {entry.token!r}")
            by_token[entry.token] = entry
    return by_token


def read_chunks(tables: Path, record: type[RecordT]) -> Iterator[list[RecordT]]:
    """The records of a table in lists of some ten thousand, in file order.

    Raises:
        DataError: as `read_table`, except that repeated tokens are left to the caller.
    """
    path = table_path(tables, record)
    decoder = msgspec.json.Decoder(list[record])
    done = 0
    try:
        with open(path, "rb") as file:
            for start, text in _array_chunks(file):
                try:
                    records = decoder.decode(text)
                except msgspec.DecodeError:  # or a string holds "},{" just where we cut
                    file.seek(start)
                    rest = b"[" + file.read()[1:] if start else file.read()
                    yield _decode_rest(decoder, path, done, start, rest)
                    return
                yield records
                done += len(records)
    except FileNotFoundError:
        raise DataError(f"{path}: the table is missing; it comes with nuScenes' metadata") from None


_BETWEEN_RECORDS = re.compile(rb"\}\s*(,)\s*(?=\{)")
_NOT_A_NUMBER = re.compile(rb"(?<=[\s\[,:])(?:NaN|-?Infinity)(?=[\s\],}])")


def _array_chunks(file: BinaryIO) -> Iterator[tuple[int, bytes | bytearray]]:
    """Cuts a JSON array of objects into smaller arrays; yields (position of the "[", text)."""
    start, rest = 0, b""
    while block := file.read(CHUNK_BYTES):
        text = bytearray(rest)  # a new one each time: undecoded columns refer to it
        text += block
        comma, record = _last_break(text)
        if not comma:
            rest = bytes(text)
            continue
        # The "[" put in front keeps positions right: it stands one byte before the record.
        rest = b"[" + text[record:]
        del text[comma:]
        text += b"]"
        yield start, text
        start += record - 1
    yield start, rest


def _last_break(text: bytearray) -> tuple[int, int]:
    """Position of the last comma between two records, and of the record after it; else zeros."""
    breaks = _BETWEEN_RECORDS.finditer(text, max(0, len(text) - 65536))
    return max(((m.start(1), m.end()) for m in breaks), default=(0, 0))


def _decode_rest(
    decoder: msgspec.json.Decoder[list[RecordT]], path: Path, done: int, start: int, text: bytes
) -> list[RecordT]:
    """Decodes a table from `start` on, Python's NaN as null; or says exactly what is wrong."""
    try:
        return decoder.decode(_NOT_A_NUMBER.sub(b"null", text))
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {_explain(str(error), done)}") from None
    except msgspec.DecodeError as error:
        position = re.search(r"\(byte (\d+)\)", str(error))
        byte = start + (int(position[1]) if position else len(text))
        what = "malformed" if position else "cut short"
        raise DataError(
            f"{path}: {what} at byte {byte}: expected a JSON list of records; fetch it again"
        ) from None


def _explain(message: str, done: int) -> str:
    """Turns msgspec's "... - at `$[3].token`" into words with the record's number in the file."""
    what, _, place = message.partition(" - at ")
    place_match = re.match(r"`\$\[(\d+)\](?:\.(\w+))?", place)
    if not place_match:
        return f"expected a JSON list of records; {what}"
    number = int(place_match[1]) + done
    if missing := re.match(r"Object missing required field (`\w+`)", what):
        return f"record {number} has no column {missing[1]}"
    column = f", column `{place_match[2]}`" if place_match[2] else ""
    return f"record {number}{column}: {what[0].lower()}{what[1:]}"
