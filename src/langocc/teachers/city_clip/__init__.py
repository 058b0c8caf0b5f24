# SPDX-License-Identifier: Apache-2.0
"""The city's own CLIP: its words, its tokenizer, its training, its weights."""
