# SPDX-License-Identifier: Apache-2.0
"""`langocc export`: a trained model as a graph that runs without this package."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.errors import ConfigError, DataError
from langocc.teachers.names import TEXT_CLIP

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from langocc.deploy.comparison import Difference
    from langocc.deploy.feeding import Step
    from langocc.deploy.step import StreamStep
    from langocc.predictor import ClassQueries, Predictor
    from langocc.scenes.dataset import Dataset
    from langocc.scenes.frame import Frame


@dataclass(frozen=True)
class Export:
    """Writes one frame's work as ONNX or torch.export, and compares it with the model.

    The graph is for a fixed rig and batch 1: RGB images, geometry and history in, a grid and the
    next frame's history out. Beside an ONNX file lie OUT.geometry.onnx, which makes the geometry
    from poses, and OUT.drive.json, the frames it was compared on, for examples/run_onnx.py.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Run folder (its newest checkpoint is taken), checkpoint file, folder of save_pretrained, or
    model of the package."""
    out: Annotated[Path, tyro.conf.Positional]
    """File to write."""
    root: Path | None = None
    """Data root: its first frames give the rig, and are what the comparison is made on. Needed for
    onnx and pt2; with folder, what was written is read back and compared."""
    format: Literal["onnx", "pt2", "folder"] = "onnx"
    """onnx: operators of ONNX alone, opset 20. pt2: torch.export. folder: as save_pretrained, for
    from_pretrained: weights, JSON, model card."""
    scores: Path | None = None
    """For folder: JSON of numbers for the card; default: scores.json of the run folder."""
    half: bool = False
    """For folder: kernels and matrices as float16, half the bytes."""
    license: str = "other"
    """For folder: licence in the card's header, as the hub names it, such as apache-2.0."""
    answers: Literal["classes", "features"] = "classes"
    """classes: the vocabulary is folded into the last layer. features: what texts are compared
    with."""
    threshold: float | None = None
    """Density from which a voxel counts as occupied, 1/m; default: the model's own. A folder keeps
    it."""
    vocabulary: str = "city"
    """Prompts of the classes: city, v1, v2, or a YAML file."""
    teacher: str = "city-clip"
    """Whose text encoder reads the prompts: the CLIP that the model was taught with."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    templates: bool = True
    """Average each prompt over the 85 prompt templates, as published."""
    split: Literal["train", "val", "test"] = "val"
    """Where the frames are taken from."""
    frames: int = 4
    """Frames of one scene to compare on."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""

    def run(self) -> None:
        """Exports, compares and prints."""
        from rich.console import Console

        if self.threshold is not None and not 0 < self.threshold < float("inf"):
            raise ConfigError(f"threshold: expected a density > 0 1/m, got {self.threshold}")
        if self.half and self.format != "folder":
            raise ConfigError(f"half: comes with --format folder, not with {self.format}")
        console = Console(highlight=False, soft_wrap=True)
        if self.format == "folder":
            self._hand_on(console)
        else:
            self._export(console)

    def _hand_on(self, console: "Console") -> None:
        from langocc.deploy.pretrained import save_pretrained
        from langocc.predictor import Predictor

        scores = self.scores
        if scores is None and (self.checkpoint / "scores.json").is_file():
            scores = self.checkpoint / "scores.json"
        numbers = {}
        if scores is not None:
            try:
                numbers = json.loads(scores.read_text())
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise DataError(f"{scores}: not JSON: {error}") from None
        predictor = Predictor.load(self.checkpoint)
        if self.threshold is not None:
            predictor = predictor.with_threshold(self.threshold)
        save_pretrained(predictor, self.out, numbers, half=self.half, license=self.license)
        said = f"numbers from {scores}" if scores else "no numbers: name a file with --scores"
        size_mb = sum(path.stat().st_size for path in self.out.glob("*.*")) / 1e6
        console.print(f"wrote {self.out} ({size_mb:.1f} MB); the card has {said}", markup=False)
        if self.root is not None:
            self._compare_folder(console, predictor)

    def _compare_folder(self, console: "Console", predictor: "Predictor") -> None:
        from langocc.deploy.comparison import models_apart
        from langocc.predictor import Predictor
        from langocc.scenes.opening import open_dataset

        assert self.root is not None
        dataset = open_dataset(self.root, version=self.version, work=self.work)
        back, classes = Predictor.load(self.out), self._classes(predictor)
        level = predictor.threshold
        rows = [
            (
                f"frame {index}: folder, run",
                models_apart(back, predictor, dataset, frame, classes, level),
            )
            for index, frame in enumerate(self._frames(dataset, 0))
        ]
        console.print(_table(rows, self.answers))

    def _export(self, console: "Console") -> None:
        from langocc.deploy.export import need
        from langocc.deploy.step import StreamStep
        from langocc.predictor import Predictor
        from langocc.scenes.opening import open_dataset

        if self.format == "onnx":
            need("onnx", "onnxscript", "onnxruntime")
        if self.root is None:
            raise ConfigError(f"root: expected a data root, whose rig {self.format} is for")
        dataset = open_dataset(self.root, version=self.version, work=self.work)
        predictor = Predictor.load(self.checkpoint)
        frames = self._frames(dataset, predictor.config.model.history_frames)
        classes = self._classes(predictor)
        level = predictor.threshold if self.threshold is None else self.threshold
        swap_rgb = predictor.config.sample.swap_rgb
        step = StreamStep(predictor.model, classes, swap_rgb=swap_rgb, threshold=level).eval()
        exported = self._write(console, predictor, step, frames)
        self._compare(console, predictor, step, exported, frames, classes)

    def _frames(self, dataset: "Dataset", history_frames: int) -> "list[Frame]":
        wanted = max(self.frames, history_frames + 1)
        for scene in dataset.splits.get(self.split, ()):
            if len(dataset.scenes[scene]) >= wanted:
                return list(dataset.scenes[scene][:wanted])
        raise DataError(
            f"{self.root}: expected a scene of {wanted} frames in split {self.split!r}, found none"
        )

    def _classes(self, predictor: "Predictor") -> "ClassQueries | None":
        from langocc.speaking import speaker_of
        from langocc.teachers.text import load_vocabulary

        if predictor.config.model.variant != "language":
            raise ConfigError(f"{self.checkpoint}: expected a model that was taught text, not rgb")
        if self.answers == "features":
            return None
        speaker = speaker_of(predictor, self.teacher, self.text, templates=self.templates)
        return speaker.classes(load_vocabulary(self.vocabulary))

    def _write(
        self,
        console: "Console",
        predictor: "Predictor",
        step: "StreamStep",
        frames: "list[Frame]",
    ) -> "Step":
        import numpy as np

        from langocc.deploy import export
        from langocc.deploy.arrivals import augmentations_of
        from langocc.deploy.facts import drive_record, step_facts
        from langocc.deploy.feeding import arrived, no_history, step_inputs
        from langocc.deploy.step import output_names
        from langocc.features.sample import camera_rig
        from langocc.files import replacing

        size = predictor.config.sample.input_size
        shown = [frames[0]] * predictor.config.model.input_frames
        inputs = step_inputs(predictor, [arrived(predictor, frames[0])] * len(shown))
        inputs |= no_history(predictor.model, len(frames[0].cameras))
        facts = step_facts(predictor, step, frames[0], inputs)
        rig = camera_rig(shown[0], shown, augmentations_of(shown[0], size), np.eye(3))
        program = export.exported_program(step, inputs)
        drive = self.out.with_suffix(".drive.json")
        with replacing(drive) as temporary:
            temporary.write_text(json.dumps(drive_record(predictor.model, frames), indent=1))
        if self.format == "pt2":
            export.write_pt2(program, self.out, facts)
            console.print(f"wrote {self.out} and {drive}", markup=False)
            return export.read_pt2(self.out, step)
        names = list(inputs), output_names(predictor.model.config, step.answers)
        counts = export.write_onnx(program, self.out, *names, facts)
        geometry = self.out.with_suffix(".geometry.onnx")
        export.write_geometry(predictor.model, rig, geometry)
        console.print(f"wrote {self.out}, {geometry} and {drive}", markup=False)
        operators = ", ".join(f"{name} {count}" for name, count in counts.items())
        console.print(
            f"opset {export.OPSET}, no other domain; operators: {operators}", markup=False
        )
        return export.read_onnx(self.out)

    def _compare(
        self,
        console: "Console",
        predictor: "Predictor",
        step: "StreamStep",
        exported: "Step",
        frames: "list[Frame]",
        classes: "ClassQueries | None",
    ) -> None:
        from langocc.deploy.comparison import (
            difference,
            geometry_apart,
            geometry_of,
            whole_pass,
        )
        from langocc.deploy.export import eager, read_onnx
        from langocc.deploy.feeding import walk

        geometry = None
        if self.format == "onnx":
            graph = read_onnx(self.out.with_suffix(".geometry.onnx"))
            geometry = geometry_of(predictor, graph)
            moved = geometry_apart(predictor, frames, geometry)
            console.print(
                f"geometry graph, model: {moved.points:.2%} of lifted points in another voxel, "
                f"{moved.places:.2%} of stereo's points on another side of an image's rim"
            )
        ours = walk(predictor, frames, eager(step))
        theirs = walk(predictor, frames, exported, geometry=geometry)
        shown = frames[::-1][: predictor.config.model.input_frames]
        whole = whole_pass(predictor, step, shown, classes)
        rows = [
            (f"frame {index}: exported, step", difference(their, our))
            for index, (their, our) in enumerate(zip(theirs, ours, strict=True))
        ]
        last = len(frames) - 1
        rows += [
            (f"frame {last}: step, whole pass", difference(ours[-1], whole)),
            (f"frame {last}: exported, whole pass", difference(theirs[-1], whole)),
        ]
        console.print(_table(rows, self.answers))


def _table(rows: "list[tuple[str, Difference]]", answers: str) -> "Table":
    from rich.table import Table

    from langocc.deploy.comparison import MOVED

    table = Table(title="largest differences, and shares of voxels; history relative")
    said = "other class" if answers == "classes" else "features"
    for heading in ("compared", "density 1/m", f"> {MOVED:g}", said, "history"):
        table.add_column(heading, no_wrap=True)
    for name, apart in rows:
        history = "" if apart.history is None else f"{apart.history:.1e}"
        answer = f"{apart.answer:.2%}" if answers == "classes" else f"{apart.answer:.1e}"
        table.add_row(name, f"{apart.density:.1e}", f"{apart.moved:.2%}", answer, history)
    return table
