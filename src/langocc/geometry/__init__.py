# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, cameras, the voxel grid, rays, augmentation: pure functions and values."""
