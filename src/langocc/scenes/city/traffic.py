# SPDX-License-Identifier: Apache-2.0
"""The ego vehicle's drive and the traffic around it: lanes, signals, who drives what."""

from dataclasses import dataclass

import numpy as np

from langocc.scenes.city.clearance import EGO_SIZE_M
from langocc.scenes.city.curve import Curve
from langocc.scenes.city.districts import District
from langocc.scenes.city.driving import Drive, Driver, Signal, simulate
from langocc.scenes.city.objects.cars import car
from langocc.scenes.city.objects.cycles import bicycle, motorcycle
from langocc.scenes.city.objects.heavy import bus, trailer, truck
from langocc.scenes.city.roads import Network, Road, turn_route
from langocc.scenes.city.stage import Model, Relief

_STOP_M = 6.9


@dataclass(frozen=True)
class Traffic:
    """The ego's drive, and vehicles with theirs."""

    ego: Drive
    vehicles: list[tuple[Model, Drive]]


def draw_traffic(
    generator: np.random.Generator,
    relief: Relief,
    network: Network,
    district: District,
    turn: str,
    start_m: float,
    duration_s: float,
) -> Traffic:
    """Draws vehicles on all lanes and drives them, and the ego, through the scene."""
    signals = [_signals(generator, duration_s) for _ in network.junctions]
    own_lane = network.main.lanes - 1 if turn == "right" else 0
    if turn == "none":
        own_lane = int(generator.integers(network.main.lanes))
    ego = _ego(generator, network, district, turn, own_lane, start_m)
    lanes, riders = [], []
    for road in network.roads:
        for backwards in (False, True):
            for index in range(road.lanes):
                is_own = road is network.main and not backwards and index == own_lane
                lane = _lane(road, backwards, index)
                reserved = (start_m, turn == "none") if is_own else None
                drawn = _drivers(generator, lane, district, reserved, road is network.main)
                stops = _stops(network, road, backwards, signals)
                for driver, _ in drawn:
                    driver.stops = stops
                drivers = [driver for driver, _ in drawn]
                if is_own:
                    ego.stops = stops
                    drivers.append(ego)
                lanes.append(drivers)
                riders += drawn
    simulate(lanes, duration_s)
    behind = EGO_SIZE_M[0] / 2 - 0.9
    drive = Drive(ego.route, np.array(ego.track), relief, behind)
    return Traffic(drive, _drives(generator, relief, riders))


def _drives(
    generator: np.random.Generator, relief: Relief, riders: list[tuple[Driver, Model]]
) -> list[tuple[Model, Drive]]:
    """What the drivers drove, and the semi-trailers behind their tractors."""
    vehicles = []
    for driver, model in riders:
        track = np.array(driver.track)
        vehicles.append((model, Drive(driver.route, track, relief)))
        if model.thing.noun == "semi-trailer truck":
            towed = trailer(generator, "semi-trailer")
            lag = (model.thing.size_m[0] + towed.thing.size_m[0]) / 2 + 0.25
            vehicles.append((towed, Drive(driver.route, track, relief, lag)))
    return vehicles


def _ego(
    generator: np.random.Generator,
    network: Network,
    district: District,
    turn: str,
    lane: int,
    start_m: float,
) -> Driver:
    """The ego vehicle at the start of its drive."""
    speed = district.speed_m_s * generator.uniform(0.85, 1.1)
    if turn == "none":
        route, leaves = network.main.lane(lane), np.inf
    else:
        junction = network.junctions[0]
        route = turn_route(network, junction, lane, turn)
        leaves = junction.main_m - junction.side.half_m
    return Driver(
        route, start_m, speed * generator.uniform(0.5, 1), speed, EGO_SIZE_M[0], leaves_at=leaves
    )


def _signals(generator: np.random.Generator, duration_s: float) -> tuple[Signal, Signal]:
    """When it is red for the main road and for the side road of a junction."""
    if generator.random() < 0.5:
        return (lambda time_s: False), (lambda time_s: True)
    change = generator.uniform(0.4, 0.85) * duration_s
    return (lambda time_s: time_s < change), (lambda time_s: time_s > change - 4.0)


def _lane(road: Road, backwards: bool, index: int) -> Curve:
    axis = road.axis.reversed() if backwards else road.axis
    return axis.shifted(-road.lane_m(index))


def _stops(
    network: Network, road: Road, backwards: bool, signals: list[tuple[Signal, Signal]]
) -> list[tuple[float, Signal]]:
    """Stop lines on a lane, in its own arc length."""
    found = []
    for junction, (main_red, side_red) in zip(network.junctions, signals, strict=True):
        if road is network.main:
            at, half, signal = junction.main_m, junction.side.half_m, main_red
        elif road is junction.side:
            at, half, signal = junction.side_m, network.main.half_m, side_red
            if at == 0 and not backwards:
                continue
        else:
            continue
        at = road.axis.length_m - at if backwards else at
        found.append((at - half - _STOP_M, signal))
    return found


def _drivers(
    generator: np.random.Generator,
    lane: Curve,
    district: District,
    reserved: tuple[float, bool] | None,
    is_main: bool,
) -> list[tuple[Driver, Model]]:
    """Vehicles along a lane at the start; around the ego's place it stays free."""
    drawn = []
    along = generator.uniform(5, district.traffic_gap_m)
    while along < lane.length_m - 8:
        model = _vehicle(generator, district)
        length = model.thing.size_m[0]
        tail = 14.0 if model.thing.noun == "semi-trailer truck" else 0.0
        along += length / 2 + tail
        is_free = reserved is None or not reserved[0] - 11 < along < reserved[0] + 13 + tail
        if is_free and along < lane.length_m - 8:
            speed = district.speed_m_s * generator.uniform(0.75, 1.15)
            slow = {"bicycle": 4.5, "scooter": 7.0}.get(model.thing.noun, speed)
            start = min(speed, slow) * (0.8 if is_main else 0.5)
            drawn.append((Driver(lane, float(along), start, min(speed, slow), length), model))
        along += length / 2 + 5 + generator.exponential(district.traffic_gap_m)
    return drawn


def _vehicle(generator: np.random.Generator, district: District) -> Model:
    """A vehicle as this district's streets show them."""
    heavy = 2.5 if district.name == "industrial" else 1.0
    kinds = ("car", "truck", "bus", "semi", "motorcycle", "bicycle", "pickup")
    share = np.array([60, 9 * heavy, 7, 3.0 * heavy, 6, 5, 5])
    kind = str(generator.choice(kinds, p=share / share.sum()))
    if kind == "semi" and district.name in ("residential", "old town", "park"):
        kind = "truck"
    if kind == "car":
        return car(generator)
    if kind == "pickup":
        return car(generator, "pickup truck")
    if kind == "truck":
        return truck(generator)
    if kind == "semi":
        return truck(generator, "semi-trailer truck")
    if kind == "bus":
        return bus(generator)
    if kind == "motorcycle":
        return motorcycle(generator, has_rider=True)
    return bicycle(generator, has_rider=True)
