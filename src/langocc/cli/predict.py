# SPDX-License-Identifier: Apache-2.0
"""`langocc predict`: from images to occupancy, answers to text, and pictures of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.cli.chosen import chosen_model, predictions_home
from langocc.cli.train import choose_device
from langocc.errors import ConfigError, DataError
from langocc.teachers.names import TEXT_CLIP

PICTURES = 2
"""Raised whenever what is drawn changes; older pictures are then drawn again."""

if TYPE_CHECKING:
    from rich.console import Console

    from langocc.field import VoxelField
    from langocc.predictor import ClassQueries, Predictor
    from langocc.saving import SavePlan
    from langocc.scenes.frame import Frame
    from langocc.scenes.nuscenes import NuScenes
    from langocc.speaking import Speaker


@dataclass(frozen=True)
class Predict:
    """Predicts occupancy and answers text; writes <token>.npz and pictures, skips what is there."""

    root: Path
    """Data root: ROOT/{nuscenes, gts, retrieval_benchmark}, or a bare nuScenes folder."""
    run_folder: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(name="run", metavar="[RUN]")
    ] = None
    """Run folder (its newest checkpoint is taken), checkpoint file, or model of the package."""
    pretrained: str | None = None
    """Instead of a run: a model of the package, of the Hugging Face hub (owner/model), or a folder
    of save_pretrained."""
    token: tuple[str, ...] = ()
    """Key frames to predict; default: all of --split."""
    split: Literal["train", "val", "test"] | None = None
    """Scenes to predict; default: val."""
    query: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A text to look for, with a picture; may be given several times."""
    threshold: float | None = None
    """Density from which a voxel counts as occupied, 1/m; default: the model's own (paper: 0.1)."""
    vocabulary: str = "city"
    """Prompts of the classes: city, v1, v2, or a YAML file."""
    teacher: str = "city-clip"
    """Whose text encoder answers: the CLIP that the model was taught with (a name or a folder)."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    templates: bool = True
    """Average each prompt over the 85 prompt templates, as published."""
    points: bool = False
    """Also save the feature of every LiDAR point, for retrieval (about 35 MB a frame)."""
    pictures: bool | None = None
    """Draw PNGs of every frame; default: when frames or queries are named."""
    html: bool = False
    """Also write TOKEN/page.html: voxels to turn and 27 answers to filter, in one file."""
    ply: bool = False
    """Also write TOKEN/classes.ply and a PLY of each query's heat: meshes for 3D programs."""
    out: Path | None = None
    """Folder to write; default RUN/predictions/SPLIT, or RUN/predictions/frames for --token; of
    --pretrained NAME and models of the package: NAME-predictions/... here."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes the GPU if there is one."""

    def run(self) -> None:
        """Predicts, draws, and says what was done."""
        from rich.console import Console

        from langocc.predictor import Predictor
        from langocc.queries import word_notes
        from langocc.saving import SavePlan
        from langocc.scenes.opening import open_dataset
        from langocc.speaking import speaker_of

        self._check()
        console = Console(highlight=False, soft_wrap=True)
        dataset = open_dataset(self.root, version=self.version, work=self.work)
        frames = self._frames(dataset)
        predictor = Predictor.load(
            chosen_model(self.run_folder, self.pretrained), choose_device(self.device)
        )
        speaker = None
        if predictor.config.model.variant != "rgb":
            speaker = speaker_of(predictor, self.teacher, self.text, templates=self.templates)
        if speaker is None:
            self._refuse_words()
        plan = SavePlan(self._level(predictor), self.vocabulary, self.templates, self.points)
        notes = limits(predictor, dataset, frames, self.points)
        if speaker is not None:
            notes += word_notes(speaker.teacher, self.query)
        for line in notes:
            console.print(f"note: {line}", markup=False)
        measured = self._work(console, predictor, speaker, dataset, frames, plan)
        console.print(f"{len(frames)} frames in {self.folder}", markup=False)
        for token, numbers in measured.items():
            for name, value in numbers.items():
                console.print(f"{token}: {name}: {value}", markup=False)

    def _level(self, predictor: "Predictor") -> float:
        return predictor.threshold if self.threshold is None else self.threshold

    @property
    def folder(self) -> Path:
        """Where predictions are written."""
        if self.out is not None:
            return self.out
        part = "frames" if self.token else self.split or "val"
        if self.run_folder is None:  # what belongs to the hub's cache is not written into
            return Path(f"{Path(self.pretrained or '').name}-predictions") / part
        return predictions_home(self.run_folder) / part

    @property
    def has_pictures(self) -> bool:
        """Whether PNGs are drawn."""
        asked = bool(self.token or self.query or self.html or self.ply)
        return asked if self.pictures is None else self.pictures

    def _check(self) -> None:
        from langocc.queries import check_queries

        if self.token and self.split:
            raise ConfigError("token, split: expected one of them, got both")
        if self.threshold is not None and not 0 < self.threshold < float("inf"):
            raise ConfigError(f"threshold: expected a density > 0 1/m, got {self.threshold}")
        check_queries(self.query)
        for name in ("query", "html", "ply"):
            if getattr(self, name) and not self.has_pictures:
                raise ConfigError(f"{name}: comes with the pictures; leave --pictures False out")

    def _refuse_words(self) -> None:
        for name in ("query", "html", "points"):
            if getattr(self, name):
                raise ConfigError(
                    f"{name}: expected a model that was taught text, found variant 'rgb', which "
                    "knows colours only"
                )

    def _frames(self, dataset: "NuScenes") -> "list[Frame]":
        if self.token:
            return [dataset.frame(token) for token in dict.fromkeys(self.token)]
        from langocc.scenes.opening import frames_of

        split = self.split or "val"
        frames = frames_of(dataset, split)
        if not frames:
            counts = {s: sum(1 for _ in dataset.frames(s)) for s in dataset.splits}
            there = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise DataError(f"{self.root}: no frames in split {split!r}; there are {there}")
        return frames

    def _work(
        self,
        console: "Console",
        predictor: "Predictor",
        speaker: "Speaker | None",
        dataset: "NuScenes",
        frames: "Sequence[Frame]",
        plan: "SavePlan",
    ) -> dict[str, dict[str, str]]:
        """Predicts every frame under a progress bar; returns what was measured, by token."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        from langocc.saving import save_predictions
        from langocc.teachers.text import load_vocabulary

        classes = None
        if speaker is not None:
            classes = speaker.classes(load_vocabulary(self.vocabulary))
        measured: dict[str, dict[str, str]] = {}
        columns = ("predicting", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("", total=len(frames))

            def watch(frame: "Frame", field: "VoxelField | None") -> None:
                if self.has_pictures:
                    numbers = self._draw(predictor, speaker, classes, dataset, frame, field)
                    measured[frame.token] = numbers
                bar.advance(task)

            save_predictions(predictor, dataset, frames, classes, self.folder, plan, watch)
        return measured

    def _draw(
        self,
        predictor: "Predictor",
        speaker: "Speaker | None",
        classes: "ClassQueries | None",
        dataset: "NuScenes",
        frame: "Frame",
        field: "VoxelField | None",
    ) -> dict[str, str]:
        from langocc.evaluate.labels import read_label
        from langocc.evaluate.predictions import prediction_path, read_prediction
        from langocc.view.frame_exports import remove_exports, write_frame_page, write_meshes
        from langocc.view.frame_files import Shown, are_drawn, draw_files

        folder = self.folder / frame.token
        label = dataset.folders.occ3d_label(frame)
        has_label = label is not None and label.is_file()
        record = {
            "pictures": PICTURES,
            "checkpoint": dict(predictor.checkpoint),
            "threshold": self._level(predictor),
            "vocabulary": self.vocabulary,
            "templates": self.templates,
            "queries": list(self.query),
            "truth": has_label,
            "html": self.html,
            "ply": self.ply,
        }
        if are_drawn(folder, record):
            return {}
        field = predictor.field(dataset, frame.token) if field is None else field
        truth = read_label(label) if label is not None and has_label else None
        level, answers = self._level(predictor), {}
        if speaker is not None:
            answers = speaker.similarity(field, self.query, level)
        shown = Shown(
            frame,
            field,
            read_prediction(prediction_path(self.folder, frame.token)).semantics,
            None if truth is None else truth.semantics,
            answers,
            level,
            None if truth is None else truth.mask_camera,
        )
        remove_exports(folder)
        if self.ply:
            write_meshes(folder, shown)
        if self.html and speaker is not None and classes is not None:
            write_frame_page(folder / "page.html", predictor, speaker, classes, shown, level)
        return draw_files(folder, shown, predictor.config.render, record)


def limits(
    predictor: "Predictor", dataset: "NuScenes", frames: "Sequence[Frame]", points: bool
) -> list[str]:
    """What cannot be done for these frames, in words."""
    lines = []
    needed = predictor.config.sample.frames - 1
    short = sum(dataset.position(frame.token)[1] < needed for frame in frames)
    if short:
        lines.append(
            f"{short} of {len(frames)} frames lack earlier frames that the model reads (it wants "
            f"{needed}); the frame itself stands in, which shows no motion"
        )
    blind = sum(frame.lidar is None for frame in frames)
    if blind:
        lost = "no depth error and no point features" if points else "no depth error"
        lines.append(f"{blind} of {len(frames)} frames have no LiDAR: {lost}")
    labels = [dataset.folders.occ3d_label(frame) for frame in frames]
    unlabelled = sum(label is None or not label.is_file() for label in labels)
    if unlabelled:
        lines.append(f"{unlabelled} of {len(frames)} frames have no Occ3D label: no truth beside")
    if predictor.config.model.variant == "rgb":
        lines.append("a model of colours knows no classes: all that is occupied is `others`")
    if "teacher" not in predictor.facts:
        lines.append("the checkpoint does not say which teacher taught it; --teacher is trusted")
    return lines
