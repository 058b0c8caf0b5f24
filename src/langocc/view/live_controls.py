# SPDX-License-Identifier: Apache-2.0
"""The panel of the live page: text box, sliders, switches, and places for words."""

from collections.abc import Callable
from typing import Literal

import viser

from langocc.view.live_scene import PREDICTED, TRUE

Voxels = Literal["prediction", "ground truth", "neither"]
"""Whose voxels are drawn."""


class Controls:
    """What people set, and what they are told."""

    def __init__(self, gui: viser.GuiApi, frames: int, threshold: float, top: float) -> None:
        """Builds the panel.

        Args:
            gui: Of the server.
            frames: Positions of the slider over time.
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
            self._voxels = gui.add_dropdown("voxels", ("prediction", "ground truth", "neither"))
            step = top / 200
            density = min(max(threshold, step), top)
            self._density = gui.add_slider(
                "density from", step, top, step, density, hint="1/m; less dense voxels are free."
            )
            self._lidar = gui.add_checkbox("LiDAR points", False)
            self._cameras = gui.add_checkbox("cameras", True)
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
            "/lidar": self._lidar.value,
            "/cameras": self._cameras.value,
        }

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
        inputs = (self._heat, self._frame, self._voxels, self._density, self._lidar, self._cameras)
        for handle in inputs:
            handle.on_update(_by_hand(act))


def _by_hand(act: Callable[[], object]) -> Callable[[viser.GuiEvent], None]:
    """Calls `act` for what people do, not for what the program sets."""

    def update(event: viser.GuiEvent) -> None:
        if event.client_id is not None:
            act()

    return update
