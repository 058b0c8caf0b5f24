# SPDX-License-Identifier: Apache-2.0
"""Builds a scene: district, roads, ground, houses, greenery, traffic, weather, the ego's drive."""

from dataclasses import dataclass, replace

import numpy as np

from langocc.scenes.city.clearance import without_collisions
from langocc.scenes.city.districts import DISTRICTS, District
from langocc.scenes.city.driving import Drive
from langocc.scenes.city.ground import lay_ground
from langocc.scenes.city.neighbourhood import build_neighbourhood
from langocc.scenes.city.roads import Network, draw_network
from langocc.scenes.city.sites import works_site
from langocc.scenes.city.solids import join
from langocc.scenes.city.stage import Relief, Stage
from langocc.scenes.city.streetlife import park_along, people_walk
from langocc.scenes.city.traffic import draw_traffic
from langocc.scenes.city.world import Atmosphere, World

_TURNS = ("none", "left", "none", "right")
_LEAD_IN_M = 62.0
_BEYOND_M = 125.0


@dataclass(frozen=True)
class _Plan:
    """What is drawn first, and fixes the rest."""

    district: District
    turn: str
    network: Network
    start_m: float


def build_world(seed: int, scene_index: int, duration_s: float) -> World:
    """A scene of the city; the same arguments give the same world, bit for bit.

    Args:
        seed: Of the whole city.
        scene_index: Which scene.
        duration_s: Length of the ego vehicle's drive, seconds.

    Raises:
        ValueError: the duration is not between 1 and 60 seconds, or an index is negative.
    """
    if not 1.0 <= duration_s <= 60.0:
        raise ValueError(f"duration_s: expected 1 to 60 seconds, got {duration_s}")
    if min(seed, scene_index) < 0:
        raise ValueError(f"seed, scene_index: expected at least 0, got {seed}, {scene_index}")
    generator = np.random.default_rng([seed, scene_index])
    plan = _plan(generator, scene_index, duration_s)
    stage = Stage(Relief.drawn(generator, float(generator.choice([0.3, 0.8, 1.2]))))
    traffic = draw_traffic(
        generator, stage.relief, plan.network, plan.district, plan.turn, plan.start_m, duration_s
    )
    way = _way(traffic.ego, duration_s)
    lay_ground(stage, plan.network, plan.district.ground, way, generator)
    works_site(stage, plan.network, way, generator)
    build_neighbourhood(stage, plan.network, plan.district, way, generator)
    park_along(stage, plan.network, plan.district, way, generator)
    for model, drive in traffic.vehicles:
        stage.drive(model, drive)
    people_walk(stage, plan.network, plan.district, way, duration_s, generator)
    atmosphere, sun = _weather(generator)
    return World(
        things=tuple(stage.things),
        static=join(stage.static),
        movers=tuple(without_collisions(stage.movers, stage.things, traffic.ego, duration_s)),
        world_from_ego=traffic.ego,
        duration_s=duration_s,
        sun_direction=sun,
        description=_description(plan, atmosphere),
        atmosphere=atmosphere,
    )


def _plan(generator: np.random.Generator, scene_index: int, duration_s: float) -> _Plan:
    district = DISTRICTS[(scene_index + int(generator.integers(0, 2))) % len(DISTRICTS)]
    turn = _TURNS[int(generator.integers(len(_TURNS)))]
    reach = district.speed_m_s * duration_s
    network = draw_network(generator, district, _LEAD_IN_M + reach + _BEYOND_M, turn)
    start = network.junctions[0].main_m - generator.uniform(0.2, 0.6) * reach
    return _Plan(district, turn, network, float(np.clip(start, 40, 75)))


def _way(ego: Drive, duration_s: float) -> np.ndarray:
    """Points of the ego's way."""
    return np.stack([ego(float(t))[:2, 3] for t in np.arange(0, duration_s + 0.5, 0.5)])


def _weather(generator: np.random.Generator) -> tuple[Atmosphere, np.ndarray]:
    """Light and air, and the direction to the sun."""
    kind = int(generator.choice(5, p=[0.35, 0.25, 0.15, 0.15, 0.1]))
    azimuth = generator.uniform(0, 2 * np.pi)
    height = np.radians(generator.uniform(32, 62) if kind < 3 else generator.uniform(12, 24))
    sun = np.array(
        [np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)]
    )
    air = (
        Atmosphere(2.7, 0.1, 0.30, 0.0014),
        Atmosphere(2.3, 0.2, 0.50, 0.0022),
        Atmosphere(0.15, 0.0, 0.95, 0.0030, 1.5),
        Atmosphere(2.4, 0.7, 0.35, 0.0024, 1.25),
        Atmosphere(0.9, 0.1, 0.75, 0.0055, 1.2),
    )[kind]
    exposure = air.exposure * float(np.exp(generator.normal(0, 0.07)))
    return replace(air, exposure=exposure, seed=int(generator.integers(1 << 16))), sun


def _description(plan: _Plan, air: Atmosphere) -> str:
    light = "overcast" if air.sun < 0.5 else "hazy" if air.haze_per_m > 0.004 else "sunny"
    light = "evening sun" if air.warmth > 0.5 else light
    lanes = f"{2 * plan.network.main.lanes} lanes"
    junction = "crossing" if plan.network.junctions[0].side_m > 0 else "T junction"
    move = {"none": "straight on", "left": "turn left", "right": "turn right"}[plan.turn]
    return f"{plan.district.name}, {lanes}, {junction}, {move}, {light}".capitalize()
