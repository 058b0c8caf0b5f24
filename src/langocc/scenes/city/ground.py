# SPDX-License-Identifier: Apache-2.0
"""The ground: carriageways and their markings, kerbs and sidewalks, islands, the land beyond."""

from dataclasses import dataclass

import numpy as np

from langocc.scenes.city.curve import Curve
from langocc.scenes.city.materials.palette import COLOURS
from langocc.scenes.city.materials.textures import TEXTURE
from langocc.scenes.city.roads import LANE_M, Junction, Network, Road
from langocc.scenes.city.solids import Paint, quads, triangles
from langocc.scenes.city.stage import Relief, Stage
from langocc.scenes.city.world import Mesh, Thing

KERB_M = 0.15
LAND_M = 0.12
"""How far sidewalks and the land beyond stand above the carriageway."""
_MARK_M = 0.012
_CORNER_M = 3.0
_CELL_M = 2.0
_LAND = {
    "paving": ("flat.sidewalk", "plaza", "beige", "paving stone", "paving"),
    "grass": ("flat.terrain", "lawn", "green", "grass", "grass"),
    "gravel": ("flat.terrain", "gravel field", "grey", "gravel", "gravel"),
    "dirt": ("flat.terrain", "bare ground", "brown", "dirt", "dirt"),
    "concrete": ("flat.other", "yard", "grey", "concrete", "concrete"),
}


@dataclass(frozen=True)
class Strip:
    """Part of a road's cross section: from / to the left of the axis, lift, and what covers it."""

    left_m: tuple[float, float]
    lift_m: float
    paint: Paint


def lay_ground(
    stage: Stage, network: Network, land: str, drive: np.ndarray, generator: np.random.Generator
) -> None:
    """Adds all ground surfaces; `drive` holds points of the ego's way, around which it is fine."""
    tone = float(np.exp(generator.normal(0, 0.18)))
    road = stage.add_thing(Thing("flat.driveable_surface", "road", "grey", "asphalt"))
    asphalt = Paint(np.array([0.155, 0.155, 0.16]) * tone, TEXTURE["asphalt"], road)
    walk = stage.add_thing(Thing("flat.sidewalk", "sidewalk", "light grey", "paving stone"))
    stone = np.array([0.36, 0.345, 0.325]) * np.exp(generator.normal(0, 0.12))
    paving = Paint(stone, TEXTURE[str(generator.choice(["paving", "concrete", "cobbles"]))], walk)
    grass = stage.add_thing(Thing("flat.terrain", "grass verge", "green", "grass"))
    verge = Paint(_grass(generator), TEXTURE["grass"], grass)
    for index, each in enumerate(network.roads):
        stage.static.append(_carriageway(stage.relief, each, asphalt))
        for strip in _slabs(each, paving, verge):
            others = network.roads[1:] if index == 0 else [network.main]
            stage.static.append(_slab(stage.relief, each, strip, others, index == 0))
        if each.median_m > 0:
            _median(stage, network, each, generator)
    for junction in network.junctions:
        stage.static.append(_corners(stage.relief, network, junction, asphalt))
    stage.static.extend(_markings(stage.relief, network, road, generator))
    _land(stage, network, land, drive, generator)


def _grass(generator: np.random.Generator) -> np.ndarray:
    return np.array([0.14, 0.20, 0.055]) * np.exp(generator.normal(0, [0.25, 0.12, 0.2]))


