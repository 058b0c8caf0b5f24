# SPDX-License-Identifier: Apache-2.0
"""Codecs: teacher features as a fixed number of bytes a row.

* `fp16`: as the published files; 2 bytes a channel.
* `int8`: a float16 step per row and one signed byte a channel.
* `pca-int8`: the leading principal components of a scene, one signed byte each; see `pca.py`.
* `pca-int4`: the same with half a byte for all but the first few components.
* `none`: no features at all.

Encoding and decoding work on any device.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from langocc.errors import DataError
from langocc.features.pca import Arrays, Pca, pca_of

CodecName = Literal["fp16", "int8", "pca-int8", "pca-int4", "none"]


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
        if len(codes) == 0:  # torch cannot reinterpret an empty array of NumPy's
            return torch.zeros(0, self.channels, device=codes.device)
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


Codec = Fp16 | Int8 | Pca | NoFeatures
"""Features to bytes (`encode`) and back (`decode`). `row_bytes` is what a row takes, `arrays` what
a reader needs besides the row, stored once per shard."""


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
    if name in ("pca-int8", "pca-int4"):
        return pca_of(name, channels, arrays)
    raise DataError(f"codec {name!r}: expected fp16, int8, pca-int8, pca-int4 or none")
