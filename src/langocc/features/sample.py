# SPDX-License-Identifier: Apache-2.0
"""One training or test sample: input images of a key frame and its past, the rig, the rays."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from langocc.batch import Batch
from langocc.errors import ConfigError, DataError
from langocc.features.input_images import Decode, ImageReader, cut_input
from langocc.features.lidar_depth import lidar_depth_m
from langocc.features.packed import PackedBatch, PackedRays
from langocc.features.pixels import OTHER_TIME
from langocc.features.rays import Intrinsics, SceneGeometry, cast_pixels, scene_geometry
from langocc.features.shard import Shard
from langocc.features.store import FeatureStore
from langocc.features.window import draw_rows, window_indices
from langocc.geometry.augment import (
    PUBLISHED_RANGES,
    AugmentConfig,
    ImageAugmentation,
    draw_bev_flip,
    draw_image_augmentation,
    plain_image_augmentation,
)
from langocc.geometry.rig import CameraRig
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame


@dataclass(frozen=True)
class SampleConfig:
    """What a sample holds. Defaults are the published training of the preset `full`.

    Source: method.md sections 2, 3 and 5.
    """

    input_size: tuple[int, int] = (704, 256)
    """Width and height of the network's input, pixels."""
    frames: int = 3
    """Images of the key frame and of so many before it, the key frame included."""
    horizon: int = 12
    """Key frames to either side whose rays are pooled."""
    rays: int = 8192
    """Rays drawn per sample; 0: none, as at test time."""
    augment: AugmentConfig | None = field(default=PUBLISHED_RANGES)
    """Ranges of the augmentation; None: none, as at test time."""
    intrinsics: Intrinsics = "own"
    """Whose intrinsics unproject a ray's pixel; `key` is the published quirk."""
    swap_rgb: bool = False
    """Published quirk: the network sees blue first. Needed for its checkpoints."""
    decode: Decode = "draft"
    """`exact`: decode JPEGs fully; `draft`: at a reduced scale where that is enough."""
    cache_bytes: int = 0
    """Decoded images kept in memory, bytes per process; 0: none."""
    colours: bool = False
    """Hand over the colour of each ray's pixel (variant rgb)."""
    features: bool = True
    """Hand over the teacher's feature of each ray's pixel."""
    unsure_weight: float = 1.0
    """Loss weight of rays that may end beyond the range (neither sky nor a certain hit)."""
    ranges: bool = False
    """Hand over how far each ray's surface was measured, for the loss `surface`; rays of a LiDAR's
    pixels know it."""
    lidar_depth: bool = False
    """Hand over LiDAR depth of the key frame's images, for the loss `depth`; needs a LiDAR."""

    def __post_init__(self) -> None:
        """Refuses sizes that cannot be."""
        if min(self.input_size) < 1 or self.frames < 1 or self.horizon < 0 or self.rays < 0:
            raise ConfigError(
                "sample: expected input-size and frames >= 1, horizon and rays >= 0, found "
                f"{self.input_size}, {self.frames}, {self.horizon}, {self.rays}"
            )


def for_inference(config: SampleConfig) -> SampleConfig:
    """The same inputs without augmentation and rays."""
    return SampleConfig(
        input_size=config.input_size,
        frames=config.frames,
        swap_rgb=config.swap_rgb,
        decode=config.decode,
        cache_bytes=config.cache_bytes,
        augment=None,
        rays=0,
    )


def load_sample(
    dataset: Dataset,
    store: FeatureStore | None,
    token: str,
    config: SampleConfig,
    generator: np.random.Generator,
    reader: ImageReader | None = None,
) -> Batch:
    """A batch of one on the CPU, unpacked; arguments and errors as of `pack_sample`."""
    return pack_sample(dataset, store, token, config, generator, reader).to("cpu")


def pack_sample(
    dataset: Dataset,
    store: FeatureStore | None,
    token: str,
    config: SampleConfig,
    generator: np.random.Generator,
    reader: ImageReader | None = None,
    geometries: dict[str, SceneGeometry] | None = None,
) -> PackedBatch:
    """A batch of one. The same arguments and state of `generator` give the same sample.

    Args:
        dataset: Where the frame is.
        store: Rays and features; may be None if `config.rays` is 0.
        token: The key frame.
        config: What the sample holds.
        generator: Of all draws: augmentation, then rays.
        reader: Reads images, and may keep some; None: one made for this call.
        geometries: Scenes whose poses were gathered before; this one is added.

    Raises:
        DataError: a file is missing or damaged, or no frame of the window has any ray.
        ConfigError: rays are asked for without a store, or LiDAR depth without a LiDAR.
    """
    scene, key_index = dataset.position(token)
    frames = dataset.scenes[scene]
    key = frames[key_index]
    # A frame before the scene's start is replaced by the key frame itself.
    shown = [
        frames[key_index - past] if past <= key_index else key for past in range(config.frames)
    ]
    augmentations, augmented_from_ego = _draw_augmentation(key, config, generator)
    rays = None
    if config.rays:
        if store is None:
            raise ConfigError("sample: rays are asked for, but there is no store to read them from")
        geometries = {} if geometries is None else geometries
        if scene not in geometries:
            geometries[scene] = scene_geometry(frames)
        shard, geometry = store.shard(scene), geometries[scene]
        rays = _rays(shard, geometry, key_index, config, augmented_from_ego, generator)
    reader = reader or ImageReader(config.decode)
    depth_m = lidar_depth_m(key, augmentations)[None] if config.lidar_depth else None
    return PackedBatch(
        images=_input_images(shown, augmentations, config, reader)[None],
        swap_rgb=config.swap_rgb,
        rig=camera_rig(key, shown, augmentations, augmented_from_ego),
        tokens=(token,),
        rays=rays,
        lidar_depth_m=depth_m,
    )


