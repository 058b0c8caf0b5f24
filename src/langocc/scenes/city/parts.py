# SPDX-License-Identifier: Apache-2.0
"""A finished scene's share of the tables, stored until the whole city is there."""

from collections.abc import Sequence

import msgspec

from langocc.geometry.rigid import Transform
from langocc.scenes.city.bev import global_from_world
from langocc.scenes.city.boxes import Sighting, annotate
from langocc.scenes.city.keyframes import Exposure, KeyFrame
from langocc.scenes.city.plan import ScenePlan
from langocc.scenes.city.rig import LIDAR_CHANNEL
from langocc.scenes.city.tables import (
    EgoPose,
    Instance,
    Log,
    Map,
    Sample,
    SampleAnnotation,
    SampleData,
    Scene,
    calibration_token,
    pose_columns,
)
from langocc.scenes.city.world import World


class ScenePart(msgspec.Struct, frozen=True):
    """Records of one scene, and the query texts that each of its sweeps offers."""

    split: str
    log: list[Log]
    map: list[Map]
    scene: list[Scene]
    sample: list[Sample]
    ego_pose: list[EgoPose]
    sample_data: list[SampleData]
    instance: list[Instance]
    sample_annotation: list[SampleAnnotation]
    texts: list[dict[str, int]]


def scene_part(
    plan: ScenePlan,
    world: World,
    keys: Sequence[KeyFrame],
    boxes: Sequence[Sequence[Sighting]],
    texts: list[dict[str, int]],
) -> ScenePart:
    """All records of a scene.

    Args:
        plan: Which scene.
        world: Its world.
        keys: Its key frames.
        boxes: Boxes of each key frame.
        texts: Query texts of each key frame -> number of positive points.
    """
    log, scene = plan.token("log"), plan.token("scene")
    placed = global_from_world(world)
    instances, annotations = annotate(world, plan, boxes, placed)
    sample_data, ego_poses = _sensor_records(plan, keys, placed)
    return ScenePart(
        split=plan.split,
        log=[Log(log, plan.name, "city", "2026-01-01", "procedural-city")],
        map=[Map(plan.token("map"), [log], "semantic_prior", map_name(plan))],
        scene=[
            Scene(
                scene,
                plan.name,
                world.description,
                log,
                len(keys),
                keys[0].token,
                keys[-1].token,
            )
        ],
        sample=[
            Sample(key.token, plan.timestamp_us(key.time_s), scene, before, after)
            for key, before, after in _chained(keys)
        ],
        ego_pose=ego_poses,
        sample_data=sample_data,
        instance=instances,
        sample_annotation=annotations,
        texts=texts,
    )


def image_name(plan: ScenePlan, exposure: Exposure) -> str:
    """Path of an image in the nuScenes folder."""
    return _file_name(plan, exposure.camera.channel, exposure.time_s, "jpg")


def sweep_name(plan: ScenePlan, key: KeyFrame) -> str:
    """Path of a sweep in the nuScenes folder."""
    return _file_name(plan, LIDAR_CHANNEL, key.time_s, "pcd.bin")


def map_name(plan: ScenePlan) -> str:
    """Path of a scene's map in the nuScenes folder."""
    return f"maps/{plan.token('map')}.png"


def sensor_token(plan: ScenePlan, channel: str, key_token: str) -> str:
    """Token of the image or sweep of a sensor in a key frame."""
    return plan.token(channel, key_token)


def _file_name(plan: ScenePlan, channel: str, time_s: float, ending: str) -> str:
    return f"samples/{channel}/{plan.name}__{channel}__{plan.timestamp_us(time_s)}.{ending}"


def _chained(keys: Sequence[KeyFrame]) -> list[tuple[KeyFrame, str, str]]:
    """Each key frame with the tokens of the one before and the one after."""
    tokens = ["", *(key.token for key in keys), ""]
    return list(zip(keys, tokens, tokens[2:], strict=False))


def _sensor_records(
    plan: ScenePlan, keys: Sequence[KeyFrame], placed: Transform
) -> tuple[list[SampleData], list[EgoPose]]:
    """Records of all images and sweeps, each with an ego pose of its own (and its token)."""
    sample_data, ego_poses = [], []
    for key, before, after in _chained(keys):
        seen = [
            (e.camera.channel, e.time_s, e.world_from_ego, image_name(plan, e), e.camera)
            for e in key.exposures
        ]
        swept = (LIDAR_CHANNEL, key.time_s, key.world_from_ego, sweep_name(plan, key), None)
        for channel, time_s, world_from_ego, name, camera in [swept, *seen]:
            token, timestamp = sensor_token(plan, channel, key.token), plan.timestamp_us(time_s)
            ego_poses.append(EgoPose(token, *pose_columns(placed @ world_from_ego), timestamp))
            sample_data.append(
                SampleData(
                    token=token,
                    sample_token=key.token,
                    ego_pose_token=token,
                    calibrated_sensor_token=calibration_token(channel),
                    filename=name,
                    fileformat="pcd" if camera is None else "jpg",
                    width=camera.width if camera else 0,
                    height=camera.height if camera else 0,
                    timestamp=timestamp,
                    is_key_frame=True,
                    prev=sensor_token(plan, channel, before) if before else "",
                    next=sensor_token(plan, channel, after) if after else "",
                )
            )
    return sample_data, ego_poses
