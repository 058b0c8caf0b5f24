# SPDX-License-Identifier: Apache-2.0
"""The panel of the live page: text box, sliders, switches, and places for words."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import viser
from jaxtyping import UInt8

from langocc.view.live_scene import DIFFERENT, PREDICTED, TRUE

Voxels = Literal["prediction", "ground truth", "difference", "neither"]
"""Whose voxels are drawn."""


class Controls:
    """What people set, and what they are told."""

    def __init__(
        self,
        gui: viser.GuiApi,
        frames: int,
        cameras: Sequence[str],
        threshold: float,
        top: float,
    ) -> None:
        """Builds the panel.

        Args:
            gui: Of the server.
            frames: Positions of the slider over time.
            cameras: Names to choose from.
            threshold: Density from which a voxel is occupied at first, 1/m.
            top: The largest density there is, 1/m.
        """
        with gui.add_folder("Where is …?"):
            self._text = gui.add_text("query", "", hint="Commas part several queries.")
            self._heat = gui.add_slider(
                "heat from", 0.0, 1.0, 0.01, 0.35, hint="Cooler voxels are left grey."
            )
            self._notes = gui.add_html("")
            self._legend = gui.add_html("")
        with gui.add_folder("Frame"):
            self._frame = gui.add_slider("time", 0, max(frames - 1, 1), 1, 0, disabled=frames < 2)
            self._facts = gui.add_html("")
        with gui.add_folder("Show"):
            self._voxels = gui.add_dropdown("voxels", get_args(Voxels))
            step = top / 200
            density = min(max(threshold, step), top)
            self._density = gui.add_slider(
                "density from", step, top, step, density, hint="1/m; less dense voxels are free."
            )
            self._lidar = gui.add_checkbox("LiDAR points", False)
            self._cameras = gui.add_checkbox("cameras", True)
        with gui.add_folder("Camera"):
            self._camera = gui.add_dropdown("camera", tuple(cameras), initial_value=cameras[0])
            self._picture = gui.add_image(np.zeros((9, 16, 3), np.uint8), format="jpeg")
        self._last = frames - 1
        self._first_density = self._density.value, threshold

    @property
    def text(self) -> str:
        """What is typed."""
        return self._text.value

    @text.setter
    def text(self, text: str) -> None:
        self._text.value = text

    @property
    def frame(self) -> int:
        """Index of the frame."""
        return min(int(self._frame.value), self._last)

    @frame.setter
    def frame(self, index: int) -> None:
        self._frame.value = index

    @property
    def density(self) -> float:
        """Density from which a voxel is occupied, 1/m."""
        untouched, threshold = self._first_density
        value = float(self._density.value)
        return threshold if value == untouched else value

    @density.setter
    def density(self, density: float) -> None:
        self._density.value = density

    @property
    def heat(self) -> float:
        """Heat in [0, 1] from which voxels are coloured."""
        return float(self._heat.value)

    @heat.setter
    def heat(self, heat: float) -> None:
        self._heat.value = heat

    @property
    def voxels(self) -> Voxels:
        """Which voxels are wanted."""
        return self._voxels.value

    @voxels.setter
    def voxels(self, which: Voxels) -> None:
        self._voxels.value = which

    def visible(self, has_truth: bool) -> dict[str, bool]:
        """Which parts of the scene are to be seen; without truth its place is taken by nothing."""
        return {
            PREDICTED: self.voxels == "prediction",
            TRUE: self.voxels == "ground truth" and has_truth,
            DIFFERENT: self.voxels == "difference" and has_truth,
            "/lidar": self._lidar.value,
            "/cameras": self._cameras.value,
        }

    @property
    def camera(self) -> str:
        """Whose picture is shown in the panel."""
        return self._camera.value

    @camera.setter
    def camera(self, name: str) -> None:
        self._camera.value = name

    def picture(self, picture: UInt8[np.ndarray, "height width 3"]) -> None:
        """Shows a picture in the panel."""
        self._picture.image = picture

    def say(self, notes: str, legend: str | None = None) -> None:
        """Hints, and the legend unless it stays."""
        self._notes.content = notes
        if legend is not None:
            self._legend.content = legend

    def tell(self, facts: str) -> None:
        """What frame is shown."""
        self._facts.content = facts

    def on_typing(self, act: Callable[[], object]) -> None:
        """Calls `act` when somebody has changed the text, at every key stroke."""
        self._text.on_update(_by_hand(act))

    def on_change(self, act: Callable[[], object]) -> None:
        """Calls `act` when somebody has changed anything else."""
        inputs = (self._heat, self._frame, self._voxels, self._density, self._lidar)
        for handle in (*inputs, self._cameras, self._camera):
            handle.on_update(_by_hand(act))


def _by_hand(act: Callable[[], object]) -> Callable[[viser.GuiEvent], None]:
    """Calls `act` for what people do, not for what the program sets."""

    def update(event: viser.GuiEvent) -> None:
        if event.client_id is not None:
            act()

    return update
