# SPDX-License-Identifier: Apache-2.0
"""Files of other programs: checkpoints, indices, exported graphs."""
