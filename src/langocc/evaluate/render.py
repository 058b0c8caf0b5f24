# SPDX-License-Identifier: Apache-2.0
"""How well a field renders: features against the teacher's, depth against the LiDAR's.

The rays are those of LiDAR points, so depth is known where the feature is compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from langocc.evaluate.bootstrap import Interval, bootstrap

GOOD_RATIO = 1.25
"""A depth within this factor of the LiDAR's counts as good."""


@dataclass(frozen=True)
class RenderScores:
    """Means over rays.

    Attributes:
        rays: Rays compared.
        missed: Of these, rays that render nothing (a feature of zeros); their cosine counts as 0.
        cosine: Mean cosine of rendered and teacher feature.
        absolute_m: Mean absolute depth error, metres.
        relative: Mean absolute depth error over LiDAR depth.
        median_relative: Its median.
        good: Share of rays within `GOOD_RATIO` of the LiDAR's depth, percent.
    """

    rays: int
    missed: int
    cosine: float
    absolute_m: float
    relative: float
    median_relative: float
    good: float
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    """95 % over redrawn scenes of the means: `cosine`, `absolute_m`, `relative`, `good`."""


@dataclass
class RenderErrors:
    """Per-ray errors of many frames: 16 bytes a ray, so that medians are exact."""

    cosines: list[np.ndarray] = field(default_factory=list)
    depths_m: list[np.ndarray] = field(default_factory=list)
    truths_m: list[np.ndarray] = field(default_factory=list)
    scenes: list[str] = field(default_factory=list)

    def update(
        self,
        rendered: Float[Tensor, "ray channel"],
        teacher: Float[Tensor, "ray channel"],
        depth_m: Float[Tensor, " ray"],
        lidar_m: Float[Tensor, " ray"],
        scene: str = "",
    ) -> None:
        """Adds the rays of a frame.

        Args:
            rendered: Rendered features of any length; zeros where a ray misses everything.
            teacher: The teacher's features of the same pixels.
            depth_m: Rendered distance along the ray, metres.
            lidar_m: Distance of the LiDAR point along the same ray, metres, > 0.
            scene: Name of the frame's scene.

        Raises:
            ValueError: a number is not finite, or a LiDAR distance is not positive.
        """
        for name, values in (("rendered", rendered), ("teacher", teacher), ("depth_m", depth_m)):
            broken = int((~values.isfinite()).sum())
            if broken:
                raise ValueError(f"{name}: expected finite numbers, got {broken} NaN or infinite")
        if not bool((lidar_m > 0).all()):
            raise ValueError("lidar_m: expected distances > 0 m")
        cosine = functional.cosine_similarity(rendered.float(), teacher.float(), dim=-1)
        missed = ~rendered.any(dim=-1)
        cosine = cosine.masked_fill(missed, float("nan"))
        self.cosines.append(cosine.cpu().numpy())
        self.depths_m.append(depth_m.float().cpu().numpy())
        self.truths_m.append(lidar_m.float().cpu().numpy())
        self.scenes.append(scene)

    def merge(self, other: "RenderErrors") -> "RenderErrors":
        """Both parts together; neither is changed."""
        return RenderErrors(
            self.cosines + other.cosines,
            self.depths_m + other.depths_m,
            self.truths_m + other.truths_m,
            self.scenes + other.scenes,
        )

    def scores(self) -> RenderScores:
        """Means over all rays.

        Raises:
            ValueError: no ray was added.
        """
        cosine, depth, truth = (
            np.concatenate([np.zeros(0, np.float32), *parts])
            for parts in (self.cosines, self.depths_m, self.truths_m)
        )
        if not len(cosine):
            raise ValueError("render scores: expected at least one ray, got none")
        error = np.abs(depth - truth)
        ratio = np.maximum(depth / truth, truth / np.maximum(depth, 1e-6))
        return RenderScores(
            rays=len(cosine),
            missed=int(np.isnan(cosine).sum()),
            cosine=float(np.nan_to_num(cosine).mean(dtype=np.float64)),
            absolute_m=float(error.mean(dtype=np.float64)),
            relative=float((error / truth).mean(dtype=np.float64)),
            median_relative=float(np.median(error / truth)),
            good=100.0 * float((ratio < GOOD_RATIO).mean()),
            intervals=self._intervals(np.nan_to_num(cosine), error, truth, ratio),
        )

    def _intervals(
        self, cosine: np.ndarray, error: np.ndarray, truth: np.ndarray, ratio: np.ndarray
    ) -> Mapping[str, Interval | None]:
        """Of the means, from the sums of each scene's rays."""
        names, number = np.unique(self.scenes, return_inverse=True)
        owner = np.repeat(number, [len(part) for part in self.cosines])
        columns = (cosine, error, error / truth, 100.0 * (ratio < GOOD_RATIO), np.ones(len(error)))
        sums = np.stack([np.bincount(owner, column, len(names)) for column in columns], axis=1)
        found = bootstrap(list(sums), lambda total: list(total[:-1] / total[-1]))
        return dict(zip(("cosine", "absolute_m", "relative", "good"), found, strict=True))
