# SPDX-License-Identifier: Apache-2.0
"""Life beside the traffic: parked vehicles and people on foot."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from langocc.geometry.rigid import Transform
from langocc.scenes.city.curve import Curve
from langocc.scenes.city.districts import District
from langocc.scenes.city.ground import KERB_M, LAND_M, arms, open_stretches
from langocc.scenes.city.objects.cars import car
from langocc.scenes.city.objects.cycles import bicycle, motorcycle
from langocc.scenes.city.objects.heavy import trailer, truck
from langocc.scenes.city.objects.people import person
from langocc.scenes.city.roads import Network, Road
from langocc.scenes.city.stage import Model, Relief, Stage

_SIGHT_M = 75.0


@dataclass(frozen=True)
class Walk:
    """A straight-on walk along a curve at a steady pace."""

    path: Curve
    start_m: float
    pace_m_s: float
    relief: Relief
    lift_m: float

    def __call__(self, time_s: float) -> Transform:
        """`world_from_thing`, upright whatever the slope."""
        at = np.array([self.start_m + self.pace_m_s * time_s])
        xy = self.path.at(at)[0]
        yaw = float(self.path.heading(at)[0]) + (np.pi if self.pace_m_s < 0 else 0.0)
        return self.relief.pose(xy, yaw, self.lift_m)


def park_along(
    stage: Stage,
    network: Network,
    district: District,
    way: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Parks cars, trucks, trailers, motorcycles and bicycles along kerbs and on yards."""
    near = KDTree(way)
    for road in network.roads:
        for side in (-1, 1):
            for low, high in open_stretches(network, road, 11.0):
                if road.has_parking:
                    _parking_lane(stage, road, side, (low, high), near, district, generator)
                _racks(stage, road, side, (low, high), near, generator)
    _yards(stage, network, district, way, generator)


def _parking_lane(
    stage: Stage,
    road: Road,
    side: int,
    stretch: tuple[float, float],
    near: KDTree,
    district: District,
    generator: np.random.Generator,
) -> None:
    along = stretch[0] + generator.uniform(0, 5)
    while along < stretch[1] - 4:
        if generator.random() < 0.35:
            along += 6.0
            continue
        model = _parked(generator, district)
        length = model.thing.size_m[0]
        at = np.array([along + length / 2])
        xy = road.axis.at(at, side * (road.half_m - 1.2))[0]
        if near.query(xy)[0] < _SIGHT_M:
            yaw = float(road.axis.heading(at)[0]) + (np.pi if side > 0 else 0.0)
            stage.park(model, xy, yaw + generator.normal(0, 0.015))
        along += length + generator.uniform(0.7, 1.8)


def _parked(generator: np.random.Generator, district: District) -> Model:
    draw = generator.random()
    if draw < 0.08:
        return motorcycle(generator)
    if draw < 0.14:
        return truck(generator, "box truck")
    if draw < 0.19:
        return trailer(
            generator, str(generator.choice(["caravan", "boat trailer", "cargo trailer"]))
        )
    return car(generator, "pickup truck" if draw < 0.26 else "")


def _racks(
    stage: Stage,
    road: Road,
    side: int,
    stretch: tuple[float, float],
    near: KDTree,
    generator: np.random.Generator,
) -> None:
    """Bicycles and scooters left on the sidewalk."""
    for along in np.arange(stretch[0] + generator.uniform(0, 30), stretch[1], 38.0):
        for index in range(int(generator.integers(1, 4))):
            at = np.array([along + 0.75 * index])
            xy = road.axis.at(at, side * (road.half_m + road.verge_m + 1.1))[0]
            if near.query(xy)[0] < _SIGHT_M and stage.take(xy, 0.35):
                model = bicycle(generator) if generator.random() < 0.75 else motorcycle(generator)
                yaw = float(road.axis.heading(at)[0]) + np.pi / 2 + generator.normal(0, 0.1)
                stage.park(model, xy, yaw, KERB_M)


def _yards(
    stage: Stage,
    network: Network,
    district: District,
    way: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Vehicles off the street."""
    many = {"industrial": 26, "suburban boulevard": 18, "residential": 14}.get(district.name, 5)
    for _ in range(many):
        spot = way[int(generator.integers(len(way)))] + generator.uniform(-45, 45, 2)
        clear = float(network.clearance(spot[None])[0])
        big = district.name == "industrial" and generator.random() < 0.4
        room = 6.5 if big else 2.9
        if room < clear < 16 + room and stage.take(spot, room):
            model = (
                trailer(generator, "semi-trailer") if big and generator.random() < 0.6
                else truck(generator) if big else car(generator)
            )  # fmt: skip
            stage.park(model, spot, float(generator.uniform(0, 2 * np.pi)), LAND_M)


def people_walk(
    stage: Stage,
    network: Network,
    district: District,
    way: np.ndarray,
    duration_s: float,
    generator: np.random.Generator,
) -> None:
    """People on sidewalks, in groups and alone, and at crosswalks."""
    near = KDTree(way)
    for road in network.roads:
        for side in (-1, 1):
            for low, high in open_stretches(network, road, 7.0):
                _strollers(stage, road, side, (low, high), near, district, duration_s, generator)
    for junction in network.junctions:
        for road, sign, at in arms(network, junction):
            _crossing(stage, road, at + sign * 3.5, duration_s, generator)


def _strollers(
    stage: Stage,
    road: Road,
    side: int,
    stretch: tuple[float, float],
    near: KDTree,
    district: District,
    duration_s: float,
    generator: np.random.Generator,
) -> None:
    low, high = stretch
    count = generator.poisson(district.walkers * (high - low) / 100)
    for _ in range(count):
        inset = generator.uniform(0.45, 0.85) if road.walk_m > 2.4 else 0.6
        left = side * (road.half_m + road.verge_m + inset * road.walk_m)
        start = generator.uniform(low, high)
        if near.query(road.axis.at(np.array([start]), left)[0])[0] > _SIGHT_M:
            continue
        pace = generator.uniform(0.9, 1.7) * generator.choice([-1, 1])
        if not low < start + pace * duration_s < high:
            pace = -pace
        stays = not low < start + pace * duration_s < high or generator.random() < 0.2
        if stays:
            xy = road.axis.at(np.array([start]), left)[0]
            for index in range(int(generator.integers(1, 4))):
                offset = np.array([np.cos(2.1 * index), np.sin(2.1 * index)]) * 0.45
                yaw = float(2.1 * index + np.pi)
                stage.park(person(generator, is_walking=False), xy + offset, yaw, KERB_M)
        else:
            walk = Walk(road.axis.shifted(left), float(start), float(pace), stage.relief, KERB_M)
            stage.drive(person(generator), walk)


def _crossing(
    stage: Stage, road: Road, along: float, duration_s: float, generator: np.random.Generator
) -> None:
    """People who cross a road at its crosswalk, each with a start of their own."""
    if not 0 < along < road.axis.length_m:
        return
    for _ in range(int(generator.integers(0, 3))):
        at = np.full(2, along + generator.uniform(-1.2, 1.2))
        reach = road.half_m + 1.0
        ends = road.axis.at(at, np.array([-reach, reach]) * generator.choice([-1, 1]))
        pace = generator.uniform(1.1, 1.6)
        start = -pace * generator.uniform(0, 0.6) * duration_s + reach
        walk = Walk(Curve(ends), float(start), float(pace), stage.relief, 0.02)
        stage.drive(person(generator), walk)
