"""Occ3D's mIoU: recorded arrays, an oracle that thinks in sets, a real label file."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from langocc.evaluate.labels import read_label
from langocc.evaluate.occupancy import (
    CLASSES_15,
    IDS,
    occupancy_counts,
    occupancy_scores,
    semantics_at,
)


def oracle_class_iou(pred: np.ndarray, labels: np.ndarray) -> list[float]:
    """Per id, from sets of voxels rather than from a matrix; labels above 17 are ignored."""
    pred, labels = pred[labels < IDS], labels[labels < IDS]
    result = []
    for index in range(IDS):
        union = np.logical_or(pred == index, labels == index).sum()
        both = np.logical_and(pred == index, labels == index).sum()
        result.append(100 * both / union if union else float("nan"))
    return result


@pytest.mark.parity
@pytest.mark.parametrize("masked", [True, False])
def test_equals_the_published_metric(parity_dir: Path, masked: bool) -> None:
    data, suffix = np.load(parity_dir / "metrics.npz"), "mask" if masked else "nomask"
    counts = sum(
        occupancy_counts(pred, gt, mask if masked else None)
        for pred, gt, mask in zip(data["pred"], data["gt"], data["mask_camera"], strict=True)
    )
    scores = occupancy_scores(counts)
    np.testing.assert_array_equal(counts[:IDS], data[f"hist_{suffix}"])
    np.testing.assert_allclose(scores.class_iou, 100 * data[f"per_class_{suffix}"], rtol=1e-12)
    assert round(scores.miou_17, 2) == data[f"mean_{suffix}"][0]
    binary = [round(scores.occupied_iou, 2), round(scores.free_iou, 2)]
    assert binary == data[f"iou_{suffix}"].tolist()
    assert scores.other_labels == (data["gt"][data["mask_camera"] if masked else ...] == 255).sum()


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_set_arithmetic_and_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.choice([0, 3, 4, 11, 17, 255], (20, 20, 4)).astype(np.uint8)
    pred = np.where(generator.random(labels.shape) < 0.4, 12, np.minimum(labels, 17)).astype("u1")
    mask = generator.random(labels.shape) < 0.5
    scores = occupancy_scores(occupancy_counts(pred, labels, mask))
    expected = oracle_class_iou(pred[mask], labels[mask])
    np.testing.assert_allclose(scores.class_iou, expected)
    assert scores.miou_17 == pytest.approx(np.nanmean(expected[:17]))
    assert scores.miou_15 == pytest.approx(np.nanmean(np.array(expected)[list(CLASSES_15)]))
    occupied = jaccard_score(labels[mask] != 17, pred[mask] != 17)
    assert scores.occupied_iou == pytest.approx(100 * occupied)
    assert scores.voxels == mask.sum()


def test_the_sum_over_frames_is_not_the_mean_of_frames() -> None:
    """One frame with 99 right voxels, one with a single wrong one: 99 %, not 50 %."""
    good = np.full(99, 4, dtype=np.uint8)
    miss = np.array([4], dtype=np.uint8)
    counts = occupancy_counts(good, good) + occupancy_counts(np.array([17], "u1"), miss)
    assert occupancy_scores(counts).class_iou[4] == pytest.approx(99.0)


def test_splitting_frames_changes_nothing() -> None:
    generator = np.random.default_rng(1)
    pred = generator.integers(0, 18, (8, 8, 8)).astype(np.uint8)
    labels = generator.integers(0, 18, (8, 8, 8)).astype(np.uint8)
    parts = sum(occupancy_counts(p, q) for p, q in zip(pred, labels, strict=True))
    np.testing.assert_array_equal(parts, occupancy_counts(pred, labels))


def test_a_perfect_answer_on_the_real_label_scores_100(real_root: Path) -> None:
    label = read_label(real_root.parent / "occ3d" / "labels.npz")
    scores = occupancy_scores(
        occupancy_counts(label.semantics, label.semantics, label.mask("camera"))
    )
    assert (scores.miou_17, scores.miou_15, scores.occupied_iou) == (100.0, 100.0, 100.0)
    assert scores.voxels == 43_355


def test_the_real_label_shifted_by_a_cell_agrees_with_the_oracle(real_root: Path) -> None:
    label = read_label(real_root.parent / "occ3d" / "labels.npz")
    pred, mask = np.roll(label.semantics, 1, axis=0), label.mask_lidar
    scores = occupancy_scores(occupancy_counts(pred, label.semantics, mask))
    np.testing.assert_allclose(
        scores.class_iou, oracle_class_iou(pred[mask], label.semantics[mask])
    )


def test_nothing_counted_gives_nan_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    empty = np.zeros((2, 2, 2), dtype=np.uint8)
    scores = occupancy_scores(occupancy_counts(empty, empty, np.zeros((2, 2, 2), dtype=bool)))
    assert np.isnan([scores.miou_17, scores.miou_15, scores.occupied_iou, *scores.class_iou]).all()
    assert not recwarn.list


def test_the_threshold_itself_is_occupied() -> None:
    classes = np.array([4, 4, 4], dtype=np.uint8)
    ids = semantics_at(0.25, classes, np.array([0.2, 0.25, 0.3]))
    assert ids.tolist() == [17, 4, 4]


def test_bad_arguments_are_named() -> None:
    grid = np.zeros((2, 2, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"semantics: expected ids 0\.\.17, got 18"):
        occupancy_counts(grid + np.uint8(18), grid)
    with pytest.raises(Exception, match=r"labels|grid"):  # the shape check or ours, whoever is on
        occupancy_counts(grid, grid[:1])
