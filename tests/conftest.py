"""Fixtures every room shares: the recorded arrays, the real key frame, a small city."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    # Triton decides at its first import, in whichever test that is, whether to interpret kernels.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# A build server may start us deaf to Ctrl-C, which children inherit and tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(os.environ.get("LANGOCC_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: what breaks shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


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
    root = tmp_path_factory.mktemp("small_city") / "city"
    scenes = ["--scenes-train", "2", "--scenes-val", "1", "--scenes-test", "1"]
    sizes = ["--frames-per-scene", "4", "--image-size", "200", "112", "--workers", "2"]
    # The command itself: its processes run without the type checks of tests, three times as fast.
    command = [sys.executable, "-m", "langocc", "city", str(root), *scenes, *sizes]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return root
