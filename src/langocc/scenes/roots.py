# SPDX-License-Identifier: Apache-2.0
"""Where things lie: the published tree or a bare nuScenes folder.

Source: formats.md sections 1, 2 and 4.
"""

from dataclasses import dataclass
from pathlib import Path

from langocc.errors import DataError
from langocc.scenes.frame import Frame


@dataclass(frozen=True)
class DataRoot:
    """Folders of a data root.

    Attributes:
        root: What the user named.
        nuscenes: The folder with `samples/` and `v1.0-*`.
        versions: Names of the table folders in it, sorted.
        gts: Occ3D labels, if there.
        retrieval: POP-3D's retrieval benchmark, if there.
        work: What we write: index, rays.
        work_is_default: `work` was not chosen by the user; it may turn out not to be writable.
    """

    root: Path
    nuscenes: Path
    versions: tuple[str, ...]
    gts: Path | None
    retrieval: Path | None
    work: Path
    work_is_default: bool

    def occ3d_label(self, frame: Frame) -> Path | None:
        """Occ3D label file of a frame, whether there or not; None: there are no labels at all."""
        return None if self.gts is None else self.gts / frame.scene / frame.token / "labels.npz"

    def lidarseg_label(self, version: str, lidar_token: str) -> Path:
        """Per-point labels (uint8) of a sweep, whether there or not."""
        return self.nuscenes / "lidarseg" / version / f"{lidar_token}_lidarseg.bin"

    def panoptic_label(self, version: str, lidar_token: str) -> Path:
        """Per-point panoptic labels (npz, key "data") of a sweep, whether there or not."""
        return self.nuscenes / "panoptic" / version / f"{lidar_token}_panoptic.npz"


def find_root(root: Path, work: Path | None = None, *, need_tables: bool = True) -> DataRoot:
    """Finds what a data root holds: `ROOT/{nuscenes, gts, retrieval_benchmark}` or nuScenes' own.

    Args:
        root: Data root, or a bare nuScenes folder (it has `v1.0-*`).
        work: Folder for what we write; `ROOT/langocc` when None.
        need_tables: Without, a folder of nuScenes' files alone (`samples/`) will do.

    Raises:
        DataError: no such folder, or no nuScenes tables (or files) in it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected a data root or a nuScenes folder")
    for nuscenes in (root, root / "nuscenes"):
        versions = tuple(sorted(path.parent.name for path in nuscenes.glob("v1.0-*/sample.json")))
        if versions or (not need_tables and (nuscenes / "samples").is_dir()):
            break
    else:
        wanted = "nuScenes tables; expected v1.0-mini/sample.json (or -trainval, -test)"
        raise DataError(
            f"{root}: no {wanted if need_tables else 'samples folder; expected it'} in this folder "
            f"or in {root / 'nuscenes'}; they come with nuScenes' metadata and blobs"
        )
    bases = (root, nuscenes)
    return DataRoot(
        root=root,
        nuscenes=nuscenes,
        versions=versions,
        gts=_first_folder(*(base / "gts" for base in bases)),
        retrieval=_first_folder(
            *(base / name for base in bases for name in RETRIEVAL_NAMES),
        ),
        work=work or root / "langocc",
        work_is_default=work is None,
    )


RETRIEVAL_NAMES = ("retrieval_benchmark", "retrieval_benchmark_release")
"""As the published code expects it, and as it comes out of the archive."""


def _first_folder(*candidates: Path) -> Path | None:
    return next((path for path in candidates if path.is_dir()), None)
