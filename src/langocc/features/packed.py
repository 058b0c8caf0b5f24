# SPDX-License-Identifier: Apache-2.0
"""A batch as bytes: what loader workers hand over, and what travels to the device.

Images stay uint8 and features stay encoded until they are where they are needed: a fifth of the
bytes, and none of the worker's time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from langocc.batch import Batch
from langocc.features.codecs import Codec
from langocc.features.input_images import normalised
from langocc.features.pixels import HIT, OTHER_TIME, SKY
from langocc.geometry.rays import RayBatch
from langocc.geometry.rig import CameraRig


@dataclass(frozen=True)
class PackedRays:
    """Rays of a batch, targets encoded.

    Attributes:
        origins: Camera centres in the augmented key ego frame, metres.
        directions: Unit vectors.
        flags: SKY, HIT and OTHER_TIME of each ray.
        codes: Encoded features; None: not asked for.
        codecs: Of each sample's scene.
        rgb: Colours; None: not asked for.
        unsure_weight: Loss weight of rays that are neither SKY nor HIT.
        range_m: Measured distance along the ray, metres, 0: not measured; None: not asked for.
    """

    origins: Float32[Tensor, "batch ray 3"]
    directions: Float32[Tensor, "batch ray 3"]
    flags: UInt8[Tensor, "batch ray"]
    codes: UInt8[Tensor, "batch ray byte"] | None
    codecs: tuple[Codec, ...]
    rgb: UInt8[Tensor, "batch ray 3"] | None
    unsure_weight: float
    range_m: Float32[Tensor, "batch ray"] | None = None

    def to(self, device: torch.device | str) -> RayBatch:
        """The rays on a device, features decoded there; those of sky rays are zero."""
        flags = self.flags.to(device, non_blocking=True)
        is_sky, is_hit = (flags & SKY) > 0, (flags & HIT) > 0
        features = colours = weights = None
        if self.codes is not None:
            codes = self.codes.to(device, non_blocking=True)
            decoded = [codec.decode(one) for codec, one in zip(self.codecs, codes, strict=True)]
            features = decoded[0][None] if len(decoded) == 1 else torch.stack(decoded)
            features.masked_fill_(is_sky[..., None], 0.0)
        if self.rgb is not None:
            colours = self.rgb.to(device, non_blocking=True).float() / 255
        if self.unsure_weight != 1:
            weights = torch.where(is_sky | is_hit, 1.0, self.unsure_weight)
        return RayBatch(
            origins=self.origins.to(device, non_blocking=True),
            directions=self.directions.to(device, non_blocking=True),
            features=features,
            rgb=colours,
            is_sky=is_sky,
            is_hit=is_hit,
            weights=weights,
            is_other_time=(flags & OTHER_TIME) > 0,
            range_m=None if self.range_m is None else self.range_m.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class PackedBatch:
    """Samples of one step, before normalisation and decoding.

    Attributes:
        images: RGB network inputs; frame axis [key, previous, the one before, ...].
        swap_rgb: Published quirk: the network sees blue first.
        rig: The cameras of the same frames.
        tokens: Key frame of each sample.
        rays: None at test time.
        lidar_depth_m: As in `Batch`.
    """

    images: UInt8[Tensor, "batch frame cam height width 3"]
    swap_rgb: bool
    rig: CameraRig
    tokens: tuple[str, ...]
    rays: PackedRays | None = None
    lidar_depth_m: Float[Tensor, "batch cam rows columns"] | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device: images normalised and features decoded there."""
        images = normalised(self.images.to(device, non_blocking=True), self.swap_rgb)
        rays = None if self.rays is None else self.rays.to(device)
        depth_m = self.lidar_depth_m
        depth_m = None if depth_m is None else depth_m.to(device, non_blocking=True)
        return Batch(images, self.rig.to(device), self.tokens, rays, depth_m)

    def pin_memory(self) -> "PackedBatch":
        """The same in page-locked memory, from which copies to a GPU do not wait."""
        rays = None if self.rays is None else _each_tensor(self.rays, Tensor.pin_memory)
        return replace(self, images=self.images.pin_memory(), rays=rays)


def _each_tensor(rays: PackedRays, change: Callable[[Tensor], Tensor]) -> PackedRays:
    values = {f.name: getattr(rays, f.name) for f in fields(rays)}
    return replace(rays, **{k: change(v) for k, v in values.items() if isinstance(v, Tensor)})


def collate_packed(samples: Sequence[PackedBatch]) -> PackedBatch:
    """One batch of several.

    Raises:
        ValueError: no samples, or some have rays (or a part of them) and others not.
    """
    if not samples:
        raise ValueError("collate: expected at least one sample, got none")
    rays = [sample.rays for sample in samples if sample.rays is not None]
    if rays and len(rays) < len(samples):
        raise ValueError("collate: some samples have rays and others have none")
    return PackedBatch(
        images=torch.cat([sample.images for sample in samples]),
        swap_rgb=samples[0].swap_rgb,
        rig=CameraRig(**joined_fields([sample.rig for sample in samples])),
        tokens=tuple(token for sample in samples for token in sample.tokens),
        rays=_collate_rays(rays) if rays else None,
        lidar_depth_m=joined_depth([sample.lidar_depth_m for sample in samples]),
    )


def joined_depth(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Depth labels of several samples as one tensor; None if all are None.

    Raises:
        ValueError: some samples have depth labels and others have none.
    """
    known = [part for part in parts if part is not None]
    if known and len(known) < len(parts):
        raise ValueError("collate: some samples have LiDAR depth and others have none")
    return torch.cat(known) if known else None


def _collate_rays(rays: Sequence[PackedRays]) -> PackedRays:
    joined = joined_fields(rays)
    return PackedRays(
        origins=joined["origins"],
        directions=joined["directions"],
        flags=joined["flags"],
        codes=joined.get("codes"),
        codecs=tuple(codec for part in rays for codec in part.codecs),
        rgb=joined.get("rgb"),
        unsure_weight=rays[0].unsure_weight,
        range_m=joined.get("range_m"),
    )


def joined_fields(parts: Sequence[object]) -> dict[str, Tensor]:
    """Each field's tensors along the batch; what is None in all parts is left out.

    Raises:
        ValueError: a field is None in some parts only.
    """
    joined = {}
    names = [name for name, value in vars(parts[0]).items() if not isinstance(value, tuple | float)]
    for name in names:
        values = [value for part in parts if (value := getattr(part, name)) is not None]
        if values and len(values) < len(parts):
            raise ValueError(f"collate: some samples have {name} and others have none")
        if values:
            joined[name] = torch.cat(values)
    return joined
