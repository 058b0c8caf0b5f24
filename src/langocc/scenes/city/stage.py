# SPDX-License-Identifier: Apache-2.0
"""A scene while it is being built: relief, things, meshes, movers, and who stands where."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from langocc.geometry.rigid import Transform, rigid
from langocc.scenes.city.solids import moved
from langocc.scenes.city.world import Mesh, Mover, Still, Thing


@dataclass(frozen=True)
class Model:
    """An object ready to be placed: what it is and its mesh, on the ground at the origin."""

    thing: Thing
    mesh: Mesh


@dataclass(frozen=True)
class Relief:
    """A smooth height field: a sum of long waves. Slopes stay below some 4 degrees.

    Attributes:
        waves: Rows (x frequency, y frequency, phase, amplitude): rad/m, rad/m, rad, m.
    """

    waves: Float64[np.ndarray, "wave 4"]

    @classmethod
    def drawn(cls, generator: np.random.Generator, steepness: float) -> "Relief":
        """A random relief; steepness 0 is flat, 1 hilly for a city."""
        direction = generator.uniform(0, 2 * np.pi, 4)
        length = np.array([420.0, 260.0, 190.0, 140.0]) * generator.uniform(0.85, 1.2, 4)
        slope = steepness * np.array([0.03, 0.02, 0.012, 0.008]) * generator.uniform(0.5, 1, 4)
        number = 2 * np.pi / length
        phase = generator.uniform(0, 2 * np.pi, 4)
        return cls(
            np.stack(
                [number * np.cos(direction), number * np.sin(direction), phase, slope / number], 1
            )
        )

    def height(self, xy: Float64[np.ndarray, "*shape 2"]) -> Float64[np.ndarray, "*shape"]:
        """Ground height, metres."""
        total = np.zeros(np.shape(xy)[:-1])
        for fx, fy, phase, amplitude in self.waves:
            total = total + amplitude * np.sin(fx * xy[..., 0] + fy * xy[..., 1] + phase)
        return np.asarray(total)

    def normal(self, xy: Float64[np.ndarray, " 2"]) -> Float64[np.ndarray, " 3"]:
        """Upward unit normal at a point."""
        slope = np.zeros(2)
        for fx, fy, phase, amplitude in self.waves:
            slope += amplitude * np.cos(fx * xy[0] + fy * xy[1] + phase) * np.array([fx, fy])
        normal = np.array([-slope[0], -slope[1], 1.0])
        return normal / np.linalg.norm(normal)

    def pose(self, xy: np.ndarray, yaw_rad: float, lift_m: float = 0.0) -> Transform:
        """`world_from_thing` of something that stands on the slope and faces a yaw."""
        up = self.normal(xy)
        ahead = np.array([np.cos(yaw_rad), np.sin(yaw_rad), 0.0])
        ahead = ahead - up * (ahead @ up)
        ahead /= np.linalg.norm(ahead)
        rotation = np.stack([ahead, np.cross(up, ahead), up], axis=1)
        return rigid(rotation, np.array([*xy, float(self.height(xy)) + lift_m]))


@dataclass(frozen=True)
class Block:
    """A rectangle on the ground: centre, half lengths, direction of its first side."""

    centre: Float64[np.ndarray, " 2"]
    half_m: tuple[float, float]
    yaw_rad: float

    @property
    def axes(self) -> Float64[np.ndarray, "2 2"]:
        """Unit vectors of its sides, as rows."""
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return np.array([[c, s], [-s, c]])

    def corners(self, margin_m: float = 0.0) -> Float64[np.ndarray, "4 2"]:
        """Its corners, or those of a larger rectangle."""
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
        return self.centre + (signs * (np.array(self.half_m) + margin_m)) @ self.axes

    def distance(self, xy: Float64[np.ndarray, " 2"]) -> float:
        """Metres from a point to it; 0 inside."""
        local = np.abs(self.axes @ (np.asarray(xy, np.float64) - self.centre))
        return float(np.linalg.norm(np.maximum(local - self.half_m, 0)))

    def overlaps(self, other: "Block") -> bool:
        """Whether two rectangles overlap (separating axes)."""
        offset = other.centre - self.centre
        for axis in (*self.axes, *other.axes):
            reach = np.abs(self.axes @ axis) @ np.array(self.half_m)
            reach += np.abs(other.axes @ axis) @ np.array(other.half_m)
            if abs(offset @ axis) > reach:
                return False
        return True


@dataclass
class Stage:
    """Collects a scene.

    Attributes:
        relief: The ground's height.
        things: Owners so far.
        static: Meshes that never move.
        movers: Boxed things.
        taken: Discs (x, y, radius) on which something stands.
        blocks: Rectangles on which buildings stand.
    """

    relief: Relief
    things: list[Thing] = field(default_factory=list)
    static: list[Mesh] = field(default_factory=list)
    movers: list[Mover] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def add_thing(self, thing: Thing) -> int:
        """Registers an owner of faces."""
        self.things.append(thing)
        return len(self.things) - 1

    def fix(self, mesh: Mesh, thing: int) -> None:
        """Adds a mesh that never moves, owned by a thing."""
        self.static.append(replace(mesh, thing=np.full_like(mesh.thing, thing)))

    def stand(
        self, model: Model, xy: np.ndarray, yaw_rad: float = 0.0, lift_m: float = 0.0
    ) -> None:
        """Places something that never moves and has no box, upright."""
        height = float(self.relief.height(np.asarray(xy, np.float64)))
        self.fix(
            moved(model.mesh, (xy[0], xy[1], height + lift_m), yaw_rad), self.add_thing(model.thing)
        )

    def park(self, model: Model, xy: np.ndarray, yaw_rad: float = 0.0, lift_m: float = 0.0) -> None:
        """Places a boxed thing that does not move."""
        self.drive(model, Still(self.relief.pose(np.asarray(xy, np.float64), yaw_rad, lift_m)))

    def drive(self, model: Model, world_from_thing: Callable[[float], Transform]) -> None:
        """Places a boxed thing with a pose over time."""
        thing = self.add_thing(model.thing)
        mesh = replace(model.mesh, thing=np.full_like(model.mesh.thing, thing))
        self.movers.append(Mover(thing, mesh, world_from_thing))

    def is_free(self, xy: np.ndarray, radius_m: float) -> bool:
        """Whether a disc touches none of those taken."""
        if any(block.distance(xy) < radius_m for block in self.blocks):
            return False
        if not self.taken:
            return True
        taken = np.array(self.taken)
        gap = np.hypot(taken[:, 0] - xy[0], taken[:, 1] - xy[1]) - taken[:, 2]
        return bool(np.all(gap >= radius_m))

    def take(self, xy: np.ndarray, radius_m: float) -> bool:
        """Takes a disc if it is free."""
        if not self.is_free(xy, radius_m):
            return False
        self.taken.append((float(xy[0]), float(xy[1]), radius_m))
        return True
