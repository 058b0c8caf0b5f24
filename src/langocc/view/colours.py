# SPDX-License-Identifier: Apache-2.0
"""Numbers to colours: classes, heat, features."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from langocc.scenes.occ3d import FREE_ID, OCC3D_PALETTE

_HEAT = np.array(
    [(226, 229, 234), (238, 222, 184), (250, 190, 90), (238, 110, 50), (196, 30, 60), (110, 0, 70)],
    dtype=np.float64,
)
"""Pale grey over yellow and red to dark wine: darkness grows all the way, also in grey."""


def class_colours(ids: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours of Occ3D ids; free is white."""
    palette = np.full((FREE_ID + 1, 3), 255, dtype=np.uint8)
    palette[: len(OCC3D_PALETTE)] = OCC3D_PALETTE
    return palette[np.minimum(ids, FREE_ID)]


def heat_colours(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Colours of numbers in [0, 1]; beyond is clipped, NaN counts as 0."""
    at = np.clip(np.nan_to_num(np.asarray(values, np.float64)), 0, 1) * (len(_HEAT) - 1)
    stops = np.arange(len(_HEAT))
    channels = [np.interp(at, stops, channel) for channel in _HEAT.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def heat_range(scores: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Scores that become 0 and 1: the median and all but the best thousandth.

    What answers a query is rare, so the lower half stays dark.
    """
    known = scores[np.isfinite(scores)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, [50, 99.9])
    return float(low), float(max(high, low + 1e-6))


def feature_colours(
    features: Sequence[Float[np.ndarray, "_ channel"]],
    is_shown: Sequence[Bool[np.ndarray, " _"]] | None = None,
) -> list[UInt8[np.ndarray, "_ 3"]]:
    """The three leading principal components as red, green, blue, the same for all arrays.

    Args:
        features: Features of several pictures, row by row.
        is_shown: Rows that count; the others become white.
    """
    shown = [np.ones(len(f), bool) for f in features] if is_shown is None else is_shown
    rows = np.concatenate([f[s] for f, s in zip(features, shown, strict=True)]).astype(np.float32)
    if not len(rows):
        return [np.full((len(f), 3), 255, np.uint8) for f in features]
    mean = rows.mean(axis=0)
    centred = rows - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :3]
    basis = basis * np.where(np.abs(basis).max(axis=0) == basis.max(axis=0), 1, -1)  # fixed signs
    low, high = np.percentile(centred @ basis, [1, 99], axis=0)
    span = np.maximum(high - low, 1e-9)
    return [
        _painted(((f.astype(np.float32) - mean) @ basis - low) / span, s)
        for f, s in zip(features, shown, strict=True)
    ]


def _painted(
    values: Float[np.ndarray, "n 3"], shown: Bool[np.ndarray, " n"]
) -> UInt8[np.ndarray, "n 3"]:
    colours = (np.clip(values, 0, 1) * 235 + 10).astype(np.uint8)
    colours[~shown] = 255
    return colours
