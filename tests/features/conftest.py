"""The drive that this room's tests share."""

import pytest
from small_drive import ColourTeacher, make_scene

from langocc.scenes.dataset import Dataset


@pytest.fixture
def teacher():
    return ColourTeacher()


@pytest.fixture(scope="session")
def drive(tmp_path_factory) -> Dataset:
    """Scenes of 5, 3 and 1 frames."""
    folder = tmp_path_factory.mktemp("drive")
    scenes = {
        "scene-a": make_scene(folder, "scene-a", 5, seed=1),
        "scene-b": make_scene(folder, "scene-b", 3, seed=2),
        "scene-c": make_scene(folder, "scene-c", 1, seed=3),
    }
    return Dataset(folder, scenes, {"train": ["scene-a", "scene-c"], "val": ["scene-b"]})
