# SPDX-License-Identifier: Apache-2.0
"""`langocc check-rig FOLDER`: a rig in numbers and in a picture, before anything is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from langocc.scenes.frame import Camera
    from langocc.scenes.nuscenes import NuScenes


@dataclass(frozen=True)
class CheckRig:
    """Prints a rig, names what looks like a mistake, and draws the ground into each image."""

    root: Annotated[Path, tyro.conf.Positional]
    """Folder with rig.json or rig.yaml (or that file), or a nuScenes data root."""
    out: Path = Path("rig.png")
    """Picture to write: the cameras from above, and the ground's grid in each image."""
    token: str | None = None
    """Frame to draw; default: the first."""
    work: Path | None = None
    """Folder of the key-frame index of a nuScenes root; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables of a nuScenes root, such as v1.0-mini."""

    def run(self) -> None:
        """Prints and draws."""
        from rich.console import Console

        from langocc.files import replacing
        from langocc.scenes.opening import open_dataset
        from langocc.scenes.rig_check import suspicions
        from langocc.view.rig_picture import draw_rig

        console = Console(highlight=False, soft_wrap=True)
        dataset = open_dataset(self.root, version=self.version, work=self.work)
        frame = dataset.frame(self.token) if self.token else next(dataset.frames())
        _print_frames(console, dataset)
        _print_cameras(console, frame.cameras)
        _print_overlap(console, frame.cameras)
        picture = draw_rig(frame)
        with replacing(self.out) as temporary:
            picture.save(temporary, format="PNG")
        for line in suspicions(frame.cameras):
            console.print(f"suspicious: {line}", markup=False)
        console.print(f"{self.out}: rig and ground of frame {frame.token}", markup=False)


def _print_frames(console: "Console", dataset: "NuScenes") -> None:
    frames = list(dataset.frames())
    swept = sum(frame.lidar is not None for frame in frames)
    splits = ", ".join(f"{name} {len(scenes)}" for name, scenes in dataset.splits.items())
    console.print(f"scenes {len(dataset.scenes)} ({splits}), frames {len(frames)}", markup=False)
    console.print(f"LiDAR in {swept} frames" + ("" if swept else "; rays: --rays grid or random"))


def _print_cameras(console: "Console", cameras: "Mapping[str, Camera]") -> None:
    from rich.table import Table

    from langocc.scenes.rig_check import outlook

    table = Table("camera", "pixels", "view, deg", "yaw", "pitch", "roll", "height, m")
    for name, camera in cameras.items():
        seen = outlook(camera)
        table.add_row(
            name,
            f"{camera.width} x {camera.height}",
            f"{seen.wide_deg:.0f} x {seen.high_deg:.0f}",
            str(round(seen.yaw_deg)),
            str(round(seen.pitch_deg)),
            str(round(seen.roll_deg)),
            f"{seen.height_m:.2f}",
        )
    console.print(table)


def _print_overlap(console: "Console", cameras: "Mapping[str, Camera]") -> None:
    from langocc.scenes.rig_check import RING_M, ring_seen

    seen = ring_seen(cameras)
    count = seen.sum(axis=0)
    none, one, more = ((count == 0).mean(), (count == 1).mean(), (count > 1).mean())
    console.print(
        f"{RING_M:.0f} m around the vehicle: {none:.0%} seen by no camera, {one:.0%} by one, "
        f"{more:.0%} by several"
    )
    names = list(cameras)
    for at, name in enumerate(names):
        for other in range(at + 1, len(names)):
            degrees = 360 * float((seen[at] & seen[other]).mean())
            if degrees:
                console.print(f"  {name} and {names[other]} share {degrees:.0f} deg", markup=False)
