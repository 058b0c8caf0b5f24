# SPDX-License-Identifier: Apache-2.0
"""TensorBoard for a training run: scalars, validation numbers, and what a field renders."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from torch.nn import functional

from langocc.errors import ConfigError
from langocc.evaluate.labels import read_label
from langocc.features.loader import TrainingSet
from langocc.features.store import FeatureStore
from langocc.field import VoxelField
from langocc.model.langocc import LangOcc
from langocc.render.objective import feature_loss
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image
from langocc.scenes.nuscenes import NuScenes
from langocc.scenes.occ3d import FREE_ID
from langocc.train.loop import Progress, Training
from langocc.view.colours import feature_colours, heat_colours
from langocc.view.rendered_views import view_rays

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FRAMES = 4
"""Validation frames looked at each time, spread over the split."""
RAYS = 4096
"""Rays of each frame that are compared with the teacher."""
ROWS = 56
"""Height of a rendered picture, pixels."""


class TrainingBoard:
    """Writes RUN/tensorboard. `watch` goes to `Training.fit`."""

    def __init__(
        self, training: Training, dataset: NuScenes, store: FeatureStore, every: int
    ) -> None:
        """Opens the board; a resumed run overwrites what it repeats.

        Args:
            training: The run.
            dataset: Its frames; those of the split `val` are looked at.
            store: Features; validation scenes without any are judged by occupancy alone.
            every: Steps between pictures and validation numbers.

        Raises:
            ConfigError: the package tensorboard is missing.
        """
        self.training, self.dataset, self.every = training, dataset, max(every, 1)
        frames = list(dataset.frames("val"))
        self.frames = frames[:: max(len(frames) // FRAMES, 1)][:FRAMES]
        self._store = store
        self._writer = summary_writer(training.run.path / "tensorboard", training.step)

    def watch(self, progress: Progress) -> None:
        """Writes what a step gave; pictures and validation numbers every so often and at the end.

        Raises:
            DataError: a validation image, label or shard is damaged.
        """
        is_last = progress.step == progress.steps
        if progress.step % self.training.config.log_steps == 0 or is_last:
            self._scalars(progress)
        if progress.step % self.every == 0 or is_last:
            self._look(progress.step)
        if is_last:
            self._writer.close()

    def _scalars(self, progress: Progress) -> None:
        values = {f"loss/{name}": value for name, value in progress.terms.items()}
        values["optimiser/learning rate"] = progress.lr
        values["optimiser/gradient norm"] = progress.gradient_norm
        values["speed/samples per second"] = progress.samples / max(progress.step_s, 1e-9)
        values["speed/share of time spent on data"] = progress.data_s / max(progress.step_s, 1e-9)
        values["memory/GiB"] = progress.memory_bytes / 2**30
        for name, value in values.items():
            self._writer.add_scalar(name, value, progress.step)

    @torch.no_grad()
    def _look(self, step: int) -> None:
        """Validates the averaged weights, which are what is reported."""
        if not self.frames:
            return
        model = copy.deepcopy(self.training.model)
        model.load_state_dict(self.training.average.state)
        model.eval()
        found: dict[str, list[float]] = {}
        for index, (frame, field, numbers) in enumerate(self._fields(model)):
            numbers |= self._occupancy(field, frame)
            for name, value in numbers.items():
                found.setdefault(name, []).append(value)
            if index == 0:
                picture = rendered_picture(self.training, field, frame)
                self._writer.add_image("validation/view", picture, step, dataformats="HWC")
        for name, values in found.items():
            self._writer.add_scalar(f"validation/{name}", float(np.mean(values)), step)
        self._writer.flush()

    def _fields(self, model: LangOcc) -> Iterator[tuple[Frame, VoxelField, dict[str, float]]]:
        """Each frame's field, and how well it renders the teacher's features."""
        training = self.training
        plain = replace(training.config.sample, augment=None, horizon=0, lidar_depth=False)
        for frame in self.frames:
            has_rays = self._store.has(frame.scene)
            config = replace(plain, rays=RAYS if has_rays else 0)
            # One process that draws the same rays each time.
            samples = TrainingSet(self.dataset, self._store, config, [frame.token])
            batch = samples[0].to(training.device)
            field = model(batch.images, batch.rig)
            numbers = {}
            if batch.rays is not None:
                rays = batch.rays
                if model.reducer is not None and rays.features is not None:
                    rays = replace(rays, features=model.reducer.reduce(rays.features))
                render = replace(training.config.render, jitter=False)
                seen = field.render(rays, render)
                loss = feature_loss(seen, rays, training.config.loss)
                numbers["feature loss"] = float(loss)
                if seen.features is not None and rays.features is not None:
                    cosine = functional.cosine_similarity(seen.features, rays.features, dim=-1)
                    ground = ~rays.is_sky if rays.is_sky is not None else cosine == cosine
                    numbers["feature cosine"] = float(cosine[ground].mean())
            yield frame, field, numbers

    def _occupancy(self, field: VoxelField, frame: Frame) -> dict[str, float]:
        """IoU (percent) of occupied voxels that a camera sees, where there is a label of them."""
        path = self.dataset.folders.occ3d_label(frame)
        if path is None or not path.is_file():
            return {}
        from langocc.predictor import on_label_grid

        label = read_label(path)
        threshold = self.training.config.model.head.occupied_density
        density = on_label_grid(field)
        predicted = (density >= threshold)[label.mask_camera]
        true = (label.semantics != FREE_ID)[label.mask_camera]
        union = np.logical_or(predicted, true).sum()
        return {"IoU": 100.0 * float((predicted & true).sum()) / max(int(union), 1)}


def summary_writer(folder: Path, step: int) -> "SummaryWriter":
    """A writer of TensorBoard files that takes up after `step`.

    Raises:
        ConfigError: the package tensorboard is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "--tensorboard: the package tensorboard is not installed; "
            "`pip install 'langocc[tensorboard]'` installs it"
        ) from None
    return SummaryWriter(str(folder), purge_step=step + 1)


def rendered_picture(
    training: Training, field: VoxelField, frame: Frame
) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph of a frame's second camera (ahead), the rendered view and depth, in a row."""
    name = list(frame.cameras)[min(1, len(frame.cameras) - 1)]
    camera = frame.cameras[name]
    columns = round(ROWS * camera.width / camera.height)
    row, column = np.meshgrid(
        (np.arange(ROWS) + 0.5) / ROWS * camera.height,
        (np.arange(columns) + 0.5) / columns * camera.width,
        indexing="ij",
    )
    rays = view_rays(frame, name, np.stack([row.ravel(), column.ravel()], axis=-1))
    config = replace(training.config.render, jitter=False)
    seen = field.render(rays.to(training.device), config)
    depth_m = seen.depth_m[0].float().cpu().numpy()
    depth = heat_colours(1 - depth_m.astype(np.float64) / config.far_m)
    if seen.colour is not None:
        view = (seen.colour[0].clamp(0, 1) * 255).byte().cpu().numpy()
    else:
        assert seen.features is not None
        view = feature_colours([seen.features[0].float().cpu().numpy()])[0]
    photo = read_image(camera.image_path, (camera.width, camera.height))
    photo = photo[row.astype(int), column.astype(int)]
    shape = (ROWS, columns, 3)
    return np.concatenate([photo, view.reshape(shape), depth.reshape(shape)], axis=1)
