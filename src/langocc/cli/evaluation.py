# SPDX-License-Identifier: Apache-2.0
"""What every kind of `langocc evaluate` shares: what is evaluated, and where the report goes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.cli.chosen import is_model, predictions_home
from langocc.errors import ConfigError, DataError
from langocc.teachers.names import TEXT_CLIP

if TYPE_CHECKING:
    from langocc.evaluate.report import Report
    from langocc.scenes.frame import Frame
    from langocc.scenes.nuscenes import NuScenes
    from langocc.train.processes import Processes

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Evaluation(ABC):
    """What every kind of evaluation takes."""

    predictions: Annotated[Path, tyro.conf.Positional]
    """Folder of <token>.npz, or a run folder, which stands for its predictions/SPLIT; so does a
    folder of save_pretrained, and a model of the package for NAME-predictions/SPLIT here."""
    root: Path
    """Data root: ROOT/{nuscenes, gts, retrieval_benchmark}."""
    split: Part = "val"
    """Scenes to evaluate."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    out: Path | None = None
    """Folder for the report; default: the run, or the folder of predictions (the one around it if
    it is named after a split)."""
    name: str = ""
    """What the numbers are called in tables; default: the name of the folder."""
    beside: tuple[Path, ...] = ()
    """Other folders or runs, evaluated alike: rows beside these numbers."""
    teacher: str = "city-clip"
    """Whose text encoder answers: `city-clip`, a CLIP on the hub, or a folder."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    templates: bool = True
    """Average each text over the 85 prompt templates, as published."""
    vocabulary: str = "city"
    """Prompts of the classes, for --save and for predictions of features: city, v1, v2, a file."""
    save: bool = False
    """Predict first, as `langocc predict RUN --points` does; finished frames are kept."""
    tolerate_faults: bool = False
    """Give numbers over the frames that can be read; the report lists the others."""
    workers: int = 2
    """Threads; the numbers do not depend on it, nor on the number of processes under torchrun."""

    def run(self) -> None:
        """Evaluates, prints and writes the report."""
        from langocc.scenes.opening import open_dataset
        from langocc.train.processes import joined

        dataset = open_dataset(self.root, version=self.version, work=self.work)
        with joined() as processes:
            if self.save and processes.is_first:
                self._predict()
            processes.any(False)  # the others wait
            report, *beside = (
                self._report(place, dataset, processes)
                for place in (self.predictions, *self.beside)
            )
            if processes.is_first:
                self._write(self.illustrated(replace(report, beside=beside), dataset))

    @abstractmethod
    def measure(
        self, report: "Report", dataset: "NuScenes", place: Path, processes: "Processes"
    ) -> "Report":
        """The report with this evaluation's numbers of a place added; called in all processes."""

    def illustrated(self, report: "Report", dataset: "NuScenes") -> "Report":
        """The report with pictures, if this evaluation has any."""
        del dataset
        return report

    @property
    def stem(self) -> str:
        """Name of the report's files; one per kind, so that none overwrites another."""
        return f"report-{type(self).__name__.lower()}"

    @property
    def report_folder(self) -> Path:
        """Where the report is written."""
        place = self.predictions
        if self.out is not None:
            return self.out
        if is_model(place):
            return place if place.exists() else predictions_home(place)
        folder = place.resolve()
        return folder.parent if folder.name in PARTS else folder

    def _report(self, place: Path, dataset: "NuScenes", processes: "Processes") -> "Report":
        from langocc.evaluate.origin import provenance_of
        from langocc.evaluate.report import Report

        is_first = place == self.predictions
        name = (self.name if is_first else "") or place.resolve().name
        folder = predictions_home(place) / self.split if is_model(place) else place
        provenance = provenance_of(folder, name, f"{self.root.resolve().name} {dataset.version}")
        return self.measure(Report(provenance, self.split), dataset, place, processes)

    def _write(self, report: "Report") -> None:
        from rich.console import Console
        from rich.markdown import Markdown

        from langocc.evaluate.markdown import markdown
        from langocc.evaluate.report_files import write_report

        stem = self.stem if self.split == "val" else f"{self.stem}-{self.split}"
        paths = write_report(self.report_folder, report, stem)
        console = Console()
        console.print(Markdown(markdown(report, with_published=False)))
        console.print(f"written: {paths[0]}, and {paths[1]} with published numbers beside these")

    def _predict(self) -> None:
        from langocc.cli.predict import Predict

        if not is_model(self.predictions):
            raise ConfigError(
                "save: expected a run folder or a model of the package to predict with, got "
                f"{self.predictions}"
            )
        Predict(
            self.root,
            self.predictions,
            split=self.split,
            vocabulary=self.vocabulary,
            teacher=self.teacher,
            text=self.text,
            templates=self.templates,
            points=True,
            work=self.work,
            version=self.version,
        ).run()


def predictions_folder(place: Path, split: str) -> Path:
    """The predictions a user named: a folder of them, or a run's for a split.

    Raises:
        ConfigError: a run without predictions of this split.
    """
    if not is_model(place):
        return place
    folder = predictions_home(place) / split
    if not folder.is_dir():
        raise ConfigError(
            f"{place}: the run has no predictions of {split} yet, expected them in {folder}; "
            f"make them with --save, or with `langocc predict {place} --split {split} --points`"
        )
    return folder


def label_path(dataset: "NuScenes") -> Callable[["Frame"], Path]:
    """Where a frame's Occ3D label lies.

    Raises:
        DataError: the data root has no labels.
    """
    if dataset.folders.gts is None:
        raise DataError(f"{dataset.root}: no Occ3D labels; expected the folder gts/")

    def path(frame: "Frame") -> Path:
        found = dataset.folders.occ3d_label(frame)
        assert found is not None
        return found

    return path
