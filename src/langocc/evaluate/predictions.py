# SPDX-License-Identifier: Apache-2.0
"""Saved predictions: a folder of `<token>.npz`, from this package's model or anyone else's.

    semantics       uint8   [x, y, z]  Occ3D ids 0..17, 17 is free
    density         float16 [x, y, z]  optional: 1/m; other thresholds can then be tried
    classes         uint8   [x, y, z]  optional: class 0..16 of every voxel, free or not; needed
                                       for thresholds below the one `semantics` was made with
    threshold       float32 []         optional: the density `semantics` was made with, 1/m
    point_features  float16 [point, C] optional: feature of each point of the LiDAR file, in file
                                       order; points outside the grid read its nearest point, and
                                       an all-zero row says "no answer"

Instead of `semantics` a file may hold `density` and `features`: see `feature_grids.py`.
A dense 512-d field is 655 MB a frame and is never written.

Source: design.md, "Saved prediction".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float16, UInt8

from langocc.errors import ConfigError, DataError
from langocc.evaluate.archives import array_names, read_arrays, write_arrays
from langocc.evaluate.feature_grids import PAPER_DENSITY, Prompts, feature_rows
from langocc.evaluate.occupancy import semantics_at
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.scenes.occ3d import FREE_ID


@dataclass(frozen=True)
class Prediction:
    """One frame's prediction; the arrays are those of the file."""

    semantics: UInt8[np.ndarray, "*grid"]
    density: Float16[np.ndarray, "*grid"] | None = None
    classes: UInt8[np.ndarray, "*grid"] | None = None
    threshold: float | None = None

    def where(self, mask: Bool[np.ndarray, "*grid"]) -> "Prediction":
        """Only the voxels of a mask, in a row."""
        parts = (self.semantics, self.density, self.classes)
        return Prediction(*(None if p is None else p[mask] for p in parts), self.threshold)  # pyright: ignore

    def at(self, threshold: float | None) -> UInt8[np.ndarray, "*grid"]:
        """Ids under a density threshold (1/m); None takes `semantics` as it is.

        Raises:
            ConfigError: the prediction has no density, or the threshold asks for classes of voxels
                that were saved as free.
        """
        if threshold is None or threshold == self.threshold:
            return self.semantics
        if self.density is None:
            raise ConfigError("thresholds: the predictions hold no density, only semantics")
        if self.classes is not None:
            unknown = int(np.sum((self.classes == FREE_ID) & (self.density >= threshold)))
            if unknown:
                raise ConfigError(
                    f"thresholds: {unknown} voxels of a density of at least {threshold} have no "
                    "class or feature in the prediction"
                )
            return semantics_at(threshold, self.classes, self.density)
        is_above = self.threshold is not None and threshold > self.threshold
        if not is_above and np.any((self.semantics == FREE_ID) & (self.density >= threshold)):
            raise ConfigError(
                f"thresholds: {threshold} is below the density the saved semantics were made with; "
                "their free voxels have no class (save `classes` too)"
            )
        return semantics_at(threshold, self.semantics, self.density)


def prediction_path(folder: Path, token: str) -> Path:
    """Where the prediction of a frame lies."""
    return folder / f"{token}.npz"


