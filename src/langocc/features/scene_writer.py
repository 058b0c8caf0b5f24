# SPDX-License-Identifier: Apache-2.0
"""Writes the shard of one scene from whatever knows its rays and their targets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from langocc.features.codecs import Codec, CodecName, Fp16, Int8, NoFeatures
from langocc.features.pca import fit_pca, pca_row_bytes
from langocc.features.pixels import SKY
from langocc.features.rows import pack_rows, row_dtype
from langocc.features.shard import write_shard
from langocc.features.store_record import StoreRecord
from langocc.features.targets import FrameTargets

FIT_FRAMES = 8
"""Frames of a scene, evenly spaced, that a PCA is fitted to."""
FIT_ROWS = 4096
"""Rows of each of them; rows are shuffled, so the first ones are a random sample."""


@dataclass(frozen=True)
class CodecConfig:
    """How a feature is written."""

    name: CodecName = "int8"
    """`fp16` (2 bytes a channel), `int8` (1), `pca-int8` (1 a component), `pca-int4` (about half a
    byte a component), `none` (no feature)."""
    components: int = 96
    """Components of the pca codecs, fitted per scene."""

    @property
    def recorded_components(self) -> int:
        """Components for the store's record: 0 where there are none."""
        return self.components if self.name in ("pca-int8", "pca-int4") else 0

    def row_bytes(self, channels: int) -> int:
        """Bytes of a row on disk."""
        code = {
            "fp16": 2 * channels,
            "int8": channels + 2,
            "pca-int8": pca_row_bytes("pca-int8", self.components),
            "pca-int4": pca_row_bytes("pca-int4", self.components),
            "none": 0,
        }
        return row_dtype(code[self.name]).itemsize


@runtime_checkable
class SceneTargets(Protocol):
    """The rays of a scene's frames and their targets.

    Attributes:
        tokens: Its frames.
        channels: Size of a feature.
    """

    tokens: Sequence[str]
    channels: int

    def at(self, indices: Sequence[int]) -> Iterator[tuple[int, FrameTargets]]:
        """Index and targets of some frames, in that order; asked for `looking_order` once."""
        ...


def looking_order(count: int, config: CodecConfig) -> list[int]:
    """The order in which `count` frames of a scene are looked at: those of the fit come first."""
    first = _fit_frames(count, config)
    return first + [index for index in range(count) if index not in set(first)]


def write_scene(
    targets: SceneTargets,
    path: Path,
    scene: str,
    record: StoreRecord,
    config: CodecConfig,
    on_frame: Callable[[], None] | None = None,
) -> list[int]:
    """Writes a scene's shard; returns the rows of each frame. Every frame is looked at once.

    Raises:
        ClaimedError: another process writes this shard now.
        DataError: what `targets` raises.
        OSError: the disk is full or the folder not writable.
    """
    known: dict[int, FrameTargets] = {}
    looks = targets.at(looking_order(len(targets.tokens), config))
    codec = _codec(targets, looks, config, known)
    counts = []
    with write_shard(path, scene, record, codec) as writer:
        for index, token in enumerate(targets.tokens):
            frame = known.pop(index) if index in known else next(looks)[1]
            codes = _on_host(codec.encode(frame.features.float()))
            writer.add(token, pack_rows(frame.rays, frame.rgb, codes))
            counts.append(len(frame.rays))
            if on_frame:
                on_frame()
    return counts


def _fit_frames(count: int, config: CodecConfig) -> list[int]:
    if config.name not in ("pca-int8", "pca-int4"):
        return []
    return sorted({round(at) for at in np.linspace(0, count - 1, min(FIT_FRAMES, count))})


def _codec(
    targets: SceneTargets,
    looks: Iterator[tuple[int, FrameTargets]],
    config: CodecConfig,
    known: dict[int, FrameTargets],
) -> Codec:
    """The scene's codec. Frames that a PCA was fitted to are kept in `known`: seen only once."""
    if config.name == "pca-int8" or config.name == "pca-int4":
        for index, frame in islice(looks, len(_fit_frames(len(targets.tokens), config))):
            known[index] = replace(frame, features=frame.features.half())
        sample = [_world(frame)[:FIT_ROWS].float() for frame in known.values()]
        return fit_pca(torch.cat(sample), config.components, config.name)
    if config.name == "none":
        return NoFeatures()
    return {"fp16": Fp16, "int8": Int8}[config.name](targets.channels)


def _on_host(codes: UInt8[Tensor, "ray byte"]) -> UInt8[np.ndarray, "ray byte"]:
    """Codes as an array; from a GPU through page-locked memory, at several times the speed."""
    if codes.device.type != "cuda":
        return codes.numpy()
    host = torch.empty(codes.shape, dtype=codes.dtype, pin_memory=True)
    host.copy_(codes, non_blocking=True)
    torch.cuda.current_stream(codes.device).synchronize()
    return host.numpy()


def _world(frame: FrameTargets) -> Float[Tensor, "ray channel"]:
    """Features of rays that are not sky: sky targets are not used."""
    is_world = (frame.rays.flags & SKY) == 0
    return frame.features[torch.from_numpy(is_world).to(frame.features.device)]
