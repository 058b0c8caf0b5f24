# SPDX-License-Identifier: Apache-2.0
"""One door to every dataset: nuScenes tables, or a folder with a rig manifest."""

from pathlib import Path

from langocc.errors import DataError
from langocc.scenes.dataset import Dataset, Split
from langocc.scenes.frame import Frame
from langocc.scenes.manifest import VERSION, find_manifest, load_manifest
from langocc.scenes.nuscenes import NuScenes, load


def open_dataset(
    root: str | Path, *, version: str | None = None, work: Path | None = None
) -> NuScenes:
    """Opens what a folder holds.

    Args:
        root: Data root, bare nuScenes folder, or a folder with `rig.json` or `rig.yaml` (or that
            file itself). A manifest comes before tables.
        version: Folder of tables; see `nuscenes.load`. A manifest has none.
        work: Folder for what we write; `root/langocc` when None.

    Raises:
        DataError: neither is there, or it is damaged; see `nuscenes.load` and `load_manifest`.
    """
    root = Path(root)
    manifest = find_manifest(root)
    if manifest is None:
        return load(root, version=version, work=work)
    if version not in (None, VERSION):
        raise DataError(f"{manifest}: a manifest has no version, found --version {version!r}")
    return load_manifest(manifest, work=work)


def frames_of(dataset: Dataset, split: Split) -> list[Frame]:
    """Frames of a split; all where no scene is in any, as in a manifest that names none."""
    has_splits = any(dataset.splits.values())
    return list(dataset.frames(split if has_splits else None))
