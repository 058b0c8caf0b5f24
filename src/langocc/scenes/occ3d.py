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

OCC3D_PALETTE = (
    (112, 112, 118),
    (240, 122, 60),
    (240, 170, 190),
    (250, 205, 40),
    (40, 140, 225),
    (30, 195, 200),
    (190, 165, 30),
    (220, 45, 50),
    (245, 225, 130),
    (140, 84, 40),
    (140, 66, 205),
    (190, 110, 190),
    (150, 148, 146),
    (112, 76, 124),
    (166, 206, 112),
    (214, 214, 228),
    (62, 150, 74),
)
"""Colours (sRGB) of the classes 0..16: the hues the field is used to, calm enough for a page."""
