# SPDX-License-Identifier: Apache-2.0
"""A trained model ready to answer: frames in, voxel fields and saved predictions out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langocc.errors import DataError
from langocc.evaluate.predictions import Prediction
from langocc.evaluate.projected import lidar_points_ego
from langocc.features.input_images import ImageReader
from langocc.features.sample import for_inference, load_sample
from langocc.field import FREE, VoxelField
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.model.langocc import LangOcc
from langocc.scenes.dataset import Dataset
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID, OCC3D_CLASSES
from langocc.train.config import TrainConfig, config_from_dict
from langocc.train.run_folder import find_checkpoint

OTHERS_ID = OCC3D_CLASSES.index("others")
THRESHOLD = "threshold.json"
"""File of a run folder: what `langocc calibrate` found for one of its checkpoints."""


@dataclass(frozen=True)
class ClassQueries:
    """Prompt vectors in the space of the model's features, and the Occ3D id each stands for."""

    vectors: Float[Tensor, "prompt channel"]
    class_ids: tuple[int, ...]


@dataclass(frozen=True)
class Predictor:
    """A model with its averaged weights, in evaluation mode.

    Attributes:
        model: The network.
        config: The run it comes from.
        facts: What every report carries: teacher id, ray source, initialisation, data.
        checkpoint: File, step and checksum of the weights.
    """

    model: LangOcc
    config: TrainConfig
    facts: Mapping[str, Any]
    checkpoint: Mapping[str, Any]
    device: torch.device

    @staticmethod
    def load(place: Path, device: str = "cpu") -> "Predictor":
        """Loads a run folder's newest checkpoint, or a checkpoint file.

        If the run was calibrated with the same weights, the threshold is the one that was found.

        Raises:
            DataError: there is none, it is damaged, or it does not fit its own configuration.
            ConfigError: its configuration has names this version does not know.
        """
        checkpoint = find_checkpoint(place)
        config = config_from_dict(checkpoint.metadata["config"], str(checkpoint.path))
        model = LangOcc(config.model)
        try:
            model.load_state_dict(checkpoint.average)
        except RuntimeError as error:
            raise DataError(f"{checkpoint.path}: does not fit its configuration: {error}") from None
        predictor = Predictor(
            model.to(device).eval(),
            config,
            checkpoint.metadata["facts"],
            {
                "file": checkpoint.path.name,
                "step": checkpoint.metadata["step"],
                "sha256": checkpoint.metadata["sha256"],
            },
            torch.device(device),
        )
        found = _calibrated(checkpoint.path, checkpoint.metadata["sha256"])
        return predictor if found is None else predictor.with_threshold(found)

    @property
    def threshold(self) -> float:
        """Density from which a voxel counts as occupied, 1/m, as configured or calibrated."""
        return self.config.model.head.occupied_density

    def with_threshold(self, threshold: float) -> "Predictor":
        """The same model, whose voxels count as occupied from another density (1/m)."""
        head = replace(self.config.model.head, occupied_density=threshold)
        config = replace(self.config, model=replace(self.config.model, head=head))
        return replace(self, config=config)

    @torch.no_grad()
    def field(self, dataset: Dataset, token: str, reader: ImageReader | None = None) -> VoxelField:
        """The field around a key frame, from its images and those before it.

        Raises:
            DataError: no such frame, or an image is missing or damaged.
        """
        config = for_inference(self.config.sample)
        unused = np.random.default_rng(0)  # nothing is drawn at test time
        batch = load_sample(dataset, None, token, config, unused, reader).to(self.device)
        return self.model(batch.images, batch.rig)


def _calibrated(checkpoint: Path, sha256: str) -> float | None:
    """What was found for a run's checkpoint; None: it was not calibrated, or others were since.

    Raises:
        DataError: the file is damaged.
    """
    path = checkpoint.parent.parent / THRESHOLD
    if checkpoint.parent.name != "checkpoints" or not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
        return float(record["threshold"]) if record["checkpoint"] == sha256 else None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{path}: damaged; expected a threshold and the checksum of a checkpoint "
            "(`langocc calibrate` writes it anew)"
        ) from None


def predict_classes(
    field: VoxelField,
    queries: ClassQueries | None,
    threshold: float = 0.1,
    grid: VoxelGrid = OCC3D_GRID,
) -> Prediction:
    """Occ3D ids and density of a field of one scene, on a label grid.

    Each cell of the label grid reads the field's cell that its centre lies in.

    Args:
        field: What the model says.
        queries: Prompts to choose from; None: everything occupied is `others`, as a field of
            colours can say no more.
        threshold: Density from which a voxel is occupied, 1/m.
        grid: The label grid; cells outside the field's box are free.
    """
    if queries is None:
        is_occupied = (field.density[0] >= threshold).cpu().numpy()
        ids_of_best = np.where(is_occupied, np.uint8(OTHERS_ID), np.uint8(FREE_ID))
    else:
        best = field.classes(queries.vectors.to(field.density.device), threshold)[0].cpu()
        ids = torch.tensor([*queries.class_ids, FREE_ID], dtype=torch.uint8)
        ids_of_best = ids[torch.where(best == FREE, len(ids) - 1, best)].numpy()
    semantics = _resampled(ids_of_best, field.grid, grid, FREE_ID)
    density = _resampled(field.density[0].half().cpu().numpy(), field.grid, grid, 0.0)
    return Prediction(semantics, density, threshold=threshold)


def on_label_grid(field: VoxelField, grid: VoxelGrid = OCC3D_GRID) -> np.ndarray:
    """Density of a field of one scene in each cell of a label grid, 1/m; 0 outside the field."""
    return _resampled(field.density[0].float().cpu().numpy(), field.grid, grid, 0.0)


def predict_points(field: VoxelField, frame: Frame) -> np.ndarray:
    """Unit feature of every LiDAR point, float16 [point, channel], in file order.

    Points outside the grid read its nearest place.

    Raises:
        DataError: the frame has no LiDAR.
    """
    points = lidar_points_ego(frame)
    lower, upper = np.asarray(field.grid.lower_m), np.asarray(field.grid.upper_m)
    inside = torch.from_numpy(np.clip(points, lower, upper - 1e-3)).float()
    with torch.no_grad():
        answers = field.at(inside[None].to(field.density.device), align_corners=False)
    return answers.features[0].half().cpu().numpy()


def _resampled(
    values: np.ndarray, source: VoxelGrid, target: VoxelGrid, outside: int | float
) -> np.ndarray:
    """Values of the source cell that each target cell's centre lies in."""
    if source == target:
        return values
    centres = target.centres_m()
    cells = np.floor((centres - np.asarray(source.lower_m)) / source.edges_m + 1e-9).astype(int)
    is_inside = np.all((cells >= 0) & (cells < source.shape), axis=-1)
    x, y, z = np.moveaxis(np.where(is_inside[..., None], cells, 0), -1, 0)
    return np.where(is_inside, values[x, y, z], np.asarray(outside, values.dtype))
