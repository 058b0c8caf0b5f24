# SPDX-License-Identifier: Apache-2.0
"""Occ3D-nuScenes' class names, ids and palette.

Source: formats.md section 2.
"""

OCC3D_CLASSES = (
    "others",
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
)
"""Names of the classes 0..16."""

FREE_ID = 17
"""Id of free space in label files and saved predictions."""
