# SPDX-License-Identifier: Apache-2.0
"""From samples to weights: objective, schedule, averaging, checkpoints, the loop."""
