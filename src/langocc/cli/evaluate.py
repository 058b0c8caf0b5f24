# SPDX-License-Identifier: Apache-2.0
"""`langocc evaluate`: numbers for a folder of predictions, from our model or any other."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from langocc.cli.chosen import is_model, predictions_home
from langocc.cli.evaluate_baselines import Baselines
from langocc.cli.evaluation import PARTS, Evaluation, Part, label_path, predictions_folder
from langocc.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

    from langocc.evaluate.feature_grids import Prompts
    from langocc.evaluate.report import Report
    from langocc.scenes.nuscenes import NuScenes
    from langocc.train.processes import Processes


@dataclass(frozen=True)
class _Texts(Evaluation):
    """An evaluation that may need texts as vectors."""

    reducer: Path | None = None
    """Reducer of a model with fewer channels than its teacher; texts go through it."""

    def vectors(self, report: "Report", texts: list[str]) -> "tuple[Report, np.ndarray]":
        """Vectors of texts, and the report with the teacher they come from.

        Raises:
            ConfigError: the predictions were made with another teacher.
        """
        from langocc.teachers.load import load_teacher
        from langocc.teachers.names import speaks_for
        from langocc.teachers.reducer import load_reducer

        teacher = load_teacher(self.teacher, text=self.text)
        known = report.provenance.teacher
        if known and not speaks_for(teacher.id, known):
            raise ConfigError(
                f"teacher: {report.provenance.predictions} were made with {known}, and --teacher "
                f"{self.teacher} is {teacher.id}; its answers would mean nothing"
            )
        vectors = teacher.text(texts, templates=self.templates).float()
        if self.reducer is not None:
            vectors = load_reducer(self.reducer)[0].reduce(vectors)
        provenance = replace(report.provenance, teacher=known or teacher.id)
        return replace(report, provenance=provenance), vectors.detach().cpu().numpy()

    def prompts(self, report: "Report", folder: Path) -> "tuple[Report, Prompts | None]":
        """Prompts for a folder of density and features; None where the files hold classes."""
        from langocc.evaluate.archives import array_names
        from langocc.evaluate.feature_grids import Prompts
        from langocc.teachers.text import load_vocabulary

        first = next(iter(sorted(folder.glob("*.npz"))), None)
        names = [] if first is None else array_names(first)
        if "semantics" in names or "features" not in names:
            return report, None
        vocabulary = load_vocabulary(self.vocabulary)
        report, vectors = self.vectors(report, list(vocabulary.prompts))
        provenance = replace(report.provenance, vocabulary=vocabulary.name)
        return replace(report, provenance=provenance), Prompts(vectors, vocabulary.class_ids)


@dataclass(frozen=True)
class Occ3d(_Texts):
    """Occ3D occupancy: mIoU over 17 and 15 classes, IoU, per class."""

    mask: Literal["camera", "lidar", "none"] = "camera"
    """Voxels that count: seen by a camera (the field's convention), by the LiDAR, or all."""
    thresholds: tuple[float, ...] = ()
    """Densities (1/m) from which a voxel is occupied, in one pass; default: as saved."""
    pictures: int = 3
    """Worst frames that are drawn, in the folder worst beside the report."""

    def measure(
        self, report: "Report", dataset: "NuScenes", place: Path, processes: "Processes"
    ) -> "Report":
        """Adds the confusion counts."""
        from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions

        folder = predictions_folder(place, self.split)
        report, prompts = self.prompts(report, folder)
        counts = evaluate_predictions(
            folder,
            list(dataset.frames(self.split)),
            label_path(dataset),
            OccupancyOptions(self.mask, self.thresholds),
            tolerate_faults=self.tolerate_faults,
            workers=self.workers,
            prompts=prompts,
            processes=processes,
        )
        return replace(report, occupancy=counts)

    def illustrated(self, report: "Report", dataset: "NuScenes") -> "Report":
        """Draws the worst frames."""
        from langocc.evaluate.labels import read_label
        from langocc.evaluate.predictions import prediction_path, read_prediction
        from langocc.view.counted import draw_counted

        counts = report.occupancy
        assert counts is not None
        folder = predictions_folder(self.predictions, self.split)
        _, prompts = self.prompts(report, folder) if self.pictures else (report, None)
        drawn = {}
        for score in counts.worst(self.pictures):
            frame, name = dataset.frame(score.token), f"worst/{score.token}.png"
            level = counts.options.levels[0]
            saved = read_prediction(prediction_path(folder, score.token), prompts=prompts)
            label = read_label(label_path(dataset)(frame))
            mask = label.mask(self.mask)
            draw_counted(self.report_folder / name, frame, saved.at(level), label.semantics, mask)
            drawn[score.token] = name
        return replace(report, pictures=drawn)


@dataclass(frozen=True)
class Rayiou(_Texts):
    """RayIoU: class and depth along simulated LiDAR rays."""

    device: str = "cpu"
    """Where to trace: cpu, cuda."""
    batch: int | None = None
    """Frames traced together; default: 1 on a CPU, 16 on a GPU. The numbers do not depend on it."""

    def measure(
        self, report: "Report", dataset: "NuScenes", place: Path, processes: "Processes"
    ) -> "Report":
        """Adds the ray counts."""
        from langocc.evaluate.rayiou import evaluate_rayiou

        folder = predictions_folder(place, self.split)
        report, prompts = self.prompts(report, folder)
        totals = evaluate_rayiou(
            folder,
            [dataset.scenes[scene] for scene in dataset.splits[self.split]],
            label_path(dataset),
            device=self.device,
            batch=self.batch,
            workers=self.workers,
            tolerate_faults=self.tolerate_faults,
            prompts=prompts,
            processes=processes,
        )
        return replace(report, rays=totals)


@dataclass(frozen=True)
class Retrieval(_Texts):
    """Open-vocabulary retrieval of LiDAR points, POP-3D's benchmark."""

    protocols: tuple[Literal["langocc", "pop3d"], ...] = ("langocc", "pop3d")
    """Whose rules: points inside the grid and cosine, or every point and dot product."""
    parts: tuple[Part, ...] = ()
    """Rows of the benchmark. Of a run, each part reads RUN/predictions/PART; default: the parts
    that it has predictions of, and all of a folder of predictions."""

    def measure(
        self, report: "Report", dataset: "NuScenes", place: Path, processes: "Processes"
    ) -> "Report":
        """Adds the scores of the rows."""
        from langocc.evaluate.benchmark import read_rows
        from langocc.evaluate.lookup import frame_lookup
        from langocc.evaluate.retrieval import evaluate_retrieval

        if dataset.folders.retrieval is None:
            raise DataError(
                f"{dataset.root}: no retrieval benchmark; expected retrieval_benchmark/"
            )
        parts = self.parts or self.default_parts(place)
        folders = {part: predictions_folder(place, part) for part in parts}
        rows = read_rows(dataset.folders.retrieval, parts)
        queries = sorted({row.query for row in rows})
        report, vectors = self.vectors(report, queries)
        result = evaluate_retrieval(
            folders,
            rows,
            frame_lookup(dataset),
            dict(zip(queries, vectors, strict=True)),
            self.protocols,
            tolerate_faults=self.tolerate_faults,
            processes=processes,
        )
        return replace(report, retrieval=result)

    def default_parts(self, place: Path) -> tuple[Part, ...]:
        """Rows that a place can answer; those of --split where a run has no predictions yet."""
        if not is_model(place):
            return PARTS
        home = predictions_home(place)
        return tuple(part for part in PARTS if (home / part).is_dir()) or (self.split,)


@dataclass(frozen=True)
class All(Retrieval, Rayiou, Occ3d):
    """Occupancy, ray IoU, and retrieval where the data has it."""

    parts: tuple[Part, ...] = ()
    """Rows of the retrieval benchmark; default: those of --split."""

    @property
    def stem(self) -> str:
        """The report of everything is the report."""
        return "report"

    def default_parts(self, place: Path) -> tuple[Part, ...]:
        """One split for everything."""
        del place
        return (self.split,)

    def measure(
        self, report: "Report", dataset: "NuScenes", place: Path, processes: "Processes"
    ) -> "Report":
        """Adds everything."""
        for kind in (Occ3d, Rayiou, Retrieval):
            if kind is not Retrieval or dataset.folders.retrieval is not None:
                report = kind.measure(self, report, dataset, place, processes)
        return report


@dataclass(frozen=True)
class Render(Evaluation):
    """Rendering of a run: cosine with the teacher, depth error, along rays of LiDAR points."""

    rays: int = 4096
    """Rays per key frame."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda."""

    def measure(
        self, report: "Report", dataset: "NuScenes", place: Path, processes: "Processes"
    ) -> "Report":
        """Adds the means over all rays. Nothing is read from the run's predictions."""
        from langocc.evaluate.faults import refuse
        from langocc.evaluate.ranks import merged_over_ranks, own_part
        from langocc.predictor import Predictor
        from langocc.rendering_scores import frame_errors
        from langocc.saving import origin_of
        from langocc.speaking import speaker_of

        predictor = Predictor.load(place, self.device)
        speaker = speaker_of(predictor, self.teacher, self.text)
        frames = list(dataset.frames(self.split))
        refuse((), len(frames), tolerated=False)
        own = own_part(frames, processes)
        errors = merged_over_ranks(
            frame_errors(predictor, speaker, dataset, own, self.rays), processes
        )
        facts = origin_of(predictor) | {"vocabulary": "none: rendering needs no prompts"}
        provenance = replace(report.provenance, predictions=str(place), **facts)
        return replace(report, provenance=provenance, rendering=errors.scores())


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
        | Annotated[Baselines, tyro.conf.subcommand("baselines")]
    )

    def run(self) -> None:
        """Runs the chosen evaluation."""
        self.what.run()
