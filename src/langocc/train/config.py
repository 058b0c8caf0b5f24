# SPDX-License-Identifier: Apache-2.0
"""Everything a training run is made of, as one value; read from and written to YAML and JSON."""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from langocc.errors import ConfigError
from langocc.features.sample import SampleConfig
from langocc.model.config import ModelConfig
from langocc.render.config import RenderConfig
from langocc.render.objective import LossConfig
from langocc.train.average import AverageConfig
from langocc.train.precision import Precision
from langocc.train.schedule import ScheduleConfig


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The defaults are the published recipe for the full model.

    Source: method.md section 5.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    sample: SampleConfig = field(default_factory=SampleConfig)
    """What a training sample is made of."""
    render: RenderConfig = field(default_factory=RenderConfig)
    """How rays are rendered."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Terms of the loss."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Learning rate."""
    average: AverageConfig = field(default_factory=AverageConfig)
    """Moving average of the weights."""
    epochs: int = 18
    """Passes over the training samples."""
    steps: int | None = None
    """Optimiser steps; replaces `epochs` when given. The decay then steps 18 times, evenly."""
    batch_size: int = 16
    """Samples per step over all processes (the paper: 4 on each of 4 GPUs)."""
    batch_norm: Literal["local", "synchronised"] = "local"
    """Batch statistics of several processes: each its own (published; running statistics are
    averaged), or over all samples of the step, as one process would see them."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    clip_norm: float = 5.0
    """Gradients are scaled down to this norm."""
    precision: Precision = "auto"
    """Of convolutions and matrix products: fp32, tf32 (published), bf16, or auto: bf16 on a GPU,
    fp32 on a processor. Weights, sums and losses stay in float32."""
    seed: int = 0
    """Fixes initial weights, sample order, augmentation, choice of rays, dropout."""
    workers: int = 0
    """Processes that load samples; 0 loads in the training process."""
    checkpoint_steps: int = 500
    """Steps between checkpoints; one more is written at the end."""
    keep_checkpoints: int = 3
    """Newest checkpoints that are kept."""
    log_steps: int = 10
    """Steps between lines of `metrics.jsonl`."""
    initial: Literal["scratch", "resnet", "detector"] = "scratch"
    """How weights start: random, an ImageNet ResNet-50 backbone, or a BEVDet-style detector."""
    initial_weights: Path | None = None
    """File for `resnet` and `detector`."""
    reducer: Path | None = None
    """File of `langocc reduce`; needed where targets are reduced (preset `reduced`)."""
    vocabulary: Path | None = None
    """File of `langocc vocab --out`; needed by the losses that know what things are called."""

    def __post_init__(self) -> None:
        """Refuses what needs a file and has none, a file without a use, and no batch."""
        if self.batch_size < 1:
            raise ConfigError(f"batch-size: expected at least 1, found {self.batch_size}")
        if self.loss.depth_weight and not self.sample.lidar_depth:
            raise ConfigError(
                "loss.depth-weight: expected samples with LiDAR depth (--sample.lidar-depth), "
                "found none"
            )
        measures = self.loss.asks_surfaces and self.loss.surface_range == "measured"
        if measures and not self.sample.ranges:
            raise ConfigError(
                "loss.surface-weight, loss.surface-feature-weight: expected samples with measured "
                "ranges (--sample.ranges) or --loss.surface-range rendered, found neither"
            )
        if (self.initial == "scratch") != (self.initial_weights is None):
            raise ConfigError(
                "initial, initial-weights: expected a file for resnet and detector and none for "
                f"scratch, found {self.initial} and {self.initial_weights}"
            )


def config_as_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain values for JSON or YAML: paths become strings, tuples lists."""
    return json.loads(json.dumps(asdict(config), default=str))


def config_from_dict(values: dict[str, Any], place: str) -> TrainConfig:
    """A configuration from plain values; what is not named keeps its default.

    Args:
        values: Nested values, as from JSON or YAML.
        place: File or checkpoint they came from, for errors.

    Raises:
        ConfigError: an unknown name, or a value of another type; the first ten are listed.
    """
    _forbid_unknown_names(TrainConfig)
    try:
        return TypeAdapter(TrainConfig).validate_python(values)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()[:10]
        ]
        raise ConfigError(f"{place}: {'; '.join(faults)}") from error


def read_config(path: Path, base: TrainConfig) -> TrainConfig:
    """`base` with the values of a YAML file laid over it.

    Raises:
        ConfigError: the file is missing, not YAML, or holds unknown names.
    """
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected names and values, found {type(values).__name__}")
    return config_from_dict(_laid_over(config_as_dict(base), values), str(path))


def _laid_over(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in values.items():
        known = base.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            value = _laid_over(known, value)
        merged[name] = value
    return merged


def _forbid_unknown_names(config_class: type) -> None:
    """Makes pydantic refuse names a dataclass does not have, here and in all nested ones."""
    config_class.__pydantic_config__ = ConfigDict(extra="forbid")
    hints = get_type_hints(config_class)
    for entry in fields(config_class):
        if is_dataclass(hints[entry.name]):
            _forbid_unknown_names(hints[entry.name])
