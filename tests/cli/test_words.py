"""Verbs that turn words into vectors take the same options for it."""

from dataclasses import fields
from importlib import import_module

import pytest

from langocc.cli.evaluate import All, Render, Retrieval
from langocc.teachers.names import TEXT_CLIP

VERBS = {
    "extract": "Extract",
    "vocab": "Vocab",
    "reduce": "Reduce",
    "predict": "Predict",
    "view": "View",
    "render": "Render",
    "export": "Export",
}
COMMANDS = [getattr(import_module(f"langocc.cli.{verb}"), name) for verb, name in VERBS.items()]


@pytest.mark.parametrize("command", [*COMMANDS, Retrieval, Render, All])
def test_a_teacher_in_a_file_can_be_given_its_words(command: type) -> None:
    """Without it such a teacher asks the hub, in every command, for a CLIP that lies elsewhere."""
    defaults = {entry.name: entry.default for entry in fields(command)}
    assert defaults["teacher"] == "city-clip"
    assert defaults["text"] == TEXT_CLIP


@pytest.mark.parametrize("verb", ["vocab", "reduce", "predict", "export"])
def test_templates_are_on_and_can_be_left_out(verb: str) -> None:
    command = COMMANDS[list(VERBS).index(verb)]
    assert {entry.name: entry.default for entry in fields(command)}["templates"] is True


@pytest.mark.parametrize("command", [Retrieval, All])
def test_every_evaluation_with_words_can_leave_templates_out(command: type) -> None:
    assert {entry.name: entry.default for entry in fields(command)}["templates"] is True
