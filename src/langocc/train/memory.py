# SPDX-License-Identifier: Apache-2.0
"""Where a run's memory and disk go, and which setting frees how much.

Computed from shapes, so rough for what autograd keeps: what a step takes is measured by
`langocc train --dry-run`.
"""

import resource
import sys
from dataclasses import dataclass

import torch

from langocc.model.langocc import LangOcc
from langocc.train.config import TrainConfig

GIB = 2**30
FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Knob:
    """A setting that frees memory.

    Attributes:
        setting: Its name on the command line, with the value to try.
        frees_bytes: What it frees in each process, roughly.
        cost: What one pays.
    """

    setting: str
    frees_bytes: int | float
    cost: str

    def __str__(self) -> str:
        """As a line of an error."""
        return f"{self.setting} frees about {self.frees_bytes / GIB:.2g} GiB ({self.cost})"


def fixed_bytes(model: LangOcc) -> int:
    """Weights, their average, gradients and AdamW's two moments: five times the parameters."""
    state = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    learned = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return 2 * state + 3 * learned


def checkpoint_bytes(model: LangOcc) -> int:
    """Size of one checkpoint: weights, their average, and AdamW's two moments."""
    learned = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return fixed_bytes(model) - learned


def peak_bytes(device: torch.device) -> int:
    """Most memory this process has held so far: the GPU's allocator, or resident on a processor."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def knobs(config: TrainConfig, model: LangOcc, samples: int, cams: int, peak: int) -> list[Knob]:
    """Settings that free memory, the largest saving first.

    Args:
        config: The run's settings.
        model: The network.
        samples: Samples of a step in one process.
        cams: Cameras of a sample.
        peak: Most memory the process has held, bytes.
    """
    found = []
    varying = max(peak - fixed_bytes(model), 0)
    if samples > 1:
        fewer = config.batch_size * (samples // 2) // samples
        share = varying * (1 - samples // 2 / samples)
        found.append(Knob(f"--batch-size {fewer}", share, "noisier steps, another recipe"))
        found.append(
            Knob("twice as many processes (torchrun)", share, "more GPUs, the same recipe")
        )
    if not config.model.backbone.recompute:
        freed = samples * cams * _block_bytes(config)
        slower = "a second forward pass of the backbone"
        found.append(Knob("--model.backbone.recompute", freed, slower))
    if config.sample.rays > 1:
        freed = samples * config.sample.rays // 2 * _ray_bytes(config)
        found.append(Knob(f"--sample.rays {config.sample.rays // 2}", freed, "noisier steps"))
    if config.sample.cache_bytes:
        freed = config.sample.cache_bytes * max(config.workers, 1)
        found.append(Knob("--sample.cache-bytes 0", freed, "main memory; images decoded anew"))
    return sorted(found, key=lambda knob: -knob.frees_bytes)


def _block_bytes(config: TrainConfig) -> int:
    """What autograd keeps inside the backbone's residual blocks, for one image.

    Of each block: three convolutions' results, and what two of the three ReLUs leave.
    """
    height, width = config.model.input_size
    total = 0
    for stage, blocks in enumerate(config.model.backbone.blocks):
        channels = config.model.backbone.width * 2**stage
        places = height * width // 4 ** (2 + stage)
        total += blocks * places * channels * (1 + 1 + 4 + 1 + 1) * FLOAT
    return total


def _ray_bytes(config: TrainConfig) -> int:
    """What autograd keeps of one ray: its samples' numbers and corners, its feature and target."""
    head = config.model.head
    channels = 3 if config.model.variant == "rgb" else head.embedding_channels
    corners = 8 * 3  # voxel, weight and place of each
    return (config.render.samples * (6 + corners) + 4 * channels + head.hidden_channels) * FLOAT
