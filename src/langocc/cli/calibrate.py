# SPDX-License-Identifier: Apache-2.0
"""`langocc calibrate`: the density from which a run's voxels count as occupied."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from langocc.cli.train import choose_device
from langocc.errors import ConfigError, DataError


@dataclass(frozen=True)
class Calibrate:
    """Finds the run's threshold on LiDAR sweeps, without labels; all verbs follow it afterwards."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run")]
    """Run folder; its newest checkpoint is taken."""
    root: Path
    """Data root: ROOT/{nuscenes, gts, retrieval_benchmark}, or a bare nuScenes folder."""
    split: Literal["train", "val", "test"] = "train"
    """Scenes whose sweeps are looked at."""
    frames: int = 16
    """Key frames, evenly over the split."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one."""

    def run(self) -> None:
        """Looks, prints the levels, and writes RUN/threshold.json."""
        from rich.console import Console
        from rich.progress import track

        from langocc.calibration import calibrate, spread, write_calibration
        from langocc.predictor import Predictor
        from langocc.scenes.opening import open_dataset
        from langocc.train.run_folder import RunFolder

        if self.frames < 1:
            raise ConfigError(f"frames: expected at least 1, got {self.frames}")
        if not RunFolder(self.run_folder).checkpoints.is_dir():
            raise DataError(f"{self.run_folder}: expected a run folder, with checkpoints/")
        dataset = open_dataset(self.root, version=self.version, work=self.work)
        frames = list(dataset.frames(self.split))
        if not frames:
            raise DataError(f"{self.root}: no frames in split {self.split!r}; name another --split")
        predictor = Predictor.load(self.run_folder, choose_device(self.device))
        console = Console(highlight=False, soft_wrap=True)
        chosen = track(spread(frames, self.frames), "looking at sweeps", console=console)
        found = calibrate(predictor, dataset, chosen)
        for level, iou in zip(found.levels, found.iou, strict=True):
            mark = " <" if level == found.threshold else ""
            console.print(f"from {level:5.2f} /m: IoU with the sweeps {iou:5.1f} %{mark}")
        path = write_calibration(self.run_folder, found)
        console.print(f"threshold: {found.threshold:g} /m, in {path}", markup=False)
