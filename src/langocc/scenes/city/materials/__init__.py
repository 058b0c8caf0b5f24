# SPDX-License-Identifier: Apache-2.0
"""Colours by name and procedural textures."""
