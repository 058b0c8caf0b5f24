# SPDX-License-Identifier: Apache-2.0
"""Construction sites: a plot beside the road, a closed strip of the carriageway."""

from dataclasses import replace

import numpy as np

from langocc.scenes.city.ground import LAND_M
from langocc.scenes.city.materials.textures import TEXTURE
from langocc.scenes.city.objects import works
from langocc.scenes.city.objects.people import person
from langocc.scenes.city.roads import Network, Road
from langocc.scenes.city.solids import Paint, prism
from langocc.scenes.city.stage import Block, Stage
from langocc.scenes.city.world import Thing


def works_site(
    stage: Stage,
    network: Network,
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
            _site(stage, side, block, generator)
            stage.blocks.append(Block(centre, (long / 2 + 0.8, deep / 2 + 0.8), yaw))
            break
    _closed_strip(stage, road, float(generator.uniform(low, max(high, low + 10))), generator)


def _site(stage: Stage, side: int, block: Block, generator: np.random.Generator) -> None:
    """Bare ground, machines, heaps, containers, workers, a fence towards the road."""
    soil = stage.add_thing(Thing("flat.terrain", "construction site", "brown", "dirt"))
    ground = prism(block.corners(), -1.0, 0.06, Paint((0.22, 0.15, 0.09), TEXTURE["dirt"], soil))
    rise = stage.relief.height(ground.vertices[:, :2]) + LAND_M
    lift = np.stack([0 * rise, 0 * rise, rise], axis=1)
    stage.static.append(replace(ground, vertices=ground.vertices + lift))
    half_long, half_deep = block.half_m

    def place(x: float, y: float) -> np.ndarray:
        return block.centre + np.array([x * half_long, y * half_deep * side]) @ block.axes

    def any_yaw() -> float:
        return float(generator.uniform(0, 2 * np.pi))

    across, floor = block.yaw_rad + np.pi / 2, LAND_M + 0.06
    stage.park(works.machine(generator), place(-0.3, 0.0), any_yaw(), floor)
    if half_long > 9:
        stage.park(works.machine(generator), place(0.5, 0.25), any_yaw(), floor)
    stage.stand(works.heap(generator), place(0.75, -0.35), 0.0, LAND_M)
    stage.stand(works.container(generator), place(-0.7, 0.72), across, LAND_M)
    stage.stand(works.pipes(generator), place(0.1, 0.75), across, LAND_M)
    for _ in range(int(generator.integers(2, 5))):
        x, y = generator.uniform([-0.8, -0.75], [0.8, -0.4])
        worker = person(generator, "construction worker", bool(generator.random() < 0.4))
        stage.park(worker, place(float(x), float(y)), any_yaw(), floor)
    kind = str(generator.choice(["concrete barrier", "plastic barrier", "construction fence"]))
    for x in np.arange(-half_long + 1, half_long, 2.15):
        spot = place(float(x) / half_long, -1.0)
        stage.park(works.barrier(generator, kind), spot, across, LAND_M + 0.03)


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