def ribbon(
    relief: Relief, curve: Curve, along: np.ndarray, left: np.ndarray, lift_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Quads [quad, 4, 3] of a strip along a curve, and their (along, left) coordinates."""
    ahead, aside = np.meshgrid(along, left, indexing="ij")
    xy = curve.at(ahead, aside)
    corners = np.concatenate([xy, (relief.height(xy) + lift_m)[..., None]], axis=-1)
    uv = np.stack([ahead, aside], axis=-1)

    def cells(grid: np.ndarray) -> np.ndarray:
        around = [grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]]
        return np.stack(around, axis=2).reshape(-1, 4, grid.shape[-1])

    return cells(corners), cells(uv)


def _carriageway(relief: Relief, road: Road, paint: Paint) -> Mesh:
    count = round(road.axis.length_m / 2.5)
    across = np.linspace(-road.half_m, road.half_m, 2 * max(2, round(road.half_m / 3)) + 1)
    corners, _ = ribbon(relief, road.axis, np.linspace(0, road.axis.length_m, count), across, 0.0)
    return quads(corners, corners[..., :2], paint)


def _slabs(road: Road, paving: Paint, verge: Paint) -> list[Strip]:
    strips = []
    for side in (-1, 1):
        inner = road.half_m + road.verge_m
        strips.append(Strip(_ordered(side * inner, side * road.edge_m), KERB_M, paving))
        if road.verge_m > 0:
            strips.append(Strip(_ordered(side * road.half_m, side * inner), KERB_M - 0.02, verge))
    return strips


def _ordered(a: float, b: float) -> tuple[float, float]:
    return (min(a, b), max(a, b))


def _slab(relief: Relief, road: Road, strip: Strip, others: list[Road], is_main: bool) -> Mesh:
    """A raised strip with kerb faces, cut where other roads cross it."""
    count = round(road.axis.length_m / 2.5)
    along = np.linspace(0, road.axis.length_m, count)
    corners, uv = ribbon(relief, road.axis, along, np.array(strip.left_m), strip.lift_m)
    pieces = [np.concatenate([c, t], axis=1) for c, t in zip(corners, uv, strict=True)]
    for other in others:
        pieces = [cut for p in pieces if len(cut := _cut(p, road, other, is_main)) >= 3]
    tops, walls = [], []
    for piece in pieces:
        tops += [piece[[0, i, i + 1]] for i in range(1, len(piece) - 1)]
        after = np.roll(piece, -1, axis=0)
        is_open = ~(np.isin(piece[:, 3], along) & (piece[:, 3] == after[:, 3]))
        piece, after = piece[is_open], after[is_open]  # not where the next piece joins
        low, low_after = piece - [0, 0, 0.4, 0, 0.4], after - [0, 0, 0.4, 0, 0.4]
        walls += [*np.stack([low, low_after, after], 1), *np.stack([low, after, piece], 1)]
    every = np.array(tops + walls)
    return triangles(every[..., :3], every[..., 3:], strip.paint)


def _cut(piece: np.ndarray, road: Road, other: Road, is_main: bool) -> np.ndarray:
    """The part of a convex piece [corner, (x, y, z, along, left)] outside the other road."""
    along, left = other.axis.project(piece[:, :2])
    if along.max() < -0.6 or along.min() > other.axis.length_m + 0.6:
        return piece
    limit = other.half_m if is_main else other.edge_m
    if np.abs(left).min() > limit + _CORNER_M + 1:
        return piece
    side = 1.0 if left.mean() >= 0 else -1.0
    cuts = [(side, 0.0, limit)]
    if is_main:
        for angle in np.pi / 8 * np.arange(1, 4):
            cos, sin = np.cos(angle), np.sin(angle)
            cuts.append((side * cos, sin, cos * limit + _CORNER_M * (cos + sin - 1)))
    for by_other, by_own, least in cuts:
        if len(piece) < 3:
            break
        left = other.axis.project(piece[:, :2])[1]
        own = np.abs(piece[:, 4]) - road.half_m
        piece = _clip(piece, by_other * left + by_own * own - least)
    return piece


def _clip(piece: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The part of a convex polygon where a value, linear along edges, is positive."""
    kept = []
    for i in range(len(piece)):
        j = (i + 1) % len(piece)
        if value[i] >= 0:
            kept.append(piece[i])
        if (value[i] >= 0) != (value[j] >= 0):
            kept.append(piece[i] + value[i] / (value[i] - value[j]) * (piece[j] - piece[i]))
    return np.array(kept).reshape(-1, piece.shape[1])


def _median(stage: Stage, network: Network, road: Road, generator: np.random.Generator) -> None:
    """A raised island between the directions, open at junctions."""
    kind = [("traffic island", "grey", "concrete"), ("traffic island", "red", "brick paving")]
    noun, colour, material = kind[int(generator.integers(2))]
    thing = stage.add_thing(Thing("flat.other", noun, colour, material))
    albedo = (0.3, 0.29, 0.28) if colour == "grey" else (0.3, 0.12, 0.08)
    paint = Paint(albedo, TEXTURE["cobbles"], thing)
    for low, high in open_stretches(network, road, 9.0):
        along = np.linspace(low, high, max(2, round((high - low) / 2.5)))
        half = road.median_m / 2 - 0.25
        for left, lift in (((-half, half), KERB_M), ((half, half), 0.0), ((-half, -half), 0.0)):
            corners, uv = ribbon(stage.relief, road.axis, along, np.array(left), lift)
            if lift == 0:
                corners[:, 2:, 2] += KERB_M
                uv[:, 2:, 1] += KERB_M
            stage.static.append(quads(corners, uv, paint))


def open_stretches(network: Network, road: Road, gap_m: float) -> list[tuple[float, float]]:
    """Arc-length intervals of a road at least `gap_m` from the carriageways it meets."""
    if road is network.main:
        places = [(j.main_m, j.side.half_m) for j in network.junctions]
    else:
        places = [(j.side_m, network.main.half_m) for j in network.junctions if j.side is road]
    stretches, start = [], 0.0
    for place, half in places:
        stretches.append((start, place - half - gap_m))
        start = place + half + gap_m
    stretches.append((start, road.axis.length_m))
    return [(low, high) for low, high in stretches if high - low > 4]


def _corners(relief: Relief, network: Network, junction: Junction, paint: Paint) -> Mesh:
    """Asphalt under the rounded corners of a junction."""
    main, side = network.main, junction.side
    corners = []
    along_arms = [1.0] if junction.side_m == 0 else [1.0, -1.0]
    heading = float(side.axis.heading(np.array([junction.side_m]))[0])
    out = np.array([np.cos(heading), np.sin(heading)])
    across = np.array([-out[1], out[0]])
    centre = main.axis.at(np.array([junction.main_m]))[0]
    main_heading = float(main.axis.heading(np.array([junction.main_m]))[0])
    sine = abs(np.sin(heading - main_heading))
    skew = np.cos(heading - main_heading) / sine
    for arm in along_arms:
        for lateral in (1.0, -1.0):
            edge = lateral * side.half_m * across
            reach = main.half_m / sine + arm * lateral * side.half_m * skew * np.sign(
                np.sin(heading - main_heading)
            )
            base = centre + edge + arm * (reach - 0.6) * out
            tip_out = base + arm * (_CORNER_M + 1.6) * out
            forward = np.array([np.cos(main_heading), np.sin(main_heading)])
            sign = np.sign(forward @ (lateral * across))
            tip_side = base + sign * (_CORNER_M + 1.6) * forward
            base = base - 0.6 * lateral * across
            corners.append([base, tip_out, tip_side])
    xy = np.array(corners)
    points = np.concatenate([xy, (relief.height(xy) - 0.004)[..., None]], axis=-1)
    return triangles(points, xy, paint)


def _markings(
    relief: Relief, network: Network, thing: int, generator: np.random.Generator
) -> list[Mesh]:
    """Centre and lane lines, parking lines, crosswalks and stop lines."""
    white = Paint((0.62, 0.62, 0.6), TEXTURE["concrete"], thing)
    yellow = Paint((0.62, 0.42, 0.06), TEXTURE["concrete"], thing)
    centre = yellow if generator.random() < 0.5 else white
    meshes = []

    def line(road: Road, low: float, high: float, left: float, wide: float, paint: Paint) -> None:
        along = np.linspace(low, high, max(2, round((high - low) / 2.5) + 1))
        across = np.array([left - wide / 2, left + wide / 2])
        corners, uv = ribbon(relief, road.axis, along, across, _MARK_M)
        meshes.append(quads(corners, uv, paint))

    for road in network.roads:
        for low, high in open_stretches(network, road, 7.5):
            if road.median_m == 0:
                for left in (-0.14, 0.14) if centre is yellow else (0.0,):
                    line(road, low, high, left, 0.12, centre)
            for side in (-1, 1):
                for index in range(1, road.lanes):
                    for start in np.arange(low, high - 3, 9.0):
                        left = side * (road.median_m / 2 + index * LANE_M)
                        line(road, start, start + 3, left, 0.13, white)
                if road.has_parking:
                    line(road, low, high, side * (road.half_m - 2.3), 0.1, white)
    for junction in network.junctions:
        for road, sign, at in arms(network, junction):
            for left in np.arange(-road.half_m + 0.6, road.half_m - 0.5, 1.0):
                line(road, *_ordered(at + sign * 2.0, at + sign * 5.0), left, 0.5, white)
            stop = _ordered(at + sign * 6.2, at + sign * 6.6)
            left = sign * (road.median_m / 2 + road.lanes * LANE_M / 2)
            line(road, *stop, left, road.lanes * LANE_M - 0.2, white)
    return meshes


def arms(network: Network, junction: Junction) -> list[tuple[Road, int, float]]:
    """The arms of a junction.

    Returns:
        Road, direction along its axis away from the junction, and the arc length at which the
        crossing carriageway ends.
    """
    main, side = network.main, junction.side
    found = [
        (main, 1, junction.main_m + side.half_m),
        (main, -1, junction.main_m - side.half_m),
        (side, 1, junction.side_m + main.half_m),
    ]
    return found if junction.side_m == 0 else [*found, (side, -1, junction.side_m - main.half_m)]


def _land(
    stage: Stage, network: Network, land: str, drive: np.ndarray, generator: np.random.Generator
) -> None:
    """The land between and beyond the roads: fine near the drive, coarse to the horizon."""
    axes = []
    for low, high in zip(drive.min(axis=0) - 90, drive.max(axis=0) + 90, strict=True):
        fine = np.arange(low, high + _CELL_M, _CELL_M)
        far = np.array([6.0, 16, 36, 80, 170, 350, 700])
        axes.append(np.concatenate([fine[0] - far[::-1], fine, fine[-1] + far]))
    xy = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    clearance = network.clearance(xy.reshape(-1, 2)).reshape(xy.shape[:2])
    height = stage.relief.height(xy) + np.where(clearance < -2.0, -0.25, LAND_M)
    corners = np.concatenate([xy, height[..., None]], axis=-1)
    around = [corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]]
    cells = np.stack(around, axis=2).reshape(-1, 4, 3)
    kinds = [land, "grass" if land != "grass" else "dirt"]
    is_hidden = network.covers(xy.reshape(-1, 2), 2.0).reshape(xy.shape[:2])
    is_hidden = is_hidden[:-1] & is_hidden[1:]
    cells = cells[~(is_hidden[:, :-1] & is_hidden[:, 1:]).ravel()]
    patch = Relief.drawn(generator, 1.0)
    field = patch.height(cells[:, 0, :2] * 3.0)
    is_other = field > np.quantile(field, 0.85)
    for kind, chosen in zip(kinds, (~is_other, is_other), strict=True):
        category, noun, colour, material, texture = _LAND[kind]
        thing = stage.add_thing(Thing(category, noun, colour, material))
        albedo = {"grass": _grass(generator), "dirt": (0.2, 0.14, 0.09)}.get(
            kind, 0.55 * COLOURS["sand"] if kind == "paving" else (0.27, 0.26, 0.25)
        )
        part = cells[chosen]
        stage.static.append(quads(part, part[..., :2], Paint(albedo, TEXTURE[texture], thing)))
