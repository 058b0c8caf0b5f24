# SPDX-License-Identifier: Apache-2.0
"""What a stream remembers of earlier frames, and which of them is a frame's past."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from langocc.geometry.rig import CameraRig
from langocc.model.stages import Seen
from langocc.scenes.frame import Frame


@dataclass(frozen=True)
class Pace:
    """How far apart frames of the past lie.

    Attributes:
        interval_s: Wanted distance of a frame and the one before it, seconds: that of the key
            frames the model was trained on (nuScenes: 0.5).
        longest_gap_s: Frames further apart are no past of each other.
        fastest_mps: A vehicle that seems to move faster, m/s, has jumped: another place, or a pose
            that was corrected.
    """

    interval_s: float = 0.5
    longest_gap_s: float = 1.25
    fastest_mps: float = 70.0

    def __post_init__(self) -> None:
        """Refuses paces that no frame could keep."""
        if not (0 < self.interval_s <= self.longest_gap_s and self.fastest_mps > 0):
            raise ValueError(
                "pace: expected 0 < interval_s <= longest_gap_s and fastest_mps > 0, got "
                f"{self.interval_s}, {self.longest_gap_s}, {self.fastest_mps}"
            )


@dataclass(frozen=True)
class Remembered:
    """A frame, and what was computed of it that does not depend on the key frame.

    Attributes:
        frame: The frame.
        seen: Its image features.
        is_missing: Cameras without an image.
        before: Token of the frame before it; None: it has no past.
        matches: Stereo features by reference and intrinsics, filled as they are needed.
    """

    frame: Frame
    seen: Seen
    is_missing: Bool[Tensor, " cam"]
    before: str | None
    matches: dict[tuple[str, bytes], Float[Tensor, "cam depth height width"]] = field(
        default_factory=dict
    )


class Memory:
    """Frames of one scene, oldest first."""

    def __init__(self, pace: Pace, depth: int) -> None:
        """`depth`: earlier frames that the model looks at."""
        self.pace = pace
        self.depth = depth
        self.frames: dict[str, Remembered] = {}

    @property
    def newest(self) -> Frame | None:
        """The last frame that was added."""
        return next(reversed(self.frames.values())).frame if self.frames else None

    def past_of(self, frame: Frame) -> tuple[str | None, str | None]:
        """Token of the remembered frame that comes before `frame`, and a note on a strange gap."""
        if not self.frames or self.depth == 0:
            return None, None
        pace = self.pace
        gaps_s = {token: seconds_between(r.frame, frame) for token, r in self.frames.items()}
        token = min(gaps_s, key=lambda token: abs(gaps_s[token] - pace.interval_s))
        gap_s = gaps_s[token]
        if gap_s > pace.longest_gap_s:
            return None, f"{gap_s:.2f} s after the frame before: too long, so it has no past"
        if abs(gap_s - pace.interval_s) > 0.5 * pace.interval_s:
            return token, f"{gap_s:.2f} s after the frame before, instead of {pace.interval_s:g} s"
        return token, None

    def add(self, remembered: Remembered) -> None:
        """Keeps a frame, and forgets those that no later frame can reach."""
        self.frames[remembered.frame.token] = remembered
        reach_s = self.pace.longest_gap_s * self.depth
        for token, other in list(self.frames.items()):
            if seconds_between(other.frame, remembered.frame) > reach_s:
                del self.frames[token]

    def shown(self, key: Remembered) -> list[Remembered]:
        """The key frame and its past, newest first; the key frame stands in for what it lacks."""
        frames, token = [key], key.before
        while len(frames) <= self.depth:
            past = self.frames.get(token) if token is not None else None
            frames.append(key if past is None else past)
            token = None if past is None else past.before
        return frames

    def forget(self) -> None:
        """Forgets everything: the next frame has no past."""
        self.frames.clear()


def seconds_between(earlier: Frame, later: Frame) -> float:
    """Time from one frame to another, seconds."""
    return (later.timestamp_us - earlier.timestamp_us) / 1e6


def cut_between(earlier: Frame, later: Frame, pace: Pace) -> str | None:
    """Why the later frame does not continue the earlier one; None: it does."""
    if later.scene != earlier.scene:
        return f"scene {later.scene} begins"
    apart_m = float(np.linalg.norm((later.global_from_ego - earlier.global_from_ego)[:3, 3]))
    gap_s = seconds_between(earlier, later)
    if apart_m > pace.fastest_mps * gap_s + 1:
        return f"the pose jumped by {apart_m:.1f} m within {gap_s:.2f} s"
    sizes = [[(c.width, c.height) for c in frame.cameras.values()] for frame in (earlier, later)]
    if sizes[0] != sizes[1]:
        return "the images' sizes changed"
    return None


def stereo_key(rig: CameraRig) -> bytes:
    """What stereo of any two frames takes from the key frame: intrinsics, and how inputs are cut.

    Source: method.md section 2.3 (both images are taken to have the key frame's).
    """
    return rig.intrinsics[:, 0].numpy().tobytes() + rig.input_from_image.numpy().tobytes()
