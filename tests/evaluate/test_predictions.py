"""Saved predictions: what is written is read, damage is named."""

from pathlib import Path

import numpy as np
import pytest
from evaluate_kit import SHAPE, random_ids

from langocc.errors import DataError
from langocc.evaluate.predictions import (
    Prediction,
    missing_tokens,
    read_point_features,
    read_prediction,
    write_prediction,
)


@pytest.fixture
def prediction() -> Prediction:
    generator = np.random.default_rng(3)
    density = generator.random(SHAPE).astype(np.float16)
    return Prediction(random_ids(generator), density, random_ids(generator), 0.1)


def test_what_is_written_is_read(tmp_path: Path, prediction: Prediction) -> None:
    features = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float16)
    path = write_prediction(tmp_path, "token", prediction, features)
    read = read_prediction(path)
    for name in ("semantics", "density", "classes"):
        np.testing.assert_array_equal(getattr(read, name), getattr(prediction, name))
    assert read.threshold == 0.1
    np.testing.assert_array_equal(read_point_features(path, np.zeros((7, 3))), features)
    assert read_prediction(path, with_density=False).density is None
    assert [p.name for p in tmp_path.iterdir()] == ["token.npz"]


def test_equal_predictions_give_equal_bytes(tmp_path: Path, prediction: Prediction) -> None:
    first = write_prediction(tmp_path / "a", "token", prediction).read_bytes()
    assert write_prediction(tmp_path / "b", "token", prediction).read_bytes() == first


def test_plain_numpy_files_are_read(tmp_path: Path, prediction: Prediction) -> None:
    np.savez_compressed(tmp_path / "a.npz", semantics=prediction.semantics)
    read = read_prediction(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.semantics, prediction.semantics)
    assert read.density is None
    assert read.threshold is None


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_prediction(tmp_path, "token", prediction)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space"):
        write_prediction(tmp_path, "token", Prediction(prediction.semantics))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["token.npz"]


def test_numbers_that_are_none_are_refused(tmp_path: Path, prediction: Prediction) -> None:
    density = prediction.density.copy()
    density[0, 0, :2] = np.nan
    with pytest.raises(ValueError, match="density: expected finite numbers, got 2"):
        write_prediction(tmp_path, "t", Prediction(prediction.semantics, density))
    np.savez(tmp_path / "t.npz", semantics=prediction.semantics, density=density)
    with pytest.raises(DataError, match=r"t.npz: density: expected finite numbers, got 2"):
        read_prediction(tmp_path / "t.npz")


def test_point_features_must_fit_the_points(tmp_path: Path, prediction: Prediction) -> None:
    features = np.ones((7, 5), np.float16)
    path = write_prediction(tmp_path, "t", prediction, features)
    with pytest.raises(DataError, match=r"t.npz: point_features: expected \[8, C\]"):
        read_point_features(path, np.zeros((8, 3)))
    features[2] = np.inf
    np.savez(path, semantics=prediction.semantics, point_features=features)
    with pytest.raises(DataError, match="1 of 7 rows hold NaN or infinity"):
        read_point_features(path, np.zeros((7, 3)))
    with pytest.raises(ValueError, match="point_features: expected finite"):
        write_prediction(tmp_path, "t", prediction, features)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", semantics=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"t.npz: not a readable"):
        read_prediction(tmp_path / "t.npz")


def test_missing_tokens_are_listed(tmp_path: Path, prediction: Prediction) -> None:
    write_prediction(tmp_path, "b", prediction)
    assert missing_tokens(tmp_path, ["a", "b", "c"]) == ["a", "c"]
    with pytest.raises(DataError, match="expected a folder"):
        missing_tokens(tmp_path / "none", ["a"])
