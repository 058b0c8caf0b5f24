# SPDX-License-Identifier: Apache-2.0
"""What a city scene is made of: meshes with a colour and an owner per face, and things that move.

World frame: metres, z up; the map's own origin. The layout makes a `World`; the cameras, the
LiDAR and the label grids read it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from langocc.geometry.rigid import Transform


@dataclass(frozen=True)
class Thing:
    """An object or a surface that owns faces: what labels, captions and queries speak of.

    Attributes:
        category: nuScenes category ("vehicle.car", "flat.driveable_surface", ...), which fixes its
            lidarseg and Occ3D ids; see `categories.py`.
        noun: The everyday word ("taxi", "fir tree", "fountain"); finer than the category.
        colour: Colour word ("red"), or "" where none applies.
        material: Material word ("brick"), or "".
        size_m: Length, width, height of its upright bounding box, metres (things with boxes only).
    """

    category: str
    noun: str
    colour: str = ""
    material: str = ""
    size_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour, a procedural texture and an owner (`World.things`) per face.

    `uv_m` holds each corner's texture coordinates in metres along the surface; they take a brick
    along a wall and a lane along a curve.
    """

    vertices: Float64[np.ndarray, "vertex 3"]
    faces: Int32[np.ndarray, "face 3"]
    albedo: Float32[np.ndarray, "face 3"]  # linear RGB in [0, 1]
    texture: Int32[np.ndarray, " face"]  # index into textures.TEXTURES
    thing: Int32[np.ndarray, " face"]
    uv_m: Float32[np.ndarray, "face 3 2"]


@dataclass(frozen=True)
class Still:
    """A pose that never changes: `world_from_thing` of parked and standing movers."""

    world_from_thing: Transform

    def __call__(self, time_s: float) -> Transform:
        """The same pose at every time (seconds)."""
        return self.world_from_thing


@dataclass(frozen=True)
class Mover:
    """A thing with a pose over time; its mesh is in its own frame (x forward, z up, on the ground).

    Parked objects are movers with a constant pose (`Still`), so that every boxed thing has one box
    rule: `Thing.size_m`, centred on the frame's origin in x and y, from 0 upwards in z.
    `world_from_thing(time_s)` is defined for every time of the scene.
    """

    thing: int
    mesh: Mesh
    world_from_thing: Callable[[float], Transform]


@dataclass(frozen=True)
class Atmosphere:
    """The air and the light of a scene, as far as it is not geometry.

    Attributes:
        sun: Strength of direct sunlight; 0 under a closed cover of cloud, about 3 on a clear noon.
        warmth: 0 (noon) to 1 (low, orange sun).
        cloud_cover: Share of the sky that clouds take, 0..1.
        haze_per_m: Light lost to haze per metre.
        exposure: The cameras' exposure; 1 is neutral.
        seed: Which clouds.
    """

    sun: float = 2.6
    warmth: float = 0.2
    cloud_cover: float = 0.35
    haze_per_m: float = 0.002
    exposure: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class World:
    """One scene: static surfaces, boxed things, the ego vehicle's drive, the light.

    Attributes:
        things: Owners of faces.
        static: Everything that never moves and has no box: ground, buildings, vegetation, poles.
        movers: Boxed things, moving or parked.
        world_from_ego: The ego vehicle's pose at a time in seconds.
        duration_s: Length of the drive.
        sun_direction: Unit vector towards the sun.
        description: One sentence for the scene table ("Curved residential street, ...").
        atmosphere: Weather and exposure.
    """

    things: Sequence[Thing]
    static: Mesh
    movers: Sequence[Mover]
    world_from_ego: Callable[[float], Transform]
    duration_s: float
    sun_direction: Float64[np.ndarray, " 3"]
    description: str
    atmosphere: Atmosphere = Atmosphere()
