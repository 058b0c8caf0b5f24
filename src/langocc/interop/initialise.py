# SPDX-License-Identifier: Apache-2.0
"""Starting weights: an ImageNet ResNet-50, or a BEVDet-style detector.

Source: method.md section 2, 'Initialisation'; formats.md section 5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from langocc.errors import DataError
from langocc.interop.checkpoints import read_state_dict
from langocc.interop.checkpoints_published import (
    LISTED_DIFFERENCES,
    published_name,
    require_same,
)
from langocc.model.langocc import LangOcc

_DETECTOR_PARTS = ("backbone.", "neck.", "depth_net.")
_RESNET_PARTS = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_COUNTER = "num_batches_tracked"
_HUGGING_FACE = (
    (r"^(resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
    (r"^(resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
    (r"^(resnet\.)?encoder\.stages\.0\.layers\.", "layer1."),
    (r"^(resnet\.)?encoder\.stages\.1\.layers\.", "layer2."),
    (r"^(resnet\.)?encoder\.stages\.2\.layers\.", "layer3."),
    (r"^(resnet\.)?encoder\.stages\.3\.layers\.", "layer4."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"\.layer\.0\.convolution\.", ".conv1."),
    (r"\.layer\.0\.normalization\.", ".bn1."),
    (r"\.layer\.1\.convolution\.", ".conv2."),
    (r"\.layer\.1\.normalization\.", ".bn2."),
    (r"\.layer\.2\.convolution\.", ".conv3."),
    (r"\.layer\.2\.normalization\.", ".bn3."),
)
"""transformers' names of a ResNet -> torchvision's, which mmdetection and we share."""


@dataclass(frozen=True)
class Initialised:
    """What a file gave.

    Attributes:
        taken: Our entries that were set from the file.
        kept: Our entries that were not: they start as without a file.
        unused: Entries of the file that have no place, or another shape, here.
    """

    taken: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """What was taken, what was not, and what starts as without a file; ten names of each."""
        parts = (("taken", self.taken), ("not used", self.unused), ("not in it", self.kept))
        return "; ".join(f"{what}: {_named(names)}" for what, names in parts)


def initialise_from_resnet(model: LangOcc, path: Path) -> Initialised:
    """Sets the backbone from a ResNet of torchvision, transformers or mmdetection.

    Counters of batches may be missing, as in old files. What is left over (a classifier) is listed.

    Raises:
        DataError: the file cannot be used, or holds another ResNet; lists ten differences.
    """
    file = read_state_dict(path)
    names = {_torchvision_name(name): name for name in file}
    found = {ours: file[theirs] for ours, theirs in names.items() if ours.startswith(_RESNET_PARTS)}
    _require_backbone(found, model.backbone.state_dict(), path)
    _set(model, {f"backbone.{name}": tensor for name, tensor in found.items()})
    unused = tuple(theirs for ours, theirs in names.items() if ours not in found)
    return _account(model, {f"backbone.{name}" for name in found}, unused)


def initialise_from_detector(model: LangOcc, path: Path) -> Initialised:
    """Sets backbone, neck and depth net from a detector, entry by entry, by name and shape.

    Entries of another shape (other depth bins, other channels) start as without a file.

    Raises:
        DataError: the file cannot be used, or holds another backbone; lists the first ten
            differences.
    """
    file, ours = read_state_dict(path), model.state_dict()
    names = {
        name: published_name(name, model.config.variant)
        for name in ours
        if name.startswith(_DETECTOR_PARTS)
    }
    backbone = {names[name]: tensor for name, tensor in ours.items() if "backbone." in name}
    found = {name: tensor for name, tensor in file.items() if name.startswith("img_backbone.")}
    _require_backbone(found, backbone, path)
    taken = {
        name: file[theirs]
        for name, theirs in names.items()
        if theirs in file and file[theirs].shape == ours[name].shape
    }
    _set(model, taken)
    used = {names[name] for name in taken}
    return _account(model, set(taken), tuple(name for name in file if name not in used))


def _named(names: tuple[str, ...]) -> str:
    """How many, by their first names where they are many."""
    listed = ", ".join(names[:LISTED_DIFFERENCES])
    more = ", ..." if len(names) > LISTED_DIFFERENCES else ""
    return f"{len(names)} ({listed}{more})" if names else "none"


def _torchvision_name(name: str) -> str:
    name = re.sub(r"^(img_)?backbone\.", "", name)
    for pattern, replacement in _HUGGING_FACE:
        name = re.sub(pattern, replacement, name)
    return name


def _require_backbone(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> None:
    if not found:
        raise DataError(f"{path}: expected the entries of a ResNet, found none")
    counted = {name: t for name, t in expected.items() if name in found or _COUNTER not in name}
    require_same(found, counted, str(path))


def _set(model: LangOcc, entries: Mapping[str, Tensor]) -> None:
    model.load_state_dict(model.state_dict() | dict(entries))


def _account(model: LangOcc, taken: set[str], unused: tuple[str, ...]) -> Initialised:
    kept = tuple(name for name in model.state_dict() if name not in taken)
    return Initialised(tuple(sorted(taken)), kept, unused)
