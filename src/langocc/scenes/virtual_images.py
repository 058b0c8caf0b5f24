# SPDX-License-Identifier: Apache-2.0
"""Distorted cameras of a manifest become pinholes; their images are remapped once and kept."""

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from langocc.errors import DataError
from langocc.files import replacing
from langocc.scenes.images import read_image
from langocc.scenes.lens import COEFFICIENTS, Lens
from langocc.scenes.rig_file import (
    Distortion,
    Pinhole,
    Pose,
    Rig,
    RigCamera,
    RigFrame,
    Shot,
    transform_of,
)
from langocc.scenes.virtual_views import Remap, VirtualView, default_views, view

FORMAT = 1
"""Raised whenever remapped pictures change."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Split:
    """What becomes of one distorted camera.

    Attributes:
        lens: The camera as it is.
        views: Name of a virtual camera -> where it looks.
        folder: Where its pictures are kept; another calibration has another folder.
    """

    lens: Lens
    views: dict[str, VirtualView]
    folder: Path


def with_pinholes(path: Path, rig: Rig, work: Path) -> Rig:
    """The manifest with virtual pinhole cameras in place of distorted ones.

    Pictures that are not there yet, or older than their image, are written.

    Args:
        path: Where the manifest lies.
        rig: What it says.
        work: Folder for what we write; the pictures go to `virtual` in it.

    Raises:
        DataError: an unknown model, wrong coefficients, or an image that is missing or damaged.
        OSError: the folder cannot be written.
    """
    splits = {
        name: _split(path, name, camera, work)
        for name, camera in rig.cameras.items()
        if camera.distortion != "none"
    }
    if not splits:
        return rig
    cameras: dict[str, RigCamera] = {}
    for name, camera in rig.cameras.items():
        new = _pinholes(path, name, camera, splits[name]) if name in splits else {name: camera}
        if twice := set(new) & (set(cameras) | (set(rig.cameras) - {name})):
            raise DataError(f"{path}: cameras: the name {twice.pop()!r} is taken by a view")
        cameras |= new
    jobs: list[tuple[_Split, Path]] = []
    scenes = []
    for at, scene in enumerate(rig.scenes):
        frames = []
        for number, frame in enumerate(scene.frames):
            place = f"scenes[{at}].frames[{number}].images"
            frames.append(_frame(path, place, rig, frame, splits, jobs))
        scenes.append(msgspec.structs.replace(scene, frames=frames))
    _remap_all(jobs)
    return msgspec.structs.replace(rig, cameras=cameras, scenes=scenes)


def lens_of(path: Path, name: str, camera: RigCamera) -> Lens:
    """The lens of a camera that is not a pinhole.

    Raises:
        DataError: an unknown model, another number of coefficients, or no usable numbers.
    """
    place = f"{path}: cameras.{name}"
    found = camera.distortion
    bend = Distortion(found, []) if isinstance(found, str) else found
    if bend.model not in COEFFICIENTS:
        known = ", ".join(("none", *COEFFICIENTS))
        raise DataError(f"{place}.distortion: expected one of {known}, found {bend.model!r}")
    counts = COEFFICIENTS[bend.model]
    if len(bend.coefficients) not in counts or not np.isfinite(bend.coefficients).all():
        wanted = " or ".join(map(str, counts))
        raise DataError(
            f"{place}.distortion: expected {wanted} finite coefficients of the model {bend.model}, "
            f"found {bend.coefficients}"
        )
    pin = camera.intrinsics
    numbers = (pin.fx, pin.fy, pin.cx, pin.cy)
    if not np.isfinite(numbers).all() or min(pin.fx, pin.fy) <= 0:
        raise DataError(f"{place}.intrinsics: expected fx > 0 and fy > 0, found {numbers}")
    if min(camera.width, camera.height) < 1:
        found_size = f"{camera.width} x {camera.height}"
        raise DataError(f"{place}.width, height: expected pixels > 0, found {found_size}")
    lens = Lens(
        camera.width,
        camera.height,
        (pin.fx, pin.fy),
        (pin.cx, pin.cy),
        bend.model,  # type: ignore[arg-type]  # one of the names just checked
        tuple(bend.coefficients),
    )
    sides = ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))
    if min(lens.edge_rad(*side) for side in sides) < np.deg2rad(1):
        raise DataError(
            f"{place}.distortion: expected coefficients under which the image grows with the "
            f"angle, found {bend.coefficients}, which fold it at once"
        )
    return lens


def _split(path: Path, name: str, camera: RigCamera, work: Path) -> _Split:
    lens = lens_of(path, name, camera)
    if camera.views:
        if bad := [v for v in camera.views if not 5 <= v.wide_deg <= 140]:
            raise DataError(
                f"{path}: cameras.{name}.views: expected wide_deg in 5..140, found "
                f"{bad[0].wide_deg:g}"
            )
        views = [view(lens, v.yaw_deg, v.pitch_deg, v.wide_deg) for v in camera.views]
    else:
        views = default_views(lens)
    names = [name] if len(views) == 1 else [f"{name}-{at}" for at in range(len(views))]
    facts = repr((FORMAT, lens, [(v.width, v.height, v.focal_px) for v in views]))
    facts += repr([v.cam_from_view.round(9).tolist() for v in views])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    folder = work / "virtual" / f"{name}-{digest}"
    return _Split(lens, dict(zip(names, views, strict=True)), folder)


def _pinholes(path: Path, name: str, camera: RigCamera, split: _Split) -> dict[str, RigCamera]:
    ego_from_cam = transform_of(camera.ego_from_cam, f"{path}: cameras.{name}.ego_from_cam")
    pinholes = {}
    for virtual, seen in split.views.items():
        ego_from_view = ego_from_cam.copy()
        ego_from_view[:3, :3] = ego_from_cam[:3, :3] @ seen.cam_from_view
        f = seen.focal_px
        pinhole = Pinhole(f, f, seen.width / 2, seen.height / 2)
        pose = Pose(matrix=ego_from_view.tolist())
        pinholes[virtual] = RigCamera(seen.width, seen.height, pinhole, pose)
    return pinholes


def _frame(
    path: Path,
    place: str,
    rig: Rig,
    frame: RigFrame,
    splits: dict[str, _Split],
    jobs: list[tuple[_Split, Path]],
) -> RigFrame:
    """A frame whose images are the views' pictures; what must be remapped is added to `jobs`."""
    if set(frame.images) != set(rig.cameras):
        raise DataError(
            f"{path}: {place}: expected one image of each camera ({', '.join(rig.cameras)}), found "
            f"{', '.join(frame.images) or 'none'}"
        )
    images: dict[str, str | Shot] = {}
    for name, shot in frame.images.items():
        if name not in splits:
            images[name] = shot
            continue
        shot = Shot(shot) if isinstance(shot, str) else shot
        source = path.parent / shot.path
        if not source.is_file():
            raise DataError(f"{path}: {place}.{name}: expected a file, found none at {source}")
        for virtual in splits[name].views:
            picture = _picture(splits[name], source, virtual)
            images[virtual] = Shot(
                os.path.relpath(picture, path.parent), shot.timestamp_us, shot.global_from_ego
            )
        jobs.append((splits[name], source))
    return msgspec.structs.replace(frame, images=images)


