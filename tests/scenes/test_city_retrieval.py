# SPDX-License-Identifier: Apache-2.0
"""Which texts the city asks for: their kinds, and how often each comes."""

from collections import Counter

import numpy as np

from langocc.scenes.city.layout import build_world
from langocc.scenes.city.retrieval import candidate_texts, choose_rows, texts_of
from langocc.scenes.city.world import Thing
from langocc.teachers.city_clip.lexicon import kind_of, lexicon


def test_texts_of_a_thing_and_their_kinds():
    assert texts_of(Thing("vehicle.car", "sedan", "green", "metal")) == {
        "metal": "material",
        "sedan": "noun",
        "car": "class",
        "metal sedan": "material and thing",
        "metal car": "material and thing",
        "green sedan": "held-out pair",
        "green car": "held-out pair",
    }
    assert texts_of(Thing("static.manmade", "house", "yellow", "brick")) == {
        "brick": "material",
        "house": "noun",
        "brick house": "material and thing",
        "yellow house": "held-out pair",
    }
    assert texts_of(Thing("vehicle.bicycle", "bicycle")) == {"bicycle": "class"}
    wall = texts_of(Thing("static.manmade", "stone wall", "grey", "stone"))
    assert set(wall) == {"stone", "stone wall", "grey stone wall"}  # no "stone stone wall"


def test_candidates_have_enough_points_in_the_grid_and_not_too_many():
    names = ("church", "clock", "lawn", "villa")
    things = [Thing("static.manmade", noun) for noun in names]
    points = np.repeat(np.arange(4, dtype=np.int32), [10, 15, 60, 15])
    is_inside = np.ones(100, dtype=bool)
    is_inside[10:16] = False  # nine points of the clock are left
    assert candidate_texts(things, points, is_inside) == {"church": 10, "villa": 15}
    assert "clock" in candidate_texts(things, points, np.ones(100, dtype=bool))


def test_held_out_pairs_are_those_that_the_teacher_never_read():
    """In whole worlds: the kind of a text says what captions do with its words."""
    kind_of_text: dict[str, set[str]] = {}
    for index in range(2):
        for thing in build_world(7, index, 3.0).things:
            kind, texts = kind_of(thing), texts_of(thing)
            for attribute in filter(None, (thing.colour, thing.material)):
                is_held_out = texts.get(f"{attribute} {thing.noun}") == "held-out pair"
                assert is_held_out == lexicon().is_held_out(attribute, kind)
                assert not (is_held_out and attribute in lexicon().attributes(kind))
            for text, name in texts.items():
                kind_of_text.setdefault(text, set()).add(name)
    assert any("held-out pair" in kinds for kinds in kind_of_text.values())
    assert not {text: kinds for text, kinds in kind_of_text.items() if len(kinds) > 1}


def test_kinds_come_equally_often_where_they_are_offered():
    """A kind with one text among twenty, on half of the frames, gets its third of the rows."""
    common = {f"noun {i}": "noun" for i in range(10)} | {f"stuff {i}": "material" for i in range(9)}
    rare = {"green car": "held-out pair"}
    frames = [
        (f"f{i}", ("train", "val")[i % 2], common | (rare if i % 4 < 2 else {})) for i in range(120)
    ]
    rows = choose_rows(frames)
    assert [(row.sample_token, row.split) for row in rows] == [frame[:2] for frame in frames]
    kinds = common | rare
    for split in ("train", "val"):
        texts = [row.text for row in rows if row.split == split]
        shares = Counter(kinds[text] for text in texts)
        assert shares.keys() == {"noun", "material", "held-out pair"}
        assert all(abs(count - 20) <= 1 for count in shares.values()), shares
        times = Counter(texts)
        assert {times[t] for t in common if kinds[t] == "noun"} == {2}
        assert {times[t] for t in common if kinds[t] == "material"} == {2, 3}
    assert choose_rows([("f", "val", {})]) == []
