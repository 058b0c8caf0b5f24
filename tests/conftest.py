"""Fixtures every room shares: the recorded arrays, the real key frame, a small city."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("LANGOCC_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Arrays recorded from the published implementation."""
    folder = SHARED / "parity"
    if not folder.is_dir():
        pytest.skip(f"the recorded arrays are not at {folder}; set LANGOCC_SHARED")
    return folder


@pytest.fixture(scope="session")
def real_root() -> Path:
    """One real nuScenes key frame as v1.0-mini tables."""
    folder = SHARED / "real" / "nuscenes"
    if not folder.is_dir():
        pytest.skip(f"the real key frame is not at {folder}; set LANGOCC_SHARED")
    return folder


@pytest.fixture(scope="session")
def small_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A procedural city: 2 train, 1 val, 1 test scene of 4 key frames, images 200 x 112."""
    from langocc.scenes.city.plan import CitySettings
    from langocc.scenes.city.write import write_city

    root = tmp_path_factory.mktemp("small_city") / "city"
    write_city(root, CitySettings(2, 1, 1, frames_per_scene=4, width=200, height=112))
    return root
