# SPDX-License-Identifier: Apache-2.0
"""Room between boxes over time, so that nothing drives through anything else."""

from collections.abc import Callable

import numpy as np

from langocc.geometry.rigid import Transform
from langocc.scenes.city.world import Mover, Still, Thing

_STEP_S = 0.25
_DISCS = 4
EGO_SIZE_M = (4.1, 1.8, 1.6)
EGO_MIDDLE_M = 1.15
"""The ego vehicle's size and how far its middle lies ahead of its origin, the rear axle."""


def times(duration_s: float) -> np.ndarray:
    """The moments at which room is checked."""
    return np.arange(0.0, duration_s + _STEP_S, _STEP_S)


def discs(
    poses: list[Transform], size_m: tuple[float, float, float], ahead_m: float = 0.0
) -> tuple[np.ndarray, float]:
    """Centres [time, disc, 2] and radius of discs that cover a box's footprint."""
    length, width, _ = size_m
    radius = float(np.hypot(width / 2, length / (2 * _DISCS)))
    offsets = (np.arange(_DISCS) + 0.5) / _DISCS * length - length / 2 + ahead_m
    matrices = np.stack(poses)
    centres = matrices[:, None, :2, 3] + offsets[None, :, None] * matrices[:, None, :2, 0]
    return centres, radius


def without_collisions(
    movers: list[Mover],
    things: list[Thing],
    world_from_ego: Callable[[float], Transform],
    duration_s: float,
    room_m: float = 0.25,
) -> list[Mover]:
    """Drops movers that come too near the ego vehicle or a mover earlier in the list."""
    moments = times(duration_s)
    ego = discs([world_from_ego(float(t)) for t in moments], EGO_SIZE_M, EGO_MIDDLE_M)
    kept: list[Mover] = []
    placed = [(*ego, room_m + 0.25)]
    for mover in movers:
        asked = moments[:1] if isinstance(mover.world_from_thing, Still) else moments
        poses = [mover.world_from_thing(float(t)) for t in asked]
        centres, radius = discs(poses, things[mover.thing].size_m)
        if all(_apart(centres, radius, other, r, room) for other, r, room in placed):
            kept.append(mover)
            placed.append((centres, radius, -0.35))  # discs overstate boxes; lanes are narrow
    return kept


def _apart(a: np.ndarray, a_radius: float, b: np.ndarray, b_radius: float, room: float) -> bool:
    """Whether two sets of discs keep apart at all times."""
    limit = a_radius + b_radius + room
    low = np.maximum(a.min(axis=(0, 1)), b.min(axis=(0, 1)))
    high = np.minimum(a.max(axis=(0, 1)), b.max(axis=(0, 1)))
    if np.any(low - high > limit):
        return True  # they never come near; most pairs end here
    gap = a[:, :, None] - b[:, None]
    return bool(np.hypot(gap[..., 0], gap[..., 1]).min() >= limit)
