"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import langocc

SOURCE = Path(langocc.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("langocc", *path.relative_to(SOURCE).with_suffix("").parts))
    for path in SOURCE.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