def missing_tokens(folder: Path, tokens: Sequence[str]) -> list[str]:
    """Tokens without a prediction.

    Raises:
        DataError: the folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of <token>.npz predictions, found none")
    there = {path.stem for path in folder.glob("*.npz")}
    return [token for token in tokens if token not in there]


def write_prediction(
    folder: Path,
    token: str,
    prediction: Prediction,
    point_features: Float16[np.ndarray, "point channel"] | None = None,
) -> Path:
    """Writes one prediction, whole or not at all, and returns its path.

    Raises:
        ValueError: shapes differ, ids are above 17, or a number is not finite.
    """
    problem = _problem(prediction)
    if problem is None and point_features is not None and not np.isfinite(point_features).all():
        problem = "point_features: expected finite numbers, got NaN or infinity"
    if problem:
        raise ValueError(problem)
    arrays: dict[str, np.ndarray] = {"semantics": prediction.semantics}
    for name in ("density", "classes"):
        array = getattr(prediction, name)
        if array is not None:
            arrays[name] = array
    if prediction.threshold is not None:
        arrays["threshold"] = np.float32(prediction.threshold)  # pyright: ignore
    if point_features is not None:
        arrays["point_features"] = point_features
    path = prediction_path(folder, token)
    write_arrays(path, arrays, stored=("point_features",))
    return path


def read_prediction(
    path: Path, *, with_density: bool = True, prompts: Prompts | None = None
) -> Prediction:
    """Reads the grids of a prediction; makes classes of features where it holds those instead.

    Args:
        path: The file.
        with_density: Also read what other thresholds need; without it the read is half as long.
        prompts: What features are compared with.

    Raises:
        DataError: damaged file, missing array, wrong type or shape, ids above 17, NaN, an occupied
            voxel without a feature, features but no `prompts`.
    """
    optional = ("density", "classes", "threshold") if with_density else ("threshold",)
    arrays = read_arrays(path, optional=("semantics", *optional))
    if "semantics" not in arrays:
        return _classified(path, prompts)
    semantics, density = arrays["semantics"], arrays.get("density")
    classes, threshold = arrays.get("classes"), arrays.get("threshold")
    for name, array in (("semantics", semantics), ("classes", classes)):
        if array is not None and array.dtype != np.uint8:
            raise DataError(f"{path}: {name}: expected uint8, got {array.dtype}")
    if semantics.ndim != 3:
        raise DataError(f"{path}: semantics: expected [x, y, z], got {semantics.shape}")
    prediction = Prediction(
        semantics,
        None if density is None else density.astype(np.float16, copy=False),
        classes,
        None if threshold is None else round(float(threshold), 6),
    )
    problem = _problem(prediction)
    if problem:
        raise DataError(f"{path}: {problem}")
    return prediction


def read_point_features(
    path: Path, points_ego_m: Float[np.ndarray, "point 3"], grid: VoxelGrid = OCC3D_GRID
) -> np.ndarray:
    """Reads `point_features`, checked against the LiDAR file; else looks up points in `features`.

    Args:
        path: The prediction.
        points_ego_m: All points of the frame's LiDAR file, key ego frame, metres.
        grid: Where the voxels of `features` lie.

    Returns:
        float16 [point, channel].

    Raises:
        DataError: neither array, another number of rows than points, NaN or infinity (counted).
    """
    points = len(points_ego_m)
    arrays = read_arrays(path, optional=("point_features", "density", "features", "voxels"))
    if "point_features" not in arrays:
        _need(path, arrays, "point_features", "density and features")
        return feature_rows(arrays, path).at(points_ego_m, grid)
    features = arrays["point_features"]
    if features.ndim != 2 or len(features) != points:
        raise DataError(
            f"{path}: point_features: expected [{points}, C], a row per LiDAR point, got "
            f"{list(features.shape)}"
        )
    broken = int((~np.isfinite(features).all(axis=1)).sum())
    if broken:
        raise DataError(f"{path}: point_features: {broken} of {points} rows hold NaN or infinity")
    return features


def _classified(path: Path, prompts: Prompts | None) -> Prediction:
    """The prediction of a file with density and features."""
    arrays = read_arrays(path, optional=("density", "features", "voxels", "threshold"))
    _need(path, arrays, "semantics", "density and features")
    if prompts is None:
        raise DataError(f"{path}: features, no semantics: name the prompts (--vocabulary)")
    threshold = round(float(arrays.get("threshold", PAPER_DENSITY)), 6)
    density = arrays["density"].astype(np.float16, copy=False)
    classes = feature_rows(arrays, path).classes(prompts, path)
    silent = int(((classes == FREE_ID) & (density >= threshold)).sum())
    if silent:
        raise DataError(
            f"{path}: features: {silent} voxels of a density of at least {threshold} have none"
        )
    prediction = Prediction(semantics_at(threshold, classes, density), density, classes, threshold)
    problem = _problem(prediction)
    if problem:
        raise DataError(f"{path}: {problem}")
    return prediction


def _need(path: Path, arrays: Mapping[str, np.ndarray], first: str, instead: str) -> None:
    """Refuses a file that has neither an array nor density and features in its place."""
    if not {"density", "features"} <= arrays.keys():
        raise DataError(f"{path}: expected {first}, or {instead}; found {array_names(path)}")


def _problem(prediction: Prediction) -> str | None:
    semantics = prediction.semantics
    for name in ("density", "classes"):
        array = getattr(prediction, name)
        if array is not None and array.shape != semantics.shape:
            return f"{name}: expected {semantics.shape} like semantics, got {array.shape}"
    for name, array in (("semantics", semantics), ("classes", prediction.classes)):
        if array is not None and array.size and array.max() > FREE_ID:
            return f"{name}: expected Occ3D ids 0..{FREE_ID}, got {int(array.max())}"
    if prediction.density is not None and not np.isfinite(prediction.density).all():
        broken = int((~np.isfinite(prediction.density)).sum())
        return f"density: expected finite numbers, got {broken} NaN or infinite voxels"
    return None
