# SPDX-License-Identifier: Apache-2.0
"""The 32 general categories of nuScenes' LiDAR labels and the Occ3D class of each.

Source: formats.md section 1 (lidarseg ids) and section 2 (Occ3D ids); the pairing is the official
challenge mapping of nuScenes-lidarseg.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One category.

    Attributes:
        name: nuScenes name.
        lidarseg_id: Index 0..31 in lidarseg files and in the `index` field of the category table.
        occ3d_id: Occ3D class 0..16; 0 ("others") is what no evaluated class covers.
    """

    name: str
    lidarseg_id: int
    occ3d_id: int


_OCC3D_IDS = (
    ("noise", 0),
    ("animal", 0),
    ("human.pedestrian.adult", 7),
    ("human.pedestrian.child", 7),
    ("human.pedestrian.construction_worker", 7),
    ("human.pedestrian.personal_mobility", 0),
    ("human.pedestrian.police_officer", 7),
    ("human.pedestrian.stroller", 0),
    ("human.pedestrian.wheelchair", 0),
    ("movable_object.barrier", 1),
    ("movable_object.debris", 0),
    ("movable_object.pushable_pullable", 0),
    ("movable_object.trafficcone", 8),
    ("static_object.bicycle_rack", 0),
    ("vehicle.bicycle", 2),
    ("vehicle.bus.bendy", 3),
    ("vehicle.bus.rigid", 3),
    ("vehicle.car", 4),
    ("vehicle.construction", 5),
    ("vehicle.emergency.ambulance", 0),
    ("vehicle.emergency.police", 0),
    ("vehicle.motorcycle", 6),
    ("vehicle.trailer", 9),
    ("vehicle.truck", 10),
    ("flat.driveable_surface", 11),
    ("flat.other", 12),
    ("flat.sidewalk", 13),
    ("flat.terrain", 14),
    ("static.manmade", 15),
    ("static.other", 0),
    ("static.vegetation", 16),
    ("vehicle.ego", 0),
)

CATEGORIES: tuple[Category, ...] = tuple(
    Category(name, index, occ3d_id) for index, (name, occ3d_id) in enumerate(_OCC3D_IDS)
)
"""All categories; position = lidarseg id."""

CATEGORY: Mapping[str, Category] = {category.name: category for category in CATEGORIES}
"""Category by nuScenes name."""
