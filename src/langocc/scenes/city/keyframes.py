# SPDX-License-Identifier: Apache-2.0
"""Where the vehicle and its cameras are at the key frames of a drive."""

from dataclasses import dataclass

from langocc.geometry.rigid import Transform
from langocc.scenes.city.plan import ScenePlan
from langocc.scenes.city.rig import CityCamera, cameras
from langocc.scenes.city.world import World


@dataclass(frozen=True)
class Exposure:
    """A camera at the moment of its image.

    Attributes:
        camera: Which one.
        time_s: Since the start of the drive, seconds; before the key time.
        world_from_ego: The vehicle at that moment.
    """

    camera: CityCamera
    time_s: float
    world_from_ego: Transform

    @property
    def world_from_cam(self) -> Transform:
        """The camera at that moment."""
        return self.world_from_ego @ self.camera.ego_from_cam


@dataclass(frozen=True)
class KeyFrame:
    """A key frame; its time is the LiDAR's.

    Attributes:
        token: Sample token.
        time_s: Since the start of the drive, seconds.
        world_from_ego: The vehicle at the key time.
        exposures: One for each camera.
    """

    token: str
    time_s: float
    world_from_ego: Transform
    exposures: tuple[Exposure, ...]


def key_frames(plan: ScenePlan, world: World) -> list[KeyFrame]:
    """The key frames of a scene in time order."""
    rig = cameras(plan.settings.width, plan.settings.height)
    frames = []
    for index, time_s in enumerate(plan.key_times_s):
        camera_times_s = [time_s + camera.delay_us * 1e-6 for camera in rig]
        exposures = tuple(
            Exposure(camera, exposed_s, world.world_from_ego(exposed_s))
            for camera, exposed_s in zip(rig, camera_times_s, strict=True)
        )
        token = plan.token("sample", index)
        frames.append(KeyFrame(token, time_s, world.world_from_ego(time_s), exposures))
    return frames
