# SPDX-License-Identifier: Apache-2.0
"""The training loop of the city's CLIP: steps until the time is up, on the views so far."""

import json
import math
import time
from typing import TYPE_CHECKING, TextIO, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import CLIPModel

from langocc.teachers.city_clip.contrast import caption_is_true, caption_loss
from langocc.teachers.city_clip.network import (
    PATCH_PX,
    crop_features,
    region_features,
    save_clip,
    text_features,
)
from langocc.teachers.city_clip.pool import RegionBatch, ViewPool, cut_crops, resized_views
from langocc.teachers.city_clip.views import WORDS, SceneViews
from langocc.teachers.city_clip.workers import Workers

if TYPE_CHECKING:
    from langocc.teachers.city_clip.train import TrainCityClip


class Trainer:
    """Weights, their average, the optimiser, the views so far and the log."""

    def __init__(self, options: "TrainCityClip", model: CLIPModel, device: torch.device) -> None:
        """Nothing is trained yet."""
        self.options = options
        self.model = cast(CLIPModel, nn.Module.to(model, device))
        self.device = device
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.998))
        self.pool = ViewPool(device, options.seed)
        self.step = 0
        self.scenes = 0
        is_matrix = [p for p in model.parameters() if p.dim() > 1]
        is_vector = [p for p in model.parameters() if p.dim() <= 1]
        groups = [
            {"params": is_matrix, "weight_decay": 0.05},
            {"params": is_vector, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))

    def train(self, workers: Workers, start: float, end: float) -> list[SceneViews]:
        """Steps until the time is up (monotonic seconds); returns the test scenes that were made.

        The rate falls from when all views are there, at the latest from 45 % of the time.

        Raises:
            RuntimeError: no view could be rendered in that time.
        """
        tests: list[SceneViews] = []
        begin = fall = saved = told = None  # times of the first step, of the rate's fall, ...
        losses: dict[str, Tensor] = {}
        with open(self.options.out / "log.jsonl", "w", encoding="utf-8") as log:
            while (now := time.monotonic()) < end or (self.step == 0 and not workers.is_done):
                for task, scene in workers.ready(5.0 if self.pool.views == 0 else 0.0):
                    if task.is_test:
                        tests.append(scene)
                    else:
                        self.pool.add(scene)
                        self.scenes += 1
                if self.pool.views == 0:
                    if workers.is_done:
                        break
                    continue
                begin = begin or now
                saved = saved or now
                if fall is None and (workers.is_done or now - begin > 0.45 * (end - begin)):
                    fall = now
                losses = self.take_step(0.0 if fall is None else (now - fall) / (end - fall))
                if told is None or now - told > 5:
                    told = now
                    self._log(log, now - start, losses)
                if now - saved > 60:
                    saved = now
                    save_clip(self.averaged(), self.options.out)
        if self.step == 0:
            raise RuntimeError("no view was rendered; the messages above say why")
        while len(tests) < 2 and not workers.is_done:  # a report needs unseen scenes
            tests.extend(scene for task, scene in workers.ready(5.0) if task.is_test)
        return tests

    def averaged(self) -> CLIPModel:
        """The model with averaged weights: what is saved and reported."""
        return cast(CLIPModel, self.average.module)

    def take_step(self, progress: float) -> dict[str, Tensor]:
        """One step at a part 0..1 of the rate's fall; returns detached losses."""
        options = self.options
        for group in self.optimiser.param_groups:
            group["lr"] = options.rate * _rate(progress, self.step)
        batch = self.pool.sample(options.batch_views, options.batch_regions)
        losses = self._losses(batch)
        total = losses["crop"] + losses["region"]
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        self.step += 1
        if self.step > 100:
            self.average.update_parameters(self.model)
        else:
            self.average.module.load_state_dict(self.model.state_dict())
        return {name: value.detach() for name, value in losses.items()}

    def _losses(self, batch: RegionBatch) -> dict[str, Tensor]:
        cut = min(self.options.batch_crops, batch.boxes.shape[1])
        side = PATCH_PX * int(torch.randint(6, 13, ()))
        scale = math.exp(float(torch.empty(()).uniform_(math.log(0.75), math.log(1.35))))
        stretch = math.exp(float(torch.empty(()).uniform_(-0.12, 0.12)))
        rows, cols = batch.views.shape[-2:]
        size = (
            PATCH_PX * round(rows * scale * stretch / PATCH_PX),
            PATCH_PX * round(cols * scale / stretch / PATCH_PX),
        )
        factor = self.model.logit_scale.exp()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            texts = text_features(self.model, batch.tokens.flatten(0, 1))
            crops = crop_features(self.model, cut_crops(batch, cut, side))
            regions = region_features(self.model, resized_views(batch, size), batch.boxes)
        is_true = caption_is_true(batch.true.flatten(0, 1), batch.said.flatten(0, 1), WORDS)
        losses = {}
        for name, images, used in (
            ("crop", crops, batch.is_region[:, :cut]),
            ("region", regions.flatten(0, 1), batch.is_local),
        ):
            place = torch.arange(len(is_true), device=self.device).view(batch.is_region.shape)
            kept = place[:, : used.shape[1]][used]
            matrix = is_true[kept][:, kept]
            losses[name] = caption_loss(images[used.flatten()], texts[kept], matrix, factor)
        return losses

    def _log(self, log: TextIO, seconds: float, losses: dict[str, Tensor]) -> None:
        entry = {
            "seconds": round(seconds, 1),
            "step": self.step,
            "views": self.pool.views,
            **{name: round(float(value), 4) for name, value in losses.items()},
            "scale": round(float(self.model.logit_scale.detach().exp()), 2),
            "rate": self.optimiser.param_groups[0]["lr"],
        }
        line = json.dumps(entry)
        log.write(line + "\n")
        log.flush()
        print(line, flush=True)


def _rate(progress: float, step: int) -> float:
    """Linear warm-up over 200 steps, then held, then half a cosine down to 1 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
    return min(1.0, (step + 1) / 200) * (0.01 + 0.99 * cosine)
