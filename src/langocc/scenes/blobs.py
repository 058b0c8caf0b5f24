# SPDX-License-Identifier: Apache-2.0
"""Which sensor files of a nuScenes version are there, and which archives the others come in.

The tables do not record a file's archive. For trainval, say the makers of nuScenes, archive 01
holds the first 85 scenes in order of name, 02 the next 85, and so on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from langocc.scenes.index import KeyFrameIndex
from langocc.scenes.nuscenes import NuScenes
from langocc.scenes.splits import official_splits

SCENES_PER_ARCHIVE = 85


@dataclass(frozen=True)
class Group:
    """Scenes whose files come together.

    Attributes:
        name: Archive, or the log (outing) where archives are not known.
        scenes: Names of its scenes.
        key_frames: Key frames in the tables.
        usable: Of these, key frames with all their images.
        missing: Channel -> key-frame files that are not there; only channels that lack some.
    """

    name: str
    scenes: Sequence[str]
    key_frames: int
    usable: int
    missing: dict[str, int]


def groups(dataset: NuScenes) -> list[Group]:
    """The groups of a version, in order of their first scene."""
    index, is_present = dataset.index, dataset.is_present
    names = _group_names(index, dataset.version)
    found = []
    for group in dict.fromkeys(names):
        members = [number for number, name in enumerate(names) if name == group]
        keys = np.concatenate(
            [np.arange(*index.scene_start[number : number + 2]) for number in members]
        )
        lacking = (~is_present[keys]).sum(axis=0).tolist()
        found.append(
            Group(
                name=group,
                scenes=[index.scenes[number] for number in members],
                key_frames=len(keys),
                usable=int(np.all(is_present[keys][:, : len(index.cameras)], axis=1).sum()),
                missing={
                    channel: count
                    for channel, count in zip(index.channels, lacking, strict=True)
                    if count
                },
            )
        )
    return found


def _group_names(index: KeyFrameIndex, version: str) -> list[str]:
    """Archive of each scene, or its log."""
    official = sorted(chain.from_iterable(official_splits(version).values()))
    if not set(index.scenes) <= set(official):
        return [f"log {log}" for log in index.logs]
    if version != "v1.0-trainval":
        return [f"{version}.tgz" if version == "v1.0-mini" else f"{version}_blobs.tgz"] * len(
            index.scenes
        )
    test = set(official_splits(version)["test"])
    place = {name: at for at, name in enumerate(n for n in official if n not in test)}
    return [
        f"v1.0-trainval{place[name] // SCENES_PER_ARCHIVE + 1:02d}_blobs.tgz"
        for name in index.scenes
    ]
