# SPDX-License-Identifier: Apache-2.0
"""A trained model at work: streams, exported graphs, folders to hand on."""
