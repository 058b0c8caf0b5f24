# SPDX-License-Identifier: Apache-2.0
"""A dataset of one's own: any number of cameras, described by a rig manifest.

Distorted images are remapped to pinholes once. The manifest becomes a key-frame index, so
that every verb works on it as on nuScenes.
"""

from collections.abc import Sequence
from pathlib import Path

from langocc.errors import DataError
from langocc.scenes.dataset import Split
from langocc.scenes.nuscenes import NuScenes, dataset_of_index
from langocc.scenes.rig_file import NAMES, read_rig
from langocc.scenes.rig_index import index_of_rig
from langocc.scenes.roots import DataRoot
from langocc.scenes.virtual_images import with_pinholes

VERSION = "rig"
"""Stands where nuScenes has the name of its tables."""


def find_manifest(root: Path) -> Path | None:
    """The manifest that `root` is or holds, if any.

    Raises:
        DataError: the folder holds several.
    """
    if root.is_file() and root.suffix in (".json", ".yaml", ".yml"):
        return root
    there = [root / name for name in NAMES if (root / name).is_file()]
    if len(there) > 1:
        raise DataError(f"{root}: expected one manifest, found {', '.join(p.name for p in there)}")
    return there[0] if there else None


def load_manifest(path: Path, *, work: Path | None = None) -> NuScenes:
    """The dataset of a manifest.

    Args:
        path: `rig.json` or `rig.yaml`; paths in it count from its folder.
        work: Folder for what we write; `langocc` beside the manifest when None.

    Raises:
        DataError: the file, the field, what was expected and what was found.
    """
    folder = path.parent
    rig = with_pinholes(path, read_rig(path), work or folder / "langocc")
    index = index_of_rig(path, rig)
    gts = folder / "gts"
    folders = DataRoot(
        root=folder,
        nuscenes=folder,
        versions=(VERSION,),
        gts=gts if gts.is_dir() else None,
        retrieval=None,
        work=work or folder / "langocc",
        work_is_default=work is None,
    )
    names: dict[Split, Sequence[str]] = {
        split: tuple(scene.name for scene in rig.scenes if scene.split == split)
        for split in ("train", "val", "test")
    }
    return dataset_of_index(folders, VERSION, index, names, present_only=True)
