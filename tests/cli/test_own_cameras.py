"""From other cameras to a trained model: a rig manifest without LiDAR, verb by verb."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import langocc
from langocc.evaluate.predictions import read_prediction
from langocc.scenes.manifest_writer import write_manifest
from langocc.scenes.opening import open_dataset

OTHER_CITY = """
import sys
from langocc import cli
from langocc.scenes.city import rig

# Higher up, wider, and turned otherwise than nuScenes' cameras; no camera looks straight ahead.
rig.CAMERA_SPECS = (
    rig.CameraSpec("CAM_FRONT_LEFT", (1.9, 0.6, 2.1), 40.0, 700.0),
    rig.CameraSpec("CAM_FRONT_RIGHT", (1.9, -0.6, 2.1), -40.0, 700.0),
    rig.CameraSpec("CAM_BACK_LEFT", (0.2, 0.6, 2.1), 130.0, 600.0),
    rig.CameraSpec("CAM_BACK_RIGHT", (0.2, -0.6, 2.1), -130.0, 600.0),
)
sys.exit(cli.run(sys.argv[1:]))
"""

NAMES = {
    "CAM_FRONT_LEFT": "port_bow",
    "CAM_FRONT_RIGHT": "starboard_bow",
    "CAM_BACK_LEFT": "port_quarter",
    "CAM_BACK_RIGHT": "starboard_quarter",
}


def python(*words: object) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verb(*words: object) -> str:
    return python("-m", "langocc", *words)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the manifest of a city seen by four other cameras, names and all."""
    folder = tmp_path_factory.mktemp("own")
    scenes = ["--scenes-train", 2, "--scenes-val", 1, "--scenes-test", 0, "--workers", 1]
    sizes = ["--frames-per-scene", 3, "--image-size", 176, 112]
    python("-c", OTHER_CITY, "city", folder / "city", *scenes, *sizes)
    dataset = open_dataset(folder / "city", work=folder / "index")
    write_manifest(dataset, folder / "rig.json", lidar=False)
    text = (folder / "rig.json").read_text()
    content = json.loads(text)
    content["cameras"] = {NAMES[name]: camera for name, camera in content["cameras"].items()}
    for scene in content["scenes"]:
        for frame in scene["frames"]:
            frame["images"] = {NAMES[name]: shot for name, shot in frame["images"].items()}
    (folder / "rig.json").write_text(json.dumps(content))
    return folder


@pytest.mark.slow
def test_training_from_a_manifest_without_lidar(own: Path, tmp_path: Path) -> None:
    said = verb("check-rig", own, "--out", tmp_path / "rig.png")
    assert "LiDAR in 0 frames" in said
    assert "suspicious" not in said
    assert (tmp_path / "rig.png").stat().st_size > 10_000

    verb("prepare", own, "--rays", "grid")
    verb("extract", own, "--codec", "pca-int8", "--components", 16)
    quick = ["--preset", "tiny", "--sample.rays", 512, "--batch-size", 1, "--steps", 18]
    quick += ["--log-steps", 1, "--schedule.base-lr", 2e-4]
    verb("train", own, "--run", tmp_path / "run", *quick)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    losses = [line["total"] for line in lines if "total" in line]
    assert len(losses) == 18  # three epochs: the first and the last see the same six frames
    assert np.isfinite(losses).all()
    assert np.mean(losses[-6:]) < np.mean(losses[:6])

    token = open_dataset(own).scenes[open_dataset(own).splits["val"][0]][-1].token
    line = ["--root", own, "--token", token, "--query", "a tree", "--threshold", 0.02, "--html"]
    said = verb("predict", tmp_path / "run", *line, "--out", tmp_path / "out")
    assert "1 of 1 frames have no LiDAR: no depth error" in said
    saved = read_prediction(tmp_path / "out" / f"{token}.npz")
    names = {path.name for path in (tmp_path / "out" / token).iterdir()}
    assert {"cameras.png", "occupancy.png", "depth.png", "query-1-a-tree.png"} < names
    page = (tmp_path / "out" / token / "page.html").read_text()
    assert '"lidar":null' in page
    assert "starboard quarter" in page

    frames = list(langocc.open_dataset(own).frames("val"))
    model = langocc.load(tmp_path / "run")
    answer = model.predict(frames[-1], "a tree", before=frames[:-1], threshold=0.02)
    np.testing.assert_array_equal(answer.semantics, saved.semantics)
    assert list(answer.frame.cameras) == list(NAMES.values())
