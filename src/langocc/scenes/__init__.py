# SPDX-License-Identifier: Apache-2.0
"""Where frames come from: nuScenes tables, rig manifests, the procedural city."""