def _picture(split: _Split, source: Path, virtual: str) -> Path:
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:10]
    return split.folder / f"{source.stem}-{digest}-{virtual}.jpg"


def _remap_all(jobs: Sequence[tuple[_Split, Path]]) -> None:
    """Writes what is missing or of another time than its image, on all cores."""
    distinct = {(split.folder, source): (split, source) for split, source in jobs}
    todo = [job for job in distinct.values() if _is_stale(*job)]
    if not todo:
        return
    _log.warning("remapping %d distorted images to pinholes, once", len(todo))
    maps = {
        split.folder: {name: Remap.of(split.lens, seen) for name, seen in split.views.items()}
        for split, _ in todo
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda job: _remap(job[0], job[1], maps[job[0].folder]), todo):
            pass


def _is_stale(split: _Split, source: Path) -> bool:
    time_ns = source.stat().st_mtime_ns
    pictures = [_picture(split, source, name) for name in split.views]
    return not all(p.is_file() and p.stat().st_mtime_ns == time_ns for p in pictures)


def _remap(split: _Split, source: Path, maps: dict[str, Remap]) -> None:
    pixels = read_image(source, (split.lens.width, split.lens.height))
    state = source.stat()
    for name, remap in maps.items():
        with replacing(_picture(split, source, name)) as temporary:
            Image.fromarray(remap(pixels)).save(temporary, "JPEG", quality=95, subsampling=0)
            os.utime(temporary, ns=(state.st_atime_ns, state.st_mtime_ns))
