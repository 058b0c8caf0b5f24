"""A folder of predictions against a split: what is read, merged and refused."""

from pathlib import Path

import numpy as np
import pytest
from evaluate_kit import SHAPE, Split

from langocc.errors import ConfigError, DataError
from langocc.evaluate.occ3d import OccupancyOptions, evaluate_predictions
from langocc.evaluate.occupancy import occupancy_counts, occupancy_scores
from langocc.evaluate.predictions import Prediction, write_prediction


def counts_at(split: Split, threshold: float) -> np.ndarray:
    total = 0
    for frame in split.frames:
        t = frame.token
        ids = np.where(split.density[t] < threshold, 17, split.semantics[t]).astype(np.uint8)
        total = total + occupancy_counts(ids, split.labels[t], split.masks[t])
    return np.asarray(total)


def test_counts_every_frame_at_several_thresholds_in_one_pass(split: Split) -> None:
    options = OccupancyOptions(thresholds=(0.1, 0.5, 0.9))
    counts = evaluate_predictions(split.predictions, split.frames, split.label_path, options)
    assert len(counts.frames) == 6
    assert not counts.faults
    for level, total in zip(options.thresholds, counts.total(), strict=True):
        np.testing.assert_array_equal(total, counts_at(split, level))
        assert counts.scores()[level] == occupancy_scores(counts_at(split, level))


def test_without_thresholds_the_semantics_count_as_saved(split: Split) -> None:
    counts = evaluate_predictions(split.predictions, split.frames, split.label_path)
    np.testing.assert_array_equal(counts.total()[0], counts_at(split, 0.1))


def test_masks_count_different_voxels(split: Split) -> None:
    voxels = {}
    for mask in ("camera", "lidar", "none"):
        options = OccupancyOptions(mask=mask)
        counts = evaluate_predictions(split.predictions, split.frames, split.label_path, options)
        voxels[mask] = counts.total().sum()
    masked = sum(m.sum() for m in split.masks.values())
    assert voxels == {"camera": masked, "lidar": masked, "none": 6 * np.prod(SHAPE)}


def test_parts_merge_to_the_whole(split: Split) -> None:
    whole = evaluate_predictions(split.predictions, split.frames, split.label_path)
    parts = [
        evaluate_predictions(split.predictions, split.frames[i::2], split.label_path, workers=i + 1)
        for i in range(2)
    ]
    merged = parts[1].merge(parts[0])
    np.testing.assert_array_equal(merged.total(), whole.total())
    assert merged.worst() == whole.worst()
    with pytest.raises(ValueError, match="6 frames are in both parts"):
        merged.merge(whole)


def test_missing_tokens_are_named_and_counted(split: Split) -> None:
    (split.predictions / "t2.npz").unlink()
    with pytest.raises(DataError, match=r"1 of 6 cannot be evaluated(.|\n)*frame t2"):
        evaluate_predictions(split.predictions, split.frames, split.label_path)
    counts = evaluate_predictions(
        split.predictions, split.frames, split.label_path, tolerate_faults=True
    )
    assert [fault.token for fault in counts.faults] == ["t2"]
    assert len(counts.frames) == 5


def test_no_frame_left_is_an_error_even_when_faults_are_tolerated(split: Split) -> None:
    for path in split.predictions.glob("*.npz"):
        path.unlink()
    with pytest.raises(DataError, match="6 of 6"):
        evaluate_predictions(
            split.predictions, split.frames, split.label_path, tolerate_faults=True
        )


def test_faulty_files_are_named(split: Split) -> None:
    write_prediction(split.predictions, "t0", Prediction(np.zeros((3, 3, 3), np.uint8)))
    (split.predictions / "t1.npz").write_bytes(b"PK not a zip")
    np.savez(split.predictions / "t2.npz", semantics=np.full(SHAPE, 40, np.uint8))
    np.savez(split.predictions / "t3.npz", occupancy=np.zeros(SHAPE, np.uint8))
    split.label_path(split.frames[4]).unlink()
    np.savez(split.predictions / "t5.npz", semantics=np.zeros(SHAPE, np.float32))
    with pytest.raises(DataError, match="6 of 6") as error:
        evaluate_predictions(split.predictions, split.frames, split.label_path)
    for said in (
        "t0.npz: semantics: expected (12, 10, 4) like",
        "t1.npz: not a readable .npz",
        "t2.npz: semantics: expected Occ3D ids 0..17, got 40",
        "t3.npz: expected semantics, or density and features; found ['occupancy']",
        "labels.npz: no such file",
        "... and 1 more",
    ):
        assert said in str(error.value)


def test_labels_with_other_ids_are_counted_per_frame(split: Split) -> None:
    split.labels["t1"][0, 0, :3] = 255
    split.masks["t1"][0, 0, :3] = True
    split.write_label("t1")
    counts = evaluate_predictions(split.predictions, split.frames, split.label_path)
    assert {f.token: f.other_labels for f in counts.frames if f.other_labels} == {"t1": 3}
    assert counts.scores()[None].other_labels == 3


def test_thresholds_need_what_the_files_hold(split: Split) -> None:
    options = OccupancyOptions(thresholds=(0.05,))
    with pytest.raises(ConfigError, match=r"t0.npz: thresholds: 0.05 is below"):
        evaluate_predictions(split.predictions, split.frames[:1], split.label_path, options)
    classes = np.minimum(split.semantics["t0"], 16).astype(np.uint8)
    both = Prediction(split.semantics["t0"], split.density["t0"], classes, 0.1)
    write_prediction(split.predictions, "t0", both)
    counts = evaluate_predictions(split.predictions, split.frames[:1], split.label_path, options)
    expected = np.where(split.density["t0"] < 0.05, 17, classes).astype(np.uint8)
    np.testing.assert_array_equal(
        counts.total()[0], occupancy_counts(expected, split.labels["t0"], split.masks["t0"])
    )
    write_prediction(split.predictions, "t0", Prediction(split.semantics["t0"]))
    with pytest.raises(ConfigError, match="hold no density"):
        evaluate_predictions(split.predictions, split.frames[:1], split.label_path, options)


def test_a_label_of_another_kind_is_named(split: Split, tmp_path: Path) -> None:
    path = split.label_path(split.frames[0])
    np.savez(path, semantics=np.zeros(SHAPE, np.uint8), mask_camera=np.ones((2, 2, 2), np.uint8),
             mask_lidar=np.ones(SHAPE, np.uint8))  # fmt: skip
    with pytest.raises(DataError, match=r"labels.npz: mask_camera: expected"):
        evaluate_predictions(split.predictions, split.frames[:1], split.label_path)


def test_an_empty_split_is_an_error(split: Split) -> None:
    with pytest.raises(DataError, match="expected at least one frame or row, got none"):
        evaluate_predictions(split.predictions, [], split.label_path)
