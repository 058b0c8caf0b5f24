# SPDX-License-Identifier: Apache-2.0
"""Roads as curves with cross sections, and the junctions where they meet."""

from dataclasses import dataclass

import numpy as np

from langocc.scenes.city.curve import Curve, bend, winding
from langocc.scenes.city.districts import District

LANE_M = 3.4
PARKING_M = 2.4
_STRAIGHT_M = 38.0


@dataclass(frozen=True)
class Road:
    """A road.

    Attributes:
        axis: Its centre line.
        lanes: Lanes in each direction; traffic keeps to the right.
        has_parking: A parking lane along each kerb.
        walk_m: Width of the sidewalk on each side.
        verge_m: Width of the green strip between kerb and sidewalk.
        median_m: Width of the raised island between the directions; 0 without.
    """

    axis: Curve
    lanes: int
    has_parking: bool
    walk_m: float
    verge_m: float
    median_m: float = 0.0

    @property
    def half_m(self) -> float:
        """From the axis to the kerb."""
        return self.median_m / 2 + self.lanes * LANE_M + (PARKING_M if self.has_parking else 0.4)

    @property
    def edge_m(self) -> float:
        """From the axis to the outer edge of the sidewalk."""
        return self.half_m + self.verge_m + self.walk_m

    def lane(self, index: int) -> Curve:
        """Middle of a lane in the axis' direction; 0 is next to the axis."""
        return self.axis.shifted(-self.lane_m(index))

    def lane_m(self, index: int) -> float:
        """Distance of a lane's middle from the axis."""
        return self.median_m / 2 + (index + 0.5) * LANE_M


@dataclass(frozen=True)
class Junction:
    """Where a side road meets the main road.

    Attributes:
        main_m: Arc length on the main road.
        side: The crossing road; its axis runs to the main road's left.
        side_m: Arc length on the side road; 0 where it ends here (a T).
        has_lights: Traffic lights, else a stop sign for the side road.
    """

    main_m: float
    side: Road
    side_m: float
    has_lights: bool


@dataclass(frozen=True)
class Network:
    """The roads of a scene; the main road first."""

    main: Road
    junctions: tuple[Junction, ...]

    @property
    def roads(self) -> list[Road]:
        """All roads."""
        return [self.main, *(j.side for j in self.junctions)]

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """Metres from points [point, 2] to the nearest outer edge of a road; negative on roads."""
        gaps = []
        for road in self.roads:
            along, left = road.axis.project(points)
            beyond = np.maximum(np.maximum(-along, along - road.axis.length_m), 0)
            gaps.append(np.hypot(np.abs(left), beyond) - road.edge_m)
        return np.min(gaps, axis=0)

    def covers(self, points: np.ndarray, margin_m: float) -> np.ndarray:
        """Whether points lie on a road or its sidewalks, this far within the outer edge."""
        covered = np.zeros(len(points), bool)
        for road in self.roads:
            along, left = road.axis.project(points)
            is_beside = (along > 0) & (along < road.axis.length_m)
            covered |= is_beside & (np.abs(left) < road.edge_m - margin_m)
        return covered


def draw_network(
    generator: np.random.Generator, district: District, length_m: float, turn: str
) -> Network:
    """A main road with one or two junctions; bends lie between them."""
    first = generator.uniform(95, 125) if turn == "none" else generator.uniform(100, 115)
    places = [first]
    if generator.random() < 0.55 and length_m > first + 190:
        places.append(first + generator.uniform(110, 140))
    turns = _bends(generator, places, length_m, district.curviness)
    points = winding(length_m, 0.0, turns)
    main = _road(generator, district, points, district.lanes)
    junctions = tuple(
        _junction(generator, district, main, place, i == 0 and turn != "none", turn)
        for i, place in enumerate(places)
    )
    return Network(main, junctions)


def _road(
    generator: np.random.Generator, district: District, points: np.ndarray, lanes: tuple[int, ...]
) -> Road:
    count = int(generator.choice(lanes))
    return Road(
        Curve(points),
        count,
        bool(generator.random() < district.parking),
        float(generator.uniform(*district.walk_m)),
        float(generator.choice(district.verge_m)),
        float(generator.choice([0.0, 2.4, 2.4])) if count > 1 else 0.0,
    )


def _bends(
    generator: np.random.Generator, places: list[float], length_m: float, curviness: float
) -> list[tuple[float, float, float]]:
    """Bends in the gaps between the straight parts around junctions."""
    gaps, start = [], 0.0
    for place in [*places, length_m + _STRAIGHT_M]:
        gaps.append((start, place - _STRAIGHT_M))
        start = place + _STRAIGHT_M
    bends = []
    for low, high in gaps:
        if high - low > 30:
            angle = np.clip(generator.normal(0, curviness), -1.2, 1.2)
            angle = np.clip(angle, -(high - low) / 70, (high - low) / 70)  # radius above 45 m
            bends.append((low, high, float(angle)))
    return bends


def _junction(
    generator: np.random.Generator,
    district: District,
    main: Road,
    main_m: float,
    is_turned: bool,
    turn: str,
) -> Junction:
    """A crossing or a T at an arc length of the main road."""
    at = np.array([main_m])
    point, heading = main.axis.at(at)[0], float(main.axis.heading(at)[0])
    angle = heading + np.pi / 2 + generator.normal(0, 0.08)
    is_t = generator.random() < 0.35
    goes_left = generator.random() < 0.5 if not is_turned else turn == "left"
    if is_t and not goes_left:
        angle += np.pi
    reach = 130.0
    curved = [(45.0, 110.0, float(generator.normal(0, 0.25)))]
    out = winding(reach, angle, curved) + point
    back = winding(reach, angle + np.pi, [(45.0, 110.0, float(generator.normal(0, 0.25)))]) + point
    points = out if is_t else np.concatenate([back[:0:-1], out])
    side = _road(generator, district, points, district.side_lanes)
    side_m = 0.0 if is_t else float(side.axis.project(point[None])[0][0])
    return Junction(main_m, side, side_m, bool(generator.random() < district.lights))


def turn_route(network: Network, junction: Junction, lane: int, turn: str) -> Curve:
    """The way along the main road's lane and round the corner into the side road."""
    main, side = network.main, junction.side
    at = np.array([junction.main_m])
    heading = float(main.axis.heading(at)[0])
    side_heading = float(side.axis.heading(np.array([junction.side_m]))[0])
    is_left_going = np.sin(side_heading - heading) > 0
    axis = side.axis if is_left_going == (turn == "left") else side.axis.reversed()
    start = junction.side_m if axis is side.axis else side.axis.length_m - junction.side_m
    exit_left = -side.lane_m(side.lanes - 1 if turn == "right" else 0)
    before = junction.main_m - side.half_m - (2.5 if turn == "left" else 5.0)
    after = start + main.half_m + (2.0 if turn == "left" else 5.0)
    approach = main.lane(lane)
    entry, _ = approach.project(main.axis.at(np.array([before])))
    way_in = approach.at(np.arange(0, float(entry[0]), 0.5))
    way_out = axis.at(np.arange(after, axis.length_m, 0.5), exit_left)
    corner = bend(
        way_in[-1],
        float(approach.heading(entry)[0]),
        way_out[0],
        float(axis.heading(np.array([after]))[0]),
    )
    return Curve(np.concatenate([way_in, corner[1:-1], way_out]))
