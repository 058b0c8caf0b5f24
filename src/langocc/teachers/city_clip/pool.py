# SPDX-License-Identifier: Apache-2.0
"""Rendered views on the training device, growing while training, and random batches of them."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from langocc.teachers.city_clip.views import SceneViews
from langocc.teachers.maskclip import CLIP_MEAN, CLIP_STD

_NAMES = ("boxes", "is_region", "is_local", "topic", "tokens", "said", "true")
_TOPICS = 17
"""Occ3D ids."""
_BALANCE = 0.6
"""Regions are drawn with (frequency of their topic) ** -0.6: rare ones oftener than they are."""


@dataclass(frozen=True)
class RegionBatch:
    """Captioned regions of a few views.

    Attributes:
        views: Pictures, RGB in [0, 1], augmented.
        boxes: Left, top, right, bottom as fractions of the view.
        is_region: Whether the place holds a region; others are to be ignored.
        is_local: Whether it is about one kind.
        tokens: A caption of each, padded with the end mark.
        said: Words the caption claims, -1 where unused.
        true: Words true of the region, -1 where unused.
    """

    views: Float[Tensor, "view 3 height width"]
    boxes: Float[Tensor, "view region 4"]
    is_region: Tensor
    is_local: Tensor
    tokens: Int64[Tensor, "view region token"]
    said: Int64[Tensor, "view region said"]
    true: Int64[Tensor, "view region true"]


class ViewPool:
    """All views rendered so far."""

    def __init__(self, device: torch.device, seed: int) -> None:
        """An empty pool on a device; the seed fixes what is sampled."""
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.chooser = random.Random(seed)  # on the host: choosing must not wait for the device
        self._scenes: list[dict[str, Tensor]] = []
        self._places: list[tuple[int, int]] = []
        self._topics: list[np.ndarray] = []

    def add(self, scene: SceneViews) -> None:
        """Takes a scene in."""
        entry = {name: torch.from_numpy(getattr(scene, name)).to(self.device) for name in _NAMES}
        rgb = torch.from_numpy(scene.rgb).to(self.device)
        entry["rgb"] = rgb.permute(0, 3, 1, 2).contiguous()
        self._places += [(len(self._scenes), row) for row in range(len(rgb))]
        self._scenes.append(entry)
        for topics, is_region in zip(scene.topic, scene.is_region, strict=True):
            self._topics.append(np.bincount(topics[is_region], minlength=_TOPICS))
        frequency = np.sum(self._topics, axis=0) / np.sum(self._topics)
        weight = np.maximum(frequency, 1e-3) ** -_BALANCE
        self._topic_weight = torch.from_numpy(weight).float().to(self.device)
        self._view_weight = np.cumsum(np.stack(self._topics) @ weight).tolist()

    @property
    def views(self) -> int:
        """Pictures so far."""
        return len(self._places)

    def sample(self, views: int, regions: int) -> RegionBatch:
        """Random views, the same number of regions of each and one caption of each region.

        Views and regions about rare topics come more often than they are.
        """
        picked = self.chooser.choices(self._places, cum_weights=self._view_weight, k=views)
        taken = {
            name: torch.stack([self._scenes[s][name][r] for s, r in picked])
            for name in (*_NAMES, "rgb")
        }
        weight = self._topic_weight[taken["topic"].long()]
        place = self._random(*weight.shape) ** (1 / weight) * taken["is_region"]
        place = place.topk(min(regions, place.shape[1]), dim=1).indices
        chosen = {name: _take(taken[name], place) for name in _NAMES}
        slots = self._random(*place.shape) * chosen["tokens"].shape[2]
        slot = slots.long().clamp(max=chosen["tokens"].shape[2] - 1)
        tokens = _take_slot(chosen["tokens"], slot).long()
        tokens = tokens[:, :, : int((tokens >= 0).sum(-1).max().clamp(min=1))]
        pictures, boxes = self._flipped(taken["rgb"], chosen["boxes"])
        return RegionBatch(
            views=self._recoloured(pictures),
            boxes=boxes,
            is_region=chosen["is_region"],
            is_local=chosen["is_local"],
            tokens=tokens.where(tokens >= 0, torch.ones_like(tokens)),
            said=_take_slot(chosen["said"], slot).long(),
            true=chosen["true"].long(),
        )

    def _flipped(
        self, pictures: UInt8[Tensor, "view 3 height width"], boxes: Float[Tensor, "view region 4"]
    ) -> tuple[UInt8[Tensor, "view 3 height width"], Float[Tensor, "view region 4"]]:
        if self.chooser.random() < 0.5:
            return pictures, boxes
        left, top, right, bottom = boxes.unbind(-1)
        return pictures.flip(-1), torch.stack([1 - right, top, 1 - left, bottom], dim=-1)

    def _recoloured(
        self, pictures: UInt8[Tensor, "view 3 height width"]
    ) -> Float[Tensor, "view 3 height width"]:
        """Other exposures, contrasts and a little noise: colours must stay what they are called."""
        count = len(pictures)
        pixels = pictures.float() / 255
        gain = 1 + 0.25 * (2 * self._random(count, 1, 1, 1) - 1)
        tint = 1 + 0.05 * (2 * self._random(count, 3, 1, 1) - 1)
        offset = 0.06 * (2 * self._random(count, 1, 1, 1) - 1)
        noise = 0.02 * self._random(count, 1, 1, 1) * (2 * self._random(*pixels.shape) - 1)
        return (pixels * gain * tint + offset + noise).clamp(0, 1)

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device, generator=self.generator)


def cut_crops(batch: RegionBatch, regions: int, side_px: int) -> Float[Tensor, "crop 3 side side"]:
    """The first regions of each view as squares for CLIP, sampled twice as finely, then meant."""
    fine = 2 * side_px
    steps = (torch.arange(fine, device=batch.boxes.device) + 0.5) / fine
    low, high = batch.boxes[:, :regions, :2], batch.boxes[:, :regions, 2:]
    x = low[..., :1] + (high - low)[..., :1] * steps
    y = low[..., 1:] + (high - low)[..., 1:] * steps
    grid = torch.stack(torch.broadcast_tensors(x[:, :, None, :], y[:, :, :, None]), dim=-1)
    grid = grid.flatten(1, 2) * 2 - 1
    cut = functional.grid_sample(batch.views, grid, padding_mode="border", align_corners=False)
    cut = cut.unflatten(2, (regions, fine)).transpose(1, 2).flatten(0, 1)
    return normalised(functional.avg_pool2d(cut, 2))


def resized_views(batch: RegionBatch, size: tuple[int, int]) -> Float[Tensor, "view 3 h w"]:
    """The views at another size, normalised for CLIP."""
    views = functional.interpolate(
        batch.views, size=size, mode="bilinear", antialias=True, align_corners=False
    )
    return normalised(views)


def normalised(
    pixels: Float[Tensor, "image 3 height width"],
) -> Float[Tensor, "image 3 height width"]:
    """RGB in [0, 1] as CLIP's input."""
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (pixels - mean) / std


def _take(values: Tensor, place: Int64[Tensor, "view region"]) -> Tensor:
    index = place.reshape(*place.shape, *[1] * (values.dim() - 2))
    return values.gather(1, index.expand(*place.shape, *values.shape[2:]))


def _take_slot(values: Tensor, slot: Int64[Tensor, "view region"]) -> Tensor:
    index = slot[:, :, None, None].expand(*slot.shape, 1, values.shape[-1])
    return values.gather(2, index)[:, :, 0]
