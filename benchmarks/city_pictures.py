# SPDX-License-Identifier: Apache-2.0
"""Processor time of a city scene: building it, indexing it, six pictures of a key frame.

Example: OMP_NUM_THREADS=1 python benchmarks/city_pictures.py --width 400 --height 225
"""

import argparse
import time

import numpy as np

from langocc.scenes.city.casting import Caster
from langocc.scenes.city.layout import build_world
from langocc.scenes.city.render import render_camera

YAWS_DEG = ((0, 65), (55, 65), (-55, 65), (110, 65), (-110, 65), (180, 90))
"""Direction and field of view of each camera."""


def camera(yaw_deg, fov_deg, width, height):
    """Intrinsics and ego_from_cam."""
    focal = width / 2 / np.tan(np.radians(fov_deg / 2))
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    ego_from_cam = np.array([[s, 0, c, 1.2], [-c, 0, s, 0], [0, -1, 0, 1.55], [0, 0, 0, 1]])
    return intrinsics, ego_from_cam


def main():
    """Prints a line per scene."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--height", type=int, default=225)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--no-smooth-edges", action="store_true")
    args = parser.parse_args()
    print("scene  triangles  build s  index s  six pictures s   (processor time, one thread)")
    for scene in range(args.scenes):
        start = time.process_time()
        world = build_world(0, scene, 10.0)
        built = time.process_time()
        caster = Caster(world)
        indexed = time.process_time()
        spent = []
        for time_s in (1.0, 3.0, 5.0):  # the first also bakes textures
            begun = time.process_time()
            for yaw_deg, fov_deg in YAWS_DEG:
                k, ego_from_cam = camera(yaw_deg, fov_deg, args.width, args.height)
                pose = world.world_from_ego(time_s) @ ego_from_cam
                smooth = not args.no_smooth_edges
                render_camera(caster, k, args.width, args.height, pose, time_s, smooth)
            spent.append(time.process_time() - begun)
        count = len(world.static.faces) + sum(len(m.mesh.faces) for m in world.movers)
        print(
            f"{scene:5d} {count:10d} {built - start:8.2f} {indexed - built:8.2f} "
            f"{np.median(spent):15.2f}"
        )


if __name__ == "__main__":
    main()
