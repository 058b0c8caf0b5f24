# SPDX-License-Identifier: Apache-2.0
"""How rays are rendered: the constants of the method, as published by default."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RenderConfig:
    """Sampling of a ray and choice of implementation.

    Raises:
        ValueError: a value for which no ray could be rendered.

    Source: method.md section 4.
    """

    near_m: float = 0.05
    """Where a ray starts, metres."""
    far_m: float = 40.0
    """Where a ray ends, metres."""
    proposals: int = 50
    """Intervals at which the density is probed first."""
    samples: int = 100
    """Samples placed where the probing found something."""
    jitter: bool = True
    """Move the inner proposal edges by up to half an interval; published also at test time."""
    implementation: Literal["readable", "sparse", "triton", "fused"] = "fused"
    """`readable` builds the whole feature volume. `sparse` (torch, any device) and `triton` (GPU)
    give the same numbers without it; `fused` takes the faster of these two that can run."""
    chunk_rays: int | None = None
    """Render at most so many rays of each scene at a time; None: all at once."""

    def __post_init__(self) -> None:
        """Refuses empty rays and too few samples."""
        if not 0.0 <= self.near_m < self.far_m:
            raise ValueError(
                f"near_m, far_m: expected 0 <= near_m < far_m, got {self.near_m} and {self.far_m}"
            )
        if self.proposals < 2 or self.samples < 2:
            raise ValueError(
                "proposals, samples: expected at least 2 of each, "
                f"got {self.proposals} and {self.samples}"
            )
        if self.chunk_rays is not None and self.chunk_rays < 1:
            raise ValueError(f"chunk_rays: expected at least 1, got {self.chunk_rays}")
