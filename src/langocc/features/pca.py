# SPDX-License-Identifier: Apache-2.0
"""Features as principal components of their scene, each a signed byte or half of one.

The components are fitted to each scene and lie in its shard. A component's levels are multiples of
its own step. Half bytes (levels -7 .. 7) suffice for all but the first components: their variance
is small, and what they lose is less than what as many bytes of whole components would gain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from langocc.errors import ConfigError, DataError

Arrays = Mapping[str, np.ndarray]
PcaName = Literal["pca-int8", "pca-int4"]

WHOLE = 8
"""Components that `pca-int4` stores as whole bytes."""
HALF_SPAN = 3.0
"""Standard deviations that the largest level of a half byte stands for."""


@dataclass(frozen=True)
class Pca:
    """Principal components.

    Attributes:
        mean: Mean feature.
        basis: Orthonormal rows, leading component first.
        steps: Value of one level, per component.
        name: Its name in files and options.
    """

    mean: Float[Tensor, " channel"]
    basis: Float[Tensor, "component channel"]
    steps: Float[Tensor, " component"]
    name: PcaName = "pca-int8"

    @property
    def channels(self) -> int:
        """Size of a feature."""
        return self.basis.shape[1]

    @property
    def whole(self) -> int:
        """Components stored as whole bytes; they come first."""
        return whole_components(self.name, len(self.basis))

    @property
    def row_bytes(self) -> int:
        """One a whole component, one a pair of the others."""
        return pca_row_bytes(self.name, len(self.basis))

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
        levels = (features.float() - self.mean.to(to)) @ (self.basis.T / self.steps[None]).to(to)
        levels = levels.round()
        whole = levels[:, : self.whole].clamp(-127, 127).to(torch.int8).view(torch.uint8)
        half = (levels[:, self.whole :].clamp(-7, 7) + 8).to(torch.uint8)
        return torch.cat([whole, half[:, ::2] * 16 + half[:, 1::2]], dim=1)

    def decode(self, codes: UInt8[Tensor, "ray byte"]) -> Float[Tensor, "ray channel"]:
        """Back into the teacher's space."""
        to = codes.device
        levels = torch.empty(len(codes), len(self.basis), device=to)
        levels[:, : self.whole] = codes[:, : self.whole].contiguous().view(torch.int8)
        half = codes[:, self.whole :]
        levels[:, self.whole :: 2] = (half >> 4).float() - 8
        levels[:, self.whole + 1 :: 2] = (half & 15).float() - 8
        return torch.addmm(self.mean.to(to), levels, (self.steps[:, None] * self.basis).to(to))


def whole_components(name: str, components: int) -> int:
    """How many of the components are stored as whole bytes."""
    return components if name == "pca-int8" else min(WHOLE, components)


def pca_row_bytes(name: str, components: int) -> int:
    """Bytes of an encoded row."""
    whole = whole_components(name, components)
    return whole + (components - whole) // 2


def fit_pca(
    features: Float[Tensor, "ray channel"], components: int, name: PcaName = "pca-int8"
) -> Pca:
    """Components of a sample of features. The same sample gives the same codec.

    The level of a whole byte is the largest magnitude in the sample / 120: larger ones, up to 127
    levels, still fit.

    Raises:
        ConfigError: more components than channels, none, or half bytes that make no pairs.
    """
    if not 1 <= components <= features.shape[1]:
        raise ConfigError(
            f"codec {name}: expected 1 to {features.shape[1]} components, found {components}"
        )
    whole = whole_components(name, components)
    if (components - whole) % 2:
        raise ConfigError(f"codec {name}: expected an even number of components above {WHOLE}")
    data = features.double()
    mean = data.mean(dim=0) if len(data) else data.new_zeros(data.shape[1])
    centred = data - mean
    basis = _eigenvectors(centred.T @ centred).flip(1)[:, :components].T
    largest = basis.abs().argmax(dim=1, keepdim=True)
    basis = basis * basis.gather(1, largest).sign()  # an eigenvector's sign is arbitrary: fix it
    basis = basis.to(torch.float16).float()  # what a reader will have
    projected = centred.float() @ basis.T
    if len(data) == 0:
        projected = projected.new_ones(1, components)
    steps = projected.abs().amax(dim=0) / 120
    steps[whole:] = projected[:, whole:].square().mean(dim=0).sqrt() * (HALF_SPAN / 7)
    return Pca(mean.float(), basis, steps.clamp_min(1e-8), name)


def _eigenvectors(
    matrix: Float64[Tensor, "channel channel"],
) -> Float64[Tensor, "channel channel"]:
    """Of a symmetric matrix, in columns, by rising eigenvalue.

    Always on one thread of the processor: a GPU would do it in thousands of small steps between
    those of a teacher that is at work, and another number of threads might give other last bits.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return torch.linalg.eigh(matrix.cpu())[1].to(matrix.device)
    finally:
        torch.set_num_threads(threads)


def pca_of(name: PcaName, channels: int, arrays: Arrays) -> Pca:
    """The codec that a shard was written with.

    Raises:
        DataError: its arrays are missing or of another size.
    """
    try:
        mean, basis, steps = (
            torch.from_numpy(np.asarray(arrays[key], dtype=np.float32).copy())
            for key in ("mean", "basis", "steps")
        )
    except KeyError as error:
        raise DataError(f"codec {name}: its array {error} is missing") from None
    if basis.shape != (len(steps), channels) or mean.shape != (channels,):
        raise DataError(
            f"codec {name}: expected a basis of {len(steps)} x {channels} and a mean of "
            f"{channels}, found {tuple(basis.shape)} and {tuple(mean.shape)}"
        )
    return Pca(mean, basis, steps, name)
