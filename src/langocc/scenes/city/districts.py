# SPDX-License-Identifier: Apache-2.0
"""Kinds of neighbourhood: what their streets, houses and greenery are like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class District:
    """A kind of neighbourhood. Pairs are ranges, tuples of many are choices.

    Attributes:
        name: For the scene's description.
        lanes: Lanes in each direction of the main road.
        side_lanes: The same of side roads.
        parking: Share of roads with parking lanes.
        walk_m: Width of sidewalks.
        verge_m: Width of the strip between kerb and sidewalk.
        curviness: Typical bend, radians.
        lights: Share of junctions with traffic lights.
        buildings: Kinds of building (see `buildings.py`).
        setback_m: From sidewalk to façade.
        gap_m: Between buildings.
        floors: Floors of tall kinds.
        ground: What lies beyond the sidewalk: "paving", "grass", "gravel", "dirt", "concrete".
        trees: Kinds of tree.
        tree_gap_m: Typical distance between street trees.
        greenery: Trees per hectare away from the street.
        traffic_gap_m: Typical distance between vehicles of a lane.
        walkers: People per 100 m of sidewalk.
        speed_m_s: Typical speed.
    """

    name: str
    lanes: tuple[int, ...]
    side_lanes: tuple[int, ...]
    parking: float
    walk_m: tuple[float, float]
    verge_m: tuple[float, ...]
    curviness: float
    lights: float
    buildings: tuple[str, ...]
    setback_m: tuple[float, float]
    gap_m: tuple[float, float]
    floors: tuple[int, int]
    ground: str
    trees: tuple[str, ...]
    tree_gap_m: float
    greenery: float
    traffic_gap_m: float
    walkers: float
    speed_m_s: float


DISTRICTS = (
    District(
        "downtown",
        (2, 2, 3),
        (1, 2),
        0.5,
        (3.5, 5.5),
        (0.0,),
        0.2,
        0.9,
        ("tower", "office", "office", "apartment", "shop"),
        (0.3, 3.0),
        (0.0, 5.0),
        (4, 14),
        "paving",
        ("plane tree", "linden tree", "ginkgo tree"),
        16.0,
        4.0,
        28.0,
        6.0,
        10.0,
    ),
    District(
        "residential",
        (1,),
        (1,),
        0.7,
        (2.6, 3.2),
        (0.0, 1.6, 2.4),
        0.6,
        0.2,
        ("house", "house", "house", "villa", "apartment"),
        (4.0, 9.0),
        (4.0, 10.0),
        (2, 4),
        "grass",
        ("maple tree", "fir tree", "birch tree", "cherry tree"),
        19.0,
        45.0,
        50.0,
        2.5,
        8.0,
    ),
    District(
        "industrial",
        (1, 2),
        (1,),
        0.3,
        (2.6, 3.2),
        (0.0, 1.5),
        0.25,
        0.4,
        ("warehouse", "warehouse", "factory", "office"),
        (6.0, 16.0),
        (6.0, 18.0),
        (2, 4),
        "concrete",
        ("poplar tree", "birch tree"),
        40.0,
        6.0,
        36.0,
        1.2,
        11.0,
    ),
    District(
        "park",
        (1, 2),
        (1,),
        0.35,
        (3.0, 4.5),
        (0.0, 2.0, 3.0),
        0.7,
        0.4,
        ("pavilion", "villa", "apartment"),
        (10.0, 20.0),
        (30.0, 70.0),
        (2, 5),
        "grass",
        ("oak tree", "fir tree", "birch tree", "willow tree", "poplar tree", "maple tree"),
        14.0,
        80.0,
        45.0,
        4.0,
        8.5,
    ),
    District(
        "old town",
        (1,),
        (1,),
        0.35,
        (2.8, 3.6),
        (0.0,),
        0.5,
        0.4,
        ("townhouse",) * 6 + ("shop", "shop", "church"),
        (0.2, 0.8),
        (0.0, 1.0),
        (3, 5),
        "paving",
        ("linden tree", "cherry tree", "cypress tree"),
        30.0,
        3.0,
        40.0,
        5.0,
        7.0,
    ),
    District(
        "suburban boulevard",
        (2, 3),
        (1, 2),
        0.15,
        (2.6, 3.6),
        (2.0, 3.5),
        0.35,
        0.8,
        ("shop", "apartment", "office", "gas station", "house"),
        (5.0, 14.0),
        (8.0, 22.0),
        (2, 6),
        "grass",
        ("palm tree", "maple tree", "cypress tree"),
        17.0,
        18.0,
        30.0,
        2.0,
        12.0,
    ),
)
"""The kinds of neighbourhood."""
