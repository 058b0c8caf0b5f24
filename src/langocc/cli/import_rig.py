# SPDX-License-Identifier: Apache-2.0
"""`langocc import-rig transforms.json`: nerfstudio's cameras as a rig manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from langocc.errors import ConfigError


@dataclass(frozen=True)
class ImportRig:
    """Writes rig.json for the images of a nerfstudio transforms.json; the images stay there."""

    transforms: Annotated[Path, tyro.conf.Positional]
    """The transforms.json, or its folder."""
    out: Path | None = None
    """Folder of the manifest; default: that of the transforms.json."""
    cameras: Literal["one", "folders"] = "one"
    """one: every image is a moment of one camera; folders: every folder of images is a camera."""
    metres: float = 1.0
    """Length of the file's unit, metres; structure from motion alone leaves it open."""
    height: float = 1.5
    """Height of the first camera above the ground, metres."""
    rate: float = 10.0
    """Moments a second, where images carry no time, Hz."""
    val: float = 0.1
    """Share of the moments, the last ones, that becomes a scene to validate on."""
    scene: str = "drive"
    """Name of the drive."""

    def run(self) -> None:
        """Writes the manifest and says what to look at next."""
        from rich.console import Console

        from langocc.scenes.manifest_writer import save_rig
        from langocc.scenes.transforms_import import ImportPlan, import_transforms

        for name in ("metres", "height", "rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name}: expected a number > 0, got {getattr(self, name)}")
        if not 0 <= self.val < 1:
            raise ConfigError(f"val: expected a share in [0, 1), got {self.val}")
        source = self.transforms
        if source.is_dir():
            source = source / "transforms.json"
        folder = self.out or source.parent
        plan = ImportPlan(self.cameras, self.metres, self.height, self.rate, self.val, self.scene)
        rig = import_transforms(source, folder, plan)
        save_rig(rig, folder / "rig.json")
        moments = sum(len(scene.frames) for scene in rig.scenes)
        console = Console(highlight=False, soft_wrap=True)
        console.print(
            f"{folder / 'rig.json'}: {len(rig.cameras)} cameras, {moments} moments", markup=False
        )
        console.print(f"look at it: langocc check-rig {folder}", markup=False)
