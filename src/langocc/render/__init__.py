# SPDX-License-Identifier: Apache-2.0
"""Differentiable volume rendering of a voxel grid: readable torch, and the same numbers fast."""
