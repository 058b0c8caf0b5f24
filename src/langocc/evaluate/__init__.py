# SPDX-License-Identifier: Apache-2.0
"""Numbers: occupancy, ray IoU, retrieval and rendering, for predictions of any model."""
