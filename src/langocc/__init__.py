# SPDX-License-Identifier: Apache-2.0
"""LangOcc: open-vocabulary occupancy from camera images alone."""

__version__ = "0.1.0"
