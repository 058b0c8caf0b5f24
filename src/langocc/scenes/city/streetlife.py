# SPDX-License-Identifier: Apache-2.0
"""Life beside the traffic: parked vehicles, people on foot, construction sites."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from langocc.geometry.rigid import Transform
from langocc.scenes.city.curve import Curve
from langocc.scenes.city.districts import District
from langocc.scenes.city.driving import Drive
from langocc.scenes.city.ground import KERB_M, LAND_M, arms, open_stretches
from langocc.scenes.city.materials.textures import TEXTURE
from langocc.scenes.city.objects import works
from langocc.scenes.city.objects.cars import car
from langocc.scenes.city.objects.cycles import bicycle, motorcycle
from langocc.scenes.city.objects.heavy import trailer, truck
from langocc.scenes.city.objects.people import person
from langocc.scenes.city.roads import Network, Road
from langocc.scenes.city.solids import Paint, prism
from langocc.scenes.city.stage import Block, Model, Relief, Stage
from langocc.scenes.city.world import Thing

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


def works_site(
    stage: Stage,
    network: Network,
    district: District,
    ego: Drive,
    way: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """A construction site beside the road, and perhaps a closed strip of the carriageway."""
    if generator.random() < 0.35:
        return
    road = network.main
    low, high = road.axis.project(way[[0, -1]])[0] + [8.0, 25.0]
    for _ in range(10):
        along, side = (
            float(generator.uniform(low, max(high, low + 10))),
            int(generator.choice([-1, 1])),
        )
        at = np.array([along])
        long, deep = float(generator.uniform(16, 26)), float(generator.uniform(11, 15))
        centre = road.axis.at(at, side * (road.edge_m + 1.2 + deep / 2))[0]
        yaw = float(road.axis.heading(at)[0])
        block = Block(centre, (long / 2, deep / 2), yaw)
        if network.clearance(block.corners()).min() > 0.2:
            _site(stage, road, side, along, block, generator)
            stage.blocks.append(Block(centre, (long / 2 + 0.8, deep / 2 + 0.8), yaw))
            break
    _closed_strip(stage, road, float(generator.uniform(low, max(high, low + 10))), generator)


def _site(
    stage: Stage, road: Road, side: int, along: float, block: Block, generator: np.random.Generator
) -> None:
    """Bare ground, machines, heaps, containers, workers, a fence towards the road."""
    soil = stage.add_thing(Thing("flat.terrain", "construction site", "brown", "dirt"))
    ground = prism(block.corners(), -1.0, 0.06, Paint((0.22, 0.15, 0.09), TEXTURE["dirt"], soil))
    vertices = ground.vertices.copy()
    vertices[:, 2] += stage.relief.height(vertices[:, :2]) + LAND_M
    stage.static.append(
        type(ground)(
            vertices, ground.faces, ground.albedo, ground.texture, ground.thing, ground.uv_m
        )
    )
    half_long, half_deep = block.half_m

    def place(x: float, y: float) -> np.ndarray:
        return block.centre + np.array([x, y * side]) @ block.axes

    noun = str(generator.choice(works.MACHINES))
    stage.park(
        works.machine(generator, noun),
        place(-0.3 * half_long, 0.0),
        float(generator.uniform(0, 6.3)),
        LAND_M + 0.06,
    )
    if half_long > 9:
        stage.park(
            works.machine(generator),
            place(0.5 * half_long, 0.25 * half_deep),
            float(generator.uniform(0, 6.3)),
            LAND_M + 0.06,
        )
    stage.stand(works.heap(generator), place(0.75 * half_long, -0.35 * half_deep), 0.0, LAND_M)
    stage.stand(
        works.container(generator),
        place(-0.7 * half_long, 0.72 * half_deep),
        block.yaw_rad + np.pi / 2,
        LAND_M,
    )
    stage.stand(
        works.pipes(generator),
        place(0.1 * half_long, 0.75 * half_deep),
        block.yaw_rad + np.pi / 2,
        LAND_M,
    )
    for _ in range(int(generator.integers(2, 5))):
        spot = place(
            float(generator.uniform(-0.8, 0.8)) * half_long,
            float(generator.uniform(-0.75, -0.4)) * half_deep,
        )
        stage.park(
            person(generator, "construction worker", generator.random() < 0.4),
            spot,
            float(generator.uniform(0, 6.3)),
            LAND_M + 0.06,
        )
    kind = str(generator.choice(["concrete barrier", "plastic barrier", "construction fence"]))
    for x in np.arange(-half_long + 1, half_long, 2.15):
        stage.park(
            works.barrier(generator, kind),
            place(float(x), -half_deep),
            block.yaw_rad + np.pi / 2,
            LAND_M + 0.03,
        )


def _closed_strip(stage: Stage, road: Road, along: float, generator: np.random.Generator) -> None:
    """Cones and barriers along the kerb, with a machine behind them."""
    side = -1 if generator.random() < 0.5 else 1
    wide = 2.3 if road.has_parking else 1.0
    long = float(generator.uniform(14, 24))
    for step in np.arange(0, long, 1.9):
        taper = min(1.0, step / 5, (long - step) / 5)
        at = np.array([along + step])
        xy = road.axis.at(at, side * (road.half_m - 0.2 - wide * taper))[0]
        stage.park(works.traffic_cone(generator), xy, float(generator.uniform(0, 6)))
    for step in (0.35, 0.55, 0.75):
        at = np.array([along + step * long])
        xy = road.axis.at(at, side * (road.half_m - 0.55))[0]
        stage.park(works.barrier(generator), xy, float(road.axis.heading(at)[0]) + np.pi / 2)