def _draw_augmentation(
    key: Frame, config: SampleConfig, generator: np.random.Generator
) -> tuple[list[ImageAugmentation], np.ndarray]:
    sizes = [(camera.width, camera.height) for camera in key.cameras.values()]
    if config.augment is None:
        return [plain_image_augmentation(size, config.input_size) for size in sizes], np.eye(3)
    images = [
        draw_image_augmentation(size, config.input_size, config.augment, generator)
        for size in sizes
    ]
    return images, draw_bev_flip(config.augment, generator)


def _input_images(
    shown: Sequence[Frame],
    augmentations: Sequence[ImageAugmentation],
    config: SampleConfig,
    reader: ImageReader,
) -> Tensor:
    """[frame, cam, height, width, 3]; a frame that stands in for another is cut only once."""
    width, height = config.input_size
    cut = np.empty((len(shown), len(augmentations), height, width, 3), dtype=np.uint8)
    first_of = {}
    for index, frame in enumerate(shown):
        if (first := first_of.setdefault(frame.token, index)) != index:
            cut[index] = cut[first]
            continue
        for cam, (camera, drawn) in enumerate(
            zip(frame.cameras.values(), augmentations, strict=True)
        ):
            pixels = reader.read(camera, _largest_resize(drawn, config))
            cut[index, cam] = cut_input(pixels, drawn)
    return torch.from_numpy(cut)


def _largest_resize(drawn: ImageAugmentation, config: SampleConfig) -> tuple[int, int]:
    """The drawn size, or with a memory of decoded images the largest that may be drawn."""
    if config.cache_bytes == 0 or config.augment is None:
        return drawn.resized_size
    plain = config.input_size[0] / drawn.image_size[0]
    zoom = 1 + config.augment.resize[1] / (704 / 1600)
    return int(drawn.image_size[0] * plain * zoom), int(drawn.image_size[1] * plain * zoom)


def camera_rig(
    key: Frame,
    shown: Sequence[Frame],
    augmentations: Sequence[ImageAugmentation],
    augmented_from_ego: np.ndarray,
) -> CameraRig:
    """The cameras of a key frame and the frames shown with it, as a batch of one.

    Args:
        key: The key frame.
        shown: Frames as the network sees them: the key frame, the one before, ...
        augmentations: How each camera's input is cut.
        augmented_from_ego: Flip of the ego frame.
    """

    def stacked(name: str) -> Tensor:
        values = [[getattr(c, name) for c in frame.cameras.values()] for frame in shown]
        return torch.from_numpy(np.array(values, dtype=np.float64))[None]

    # Cameras of one size are often cut alike.
    cuts = {drawn: drawn.input_from_image() for drawn in set(augmentations)}
    return CameraRig(
        intrinsics=stacked("intrinsics"),
        ego_from_cam=stacked("ego_from_cam"),
        global_from_ego=stacked("global_from_ego"),
        input_from_image=torch.from_numpy(np.stack([cuts[drawn] for drawn in augmentations]))[None],
        augmented_from_ego=torch.from_numpy(np.asarray(augmented_from_ego))[None],
        global_from_key=torch.from_numpy(np.array(key.global_from_ego))[None],
    )


def _rays(
    shard: Shard,
    geometry: SceneGeometry,
    key: int,
    config: SampleConfig,
    augmented_from_ego: np.ndarray,
    generator: np.random.Generator,
) -> PackedRays:
    window = window_indices(key, len(geometry.tokens), config.horizon)
    tokens = [geometry.tokens[index] for index in window]
    rows, slots = draw_rows(shard, tokens, config.rays, generator)
    if len(rows) < config.rays:
        raise DataError(
            f"{shard.path}: no rays in the {len(window)} frames around {geometry.tokens[key]}"
        )
    cameras = rows["camera"].astype(np.int64)
    origins, directions = cast_pixels(
        rows["pixel"],
        slots,
        cameras,
        geometry.key_from_cam(key, window),
        geometry.unprojected_by(key, window, config.intrinsics),
        augmented_from_ego,
    )

    range_m = None
    if config.ranges:  # the store has depths along the optical axis
        axes = geometry.key_from_cam(key, window)[..., :3, 2] @ augmented_from_ego.T
        along = (directions * axes[slots, cameras]).sum(-1)
        range_m = torch.from_numpy((rows["depth_m"] / along).astype(np.float32))[None]

    # A frame outside the scene is replaced by the key frame: the same time.
    is_other_time = (np.array(window) != key)[slots]
    flags = rows["flags"] | np.where(is_other_time, OTHER_TIME, 0).astype(np.uint8)

    def column(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(rows[name]))[None]

    return PackedRays(
        origins=torch.from_numpy(origins.astype(np.float32))[None],
        directions=torch.from_numpy(directions.astype(np.float32))[None],
        flags=torch.from_numpy(flags)[None],
        codes=column("code") if config.features else None,
        codecs=(shard.codec,),
        rgb=column("rgb") if config.colours else None,
        unsure_weight=config.unsure_weight,
        range_m=range_m,
    )
