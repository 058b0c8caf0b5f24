# SPDX-License-Identifier: Apache-2.0
"""Names of teachers: what can be said of them before anything is loaded."""

TEXT_CLIP = "openai/clip-vit-base-patch16"
"""The CLIP that reads words for a teacher in a checkpoint file, which holds no tokenizer."""


def speaks_for(teacher_id: str, features_id: str) -> bool:
    """Whether a teacher's texts lie in the space of features made under another id.

    Options of the image tower (form, size, precision) come after name and weights in an id; they
    change features, not words.

    Example:
        >>> speaks_for("city-clip-28ab", "city-clip-28ab-naclip-h450")
        True
        >>> speaks_for("city-clip-28ab", "city-clip-77fe")
        False
    """
    return features_id == teacher_id or features_id.startswith(f"{teacher_id}-")
