# SPDX-License-Identifier: Apache-2.0
"""One run of a study, from training to scores, in one process (recipes/studies.py starts it).

    python recipes/study_run.py CITY RUN --device cuda --train "--preset tiny --steps 2000"

What says from which density on a voxel is occupied are frames of the split train, so that a
variant whose densities are larger by a factor is not judged by another's level; the split val is
scored at that level alone. RUN/scores.json holds the numbers and the words of the training.
"""

import argparse
import json
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from study_table import Scores

from langocc import cli
from langocc.calibration import spread
from langocc.cli.evaluation import label_path
from langocc.cli.train import choose_device
from langocc.evaluate.benchmark import read_rows
from langocc.evaluate.lookup import frame_lookup
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.occupancy import OccupancyScores
from langocc.evaluate.predictions import prediction_path, read_prediction, write_prediction
from langocc.evaluate.rayiou import evaluate_rayiou, ray_scores
from langocc.evaluate.retrieval import evaluate_retrieval
from langocc.predictor import Predictor
from langocc.rendering_scores import frame_errors
from langocc.saving import SavePlan, save_predictions
from langocc.scenes.frame import Frame
from langocc.scenes.nuscenes import NuScenes
from langocc.scenes.opening import open_dataset
from langocc.speaking import Speaker, speaker_of
from langocc.teachers.text import load_vocabulary

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
"""Densities, 1/m, from which a voxel may count as occupied."""


def main() -> None:
    """Trains, scores, writes."""
    options = parse()
    words = shlex.split(options.train)
    status = cli.run(["train", str(options.city), "--run", str(options.run), *words])
    if status:
        raise SystemExit(status)
    start = time.monotonic()
    judge = Judge(options)
    scores = judge.scores(start)
    record = {"words": options.train, "scores": asdict(scores)}
    (options.run / "scores.json").write_text(json.dumps(record, indent=2) + "\n")
    shutil.rmtree(judge.folder)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("city", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--train", default="", help="words for langocc train")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--teacher", default="city-clip")
    parser.add_argument("--vocabulary", default="city")
    parser.add_argument("--level-frames", type=int, default=24, help="of train, for the level")
    parser.add_argument("--depth-frames", type=int, default=12, help="of val, for rendered depth")
    parser.add_argument("--workers", type=int, default=4, help="threads of the counting")
    return parser.parse_args()


class Judge:
    """A trained run and everything that scores it."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Loads the run, its data, and the words it understands."""
        self.run, self.workers, self.depth_frames = (
            options.run,
            options.workers,
            options.depth_frames,
        )
        self.device = choose_device(options.device)
        self.dataset: NuScenes = open_dataset(options.city)
        self.predictor = Predictor.load(options.run, self.device)
        is_rgb = self.predictor.config.model.variant == "rgb"
        self.speaker: Speaker | None = (
            None if is_rgb else speaker_of(self.predictor, options.teacher)
        )
        step, last = self.predictor.checkpoint["step"], self.predictor.config.steps
        if step != last:
            raise SystemExit(f"{options.run}: stopped at step {step} of {last}; not scored")
        self.vocabulary = options.vocabulary
        self.folder: Path = options.run / "scored"
        self.train = spread(list(self.dataset.frames("train")), options.level_frames)
        self.val = list(self.dataset.frames("val"))

    def scores(self, start: float) -> Scores:
        """All numbers."""
        speaks = self.speaker is not None
        asks = speaks and self.dataset.folders.retrieval is not None
        self.predict("train", self.train)
        self.predict("val", self.val, points=asks)
        levels = self.occupancy("train", self.train, LEVELS)
        level = max(levels, key=lambda level: levels[level].occupied_iou)
        found = self.occupancy("val", self.val, (level,))[level]
        retrieval = self.retrieval() if asks else (None, None)
        lines = [json.loads(line) for line in (self.run / "metrics.jsonl").read_text().splitlines()]
        step_s = float(np.mean([line["step_s"] for line in lines]))
        return Scores(
            level=level,
            iou_train=levels[level].occupied_iou,
            iou=found.occupied_iou,
            miou_17=found.miou_17 if speaks else None,
            miou_15=found.miou_15 if speaks else None,
            rayiou=self.rayiou(level) if speaks else None,
            retrieval=retrieval[0],
            retrieval_visible=retrieval[1],
            depth=self.depth(),
            minutes=step_s * lines[-1]["step"] / 60,
            scoring_minutes=(time.monotonic() - start) / 60,
        )

    def predict(self, part: str, frames: Sequence[Frame], points: bool = False) -> None:
        """Writes predictions that can be read at every level."""
        classes = None
        if self.speaker is not None:
            classes = self.speaker.classes(load_vocabulary(self.vocabulary))
        plan = SavePlan(LEVELS[0], self.vocabulary, True, points)
        save_predictions(self.predictor, self.dataset, frames, classes, self.folder / part, plan)

    def occupancy(
        self, part: str, frames: Sequence[Frame], levels: tuple[float, ...]
    ) -> dict[float, OccupancyScores]:
        """IoU and mIoU at every level."""
        counts = evaluate_predictions(
            self.folder / part,
            frames,
            label_path(self.dataset),
            OccupancyOptions(thresholds=levels),
            workers=self.workers,
        )
        return {level: s for level, s in counts.scores().items() if level is not None}

    def rayiou(self, level: float) -> float:
        """RayIoU at a level."""
        best = self.folder / "best"
        best.mkdir(exist_ok=True)
        for frame in self.val:
            path = prediction_path(self.folder / "val", frame.token)
            saved = read_prediction(path, with_density=True)
            chosen = type(saved)(saved.at(level), threshold=level)
            write_prediction(best, frame.token, chosen)
        totals = evaluate_rayiou(
            best,
            [self.dataset.scenes[scene] for scene in self.dataset.splits["val"]],
            label_path(self.dataset),
            device=self.device,
            workers=self.workers,
        )
        return ray_scores(totals.total()).rayiou

    def retrieval(self) -> tuple[float | None, float | None]:
        """Mean AP of the rows of val, over all points and over visible ones; None without rows."""
        assert self.speaker is not None
        assert self.dataset.folders.retrieval is not None
        rows = read_rows(self.dataset.folders.retrieval, ("val",))
        if not rows:
            return None, None
        queries = sorted({row.query for row in rows})
        vectors = self.speaker.vectors(queries).float().cpu().numpy()
        found = evaluate_retrieval(
            self.folder / "val",
            rows,
            frame_lookup(self.dataset),
            dict(zip(queries, vectors, strict=True)),
            ("langocc",),
        ).split("langocc", "val")
        return found.map, found.visible_map

    def depth(self) -> float | None:
        """Median relative error of rendered depth, percent."""
        if self.speaker is None:
            return None
        frames = spread(self.val, self.depth_frames)
        errors = frame_errors(self.predictor, self.speaker, self.dataset, frames, 4096)
        return 100 * errors.scores().median_relative


if __name__ == "__main__":
    main()
