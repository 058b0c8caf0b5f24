"""The prior answers with what was most frequent where a camera looked."""

import numpy as np
import pytest

from langocc.evaluate.labels import Occ3DLabel
from langocc.evaluate.prior import class_vectors, learn_prior
from langocc.geometry.grid import VoxelGrid

GRID = VoxelGrid((0.0, 0.0, 0.0), (2.0, 1.0, 1.0), 1.0)


def label(first: int, second: int, seen: tuple[bool, bool] = (True, True)) -> Occ3DLabel:
    semantics = np.array([first, second], np.uint8).reshape(2, 1, 1)
    mask = np.array(seen).reshape(2, 1, 1)
    return Occ3DLabel(semantics, mask, mask)


def test_the_most_frequent_label_wins_and_hidden_voxels_do_not_vote() -> None:
    prior = learn_prior(
        [label(17, 4), label(17, 4), label(11, 4, seen=(True, False)), label(3, 9, (False, True))]
    )
    assert prior.semantics.ravel().tolist() == [17, 4]
    assert prior.classes.ravel().tolist() == [11, 4]
    assert prior.frames == 4


def test_what_no_camera_saw_is_free_and_other_ids_do_not_vote() -> None:
    prior = learn_prior([label(255, 4, seen=(True, False))])
    assert prior.semantics.ravel().tolist() == [17, 17]
    assert prior.classes.ravel().tolist() == [17, 17]


def test_equals_counting_voxel_by_voxel() -> None:
    generator = np.random.default_rng(0)
    labels = [
        Occ3DLabel(
            generator.integers(0, 18, (4, 3, 2)).astype(np.uint8),
            generator.random((4, 3, 2)) < 0.7,
            np.ones((4, 3, 2), bool),
        )
        for _ in range(9)
    ]
    prior = learn_prior(labels)
    for voxel in np.ndindex(4, 3, 2):
        seen = [int(one.semantics[voxel]) for one in labels if one.mask_camera[voxel]]
        votes = np.bincount(seen, minlength=18)
        assert prior.semantics[voxel] == (votes.argmax() if seen else 17)
        assert prior.classes[voxel] == (votes[:17].argmax() if votes[:17].any() else 17)


def test_points_read_the_class_vector_of_their_voxel() -> None:
    prior = learn_prior([label(17, 4), label(11, 4)])
    vectors = class_vectors(np.eye(3, dtype=np.float32), [4, 4, 11])
    points = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [9.0, -3.0, 0.5]])
    features = prior.point_features(points, vectors, GRID)
    expected = np.array([[0, 0, 1], [0.5**0.5, 0.5**0.5, 0], [0.5**0.5, 0.5**0.5, 0]])
    np.testing.assert_allclose(features, expected, atol=1e-3)


def test_a_voxel_never_seen_occupied_gives_no_answer() -> None:
    prior = learn_prior([label(17, 4)])
    vectors = class_vectors(np.eye(2, dtype=np.float32), [4, 11])
    assert not prior.point_features(np.array([[0.5, 0.5, 0.5]]), vectors, GRID).any()


def test_no_labels_and_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one training label"):
        learn_prior([])
    other = Occ3DLabel(*(np.zeros((1, 1, 1), t) for t in (np.uint8, bool, bool)))
    with pytest.raises(ValueError, match="labels: expected the shape"):
        learn_prior([label(1, 2), other])
