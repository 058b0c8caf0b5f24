# SPDX-License-Identifier: Apache-2.0
"""Attributes and things that the city shows together and no caption joins: tests of composition.

The city's teacher reads "green" and "car", and never "green car". A query for such a pair asks
whether what it learned of the parts tells the whole.
"""

HELD_OUT = frozenset(
    {
        ("green", "car"),
        ("dark green", "car"),
        ("yellow", "truck"),
        ("blue", "bus"),
        ("red", "motorcycle"),
        ("dark red", "motorcycle"),
        ("white", "bicycle"),
        ("yellow", "house"),
        ("yellow", "townhouse"),
    }
)
"""(attribute, noun or class name)."""


def is_held_out(attribute: str, noun: str, class_name: str) -> bool:
    """Whether no caption says this attribute of such a thing, by whichever name.

    Example:
        >>> is_held_out("green", "sedan", "car"), is_held_out("yellow", "taxi", "car")
        (True, False)
    """
    return not HELD_OUT.isdisjoint({(attribute, noun), (attribute, class_name)})
