# SPDX-License-Identifier: Apache-2.0
"""`langocc evaluate`: numbers for a folder of predictions, from our model or any other."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.errors import ConfigError, DataError

if TYPE_CHECKING:
    from langocc.evaluate.report import Report
    from langocc.scenes.frame import Frame
    from langocc.scenes.nuscenes import NuScenes
    from langocc.teachers.teacher import Teacher


@dataclass(frozen=True)
class _Evaluation:
    """What every kind of evaluation takes."""

    predictions: Annotated[Path, tyro.conf.Positional]
    """Folder of <token>.npz, or a run folder, which stands for its predictions/SPLIT."""
    root: Path
    """Data root: ROOT/{nuscenes, gts, retrieval_benchmark}."""
    split: Literal["train", "val", "test"] = "val"
    """Scenes to evaluate."""
    version: str | None = None
    """Folder of tables, such as v1.0-mini; default: the only one, or v1.0-trainval."""
    out: Path | None = None
    """Folder for report.json and report.md; default: the one around the predictions."""
    name: str = ""
    """What the numbers are called in tables; default: the name of the folder."""
    tolerate_faults: bool = False
    """Give numbers over the frames that can be read; the report lists the others."""
    workers: int = 2
    """Threads; the numbers do not depend on it."""

    def run(self) -> None:
        """Evaluates, prints and writes the report."""
        from rich.console import Console
        from rich.markdown import Markdown

        from langocc.evaluate.markdown import markdown
        from langocc.evaluate.origin import provenance_of
        from langocc.evaluate.report import Report
        from langocc.evaluate.report_files import write_report
        from langocc.scenes.nuscenes import load

        dataset = load(self.root, version=self.version)
        folder = predictions_folder(self.predictions, self.split)
        data = f"{self.root.resolve().name} {dataset.version}"
        name = self.name or self.predictions.resolve().name
        provenance = provenance_of(folder, name, data)
        report = self.measure(Report(provenance, self.split), dataset, folder)
        paths = write_report(self.out or folder.parent, report)
        console = Console()
        console.print(Markdown(markdown(report, with_published=False)))
        console.print(f"written: {paths[0]}, and {paths[1]} with published numbers beside these")

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """The report with this evaluation's numbers added."""
        raise NotImplementedError


@dataclass(frozen=True)
class Occ3d(_Evaluation):
    """Occ3D occupancy: mIoU over 17 and 15 classes, IoU, per class."""

    mask: Literal["camera", "lidar", "none"] = "camera"
    """Voxels that count: seen by a camera (the field's convention), by the LiDAR, or all."""
    thresholds: tuple[float, ...] = ()
    """Densities (1/m) from which a voxel is occupied, in one pass; default: as saved."""

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """Adds the confusion counts."""
        from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions

        counts = evaluate_predictions(
            folder,
            list(dataset.frames(self.split)),
            label_path(dataset),
            OccupancyOptions(self.mask, self.thresholds),
            tolerate_faults=self.tolerate_faults,
            workers=self.workers,
        )
        return replace(report, occupancy=counts)


@dataclass(frozen=True)
class Rayiou(_Evaluation):
    """RayIoU: class and depth along simulated LiDAR rays."""

    device: str = "cpu"
    """Where to trace: cpu, cuda."""
    batch: int = 1
    """Frames traced together; a GPU wants about 16."""

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """Adds the ray counts."""
        from langocc.evaluate.rayiou import evaluate_rayiou

        totals = evaluate_rayiou(
            folder,
            [dataset.scenes[scene] for scene in dataset.splits[self.split]],
            label_path(dataset),
            device=self.device,
            batch=self.batch,
            workers=self.workers,
            tolerate_faults=self.tolerate_faults,
        )
        return replace(report, rays=totals)


@dataclass(frozen=True)
class Retrieval(_Evaluation):
    """Open-vocabulary retrieval of LiDAR points, POP-3D's benchmark."""

    teacher: str = "city-clip"
    """Whose text encoder answers the queries: `city-clip`, a CLIP on the hub, or a folder."""
    templates: bool = True
    """Average each query over the 85 prompt templates, as published."""
    protocols: tuple[Literal["langocc", "pop3d"], ...] = ("langocc", "pop3d")
    """Whose rules: points inside the grid and cosine, or every point and dot product."""
    parts: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
    """Rows of the benchmark; --split does not matter here."""

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """Adds the scores of the rows."""
        from langocc.teachers.load import load_teacher

        teacher = load_teacher(self.teacher)
        measured = _with_retrieval(self, report, dataset, folder, teacher, self.templates)
        provenance = replace(measured.provenance, teacher=teacher.id)
        return replace(measured, provenance=provenance)


@dataclass(frozen=True)
class All(Retrieval, Rayiou, Occ3d):
    """Occupancy, ray IoU, and retrieval where the data has it."""

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """Adds everything."""
        report = Rayiou.measure(self, Occ3d.measure(self, report, dataset, folder), dataset, folder)
        if dataset.folders.retrieval is None:
            return report
        return Retrieval.measure(self, report, dataset, folder)


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
@dataclass(frozen=True)
class Evaluate:
    """Scores predictions: occupancy, ray IoU, retrieval, or all of it."""

    what: (
        Annotated[Occ3d, tyro.conf.subcommand("occ3d")]
        | Annotated[Rayiou, tyro.conf.subcommand("rayiou")]
        | Annotated[Retrieval, tyro.conf.subcommand("retrieval")]
        | Annotated[All, tyro.conf.subcommand("all")]
    )

    def run(self) -> None:
        """Runs the chosen evaluation."""
        self.what.run()


def predictions_folder(place: Path, split: str) -> Path:
    """The predictions a user named: a folder of them, or a run's for a split.

    Raises:
        ConfigError: a run without predictions of this split.
    """
    if not (place / "checkpoints").is_dir():
        return place
    folder = place / "predictions" / split
    if not folder.is_dir():
        raise ConfigError(f"{place}: the run has no predictions yet; expected them in {folder}")
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


def _with_retrieval(
    options: Retrieval,
    report: "Report",
    dataset: "NuScenes",
    folder: Path,
    teacher: "Teacher",
    templates: bool,
) -> "Report":
    from langocc.evaluate.benchmark import read_rows
    from langocc.evaluate.lookup import frame_lookup
    from langocc.evaluate.retrieval import evaluate_retrieval

    if dataset.folders.retrieval is None:
        raise DataError(f"{dataset.root}: no retrieval benchmark; expected retrieval_benchmark/")
    rows = read_rows(dataset.folders.retrieval, options.parts)
    queries = sorted({row.query for row in rows})
    vectors = teacher.text(queries, templates=templates).float().cpu().numpy()
    result = evaluate_retrieval(
        folder,
        rows,
        frame_lookup(dataset),
        dict(zip(queries, vectors, strict=True)),
        options.protocols,
        tolerate_faults=options.tolerate_faults,
    )
    return replace(report, retrieval=result)
