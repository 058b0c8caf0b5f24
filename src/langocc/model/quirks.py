# SPDX-License-Identifier: Apache-2.0
"""What the published network does by accident rather than by idea, each behind a name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirks:
    """Oddities of the published code. Its checkpoints were trained with all of them.

    Source: method.md sections 2 and 4, marked `Quirk`.
    """

    key_pose_for_all_frames: bool = True
    """The depth net of a previous frame is told where the key frame's cameras are. Else: where
    that frame's own cameras are, in the key ego frame."""
    zero_feature_is_invalid: bool = True
    """A stereo match is called invalid where one warped channel (the first of the last four) is
    exactly zero: outside the reference image, but also wherever that channel, a ReLU's output, is
    zero inside. Else: outside the image or behind the camera."""
    truncated_cells: bool = True
    """Lifted points go to cell trunc((p - lower) / cell), so what lies up to one cell below the
    box's lower edges lands in cell 0. Else: floor, and such points are dropped."""
    first_camera_is_key: bool = True
    """Images are lifted into the ego frame of the first camera's exposure. Else: into the rig's
    key frame, the one of rays and labels, where the rig knows it."""
    values_on_faces: bool = True
    """Rays read the outermost voxels' values on the faces of the box, so at another pitch than
    lifting and labels: half a cell off at the edges. Else: every value at its cell's centre."""
    camera_norm_by_batch: bool = True
    """In training, the depth net's camera numbers are normalised by the batch at hand. What differs
    between samples alone (a flip of the ego frame) has no variance in a batch of one: unseen in
    training, hundreds of standard deviations at test time. Else: by their running statistics."""


PUBLISHED = Quirks()
"""As published: needed for equal numbers and for published checkpoints."""

NONE = Quirks(
    key_pose_for_all_frames=False,
    zero_feature_is_invalid=False,
    truncated_cells=False,
    first_camera_is_key=False,
    values_on_faces=False,
    camera_norm_by_batch=False,
)
"""What the method means."""
