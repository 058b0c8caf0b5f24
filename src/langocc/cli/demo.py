# SPDX-License-Identifier: Apache-2.0
"""`langocc demo DIR`: the newcomer's path, from nothing to an answer."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from langocc.errors import LangOccError

if TYPE_CHECKING:
    from langocc.comparison import Scores

TEXTS = ("a red car", "a tree", "the road")
"""Queries shown in the report."""

SHIPPED = "city-tiny"
"""The same network after more steps, on other streets; it comes with the package."""


@dataclass(frozen=True)
class Demo:
    """Writes a small city, trains on it, evaluates on unseen streets, and draws a report."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder for everything; a killed demo goes on where it stopped."""
    scenes_train: int = 7
    """Scenes to train on."""
    scenes_val: int = 3
    """Scenes to evaluate on."""
    frames_per_scene: int = 12
    """Key frames in a scene, 0.5 s apart."""
    steps: int = 220
    """Optimiser steps; the paper's schedule is spread over them."""
    seed: int = 0
    """Another seed, another city and other initial weights."""

    def run(self) -> None:
        """Runs the verbs one after the other, then compares and reports."""
        from rich.console import Console

        console = Console()
        started = time.perf_counter()
        for arguments in self.verbs():
            _run_verb(console, arguments, started)
        scores = self._compare()
        console.print(_table(scores))
        console.print(f"report: {self.out / 'run' / 'report.html'}")
        console.print(f"ask it: langocc view {self.out / 'run'} --root {self.out / 'city'}")
        console.print(f"all of it took {(time.perf_counter() - started) / 60:.1f} minutes")

    def verbs(self) -> list[list[str]]:
        """The commands of the path, as one would type them."""
        city, run = str(self.out / "city"), str(self.out / "run")
        counts = ["--scenes-train", self.scenes_train, "--scenes-val", self.scenes_val]
        counts += ["--scenes-test", 0, "--frames-per-scene", self.frames_per_scene]
        limits = ["--steps", self.steps, "--seed", self.seed]
        val = ["--split", "val", "--points"]
        commands = [
            ["city", city, *counts, "--seed", self.seed],
            ["prepare", city, "--sky-rays", 3000],
            ["extract", city, "--teacher", "city-clip", "--codec", "pca-int8", "--split", "train"],
            ["train", city, "--run", run, "--preset", "tiny", "--ranges", *limits],
            ["calibrate", run, "--root", city, "--frames", 8],
            ["predict", run, "--root", city, *val],
            ["predict", SHIPPED, "--root", city, *val, "--out", self._longer],
        ]
        return [[str(word) for word in command] for command in commands]

    @property
    def _longer(self) -> Path:
        """Predictions of the package's model."""
        return self.out / SHIPPED / "predictions" / "val"

    def _compare(self) -> "dict[str, Scores]":
        from langocc.comparison import score, write_baselines
        from langocc.predictor import ClassQueries, Predictor
        from langocc.scenes.nuscenes import load
        from langocc.teachers.load import load_teacher
        from langocc.teachers.text import load_vocabulary
        from langocc.train.run_folder import RunFolder
        from langocc.view.run_report import write_run_report

        dataset = load(self.out / "city")
        run = RunFolder(self.out / "run")
        teacher, vocabulary = load_teacher("city-clip"), load_vocabulary("city")
        folders = {"model": run.predictions / "val", f"{SHIPPED}, trained longer": self._longer}
        folders |= write_baselines(run.path / "baselines", dataset, "val", teacher, vocabulary)
        scores = {name: score(path, dataset, "val", teacher) for name, path in folders.items()}
        run.write_json("scores.json", {name: asdict(value) for name, value in scores.items()})
        queries = ClassQueries(teacher.text(vocabulary.prompts), vocabulary.class_ids)
        scenes = [dataset.scenes[scene] for scene in dataset.splits["val"]]
        tokens = [frames[len(frames) // 2].token for frames in scenes]
        predictor = Predictor.load(run.path)
        page = run.path / "report.html"
        write_run_report(page, predictor, dataset, teacher, queries, scores, tokens, TEXTS)
        return scores


def _run_verb(console: object, arguments: list[str], started: float) -> None:
    """Shows a command as one would type it, and runs it.

    Raises:
        LangOccError: the command failed; it has said why.
        KeyboardInterrupt: it was interrupted.
    """
    from rich.console import Console

    from langocc.cli import run

    assert isinstance(console, Console)
    minutes = (time.perf_counter() - started) / 60
    console.print(f"\n[dim]{minutes:4.1f} min[/dim] [bold]$ langocc {' '.join(arguments)}[/bold]")
    code = run(arguments)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise LangOccError(f"`langocc {arguments[0]}` failed; the demo can be started again")


def _table(scores: "dict[str, Scores]") -> object:
    from rich.table import Table

    queries = next(iter(scores.values())).queries
    table = Table(
        "",
        "IoU",
        "mIoU 17",
        "mIoU 15",
        "retrieval mAP",
        "visible mAP",
        title=f"unseen streets, percent; camera mask; {queries} text queries",
    )
    for name, s in scores.items():
        numbers = (s.iou, s.miou_17, s.miou_15, s.retrieval, s.retrieval_visible)
        table.add_row(name, *(f"{number:.1f}" for number in numbers))
    return table
