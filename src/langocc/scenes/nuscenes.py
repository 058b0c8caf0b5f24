# SPDX-License-Identifier: Apache-2.0
"""nuScenes v1.0 as a `Dataset`: frames made on demand from the key-frame index."""

import errno
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from langocc.errors import DataError
from langocc.scenes.dataset import Dataset, Split
from langocc.scenes.index import KeyFrameIndex, fingerprint, read_index, write_index
from langocc.scenes.keyframes import build_index
from langocc.scenes.lazy_frames import FrameReader, LazyScenes
from langocc.scenes.roots import DataRoot, find_root
from langocc.scenes.splits import read_splits

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NuScenes(Dataset):
    """One version of nuScenes, or of anything written in its schema.

    Attributes:
        folders: Where its parts lie; paths of labels come from here.
        version: `v1.0-mini`, `v1.0-trainval` or `v1.0-test`.
        index: All key frames with sound records, whether their files are there or not.
        is_present: Whether the file of each key frame and sensor of the index is there.
    """

    folders: DataRoot
    version: str
    index: KeyFrameIndex
    is_present: Bool[np.ndarray, "key sensor"]

    def position(self, token: str) -> tuple[str, int]:
        """Scene name and index within the scene of a token.

        Raises:
            DataError: no frame has this token.
        """
        if token not in self._positions:
            raise DataError(f"{self.root}: no frame has the token {token!r}")
        return self._positions[token]

    @cached_property
    def _positions(self) -> dict[str, tuple[str, int]]:
        """Like the base class's, without making the frames."""
        assert isinstance(self.scenes, LazyScenes)
        return {
            self.index.tokens[key]: (name, place)
            for name in self.scenes
            for place, key in enumerate(self.scenes[name].keys)
        }


def load(
    root: Path,
    *,
    version: str | None = None,
    work: Path | None = None,
    present_only: bool = True,
) -> NuScenes:
    """Reads a nuScenes version: its tables the first time, later the index kept in `work`.

    Args:
        root: Data root `ROOT/{nuscenes, gts, retrieval_benchmark}`, or a bare nuScenes folder.
        version: Folder of tables; None: the only one, or `v1.0-trainval` if there are several.
        work: Folder for the index; None: `root/langocc`, and none is kept if that is read-only.
        present_only: Leave out key frames without all their images, and sweeps that are not there.
            Otherwise every key frame of the tables has all its cameras and its LiDAR.

    Raises:
        DataError: no such folder, version or table; the tables are damaged (see `build_index`); no
            key frame has all its images.
        OSError: the index cannot be written to the `work` that was asked for.
    """
    folders = find_root(root, work)
    version = _choose_version(folders, version)
    index = load_index(folders, version)
    splits = read_splits(version, index.scenes, folders.root, folders.nuscenes)
    return dataset_of_index(folders, version, index, splits, present_only=present_only)


def dataset_of_index(
    folders: DataRoot,
    version: str,
    index: KeyFrameIndex,
    splits: Mapping[Split, Sequence[str]],
    *,
    present_only: bool,
) -> NuScenes:
    """The dataset of an index, wherever that comes from. Arguments and errors: see `load`."""
    for what, tokens in index.dropped.items():
        place = folders.nuscenes / version
        _log.warning("%s: %d key frames left out: %s", place, len(tokens), what)
    is_present = _present(folders.nuscenes, index)
    cameras = len(index.cameras)
    usable = np.all(is_present[:, :cameras], axis=1) | np.array(not present_only)
    if not usable.any():
        key, camera = np.argwhere(~is_present[:, :cameras])[0]
        raise DataError(
            f"{folders.nuscenes}: none of the {len(index.tokens)} key frames of {version} has its "
            f"{cameras} images; {index.filenames[key * len(index.channels) + camera]} is missing, "
            "for one; unpack nuScenes' blobs there"
        )
    reader = FrameReader(folders.nuscenes, index, is_present | (not present_only))
    scenes = LazyScenes(reader, usable)
    kept: dict[Split, Sequence[str]] = {
        split: tuple(name for name in names if name in scenes) for split, names in splits.items()
    }
    return NuScenes(folders.root, scenes, kept, folders, version, index, is_present)


def load_index(folders: DataRoot, version: str) -> KeyFrameIndex:
    """The key-frame index of a version, built and kept when needed. Errors: see `load`."""
    tables = folders.nuscenes / version
    state = fingerprint(tables)
    path = folders.work / "index" / f"{version}.msgpack"
    if index := read_index(path, state):
        return index
    index = build_index(tables)
    try:
        if folders.work_is_default and _is_sealed(folders):
            raise PermissionError(errno.EACCES, "nobody may write into the data root")
        write_index(path, state, index)
    except OSError as error:
        if not folders.work_is_default:
            raise
        _log.warning("%s: index not kept (%s); name a folder with --work", path, error.strerror)
    return index


def _is_sealed(folders: DataRoot) -> bool:
    """Whether nobody may write into the data root; the superuser could, but is not meant to."""
    return not folders.work.exists() and not folders.root.stat().st_mode & 0o222


def _choose_version(folders: DataRoot, version: str | None) -> str:
    there = ", ".join(folders.versions)
    if version is None:
        full = "v1.0-trainval"
        candidates = [full] if full in folders.versions else list(folders.versions)
        if len(candidates) > 1:
            raise DataError(f"{folders.nuscenes}: several versions, {there}; name one")
        return candidates[0]
    if version not in folders.versions:
        raise DataError(f"{folders.nuscenes}: no version {version!r}; there are {there}")
    return version


def _present(nuscenes: Path, index: KeyFrameIndex) -> Bool[np.ndarray, "key sensor"]:
    """Which files are there: by listing folders, which is far quicker than asking for each file."""
    listings: dict[str, set[str]] = {}
    found = []
    for filename in index.filenames:
        folder, _, name = filename.rpartition("/")
        if folder not in listings:
            path = nuscenes / folder
            listings[folder] = set(os.listdir(path)) if path.is_dir() else set()
        found.append(name in listings[folder])
    return np.array(found, dtype=bool).reshape(len(index.tokens), len(index.channels))
