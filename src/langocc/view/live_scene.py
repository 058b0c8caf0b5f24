# SPDX-License-Identifier: Apache-2.0
"""The three-dimensional part of the live page: cubes, photographs in their frusta, LiDAR points."""

from collections.abc import Mapping

import numpy as np
import viser
from jaxtyping import Float32, UInt8
from scipy.spatial.transform import Rotation
from viser import BatchedMeshHandle, CameraFrustumHandle

from langocc.geometry.rigid import invert_rigid
from langocc.scenes.frame import Frame
from langocc.view.colours import class_colours, heat_colours
from langocc.view.live_frame import Cubes
from langocc.view.pictures import INK

PREDICTED, TRUE, DIFFERENT = "/predicted", "/true", "/difference"
"""Names of the sets of cubes in the scene."""

_FRUSTUM_M = 1.6


class LiveScene:
    """Draws into a viser server; what is drawn under a name replaces what was there."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Sets up directions, light and the first view: from behind and above."""
        self._scene = server.scene
        self._cubes: dict[str, BatchedMeshHandle] = {}
        self._colours: dict[str, np.ndarray] = {}
        self._visible: dict[str, bool] = {}
        self._frusta: dict[str, CameraFrustumHandle] = {}
        self._scene.set_up_direction("+z")
        self._light()
        server.initial_camera.position = (-24.0, 9.0, 21.0)
        server.initial_camera.look_at = (6.0, 0.0, 0.0)
        self._scene.add_box("/vehicle", color=INK, dimensions=(4.5, 1.8, 1.5), position=(1.3, 0, 1))

    def _light(self) -> None:
        """Light that leaves a face seen from above its own colour, so that legends are right."""
        self._scene.configure_environment_map(None)
        self._scene.configure_default_lights(enabled=False)
        self._scene.add_light_ambient("/sky", intensity=0.62 * np.pi)
        place = (-0.45, 0.3, 1.0)
        self._scene.add_light_directional("/sun", intensity=0.45 * np.pi, position=place)

    def cubes(
        self, name: str, cubes: Cubes | None, colours: UInt8[np.ndarray, "voxel 3"] | None = None
    ) -> None:
        """Draws cubes in colours, or in those of their classes; no cubes remove the set."""
        if (old := self._cubes.pop(name, None)) is not None:
            old.remove()
        if cubes is None or not len(cubes.centres_m):
            return
        vertices, faces = _box(cubes.edges_m)
        self._colours[name] = class_colours(cubes.class_ids) if colours is None else colours
        count = len(cubes.centres_m)
        self._cubes[name] = self._scene.add_batched_meshes_simple(
            name,
            vertices,
            faces,
            np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
            cubes.centres_m,
            batched_colors=_linear(self._colours[name]),
            lod="off",
            flat_shading=True,
            cast_shadow=False,
            receive_shadow=False,
            visible=self._visible.get(name, True),
        )

    def colour(self, name: str, colours: UInt8[np.ndarray, "voxel 3"]) -> None:
        """Gives each cube of a set another colour; nothing if the set is not there."""
        if name in self._cubes:
            self._colours[name] = colours
            self._cubes[name].batched_colors = _linear(colours)

    def colours(self, name: str) -> UInt8[np.ndarray, "voxel 3"]:
        """Present colours of a set's cubes; none if the set is not there."""
        if name not in self._cubes:
            return np.zeros((0, 3), np.uint8)
        return self._colours[name]

    def frusta(
        self, frame: Frame, photographs: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    ) -> None:
        """Draws every camera with its photograph, in place of those of another frame."""
        for name in self._frusta.keys() - frame.cameras.keys():
            self._frusta.pop(name).remove()
        ego_from_global = invert_rigid(frame.global_from_ego)
        for name, camera in frame.cameras.items():
            key_from_cam = ego_from_global @ camera.global_from_ego @ camera.ego_from_cam
            x, y, z, w = Rotation.from_matrix(key_from_cam[:3, :3]).as_quat()
            self._frusta[name] = self._scene.add_camera_frustum(
                f"/cameras/{name}",
                fov=2 * float(np.arctan(camera.height / 2 / camera.intrinsics[1, 1])),
                aspect=camera.width / camera.height,
                scale=_FRUSTUM_M,
                color=INK,
                image=photographs[name],
                format="jpeg",
                wxyz=(float(w), float(x), float(y), float(z)),
                position=key_from_cam[:3, 3],
                visible=self._visible.get("/cameras", True),
            )

    def photographs(self, pictures: Mapping[str, UInt8[np.ndarray, "height width 3"]]) -> None:
        """Puts other pictures into the frusta."""
        for name, picture in pictures.items():
            self._frusta[name].image = picture

    def points(self, points_m: Float32[np.ndarray, "point 3"]) -> None:
        """Draws LiDAR points, darker the higher."""
        height = np.clip((points_m[:, 2] + 1.0) / 5.0, 0, 1)
        self._scene.add_point_cloud(
            "/lidar",
            points_m,
            heat_colours(0.25 + 0.75 * height),
            point_size=0.07,
            point_shape="circle",
            visible=self._visible.get("/lidar", False),
        )

    def show(self, is_visible: Mapping[str, bool]) -> None:
        """Shows and hides parts by name, now and in all frames to come."""
        self._visible.update(is_visible)
        for name, value in is_visible.items():
            for handle in self._handles(name):
                handle.visible = value

    def _handles(self, name: str) -> list[viser.SceneNodeHandle]:
        if name in self._cubes:
            return [self._cubes[name]]
        known = self._scene.get_handle_by_name(name)
        return [] if known is None else [known]


def _linear(colours: UInt8[np.ndarray, "voxel 3"]) -> UInt8[np.ndarray, "voxel 3"]:
    """Screen colours as light: the page takes those of many cubes as they are, without a gamma."""
    return (255 * (colours / 255.0) ** 2.2).round().astype(np.uint8)


def _box(
    edges_m: tuple[float, float, float],
) -> tuple[Float32[np.ndarray, "8 3"], np.ndarray]:
    """Corners and triangles (outward) of a box around the origin, a little smaller than a cell."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return corners * np.array(edges_m, np.float32) * np.float32(0.48), np.array(
        triangles, np.uint32
    )
