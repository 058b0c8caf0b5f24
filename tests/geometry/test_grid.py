# SPDX-License-Identifier: Apache-2.0
"""The voxel grid: counts, centres, edges."""

import numpy as np
import pytest

from langocc.geometry.grid import OCC3D_GRID, VoxelGrid


def test_occ3d_grid():
    assert OCC3D_GRID.shape == (200, 200, 16)
    centres_m = OCC3D_GRID.centres_m()
    assert centres_m.shape == (200, 200, 16, 3)
    np.testing.assert_allclose(centres_m[0, 0, 0], [-39.8, -39.8, -0.8])
    np.testing.assert_allclose(centres_m[199, 199, 15], [39.8, 39.8, 5.2])
    # Index order x, y, z.
    np.testing.assert_allclose(centres_m[7, 0, 0] - centres_m[6, 0, 0], [0.4, 0, 0], atol=1e-12)
    np.testing.assert_allclose(centres_m[0, 0, 7] - centres_m[0, 0, 6], [0, 0, 0.4], atol=1e-12)


def test_counts_are_rounded():
    # int((0.6 - 0) / 0.2) is 2, int(6.4 / 0.4) may be 15.
    assert VoxelGrid((0.0, 0.0, 0.0), (0.6, 0.2, 6.4), 0.2).shape == (3, 1, 32)


@pytest.mark.parametrize(
    ("lower_m", "upper_m", "cell_m"),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.3),
        ((0.0, 0.0, 0.0), (1.0, 1.0, -1.0), 0.5),
        ((0.0, 0.0, 0.0), (1.0, 0.0, 1.0), 0.5),
    ],
)
def test_boxes_that_are_not_whole_cells_are_refused(lower_m: tuple, upper_m: tuple, cell_m: float):
    with pytest.raises(ValueError, match="expected a whole number"):
        VoxelGrid(lower_m, upper_m, cell_m)


def test_every_centre_is_inside():
    assert OCC3D_GRID.contains(OCC3D_GRID.centres_m()).all()


def test_the_lower_edge_is_inside_and_the_upper_is_not():
    points_m = np.array(
        [[-40.0, -40.0, -1.0], [40.0, 0, 0], [0, 40.0, 0], [0, 0, 5.4],
         [np.nextafter(40.0, 0), 0, np.nextafter(5.4, 0)], [np.nextafter(-40.0, -50), 0, 0],
         [np.nan, 0, 0], [np.inf, 0, 0]]
    )  # fmt: skip
    expected = [True, False, False, False, True, False, False, False]
    assert OCC3D_GRID.contains(points_m).tolist() == expected
    assert OCC3D_GRID.contains(np.zeros((0, 3))).shape == (0,)


def test_half_a_cell_outside():
    shift_m = np.array([0.2 + 1e-9, 0, 0])
    centres_m = OCC3D_GRID.centres_m()
    assert not OCC3D_GRID.contains(centres_m[0] - shift_m).any()
    assert not OCC3D_GRID.contains(centres_m[-1] + shift_m).any()
    assert OCC3D_GRID.contains(centres_m[1] - shift_m).all()


def test_cells_with_a_height_of_their_own():
    grid = VoxelGrid(cell_m=0.8, cell_height_m=0.4)
    assert grid.shape == (100, 100, 16)
    assert grid.edges_m == (0.8, 0.8, 0.4)
    np.testing.assert_allclose(grid.centres_m()[0, 0, 0], [-39.6, -39.6, -0.8])
    np.testing.assert_allclose(grid.centres_m()[1, 2, 3], [-38.8, -38.0, 0.4])
    assert VoxelGrid(cell_m=0.8).edges_m == (0.8, 0.8, 0.8)
    with pytest.raises(ValueError, match=r"whole number of 0\.5 m cells between -1\.0 and 5\.4 m"):
        VoxelGrid(cell_height_m=0.5)


@pytest.mark.parametrize("name", ["cell_m", "cell_height_m"])
@pytest.mark.parametrize("value", [0.0, -0.4, float("nan")])
def test_edges_without_length_are_refused(name: str, value: float):
    with pytest.raises(ValueError, match=rf"grid\.{name}: expected metres above zero"):
        VoxelGrid(**{name: value})
