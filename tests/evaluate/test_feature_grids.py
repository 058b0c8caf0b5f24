"""Density and features instead of classes: the same answers, dense or listed, and every fault."""

from pathlib import Path

import numpy as np
import pytest
from evaluate_kit import SHAPE, Split

from langocc.errors import ConfigError, DataError
from langocc.evaluate.feature_grids import Prompts
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.predictions import read_point_features, read_prediction
from langocc.geometry.grid import VoxelGrid

CHANNELS = 5
PROMPTS = Prompts(np.random.default_rng(8).standard_normal((4, CHANNELS)), (4, 11, 4, 16))


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {
        "density": generator.random(SHAPE).astype(np.float16),
        "features": generator.standard_normal((*SHAPE, CHANNELS)).astype(np.float16),
    }


def listed(arrays: dict[str, np.ndarray], density: float) -> dict[str, np.ndarray]:
    """Only the features of voxels at least this dense, in another order."""
    voxels = np.flatnonzero(arrays["density"] >= density)[::-1].astype(np.int32)
    features = arrays["features"].reshape(-1, CHANNELS)[voxels]
    return {"density": arrays["density"], "features": features, "voxels": voxels}


def written(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "t.npz", **arrays)
    return folder / "t.npz"


def test_a_voxel_takes_the_class_of_its_nearest_prompt(tmp_path: Path, arrays: dict) -> None:
    read = read_prediction(written(tmp_path, arrays), prompts=PROMPTS)
    assert read.threshold == 0.1
    for voxel in np.ndindex(*SHAPE):
        dots = [float(arrays["features"][voxel].astype(float) @ v) for v in PROMPTS.vectors]
        expected = PROMPTS.class_ids[int(np.argmax(dots))]
        assert read.classes[voxel] == expected
        assert read.semantics[voxel] == (expected if arrays["density"][voxel] >= 0.1 else 17)


def test_a_list_of_voxels_says_what_a_dense_grid_says(tmp_path: Path, arrays: dict) -> None:
    arrays["threshold"] = np.float32(0.4)
    dense = read_prediction(written(tmp_path, arrays), prompts=PROMPTS)
    few = listed(arrays, 0.3) | {"threshold": np.float32(0.4)}
    sparse = read_prediction(written(tmp_path, few), prompts=PROMPTS)
    for threshold in (0.3, 0.4, 0.7, None):
        np.testing.assert_array_equal(sparse.at(threshold), dense.at(threshold))
    with pytest.raises(ConfigError, match=r"thresholds: \d+ voxels of a density of at least 0.2"):
        sparse.at(0.2)


def test_points_read_the_voxel_they_lie_in(tmp_path: Path, arrays: dict) -> None:
    grid = VoxelGrid((0.0, 0.0, 0.0), tuple(map(float, SHAPE)), 1.0)
    points = np.array([[3.2, 4.9, 1.0], [0.0, 0.0, 0.0], [99.0, -5.0, 2.5]])
    for content in (arrays, listed(arrays, 0.0)):
        features = read_point_features(written(tmp_path, content), points, grid)
        expected = [arrays["features"][cell] for cell in ((3, 4, 1), (0, 0, 0), (11, 0, 2))]
        np.testing.assert_array_equal(features, expected)
    arrays["density"][3, 4, 1] = 0.0
    features = read_point_features(written(tmp_path, listed(arrays, 0.01)), points, grid)
    assert not features[0].any()


def test_a_folder_of_features_scores_like_the_classes_made_of_it(split: Split) -> None:
    generator = np.random.default_rng(0)
    read = {}
    for frame in split.frames:
        features = generator.standard_normal((*SHAPE, CHANNELS)).astype(np.float16)
        content = {"density": split.density[frame.token], "features": features}
        path = split.predictions / f"{frame.token}.npz"
        np.savez(path, **content)
        read[path] = read_prediction(path, prompts=PROMPTS)
    options, place = OccupancyOptions(thresholds=(0.1, 0.6)), split.predictions
    counts = evaluate_predictions(place, split.frames, split.label_path, options, prompts=PROMPTS)
    for path, prediction in read.items():
        np.savez(path, semantics=prediction.semantics, density=prediction.density)
    same = evaluate_predictions(place, split.frames, split.label_path, options)
    np.testing.assert_array_equal(counts.total(), same.total())
    assert counts.total().sum() > 0


def test_faults_are_named(tmp_path: Path, arrays: dict) -> None:
    def message(changed: dict[str, np.ndarray], prompts: Prompts | None = PROMPTS) -> str:
        with pytest.raises(DataError) as error:
            read_prediction(written(tmp_path, changed), prompts=prompts)
        return str(error.value)

    few = listed(arrays, 0.05)
    assert "t.npz: features, no semantics: name the prompts" in message(arrays, None)
    assert "found ['density']" in message({"density": arrays["density"]})
    broken = arrays["features"].copy()
    broken[0, 0, :2, 1] = np.nan
    assert "features: 2 of 480 rows hold NaN" in message(arrays | {"features": broken})
    assert "expected 5 channels like the prompts, got 3" in message(
        arrays | {"features": arrays["features"][..., :3]}
    )
    assert "features: expected floats [12, 10, 4, C]" in message(
        arrays | {"features": arrays["features"][:3]}
    )
    assert "voxels: expected indices below 480" in message(few | {"voxels": few["voxels"] + 480})
    assert "some come several times" in message(few | {"voxels": few["voxels"] * 0})
    assert "voxels: expected integers" in message(few | {"voxels": few["voxels"] * 1.0})
    assert "voxels of a density of at least 0.1 have none" in message(listed(arrays, 0.5))
    density = arrays["density"].copy()
    density[0, 0, 0] = np.nan
    assert "density: expected finite numbers, got 1" in message(arrays | {"density": density})
