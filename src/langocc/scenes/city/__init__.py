# SPDX-License-Identifier: Apache-2.0
"""The procedural city: streets, traffic and sensors, written in the nuScenes v1.0 schema."""
