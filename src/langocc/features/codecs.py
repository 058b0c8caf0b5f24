# SPDX-License-Identifier: Apache-2.0
"""Codecs: teacher features as a fixed number of bytes a row.

* `fp16`: as the published files; 2 bytes a channel.
* `int8`: a float16 step per row and one signed byte a channel.
* `pca-int8`: the leading principal components of a scene; one signed byte each, in that
  component's own step. The components are fitted to each scene and lie in its shard.
* `none`: no features at all.

Encoding and decoding work on any device.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from langocc.errors import ConfigError, DataError

CodecName = Literal["fp16", "int8", "pca-int8", "none"]

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fp16:
    """Half-precision floats, little-endian."""

    channels: int
    name: CodecName = "fp16"

    @property
    def row_bytes(self) -> int:
        """Two a channel."""
        return 2 * self.channels

    @property
    def arrays(self) -> Arrays:
        """None."""
        return {}

    def encode(self, features: Float[Tensor, "ray channel"]) -> UInt8[Tensor, "ray byte"]:
        """Rounded to the nearest half."""
        return features.to(torch.float16).contiguous().view(torch.uint8)

    def decode(self, codes: UInt8[Tensor, "ray byte"]) -> Float[Tensor, "ray channel"]:
        """Exact."""
        return codes.contiguous().view(torch.float16).float()


@dataclass(frozen=True)
class Int8:
    """Signed bytes in a step of their own row: largest magnitude / 127, as float16."""

    channels: int
    name: CodecName = "int8"

    @property
    def row_bytes(self) -> int:
        """One a channel and two for the step."""
        return self.channels + 2

    @property
    def arrays(self) -> Arrays:
        """None."""
        return {}

    def encode(self, features: Float[Tensor, "ray channel"]) -> UInt8[Tensor, "ray byte"]:
        """Rounded to the nearest step."""
        if len(features) == 0:  # torch cannot reinterpret an empty column
            return torch.zeros(0, self.row_bytes, dtype=torch.uint8, device=features.device)
        step = (features.float().abs().amax(dim=1, keepdim=True) / 127).to(torch.float16)
        levels = features.float() / step.float().clamp_min(torch.finfo(torch.float16).tiny)
        levels = levels.round().clamp(-127, 127).to(torch.int8)
        return torch.cat([step.view(torch.uint8), levels.view(torch.uint8)], dim=1)

    def decode(self, codes: UInt8[Tensor, "ray byte"]) -> Float[Tensor, "ray channel"]:
        """Levels times step."""
        if len(codes) == 0:
            return torch.zeros(0, self.channels, device=codes.device)
        step = codes[:, :2].contiguous().view(torch.float16).float()
        return codes[:, 2:].view(torch.int8).float() * step


@dataclass(frozen=True)
class PcaInt8:
    """Signed bytes of principal components.

    Attributes:
        mean: Mean feature.
        basis: Orthonormal rows, leading component first.
        steps: Value of one level, per component.
    """

    mean: Float[Tensor, " channel"]
    basis: Float[Tensor, "component channel"]
    steps: Float[Tensor, " component"]
    name: CodecName = "pca-int8"

    @property
    def channels(self) -> int:
        """Size of a feature."""
        return self.basis.shape[1]

    @property
    def row_bytes(self) -> int:
        """One a component."""
        return self.basis.shape[0]

    @property
    def arrays(self) -> Arrays:
        """Mean and steps as float32, the basis as float16."""
        return {
            "mean": self.mean.cpu().numpy(),
            "basis": self.basis.to(torch.float16).cpu().numpy(),
            "steps": self.steps.cpu().numpy(),
        }

    def encode(self, features: Float[Tensor, "ray channel"]) -> UInt8[Tensor, "ray byte"]:
        """Projected, then rounded to each component's step."""
        to = features.device
        levels = (features.float() - self.mean.to(to)) @ (self.basis.T / self.steps).to(to)
        return levels.round().clamp(-127, 127).to(torch.int8).view(torch.uint8)

    def decode(self, codes: UInt8[Tensor, "ray byte"]) -> Float[Tensor, "ray channel"]:
        """Back into the teacher's space."""
        to = codes.device
        levels = codes.view(torch.int8).float()
        return torch.addmm(self.mean.to(to), levels, (self.steps[:, None] * self.basis).to(to))


@dataclass(frozen=True)
class NoFeatures:
    """Rays alone."""

    channels: int = 0
    name: CodecName = "none"
    row_bytes: int = 0

    @property
    def arrays(self) -> Arrays:
        """None."""
        return {}

    def encode(self, features: Float[Tensor, "ray channel"]) -> UInt8[Tensor, "ray byte"]:
        """Nothing."""
        return torch.zeros(len(features), 0, dtype=torch.uint8, device=features.device)

    def decode(self, codes: UInt8[Tensor, "ray byte"]) -> Float[Tensor, "ray channel"]:
        """Nothing."""
        return torch.zeros(len(codes), 0, device=codes.device)


Codec = Fp16 | Int8 | PcaInt8 | NoFeatures
"""Features to bytes (`encode`) and back (`decode`). `row_bytes` is what a row takes, `arrays` what
a reader needs besides the row, stored once per shard."""


def fit_pca(features: Float[Tensor, "ray channel"], components: int) -> PcaInt8:
    """Components of a sample of features. The same sample gives the same codec.

    A level is the largest magnitude in the sample / 120; larger ones, up to 127 levels, still fit.

    Raises:
        ConfigError: more components than channels, or none.
    """
    if not 1 <= components <= features.shape[1]:
        raise ConfigError(
            f"codec pca-int8: expected 1 to {features.shape[1]} components, found {components}"
        )
    data = features.double()
    mean = data.mean(dim=0) if len(data) else data.new_zeros(data.shape[1])
    centred = data - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    basis = vectors.flip(1)[:, :components].T
    largest = basis.abs().argmax(dim=1, keepdim=True)
    basis = basis * basis.gather(1, largest).sign()  # an eigenvector's sign is arbitrary: fix it
    basis = basis.to(torch.float16).float()  # what a reader will have
    projected = centred.float() @ basis.T
    peak = projected.abs().amax(dim=0) if len(data) else projected.new_ones(components)
    return PcaInt8(mean.float(), basis, peak.clamp_min(1e-6) / 120)


def codec_of(name: str, channels: int, arrays: Arrays) -> Codec:
    """The codec that a shard was written with.

    Raises:
        DataError: an unknown codec, or its arrays are missing or of another size.
    """
    simple = {"fp16": Fp16, "int8": Int8}
    if name in simple:
        return simple[name](channels)
    if name == "none":
        return NoFeatures()
    if name != "pca-int8":
        raise DataError(f"codec {name!r}: expected fp16, int8, pca-int8 or none")
    try:
        mean, basis, steps = (
            torch.from_numpy(np.asarray(arrays[key], dtype=np.float32).copy())
            for key in ("mean", "basis", "steps")
        )
    except KeyError as error:
        raise DataError(f"codec pca-int8: its array {error} is missing") from None
    if basis.shape != (len(steps), channels) or mean.shape != (channels,):
        raise DataError(
            f"codec pca-int8: expected a basis of {len(steps)} x {channels} and a mean of "
            f"{channels}, found {tuple(basis.shape)} and {tuple(mean.shape)}"
        )
    return PcaInt8(mean, basis, steps)
