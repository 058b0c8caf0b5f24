"""Fixtures of the evaluation tests."""

from pathlib import Path

import pytest
from evaluate_kit import Split


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)
