# SPDX-License-Identifier: Apache-2.0
"""One training or test sample: input images of a key frame and its past, the rig, the rays."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from langocc.batch import Batch
from langocc.errors import ConfigError, DataError
from langocc.features.input_images import Decode, ImageReader, cut_input, normalised
from langocc.features.pixels import HIT, SKY
from langocc.features.rays import Intrinsics, camera_intrinsics, cast_pixels, key_from_cameras
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
from langocc.geometry.rays import RayBatch
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
    """A batch of one. The same arguments and state of `generator` give the same sample.

    Args:
        dataset: Where the frame is.
        store: Rays and features; may be None if `config.rays` is 0.
        token: The key frame.
        config: What the sample holds.
        generator: Of all draws: augmentation, then rays.
        reader: Reads images, and may keep some; None: one made for this call.

    Raises:
        DataError: a file is missing or damaged, or no frame of the window has any ray.
    """
    scene, key_index = dataset.position(token)
    frames = dataset.scenes[scene]
    key = frames[key_index]
    # A frame before the scene's start is replaced by the key frame itself.
    shown = [
        frames[key_index - past] if past <= key_index else key for past in range(config.frames)
    ]
    augmentations, augmented_from_ego = _draw_augmentation(key, config, generator)
    reader = reader or ImageReader(config.decode)
    return Batch(
        images=_input_images(shown, augmentations, config, reader)[None],
        rig=_rig(key, shown, augmentations, augmented_from_ego),
        tokens=(token,),
        rays=None
        if config.rays == 0
        else _rays(store, scene, key_index, frames, config, augmented_from_ego, generator),
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
    """[frame, cam, 3, height, width]; a frame that stands in for another is cut only once."""
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
    return normalised(cut, config.swap_rgb)


def _largest_resize(drawn: ImageAugmentation, config: SampleConfig) -> tuple[int, int]:
    """The drawn size, or with a memory of decoded images the largest that may be drawn."""
    if config.cache_bytes == 0 or config.augment is None:
        return drawn.resized_size
    plain = config.input_size[0] / drawn.image_size[0]
    zoom = 1 + config.augment.resize[1] / (704 / 1600)
    return int(drawn.image_size[0] * plain * zoom), int(drawn.image_size[1] * plain * zoom)


def _rig(
    key: Frame,
    shown: Sequence[Frame],
    augmentations: Sequence[ImageAugmentation],
    augmented_from_ego: np.ndarray,
) -> CameraRig:
    def stacked(name: str) -> Tensor:
        values = [[getattr(c, name) for c in frame.cameras.values()] for frame in shown]
        return torch.from_numpy(np.array(values, dtype=np.float64))[None]

    return CameraRig(
        intrinsics=stacked("intrinsics"),
        ego_from_cam=stacked("ego_from_cam"),
        global_from_ego=stacked("global_from_ego"),
        input_from_image=torch.from_numpy(
            np.stack([drawn.input_from_image() for drawn in augmentations])
        )[None],
        augmented_from_ego=torch.from_numpy(np.asarray(augmented_from_ego))[None],
        global_from_key=torch.from_numpy(np.array(key.global_from_ego))[None],
    )


def _rays(
    store: FeatureStore | None,
    scene: str,
    key_index: int,
    frames: Sequence[Frame],
    config: SampleConfig,
    augmented_from_ego: np.ndarray,
    generator: np.random.Generator,
) -> RayBatch:
    if store is None:
        raise ConfigError("sample: rays are asked for, but there is no store to read them from")
    shard = store.shard(scene)
    window = [frames[index] for index in window_indices(key_index, len(frames), config.horizon)]
    rows, slots = draw_rows(shard, [frame.token for frame in window], config.rays, generator)
    if len(rows) < config.rays:
        raise DataError(
            f"{shard.path}: no rays in the {len(window)} frames around {frames[key_index].token}"
        )
    key = frames[key_index]
    origins, directions = cast_pixels(
        rows["pixel"],
        slots,
        rows["camera"].astype(np.int64),
        key_from_cameras(key, window),
        camera_intrinsics(key, window, config.intrinsics),
        augmented_from_ego,
    )
    flags = torch.from_numpy(rows["flags"].copy())
    is_sky, is_hit = (flags & SKY) > 0, (flags & HIT) > 0
    features = colours = weights = None
    if config.features:
        features = shard.codec.decode(torch.from_numpy(np.ascontiguousarray(rows["code"])))
        features[is_sky] = 0.0
    if config.colours:
        colours = torch.from_numpy(rows["rgb"].astype(np.float32) / 255)
    if config.unsure_weight != 1:
        weights = torch.where(is_sky | is_hit, 1.0, config.unsure_weight)
    return RayBatch(
        origins=torch.from_numpy(origins.astype(np.float32))[None],
        directions=torch.from_numpy(directions.astype(np.float32))[None],
        features=None if features is None else features[None],
        rgb=None if colours is None else colours[None],
        is_sky=is_sky[None],
        is_hit=is_hit[None],
        weights=None if weights is None else weights[None],
    )
