# SPDX-License-Identifier: Apache-2.0
"""The network: camera images in, a voxel field out."""
