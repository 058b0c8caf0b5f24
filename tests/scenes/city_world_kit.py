# SPDX-License-Identifier: Apache-2.0
"""A world small enough to reckon by hand."""

import numpy as np

from langocc.geometry.rigid import Transform, rigid
from langocc.scenes.city.solids import Paint, box, join, quads
from langocc.scenes.city.world import Mover, Thing, World


def test_world() -> World:
    """A ground plane at z = 0, a building at x 10..14, a car that drives along x at 5 m/s.

    The building is 4 m x 6 m x 8 m (x 10..14, y -3..3). The car is 4 x 2 x 1.5 m; at time t its
    middle is at x = 5 t, y = 6. The ego vehicle stands at the origin for 4 s.
    """
    things = (
        Thing("flat.driveable_surface", "road", "grey", "asphalt"),
        Thing("static.manmade", "building", "red", "brick"),
        Thing("vehicle.car", "car", "blue", "metal", (4.0, 2.0, 1.5)),
    )
    square = np.array([[[-100, -100, 0], [100, -100, 0], [100, 100, 0], [-100, 100, 0]]])
    ground = quads(square, square[..., :2], Paint((0.2, 0.2, 0.2), 0, 0))
    building = box((4, 6, 8), Paint((0.5, 0.1, 0.1), 0, 1), (12, 0, 0))
    car = box((4, 2, 1.5), Paint((0.1, 0.1, 0.6), 0, 2))

    def world_from_car(time_s: float) -> Transform:
        return rigid(np.eye(3), (5.0 * time_s, 6.0, 0.0))

    return World(
        things=things,
        static=join([ground, building]),
        movers=(Mover(2, car, world_from_car),),
        world_from_ego=lambda time_s: np.eye(4),
        duration_s=4.0,
        sun_direction=np.array([0.0, 0.6, 0.8]),
        description="A plane, a building, a car.",
    )


test_world.__test__ = False  # a builder, not a test
