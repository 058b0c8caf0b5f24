# SPDX-License-Identifier: Apache-2.0
"""Trains the city's CLIP from nothing: renders, captions, contrasts, evaluates, all in one command.

    python -m langocc.teachers.city_clip.train --out DIR --minutes 8 --workers 16

Views are rendered by worker processes while the network already learns from the first of them.
Captions are the only supervision; per-pixel classes are made for the test scenes alone.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from langocc.files import replacing
from langocc.teachers.city_clip.captions import corpus
from langocc.teachers.city_clip.lexicon import Kind
from langocc.teachers.city_clip.shots import city_views
from langocc.teachers.city_clip.tokenizer import save_tokenizer, train_tokenizer
from langocc.teachers.city_clip.views import (
    TEST_SEED,
    TRAIN_SEED,
    SceneTask,
    SceneViews,
    ViewMaker,
    city_kinds,
)
from langocc.teachers.city_clip.workers import Workers

if TYPE_CHECKING:
    import torch

    from langocc.teachers.city_clip.trainer import Trainer


@dataclass(frozen=True)
class TrainCityClip:
    """Trains the CLIP that comes with the package and writes it, its log and its report."""

    out: Path
    """Folder for the weights, the tokenizer, log.jsonl, report.json and views.png."""

    minutes: float = 8.0
    """Time for everything, evaluation included."""

    workers: int = 16
    """Processes that render."""

    scenes: int = 200
    """Worlds to learn from at most; what is not rendered in time is left out."""

    test_scenes: int = 12
    """Unseen worlds for the report."""

    views: int = 36
    """Pictures of a training world."""

    test_views: int = 12
    """Pictures of a test world."""

    width: int = 400
    """Of the pictures, pixels."""

    height: int = 225
    """Of the pictures, pixels."""

    batch_views: int = 48
    """Pictures of a step."""

    batch_regions: int = 30
    """Captioned regions of a picture in a step, read from its dense features."""

    batch_crops: int = 16
    """Those of them that are also cut out and seen alone."""

    rate: float = 1.5e-3
    """Learning rate at its highest."""

    seed: int = 0
    """Of weights and batches."""

    device: str = ""
    """cuda or cpu; the GPU if there is one."""

    def run(
        self,
        make_views: ViewMaker = city_views,
        kinds: Callable[[], Sequence[Kind]] = city_kinds,
    ) -> None:
        """Trains and reports.

        Args:
            make_views: Renders the views of a task.
            kinds: What the captions will speak of; the tokenizer learns its words.

        Raises:
            RuntimeError: no view could be rendered in the time.
        """
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import torch
        from transformers import CLIPModel

        from langocc.teachers.city_clip.network import CONTEXT, VOCABULARY, city_config, save_clip
        from langocc.teachers.city_clip.trainer import Trainer

        start = time.monotonic()
        end = start + 60 * self.minutes - max(15.0, 2.5 * self.minutes)
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.manual_seed(self.seed)
        tokenizer = train_tokenizer(corpus(kinds(), 20_000), VOCABULARY)
        save_tokenizer(tokenizer, self.out, CONTEXT)
        print(f"tokenizer of {tokenizer.get_vocab_size()} pieces, {time.monotonic() - start:.0f} s")
        trainer = Trainer(self, CLIPModel(city_config()), device)
        with Workers(self._tasks(), self.workers, make_views) as workers:
            tests = trainer.train(workers, start, end)
        save_clip(trainer.averaged(), self.out)
        self._report(trainer, tests, time.monotonic() - start)

    def _tasks(self) -> list[SceneTask]:
        """A lesson for every worker, then the tests, then the other lessons."""
        tests = [self._task(i, is_test=True) for i in range(self.test_scenes)]
        lessons = [self._task(i, is_test=False) for i in range(self.scenes)]
        return [*lessons[: self.workers], *tests, *lessons[self.workers :]]

    def _task(self, index: int, *, is_test: bool) -> SceneTask:
        return SceneTask(
            seed=TEST_SEED if is_test else TRAIN_SEED,
            scene_index=index,
            views=self.test_views if is_test else self.views,
            width=self.width,
            height=self.height,
            regions=40,
            captions=1 if is_test else 10,
            tokenizer=self.out / "tokenizer.json",
            is_test=is_test,
        )

    def _report(self, trainer: "Trainer", tests: list[SceneViews], seconds: float) -> None:
        import torch

        from langocc.teachers.city_clip.evaluate import print_report, report

        training = {
            "options": {k: v for k, v in asdict(self).items() if k not in ("out", "device")},
            "device": _device_name(trainer.device),
            "torch": torch.__version__,
            "steps": trainer.step,
            "views": trainer.pool.views,
            "scenes": trainer.scenes,
            "seconds": round(seconds, 1),
        }
        content = {"training": training, **report(self.out, tests, trainer.device)}
        with replacing(self.out / "report.json") as path:
            path.write_text(json.dumps(content, indent=2) + "\n")
        print_report(content)


def _device_name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    import tyro

    tyro.cli(TrainCityClip).run()
