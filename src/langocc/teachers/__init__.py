# SPDX-License-Identifier: Apache-2.0
"""Where language comes from: CLIP teachers, prompts and templates."""
