# SPDX-License-Identifier: Apache-2.0
"""A store: a folder with `store.json` and one shard per scene."""

import re
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path

import msgspec

from langocc.errors import ConfigError, DataError
from langocc.features.shard import Shard
from langocc.features.store_record import StoreRecord
from langocc.files import replacing

SUFFIX = ".shard"
OPEN_SHARDS = 64
"""Shards a reader holds open; the one used longest ago is closed first."""


class FeatureStore:
    """A store open for reading. Cheap to send to another process: it opens its own files there.

    Attributes:
        folder: Where it lies.
        record: What all of its shards have in common.
    """

    def __init__(self, folder: Path, record: StoreRecord) -> None:
        """Wraps a folder; `open_store` reads and checks its record."""
        self.folder, self.record = folder, record
        self._open: OrderedDict[str, Shard] = OrderedDict()

    def path_of(self, scene: str) -> Path:
        """Where a scene's shard lies, finished or not."""
        return shard_path(self.folder, scene)

    def scenes(self) -> list[str]:
        """Scenes with a finished shard, sorted."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))

    def has(self, scene: str) -> bool:
        """Whether the scene's shard is finished."""
        return self.path_of(scene).is_file()

    def shard(self, scene: str) -> Shard:
        """A scene's shard, kept open for the next time.

        Raises:
            DataError: missing, damaged, or not of this store.
        """
        if scene in self._open:
            self._open.move_to_end(scene)
            return self._open[scene]
        shard = Shard(self.path_of(scene))
        if difference := self.record.differences(shard.index.record):
            raise DataError(
                f"{shard.path}: not of this store ({self.folder / 'store.json'}): {difference}"
            )
        if len(self._open) >= OPEN_SHARDS:
            self._open.popitem(last=False)[1].close()
        self._open[scene] = shard
        return shard

    def __getstate__(self) -> dict[str, object]:
        """Without open files."""
        return {"folder": self.folder, "record": self.record, "_open": OrderedDict()}


def shard_path(folder: Path, scene: str) -> Path:
    """Where a scene's shard lies.

    Raises:
        DataError: the scene's name cannot be a file's.
    """
    if not scene or "/" in scene or scene.startswith("."):
        raise DataError(f"scene {scene!r}: expected a name that can be a file's")
    return folder / f"{scene}{SUFFIX}"


def ray_store_folder(work: Path, source: str) -> Path:
    """Where `prepare` puts the rays of a source."""
    return work / "rays" / source


def feature_store_folder(work: Path, teacher: str, source: str, codec: str) -> Path:
    """Where `extract` puts features."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", teacher)
    return work / "features" / f"{safe}-{source}-{codec}"


def create_store(folder: Path, record: StoreRecord) -> FeatureStore:
    """A store to write into: a new one, or one begun with the same record.

    Raises:
        ConfigError: the folder holds a store made in another way.
    """
    if (folder / "store.json").exists():
        found = read_record(folder)
        if difference := record.differences(found):
            raise ConfigError(
                f"{folder}: holds a store made in another way: asked for {difference}; choose "
                "another folder or delete this one"
            )
        return FeatureStore(folder, found)
    with replacing(folder / "store.json") as path:
        content = msgspec.json.encode(asdict(record), order="deterministic")
        path.write_bytes(msgspec.json.format(content, indent=2) + b"\n")
    return FeatureStore(folder, read_record(folder))


def open_store(
    folder: Path, *, teacher: str | None = None, channels: int | None = None
) -> FeatureStore:
    """A store to read from.

    Args:
        folder: The store's folder.
        teacher: The teacher's id that is needed; None: any.
        channels: The feature size that is needed; None: any.

    Raises:
        DataError: no store there, or one of another teacher or size.
    """
    record = read_record(folder)
    if teacher is not None and record.teacher != teacher:
        raise DataError(
            f"{folder}: expected features of the teacher {teacher!r}, found {record.teacher!r}"
        )
    if channels is not None and record.channels != channels:
        raise DataError(
            f"{folder}: expected features of {channels} channels, found {record.channels}, by the "
            f"teacher {record.teacher!r}"
        )
    return FeatureStore(folder, record)


def read_record(folder: Path) -> StoreRecord:
    """The record in a store's folder.

    Raises:
        DataError: missing, damaged, or of another version.
    """
    path = folder / "store.json"
    try:
        return msgspec.convert(msgspec.json.decode(path.read_bytes()), StoreRecord)
    except FileNotFoundError:
        raise DataError(f"{path}: no store there; `langocc extract` makes one") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"{path}: not a store's record: {error}") from None
