# SPDX-License-Identifier: Apache-2.0
"""What lines the streets: buildings, trees, lamps, signs, furniture, squares, the backdrop."""

import numpy as np
from scipy.spatial import KDTree

from langocc.scenes.city.districts import District
from langocc.scenes.city.ground import KERB_M, LAND_M, arms, open_stretches, ribbon
from langocc.scenes.city.materials.palette import shade
from langocc.scenes.city.materials.textures import TEXTURE
from langocc.scenes.city.objects import buildings, furniture, landmarks, plants, posts
from langocc.scenes.city.objects.common import fixture
from langocc.scenes.city.roads import Network, Road
from langocc.scenes.city.solids import Paint, prism, quads
from langocc.scenes.city.stage import Block, Model, Stage
from langocc.scenes.city.world import Thing

_DETAIL_M = 88.0
_WIDTH_M = {"tower": (18, 27), "office": (15, 30), "apartment": (12, 24), "shop": (9, 15),
            "townhouse": (6, 10), "house": (9, 13), "villa": (13, 18), "warehouse": (21, 39),
            "factory": (18, 30), "church": (12, 12), "pavilion": (8, 8),
            "gas station": (14, 14)}  # fmt: skip


def build_neighbourhood(
    stage: Stage,
    network: Network,
    district: District,
    way: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Adds everything that lines the streets within sight of the ego's way."""
    near = KDTree(way)
    _signals(stage, network, generator)
    _squares(stage, network, district, near, way, generator)
    for road in network.roads:
        for side in (-1, 1):
            _row(stage, network, road, side, district, near, generator)
    grove, far = (
        {n: [plants.tree(generator, n, is_near) for _ in range(2)] for n in district.trees}
        for is_near in (True, False)
    )
    for road in network.roads:
        for side in (-1, 1):
            _kerbside(stage, network, road, side, district, near, grove, generator)
    _greenery(stage, network, district, near, way, (grove, far), generator)
    _backdrop(stage, network, district, way, generator)


def _row(
    stage: Stage,
    network: Network,
    road: Road,
    side: int,
    district: District,
    near: KDTree,
    generator: np.random.Generator,
) -> None:
    """Buildings along one side of a road."""
    along = generator.uniform(-8, 6)
    while along < road.axis.length_m:
        kind = str(generator.choice(district.buildings))
        width = generator.uniform(*_WIDTH_M[kind])
        at = np.array([along + width / 2])
        if near.query(road.axis.at(at)[0])[0] > _DETAIL_M:
            along += 12.0
            continue
        floors = int(generator.integers(district.floors[0], district.floors[1] + 1))
        model = buildings.MAKERS[kind](generator, float(width), floors)
        low, high = model.mesh.vertices.min(axis=0), model.mesh.vertices.max(axis=0)
        setback = generator.uniform(*district.setback_m)
        left = side * (road.edge_m + setback + high[0])
        yaw = float(road.axis.heading(at)[0]) - side * np.pi / 2
        if not _erect(stage, network, model, road.axis.at(at, left)[0], yaw):
            along += 4.0
            continue
        _front(
            stage, network, road, side, float(at[0]), high[1] - low[1], setback, district, generator
        )
        along += high[1] - low[1] + generator.uniform(*district.gap_m)


def _erect(stage: Stage, network: Network, model: Model, xy: np.ndarray, yaw: float) -> bool:
    """Stands a building where it fits; says whether it did."""
    low, high = model.mesh.vertices.min(axis=0), model.mesh.vertices.max(axis=0)
    c, s = np.cos(yaw), np.sin(yaw)
    middle = (low[:2] + high[:2]) / 2
    centre = xy + np.array([[c, -s], [s, c]]) @ middle
    block = Block(centre, (float(high[0] - low[0]) / 2, float(high[1] - low[1]) / 2), yaw)
    edge = block.corners()
    rim = np.concatenate(
        [edge + t * (np.roll(edge, -1, axis=0) - edge) for t in (0, 0.25, 0.5, 0.75)]
    )
    if network.clearance(rim).min() < 0.1 or any(block.overlaps(b) for b in stage.blocks):
        return False
    stage.blocks.append(block)
    stage.stand(model, xy, yaw, LAND_M)
    return True


def _front(
    stage: Stage,
    network: Network,
    road: Road,
    side: int,
    along: float,
    wide: float,
    setback: float,
    district: District,
    generator: np.random.Generator,
) -> None:
    """A driveway; hedges, fences, bushes and flowers of a front garden."""
    if setback > 2.5 and generator.random() < 0.6:
        _driveway(stage, network, road, side, along - 0.42 * wide, setback, generator)
    if setback < 3.0 or district.ground != "grass":
        return
    choice = generator.random()
    at, yaw = np.array([along]), float(road.axis.heading(np.array([along]))[0])
    line = road.axis.at(at, side * (road.edge_m + 0.7))[0]
    long = float(0.75 * wide)
    if choice < 0.6 and network.clearance(line[None])[0] > 0.3:
        model = (
            plants.hedge(generator, long, float(generator.uniform(0.7, 1.5)))
            if choice < 0.3
            else furniture.fence(generator, long)
        )
        ends = road.axis.at(
            np.array([along - long / 2, along + long / 2]), side * (road.edge_m + 0.7)
        )
        if network.clearance(ends).min() > 0.3:
            stage.stand(model, line, yaw, LAND_M)
    for _ in range(int(generator.integers(0, 4))):
        left = side * (road.edge_m + generator.uniform(1.6, max(1.7, setback - 0.8)))
        spot = road.axis.at(np.array([along + generator.uniform(-0.5, 0.5) * wide]), left)[0]
        model = (
            plants.bush(generator) if generator.random() < 0.75 else plants.flower_bed(generator)
        )
        if network.clearance(spot[None])[0] > 0.8 and stage.take(spot, 0.9):
            stage.stand(model, spot, yaw, LAND_M - 0.03)


def _driveway(
    stage: Stage,
    network: Network,
    road: Road,
    side: int,
    along: float,
    setback: float,
    generator: np.random.Generator,
) -> None:
    """A paved way from the sidewalk to the house."""
    colour, albedo = [("grey", (0.3, 0.3, 0.3)), ("red", (0.26, 0.12, 0.09))][
        int(generator.integers(2))
    ]
    ahead = np.array([along - 1.5, along + 1.5])
    aside = side * np.linspace(road.edge_m - 0.05, road.edge_m + setback + 0.5, 4)
    corners, uv = ribbon(stage.relief, road.axis, ahead, aside, LAND_M + 0.03)
    if network.clearance(corners.reshape(-1, 3)[:, :2]).min() > -0.2:
        thing = stage.add_thing(Thing("flat.other", "driveway", colour, "paving stone"))
        stage.static.append(quads(corners, uv, Paint(albedo, TEXTURE["cobbles"], thing)))


def _kerbside(
    stage: Stage,
    network: Network,
    road: Road,
    side: int,
    district: District,
    near: KDTree,
    grove: dict[str, list[Model]],
    generator: np.random.Generator,
) -> None:
    """Lamps, street trees and furniture along a kerb."""
    inset = 0.55 if road.verge_m == 0 else road.verge_m / 2
    lamp = posts.old_lamp if district.name in ("old town", "park") else posts.street_lamp
    pole = posts.power_pole if district.name == "residential" else lamp
    species = grove[str(generator.choice(district.trees))]
    for low, high in open_stretches(network, road, 8.0):
        for start in np.arange(low + generator.uniform(2, 20), high, 27.0):
            _kerb_thing(
                stage,
                road,
                side,
                float(start),
                inset,
                (lamp if side > 0 else pole)(generator),
                near,
            )
        along = low + generator.uniform(3, 10)
        while along < high:
            model = _grown(species[int(generator.integers(len(species)))], generator)
            _kerb_thing(stage, road, side, along, inset, model, near, 1.6)
            along += district.tree_gap_m * generator.uniform(0.7, 1.5)
        along = low + generator.uniform(2, 15)
        while along < high:
            noun = str(generator.choice(list(furniture.SIDEWALK_MAKERS)))
            model = furniture.SIDEWALK_MAKERS[noun](generator)
            _kerb_thing(stage, road, side, along, inset + 0.1, model, near, 1.2)
            along += generator.uniform(6, 26) * (1.0 if district.walkers > 2 else 1.8)


def _kerb_thing(
    stage: Stage,
    road: Road,
    side: int,
    along: float,
    inset: float,
    model: Model,
    near: KDTree,
    radius: float = 0.7,
) -> None:
    """Stands something beside the kerb, facing the road."""
    at = np.array([along])
    reach = max(0.0, float(model.mesh.vertices[:, 0].max()) - 0.5) if radius == 1.2 else 0.0
    spot = road.axis.at(at, side * (road.half_m + inset + reach))[0]
    if near.query(spot)[0] < _DETAIL_M and stage.take(spot, radius):
        yaw = float(road.axis.heading(at)[0]) - side * np.pi / 2
        stage.stand(model, spot, yaw, KERB_M - 0.02)


def _grown(model: Model, generator: np.random.Generator) -> Model:
    """Another specimen of a tree: turned, larger or smaller."""
    factor, yaw = float(generator.uniform(0.8, 1.15)), float(generator.uniform(0, 2 * np.pi))
    return Model(model.thing, plants.scaled(model.mesh, factor, yaw))


def _signals(stage: Stage, network: Network, generator: np.random.Generator) -> None:
    """Traffic lights or stop signs at junctions."""
    for junction in network.junctions:
        for road, sign, at in arms(network, junction):
            spot = np.array([at + sign * 6.5])
            xy = road.axis.at(spot, sign * (road.half_m + 0.55))[0]
            yaw = float(road.axis.heading(spot)[0]) + (0.0 if sign > 0 else np.pi)
            if junction.has_lights:
                stage.stand(posts.traffic_light(generator), xy, yaw, KERB_M)
            elif road is not network.main:
                stage.stand(posts.stop_sign(generator), xy, yaw, KERB_M)
            stage.take(xy, 0.6)


def _squares(
    stage: Stage,
    network: Network,
    district: District,
    near: KDTree,
    way: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """A few memorable things beside the street."""
    for noun in generator.permutation(list(landmarks.SQUARE_MAKERS))[:4]:
        for _ in range(12):
            point = way[int(generator.integers(len(way)))]
            spot = point + generator.uniform(-38, 38, 2)
            clear = float(network.clearance(spot[None])[0])
            room = 3.6 if noun in ("fountain", "playground", "water tower") else 2.2
            if room < clear < 14 and stage.is_free(spot, room):
                road = network.roads[
                    int(np.argmin([abs(r.axis.project(spot[None])[1][0]) for r in network.roads]))
                ]
                along, left = road.axis.project(spot[None])
                yaw = float(road.axis.heading(along)[0]) - np.sign(left[0]) * np.pi / 2
                stage.blocks.append(Block(spot, (room, room), yaw))
                turn = np.pi / 3 * np.sign(left[0]) if noun == "billboard" else 0.0
                stage.stand(landmarks.SQUARE_MAKERS[str(noun)](generator), spot, yaw + turn, LAND_M)
                break


def _greenery(
    stage: Stage,
    network: Network,
    district: District,
    near: KDTree,
    way: np.ndarray,
    groves: tuple[dict[str, list[Model]], dict[str, list[Model]]],
    generator: np.random.Generator,
) -> None:
    """Trees and bushes on the land between the buildings."""
    low, high = way.min(axis=0) - 60, way.max(axis=0) + 60
    count = int(district.greenery * np.prod(high - low) / 1e4)
    spots = generator.uniform(low, high, (count, 2))
    clear = network.clearance(spots)
    for spot, room in zip(spots, clear, strict=True):
        is_near = near.query(spot)[0] < 32
        grove = groves[0 if is_near else 1]
        model = plants.bush(generator) if is_near and generator.random() < 0.4 else None
        radius = 1.0 if model else 2.2
        if room > radius + 0.3 and stage.take(spot, radius):
            if model is None:
                kinds = grove[str(generator.choice(district.trees))]
                model = _grown(kinds[int(generator.integers(len(kinds)))], generator)
            stage.stand(model, spot, 0.0, LAND_M - 0.05)


def _backdrop(
    stage: Stage,
    network: Network,
    district: District,
    way: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Plain blocks and tree lines in the distance, so that streets do not end in a void."""
    middle = (way.min(axis=0) + way.max(axis=0)) / 2
    reach = float(np.ptp(way, axis=0).max()) / 2
    materials = {
        "downtown": ("panel windows", "glass facade", "brick windows"),
        "industrial": ("corrugated", "panel windows"),
    }
    textures = materials.get(district.name, ("plaster windows", "brick windows", "stone windows"))
    for angle in np.arange(72) * 2 * np.pi / 72:
        distance = reach + generator.uniform(75, 190)
        spot = middle + distance * np.array([np.cos(angle), np.sin(angle)])
        yaw = float(generator.choice([0.0, 0.3, 0.8]))
        floors = int(generator.integers(2, district.floors[1] + 3))
        size = 3.0 * generator.integers(4, 10, 2)
        block = Block(spot, (float(size[0]) / 2, float(size[1]) / 2), yaw)
        if network.clearance(block.corners(4.0)).min() < 0 or not stage.is_free(spot, 16.0):
            continue
        if district.name == "park" and generator.random() < 0.8:
            radii = generator.uniform([9, 9, 6], [18, 18, 10])
            leaf = Paint(
                np.array([0.06, 0.12, 0.03]) * generator.uniform(0.7, 1.3), TEXTURE["leaves"]
            )
            mesh = plants.blob(generator, (0.0, 0.0, 2.0), radii, leaf)
            stage.stand(fixture("grove", "green", "leaves", [mesh], "static.vegetation"), spot)
            continue
        colour = str(generator.choice(["beige", "grey", "terracotta", "white", "cream", "brown"]))
        wall = Paint(shade(colour, generator), TEXTURE[str(generator.choice(textures))])
        roof = Paint((0.15, 0.15, 0.15), TEXTURE["gravel"])
        outline = Block(np.zeros(2), block.half_m, 0.0).corners()
        mesh = prism(outline, -3.0, 3.2 * floors, wall, roof)
        stage.stand(fixture("building", colour, "", [mesh]), spot, yaw)
        stage.blocks.append(block)
