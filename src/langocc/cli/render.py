# SPDX-License-Identifier: Apache-2.0
"""`langocc render`: a film over a scene, without a display."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from langocc.cli.train import choose_device
from langocc.errors import ConfigError, DataError
from langocc.teachers.names import TEXT_CLIP

if TYPE_CHECKING:
    from langocc.predictor import ClassQueries, Predictor
    from langocc.scenes.frame import Frame
    from langocc.scenes.nuscenes import NuScenes


@dataclass(frozen=True)
class Render:
    """Writes a film of a scene: cameras, predicted and true voxels; goes on where it was killed."""

    run_folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(name="run")]
    """Run folder (its newest checkpoint is taken), checkpoint file, or model of the package."""
    root: Path
    """Data root: ROOT/{nuscenes, gts, retrieval_benchmark}, or a bare nuScenes folder."""
    scene: str
    """Name of the scene."""
    out: Path
    """The film: a name that ends in .gif, or in .mp4 with the package imageio-ffmpeg."""
    width: int = 1280
    """Of the film, pixels; even."""
    difference: bool = False
    """A row more: where the prediction is right and where it is not, of voxels that a camera sees;
    needs labels."""
    rate: float = 4.0
    """Pictures a second; key frames are 0.5 s apart, so 2 is real time."""
    threshold: float | None = None
    """Density from which a voxel counts as occupied, 1/m; default: the model's own."""
    vocabulary: str = "city"
    """Prompts of the classes: city, v1, v2, or a YAML file."""
    teacher: str = "city-clip"
    """Whose text encoder names the classes: the CLIP that the model was taught with."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    templates: bool = True
    """Average each text over the 85 prompt templates, as published."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one."""

    def run(self) -> None:
        """Draws every key frame, then writes the film."""
        from rich.console import Console
        from rich.progress import track

        from langocc.predictor import Predictor
        from langocc.scenes.opening import open_dataset
        from langocc.speaking import speaker_of
        from langocc.teachers.text import load_vocabulary
        from langocc.view.film import write_film

        self._check()
        console = Console(highlight=False, soft_wrap=True)
        dataset = open_dataset(self.root, version=self.version, work=self.work)
        if self.scene not in dataset.scenes:
            known = ", ".join(list(dataset.scenes)[:10])
            raise DataError(f"{self.root}: no scene {self.scene!r}; there are {known}")
        frames = list(dataset.scenes[self.scene])
        predictor = Predictor.load(self.run_folder, choose_device(self.device))
        speaker = speaker_of(predictor, self.teacher, self.text, templates=self.templates)
        classes = speaker.classes(load_vocabulary(self.vocabulary))
        folder = self._pictures(predictor)
        for frame in track(frames, "drawing", console=console):
            self._draw(folder, predictor, classes, dataset, frame)
        write_film(self.out, [folder / f"{frame.token}.png" for frame in frames], self.rate)
        shutil.rmtree(folder)
        size_mb = self.out.stat().st_size / 1e6
        console.print(f"{len(frames)} frames in {self.out} ({size_mb:.1f} MB)", markup=False)

    def _check(self) -> None:
        from langocc.view.film import check_film

        check_film(self.out)
        if self.threshold is not None and not 0 < self.threshold < float("inf"):
            raise ConfigError(f"threshold: expected a density > 0 1/m, got {self.threshold}")
        if self.width < 200 or self.width > 4096 or self.width % 2:
            raise ConfigError(f"width: expected an even number in 200..4096, got {self.width}")
        if not 0 < self.rate <= 50:
            raise ConfigError(f"rate: expected a number in (0, 50], got {self.rate}")

    def _pictures(self, predictor: "Predictor") -> Path:
        """The folder of finished pictures beside the film; emptied if they show something else."""
        from langocc.files import replacing

        folder = self.out.with_name(f".{self.out.name}.pictures")
        record = {
            "checkpoint": dict(predictor.checkpoint),
            "threshold": self.threshold,
            "words": [
                self.scene,
                self.vocabulary,
                self.teacher,
                self.text,
                self.templates,
                self.difference,
                str(self.root.resolve()),
            ],
            "width": self.width,
        }
        path = folder / "record.json"
        if not path.is_file() or path.read_text() != json.dumps(record):
            shutil.rmtree(folder, ignore_errors=True)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(record))
        return folder

    def _draw(
        self,
        folder: Path,
        predictor: "Predictor",
        classes: "ClassQueries",
        dataset: "NuScenes",
        frame: "Frame",
    ) -> None:
        """The picture of one key frame, unless it is there."""
        from langocc.evaluate.labels import read_label
        from langocc.files import replacing
        from langocc.predictor import predict_classes
        from langocc.view.film import film_picture

        path = folder / f"{frame.token}.png"
        if path.is_file():
            return
        label = dataset.folders.occ3d_label(frame)
        has_label = label is not None and label.is_file()
        truth = read_label(label) if label is not None and has_label else None
        if self.difference and truth is None:
            raise DataError(f"{frame.token}: --difference needs an Occ3D label, found none")
        level = predictor.threshold if self.threshold is None else self.threshold
        predicted = predict_classes(predictor.field(dataset, frame.token), classes, level)
        true = None if truth is None else truth.semantics
        judged = truth.mask("camera") if truth is not None and self.difference else None
        picture = film_picture(frame, predicted.semantics, true, self.width, judged)
        with replacing(path) as temporary:
            picture.save(temporary, "PNG")
