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
    work: Path | None = None
    """Folder of the key-frame index; default ROOT/langocc."""
    out: Path | None = None
    """Folder for the report; default: the run, or the folder around the predictions."""
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
        from langocc.scenes.opening import open_dataset

        dataset = open_dataset(self.root, version=self.version, work=self.work)
        folder = self.folder()
        data = f"{self.root.resolve().name} {dataset.version}"
        name = self.name or self.predictions.resolve().name
        provenance = provenance_of(folder, name, data)
        report = self.measure(Report(provenance, self.split), dataset, folder)
        place = self.out or (self.predictions if is_run(self.predictions) else folder.parent)
        paths = write_report(place, report, self.stem)
        console = Console()
        console.print(Markdown(markdown(report, with_published=False)))
        console.print(f"written: {paths[0]}, and {paths[1]} with published numbers beside these")

    @property
    def stem(self) -> str:
        """Name of the report's files; one per kind, so that none overwrites another."""
        return f"report-{type(self).__name__.lower()}"

    def folder(self) -> Path:
        """What is evaluated."""
        return predictions_folder(self.predictions, self.split)

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
    reducer: Path | None = None
    """Reducer of a model with fewer channels than its teacher; queries go through it."""

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

    @property
    def stem(self) -> str:
        """The report of everything is the report."""
        return "report"

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """Adds everything."""
        report = Rayiou.measure(self, Occ3d.measure(self, report, dataset, folder), dataset, folder)
        if dataset.folders.retrieval is None:
            return report
        return Retrieval.measure(self, report, dataset, folder)


@dataclass(frozen=True)
class Render(_Evaluation):
    """Rendering of a run: cosine with the teacher, depth error, along rays of LiDAR points."""

    teacher: str = "city-clip"
    """The run's teacher: `city-clip`, a CLIP on the hub, or a folder."""
    rays: int = 4096
    """Rays per key frame."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda."""

    def folder(self) -> Path:
        """The run itself: nothing is read from its predictions."""
        return self.predictions

    def measure(self, report: "Report", dataset: "NuScenes", folder: Path) -> "Report":
        """Adds the means over all rays."""
        import torch

        from langocc.evaluate.faults import refuse
        from langocc.evaluate.render import RenderErrors
        from langocc.evaluate.render_rays import lidar_rays
        from langocc.predictor import Predictor
        from langocc.speaking import speaker_of

        predictor = Predictor.load(folder, self.device)
        speaker, errors = speaker_of(predictor, self.teacher), RenderErrors()
        frames = list(dataset.frames(self.split))
        refuse((), len(frames), tolerated=False)
        for frame in frames:
            target = lidar_rays(frame, speaker.teacher, self.rays, device=self.device)
            features = target.rays.features
            assert features is not None
            if speaker.reducer is not None:
                features = speaker.reducer.reduce(features)
            with torch.no_grad():
                rendered = predictor.field(dataset, frame.token).render(target.rays)
            assert rendered.features is not None
            errors.update(rendered.features[0], features[0], rendered.depth_m[0], target.lidar_m)
        known = replace(
            report.provenance,
            checkpoint=predictor.checkpoint,
            teacher=speaker.teacher.id,
            initialisation=str(predictor.facts.get("initial", "")),
        )
        return replace(report, provenance=known, rendering=errors.scores())


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
@dataclass(frozen=True)
class Evaluate:
    """Scores predictions: occupancy, ray IoU, retrieval, rendering, or all but the last."""

    what: (
        Annotated[Occ3d, tyro.conf.subcommand("occ3d")]
        | Annotated[Rayiou, tyro.conf.subcommand("rayiou")]
        | Annotated[Retrieval, tyro.conf.subcommand("retrieval")]
        | Annotated[Render, tyro.conf.subcommand("render")]
        | Annotated[All, tyro.conf.subcommand("all")]
    )

    def run(self) -> None:
        """Runs the chosen evaluation."""
        self.what.run()


def is_run(place: Path) -> bool:
    """Whether a folder is that of a training run."""
    return (place / "checkpoints").is_dir()


def predictions_folder(place: Path, split: str) -> Path:
    """The predictions a user named: a folder of them, or a run's for a split.

    Raises:
        ConfigError: a run without predictions of this split.
    """
    if not is_run(place):
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
    from langocc.teachers.reducer import load_reducer

    if dataset.folders.retrieval is None:
        raise DataError(f"{dataset.root}: no retrieval benchmark; expected retrieval_benchmark/")
    rows = read_rows(dataset.folders.retrieval, options.parts)
    queries = sorted({row.query for row in rows})
    texts = teacher.text(queries, templates=templates).float()
    if options.reducer is not None:
        texts = load_reducer(options.reducer)[0].reduce(texts)
    vectors = texts.detach().cpu().numpy()
    result = evaluate_retrieval(
        folder,
        rows,
        frame_lookup(dataset),
        dict(zip(queries, vectors, strict=True)),
        options.protocols,
        tolerate_faults=options.tolerate_faults,
    )
    return replace(report, retrieval=result)
