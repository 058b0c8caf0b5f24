# SPDX-License-Identifier: Apache-2.0
"""How vehicles move along routes: keeping distance, braking for bends, waiting at lights."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from langocc.geometry.rigid import Transform
from langocc.scenes.city.curve import Curve
from langocc.scenes.city.stage import Relief

STEP_S = 0.1
_ACCELERATION, _BRAKING = 1.6, 2.2
_REACH_S = 1.2
_GAP_M = 2.6
_SIDEWAYS = 1.9
"""Metres and seconds of a calm driver: acceleration, comfortable braking, time headway, gap when
standing, sideways acceleration in bends."""

Signal = Callable[[float], bool]
"""Whether it is red at a time in seconds."""


@dataclass
class Driver:
    """A vehicle on a route; `along` is its middle.

    Attributes:
        route: Where it drives.
        along: Start, metres; grows while it drives.
        speed: Metres per second.
        wish: Speed it would like to drive.
        length_m: Of the vehicle.
        stops: Stop lines ahead (arc length) and their signals.
        leaves_at: Where it leaves the lane that others share with it; inf if never.
        track: Arc length at every step.
    """

    route: Curve
    along: float
    speed: float
    wish: float
    length_m: float
    stops: list[tuple[float, Signal]] = field(default_factory=list)
    leaves_at: float = np.inf
    track: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Drive:
    """A pose over time along a route, on the relief.

    Attributes:
        route: The way.
        along: Arc length at each multiple of `STEP_S`.
        relief: The ground.
        lag_m: How far behind the point on the route the thing is (trailers).
    """

    route: Curve
    along: np.ndarray
    relief: Relief
    lag_m: float = 0.0

    def __call__(self, time_s: float) -> Transform:
        """`world_from_thing` at a time in seconds; a smooth motion through the steps."""
        at = np.array([self.distance(time_s) - self.lag_m])
        xy, yaw = self.route.at(at)[0], float(self.route.heading(at)[0])
        return self.relief.pose(xy, yaw)

    def distance(self, time_s: float) -> float:
        """Arc length at a time, with continuous speed (Catmull-Rom between the steps)."""
        last = len(self.along) - 1
        position = min(max(time_s / STEP_S, 0.0), float(last))
        i = min(int(position), last - 1)
        t = position - i
        p1, p2 = self.along[i], self.along[i + 1]
        before = self.along[i - 1] if i > 0 else 2 * p1 - p2
        after = self.along[i + 2] if i + 2 <= last else 2 * p2 - p1
        m1, m2 = (p2 - before) / 2, (after - p1) / 2
        return float(
            (2 * t**3 - 3 * t**2 + 1) * p1
            + (t**3 - 2 * t**2 + t) * m1
            + (3 * t**2 - 2 * t**3) * p2
            + (t**3 - t**2) * m2
        )


def simulate(lanes: list[list[Driver]], duration_s: float) -> None:
    """Fills the tracks of all drivers; a lane's drivers keep distance to one another."""
    limits = {id(d): _speed_limit(d.route) for lane in lanes for d in lane}
    for step in range(round(duration_s / STEP_S) + 3):
        time_s = step * STEP_S
        for lane in lanes:
            lane.sort(key=lambda driver: -driver.along)
            changes = [
                _acceleration(driver, lane[:i], limits[id(driver)], time_s)
                for i, driver in enumerate(lane)
            ]
            for driver, change in zip(lane, changes, strict=True):
                driver.track.append(driver.along)
                faster = max(0.0, driver.speed + change * STEP_S)
                driver.along += 0.5 * (driver.speed + faster) * STEP_S
                driver.speed = faster


def _speed_limit(route: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Arc lengths and the speed that bends allow there, braking in time."""
    along, curvature = route.curvature()
    speed = np.sqrt(_SIDEWAYS / np.maximum(np.abs(curvature), 1e-4))
    step = along[1] - along[0]
    for i in range(len(speed) - 2, -1, -1):
        speed[i] = min(speed[i], np.sqrt(speed[i + 1] ** 2 + 2 * 0.8 * _BRAKING * step))
    return along, speed


def _acceleration(
    driver: Driver, ahead: list[Driver], limit: tuple[np.ndarray, np.ndarray], time_s: float
) -> float:
    """The intelligent-driver rule (Treiber et al. 2000) against the nearest thing ahead."""
    wish = min(driver.wish, float(np.interp(driver.along + 0.5, *limit)))
    gaps = [(driver.route.length_m + 60.0 - driver.along, 0.0)]
    for leader in reversed(ahead):
        if leader.along < leader.leaves_at and driver.along < driver.leaves_at:
            bodies = (leader.length_m + driver.length_m) / 2
            gaps.append((leader.along - driver.along - bodies, leader.speed))
            break
    for line, is_red in driver.stops:
        gap = line - driver.along - driver.length_m / 2
        can_stop = gap > driver.speed**2 / (2 * 3.5) - 0.5
        if gap > -1.0 and can_stop and is_red(time_s):
            gaps.append((gap + _GAP_M - 0.6, 0.0))
    strongest = 0.0
    for gap, speed in gaps:
        closing = driver.speed * (driver.speed - speed) / (2 * np.sqrt(_ACCELERATION * _BRAKING))
        wanted = _GAP_M + max(0.0, driver.speed * _REACH_S + closing)
        strongest = max(strongest, (wanted / max(gap, 0.1)) ** 2)
    freely = 1 - (driver.speed / max(wish, 0.1)) ** 4
    return float(np.clip(_ACCELERATION * (freely - strongest), -4.5, _ACCELERATION))
