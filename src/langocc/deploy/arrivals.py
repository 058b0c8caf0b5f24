# SPDX-License-Identifier: Apache-2.0
"""What a stream accepts: a frame's rig, and its images, of which some may be missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from langocc.errors import DataError
from langocc.features.input_images import Decode, ImageReader, cut_input
from langocc.geometry.augment import ImageAugmentation, plain_image_augmentation
from langocc.scenes.frame import Camera, Frame

RIGID_SLACK = 1e-3
"""How far a rotation's determinant may be from 1."""

Pictures = Mapping[str, UInt8[np.ndarray, "_ _ 3"] | None]


@dataclass(frozen=True)
class Arrival:
    """A frame as a stream keeps it.

    Attributes:
        frame: The frame, with every camera of the stream.
        inputs: RGB network inputs; those of missing images are black.
        is_missing: Cameras without an image.
        notes: Which, and why.
    """

    frame: Frame
    inputs: UInt8[Tensor, "cam height width 3"]
    is_missing: Bool[Tensor, " cam"]
    notes: tuple[str, ...]


def checked_frame(frame: Frame, previous: Frame | None) -> tuple[Frame, list[str]]:
    """The frame with every camera of the stream, and notes on cameras that it lacks.

    A camera that the frame does not name takes its calibration from the frame before, and the
    vehicle's pose from this one.

    Raises:
        ValueError: a camera that the stream does not know, no camera at all, or a matrix that is
            not finite, cannot be inverted or is not rigid.
    """
    names = list(frame.cameras) if previous is None else list(previous.cameras)
    unknown = [name for name in frame.cameras if name not in names]
    if unknown or not frame.cameras:
        raise ValueError(
            f"frame {frame.token}: expected cameras {', '.join(names) or 'of any name'}, got "
            f"{', '.join(frame.cameras) or 'none'}; another rig needs another stream"
        )
    cameras: dict[str, Camera] = {}
    notes = []
    for name in names:
        camera = frame.cameras.get(name)
        if camera is None:
            assert previous is not None
            camera = replace(previous.cameras[name], global_from_ego=frame.global_from_ego)
            notes.append(f"{name}: no image; the frame does not name this camera")
        cameras[name] = camera
    poses = [pose for c in cameras.values() for pose in (c.ego_from_cam, c.global_from_ego)]
    intrinsics = [camera.intrinsics for camera in cameras.values()]
    if not (_are_rigid([*poses, frame.global_from_ego]) and _are_regular(intrinsics)):
        for name, camera in cameras.items():
            _check_camera(frame.token, name, camera)
        _check_rigid(frame.token, "global_from_ego", frame.global_from_ego)
    return replace(frame, cameras=cameras), notes


def cut_pictures(
    frame: Frame,
    pictures: Pictures | None,
    absent: Sequence[str],
    size: tuple[int, int],
    decode: Decode,
) -> Arrival:
    """Network inputs of a frame's images.

    Args:
        frame: From `checked_frame`.
        pictures: RGB images by camera, None where there is none; None: read from the frame's files.
        absent: Cameras that are known to have no image.
        size: Width and height of the network's input, pixels.
        decode: How files are decoded.

    Raises:
        ValueError: an image of another size than its camera's, or no image at all.
    """
    reader, notes = ImageReader(decode), []
    inputs = np.zeros((len(frame.cameras), size[1], size[0], 3), np.uint8)
    is_missing = torch.zeros(len(frame.cameras), dtype=torch.bool)
    for index, (name, camera) in enumerate(frame.cameras.items()):
        cut = plain_image_augmentation((camera.width, camera.height), size)
        pixels = None
        if name not in absent:
            try:
                pixels = _pixels(name, camera, pictures, reader, cut)
            except DataError as error:
                notes.append(f"{name}: no image; {error}")
        is_missing[index] = pixels is None
        if pixels is not None:
            inputs[index] = cut_input(pixels, cut)
    if bool(is_missing.all()):
        raise ValueError(f"frame {frame.token}: expected an image of a camera, got none")
    return Arrival(frame, torch.from_numpy(inputs), is_missing, tuple(notes))


def augmentations_of(frame: Frame, size: tuple[int, int]) -> list[ImageAugmentation]:
    """How each camera's input is cut out of its image."""
    return [plain_image_augmentation((c.width, c.height), size) for c in frame.cameras.values()]


def _pixels(
    name: str,
    camera: Camera,
    pictures: Pictures | None,
    reader: ImageReader,
    cut: ImageAugmentation,
) -> UInt8[np.ndarray, "_ _ 3"]:
    """An image; DataError where there is none."""
    if pictures is None:
        return reader.read(camera, cut.resized_size)
    pixels = pictures.get(name)
    if pixels is None:
        raise DataError("none was given")
    if pixels.shape != (camera.height, camera.width, 3):
        raise ValueError(
            f"images[{name!r}]: expected {camera.height} rows x {camera.width} columns x 3, as its "
            f"camera says, got {tuple(pixels.shape)}"
        )
    return pixels


def _check_camera(token: str, name: str, camera: Camera) -> None:
    for entry in ("ego_from_cam", "global_from_ego"):
        _check_rigid(token, f"{name}.{entry}", getattr(camera, entry))
    intrinsics = np.asarray(camera.intrinsics)
    if not _are_regular([intrinsics]):
        raise ValueError(
            f"frame {token}: {name}.intrinsics: expected finite numbers that can be inverted, got "
            f"{intrinsics.tolist()}"
        )


def _check_rigid(token: str, name: str, pose: np.ndarray) -> None:
    pose = np.asarray(pose)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError(f"frame {token}: {name}: expected 4 x 4 finite numbers, got {pose}")
    if not _are_rigid([pose]):
        raise ValueError(f"frame {token}: {name}: expected a rigid transform, got {pose.tolist()}")


def _are_rigid(poses: Sequence[np.ndarray]) -> bool:
    """Whether all are: at once, because one after another takes a third of a millisecond."""
    if any(np.shape(pose) != (4, 4) for pose in poses):
        return False
    given = np.stack(poses)
    with np.errstate(invalid="ignore"):
        determinants = np.linalg.det(given[:, :3, :3])
    return bool(np.isfinite(given).all() and (abs(determinants - 1) <= RIGID_SLACK).all())


def _are_regular(intrinsics: Sequence[np.ndarray]) -> bool:
    """Whether all can be inverted."""
    if any(np.shape(matrix) != (3, 3) for matrix in intrinsics):
        return False
    given = np.stack(intrinsics)
    return bool(np.isfinite(given).all() and (abs(np.linalg.det(given)) > 1e-9).all())
