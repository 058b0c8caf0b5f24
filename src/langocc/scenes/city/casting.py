# SPDX-License-Identifier: Apache-2.0
"""Ray casting: what a ray of a camera, a LiDAR or the sun meets first, and where."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float32, Int, Int32

from langocc.geometry.rigid import transform_points
from langocc.scenes.city.world import Mesh, Mover, Still, World

_CACHED_TIMES = 8


@dataclass(frozen=True)
class Hits:
    """The nearest surface along each ray.

    Where a ray meets nothing: `distance_m` and `point` are inf, `thing` is -1, the rest is 0.

    Attributes:
        distance_m: Along the ray, in units of its direction's length (metres for unit vectors).
        thing: Index into `World.things`.
        normal: Unit normal of the face, world frame, turned towards the ray's origin.
        albedo: Linear RGB of the face.
        texture: Index into `textures.TEXTURES`.
        uv_m: Texture coordinates, metres.
        point: World frame, metres.
    """

    distance_m: Float32[np.ndarray, " ray"]
    thing: Int32[np.ndarray, " ray"]
    normal: Float32[np.ndarray, "ray 3"]
    albedo: Float32[np.ndarray, "ray 3"]
    texture: Int32[np.ndarray, " ray"]
    uv_m: Float32[np.ndarray, "ray 2"]
    point: Float32[np.ndarray, "ray 3"]

    def only(self, chosen: Int[np.ndarray, " chosen"]) -> "Hits":
        """The hits of some of the rays, by index."""
        return Hits(**{name: values[chosen] for name, values in vars(self).items()})


class Caster:
    """Casts rays into a world at a time.

    What stands still is indexed once; what moves is a second, small index, built for each time
    asked for (the last few are kept). Coordinates are shifted to the scene's middle, because the
    intersection runs in single precision.
    """

    def __init__(self, world: World) -> None:
        """Indexes everything that stands still."""
        self.world = world
        still = [m for m in world.movers if isinstance(m.world_from_thing, Still)]
        self._moving = [m for m in world.movers if not isinstance(m.world_from_thing, Still)]
        fixed = [world.static, *(_placed(m, 0.0) for m in still)]
        self._shift = world.static.vertices.mean(axis=0) if len(world.static.vertices) else 0.0
        self._fixed = _index([m.vertices[m.faces] - self._shift for m in fixed])
        self._times: OrderedDict[float, EmbreeScene] = OrderedDict()
        meshes = [*fixed, *(m.mesh for m in self._moving)]
        self._albedo = np.concatenate([m.albedo for m in meshes])
        self._texture = np.concatenate([m.texture for m in meshes])
        self._thing = np.concatenate([m.thing for m in meshes])
        self._uv_m = np.concatenate([m.uv_m for m in meshes])
        self._first_moving_face = sum(len(m.faces) for m in fixed)

    def cast(
        self,
        origins: Float32[np.ndarray, "ray 3"],
        directions: Float32[np.ndarray, "ray 3"],
        time_s: float,
    ) -> Hits:
        """The first surface along rays of the world frame (origins in metres) at a time."""
        origins, directions = _single(origins - self._shift), _single(directions)
        hit = self._fixed.run(origins, directions, output=True)
        near = hit["tfar"]
        face, u, v, normal = hit["primID"], hit["u"], hit["v"], hit["Ng"]
        if self._moving:
            moving = self._at(time_s).run(origins, directions, dists=near, output=True)
            won = np.flatnonzero(moving["primID"] >= 0)
            face[won] = moving["primID"][won] + self._first_moving_face
            for mine, theirs in ((near, "tfar"), (u, "u"), (v, "v"), (normal, "Ng")):
                mine[won] = moving[theirs][won]
        return self._described(origins, directions, near, face, np.stack([u, v], 1), normal)

    def occluded(
        self,
        origins: Float32[np.ndarray, "ray 3"],
        directions: Float32[np.ndarray, "ray 3"],
        time_s: float,
        max_distance: Float32[np.ndarray, " ray"] | None = None,
    ) -> Bool[np.ndarray, " ray"]:
        """Whether anything lies on each ray nearer than `max_distance` (None: anywhere).

        Lift origins off their own surface by a millimetre or so.
        """
        origins, directions = _single(origins - self._shift), _single(directions)
        dists = None if max_distance is None else _single(max_distance)
        blocked = self._fixed.run(origins, directions, dists=dists, query="OCCLUDED") >= 0
        if self._moving:
            open_ = np.flatnonzero(~blocked)
            rest = None if dists is None else dists[open_]
            scene = self._at(time_s)
            found = scene.run(origins[open_], directions[open_], dists=rest, query="OCCLUDED")
            blocked[open_[found >= 0]] = True
        return blocked

    def _at(self, time_s: float) -> EmbreeScene:
        """The index of what moves, at a time."""
        if time_s not in self._times:
            placed = [_placed(m, time_s) for m in self._moving]
            self._times[time_s] = _index([m.vertices[m.faces] - self._shift for m in placed])
            while len(self._times) > _CACHED_TIMES:
                self._times.popitem(last=False)
        self._times.move_to_end(time_s)
        return self._times[time_s]

    def _described(
        self,
        origins: np.ndarray,
        directions: np.ndarray,
        near: np.ndarray,
        face: np.ndarray,
        corner_weights: np.ndarray,
        normal: np.ndarray,
    ) -> Hits:
        """Looks up what belongs to the faces that were hit."""
        missed = np.flatnonzero(face < 0)
        towards = np.einsum("ij,ij->i", normal, directions)
        length = np.sqrt(np.einsum("ij,ij->i", normal, normal))
        scale = np.where(towards > 0, -1.0, 1.0) / np.maximum(length, 1e-20)
        corners = self._uv_m[face]
        uv_m = corners[:, 0] + corner_weights[:, :1] * (corners[:, 1] - corners[:, 0])
        uv_m += corner_weights[:, 1:] * (corners[:, 2] - corners[:, 0])
        near[missed] = np.inf
        point = origins + directions * np.where(np.isinf(near), 0, near)[:, None] + self._shift
        hits = Hits(
            distance_m=near,
            thing=self._thing[face],
            normal=normal * scale[:, None].astype(np.float32),
            albedo=self._albedo[face],
            texture=self._texture[face],
            uv_m=uv_m,
            point=point.astype(np.float32),
        )
        hits.thing[missed], hits.point[missed] = -1, np.inf
        for values in (hits.normal, hits.albedo, hits.texture, hits.uv_m):
            values[missed] = 0
        return hits


def _placed(mover: Mover, time_s: float) -> Mesh:
    """A mover's mesh in the world frame."""
    m = mover.mesh
    vertices = transform_points(mover.world_from_thing(time_s), m.vertices)
    return Mesh(vertices, m.faces, m.albedo, m.texture, m.thing, m.uv_m)


def _index(triangles: list[np.ndarray]) -> EmbreeScene:
    """The intersection index of triangles [face, 3, 3]; committed, so that threads may share it."""
    scene = EmbreeScene(robust=True)
    joined = np.concatenate(triangles).astype(np.float32)
    faces = np.arange(3 * len(joined), dtype=np.int32).reshape(-1, 3)
    TriangleMesh(scene, joined.reshape(-1, 3), faces)
    scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))
    return scene


def _single(values: np.ndarray) -> np.ndarray:
    """Contiguous single precision, which the intersection needs."""
    return np.ascontiguousarray(values, dtype=np.float32)
