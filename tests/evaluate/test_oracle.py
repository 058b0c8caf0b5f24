"""The oracle teacher says the true label in the words of a vocabulary."""

import numpy as np

from langocc.evaluate.labels import Occ3DLabel
from langocc.evaluate.oracle import oracle_features, oracle_prediction
from langocc.evaluate.prior import class_vectors
from langocc.geometry.grid import VoxelGrid

GRID = VoxelGrid((0.0, 0.0, 0.0), (6.0, 1.0, 1.0), 1.0)
WORDS = np.eye(3, dtype=np.float32)


def label(*ids: int) -> Occ3DLabel:
    semantics = np.array(ids, np.uint8).reshape(-1, 1, 1)
    return Occ3DLabel(semantics, *(np.ones(semantics.shape, bool) for _ in range(2)))


def test_labels_come_back_where_words_tell_classes_apart() -> None:
    prediction = oracle_prediction(label(4, 17, 11, 9, 255, 4), WORDS, (4, 11, 0))
    assert prediction.semantics.ravel().tolist() == [4, 17, 11, 17, 17, 4]


def test_a_prompt_nearest_to_another_class_is_an_error_of_the_words() -> None:
    """The mean of two unlike prompts for 4 lies nearer to the prompt for 11 than to either."""
    words = np.array([[1, 0, 0], [0, 1, 0], [0.7, 0.7, 0.14]], np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    prediction = oracle_prediction(label(4, 11), words, (4, 4, 11))
    assert prediction.semantics.ravel().tolist() == [11, 11]


def test_points_take_the_class_of_their_voxel_or_of_the_nearest_one_around() -> None:
    vectors = class_vectors(WORDS, (4, 11, 0))
    points = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [2.5, 0.5, 0.5], [5.5, 0.5, 0.5]])
    outside = np.array([[-2.0, 0.5, 0.5], [0.5, 9.0, 0.5], [99.0, 0.5, 0.5]])
    truth = label(4, 17, 11, 17, 17, 17)
    features = oracle_features(truth, np.concatenate([points, outside]), vectors, GRID)
    four, eleven, silent = [1.0, 0, 0], [0, 1.0, 0], [0.0, 0, 0]
    expected = [four, four, eleven, silent, silent, silent, silent]
    np.testing.assert_array_equal(features, np.array(expected, np.float16))


def test_a_hit_just_outside_its_voxel_and_the_grid_is_still_that_hit() -> None:
    features = oracle_features(
        label(4, 17), np.array([[-0.1, 0.5, 0.5]]), class_vectors(WORDS, (4, 11, 0)), GRID
    )
    assert features[0].tolist() == [1.0, 0.0, 0.0]
