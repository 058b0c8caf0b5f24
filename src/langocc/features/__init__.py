# SPDX-License-Identifier: Apache-2.0
"""Which pixels become rays, their teacher features on disk, and the samples to train on."""
