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
