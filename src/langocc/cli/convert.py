# SPDX-License-Identifier: Apache-2.0
"""`langocc convert`: published checkpoints to ours and back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from langocc.errors import ConfigError


@dataclass(frozen=True)
class Convert:
    """Turns a published checkpoint (.pth) into ours (.safetensors), or ours into a published one.

    Every entry is accounted for: a missing, left-over or differently shaped one is an error. There
    and back gives the same bits. Files that would run code when opened are refused.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """A published .pth, or our checkpoint: a .safetensors file or a run folder."""
    target: Annotated[Path, tyro.conf.Positional]
    """File to write: .safetensors for ours, .pth for published."""
    average: Path | None = None
    """Published file of averaged weights (epoch_N_ema.pth): read with a published SOURCE, written
    with a published TARGET. Without it SOURCE's own weights stand for their average."""
    preset: Literal["auto", "full", "reduced", "rgb"] = "auto"
    """Network of a published SOURCE; auto tells it by its heads."""

    def run(self) -> None:
        """Converts and prints what became of each part."""
        from rich.console import Console

        kinds = (self.source.suffix == ".pth", self.target.suffix)
        if kinds == (True, ".safetensors"):
            lines = self._from_published()
        elif kinds == (False, ".pth"):
            lines = self._to_published()
        else:
            raise ConfigError(
                "expected .pth to .safetensors, or our checkpoint to .pth, got "
                f"{self.source} to {self.target}"
            )
        console = Console(highlight=False, soft_wrap=True)
        for line in (*lines, f"wrote {self.target}"):
            console.print(line, markup=False)

    def _from_published(self) -> list[str]:
        import torch

        from langocc.interop.checkpoints_published import from_published
        from langocc.interop.published_files import read_published
        from langocc.model.langocc import LangOcc
        from langocc.presets import PRESETS
        from langocc.train.average import MovingAverage
        from langocc.train.checkpoint import restore_optimizer, save_checkpoint
        from langocc.train.config import config_as_dict

        file = read_published(self.source)
        averaged = file if self.average is None else read_published(self.average)
        preset = file.preset if self.preset == "auto" else self.preset
        config = PRESETS[preset]
        model = LangOcc(config.model)
        names, variant = model.state_dict(), config.model.variant
        average = MovingAverage(model, config.average)
        updates = average.updates if averaged.updates is None else averaged.updates
        average.load(from_published(averaged.state, names, variant, str(averaged.path)), updates)
        model.load_state_dict(from_published(file.state, names, variant, str(file.path)))
        state = file.optimizer_state(dict(model.named_parameters()))
        optimizer = None
        published: dict[str, Any] = {"facts": file.facts, "average_facts": averaged.facts}
        if state is not None:
            optimizer = torch.optim.AdamW(model.parameters())
            restore_optimizer(model, optimizer, state.moments)
            published |= {"groups": state.groups, "integer_steps": state.integer_steps}
        metadata = {
            "step": file.iterations,
            "config": config_as_dict(config),
            "facts": {"preset": preset, "initial": "published checkpoint"},
            "published": published,
        }
        save_checkpoint(self.target, model, average, optimizer, metadata)
        return [
            f"network: {preset}, all {len(names)} entries taken",
            f"averaged weights: from {averaged.path}, {averaged.updates or 'unknown'} updates",
            f"optimizer: {'not in the file' if state is None else 'all moments taken'}",
            f"kept as facts: {', '.join(file.facts) or 'nothing'}",
        ]

    def _to_published(self) -> list[str]:
        from langocc.interop.checkpoints_optimizer import OptimizerState
        from langocc.interop.checkpoints_published import to_published
        from langocc.interop.published_files import PublishedFile, write_published
        from langocc.model.langocc import LangOcc
        from langocc.train.config import config_from_dict
        from langocc.train.run_folder import find_checkpoint

        checkpoint = find_checkpoint(self.source)
        config = config_from_dict(checkpoint.metadata["config"], str(self.source))
        model = LangOcc(config.model)
        names = model.state_dict().keys()  # in the published order; the file has its own
        parameters = [name for name, _ in model.named_parameters()]
        published = checkpoint.metadata.get("published", {})
        facts = published.get("facts", {"meta": {"iter": checkpoint.metadata["step"]}})
        variant = config.model.variant
        optimizer = None
        if checkpoint.optimizer:
            numbers = list(range(len(parameters)))
            own = [{"params": numbers, "lr": config.schedule.base_lr}]
            groups = published.get("groups", own)
            integers = published.get("integer_steps", False)
            optimizer = OptimizerState(checkpoint.optimizer, groups, integers)
        weights = to_published({name: checkpoint.model[name] for name in names}, variant)
        write_published(PublishedFile(self.target, weights, facts=facts), optimizer, parameters)
        lines = [
            f"weights: {len(weights)} entries",
            f"optimizer: {'none in the checkpoint' if optimizer is None else 'all moments'}",
        ]
        if self.average is None:
            return [*lines, "averaged weights: left out; name a file with --average to write them"]
        averaged = PublishedFile(
            self.average,
            to_published({name: checkpoint.average[name] for name in names}, variant),
            updates=checkpoint.metadata["updates"],
            facts=published.get("average_facts", {}),
        )
        write_published(averaged, None, parameters)
        return [*lines, f"averaged weights: {self.average}"]
