# SPDX-License-Identifier: Apache-2.0
"""The words of the city's CLIP: lexicon, captions, tokenizer."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.world import Thing
from langocc.scenes.occ3d import OCC3D_CLASSES
from langocc.teachers.city_clip.captions import caption, corpus
from langocc.teachers.city_clip.lexicon import SKY, Kind, class_id, kind_of, lexicon
from langocc.teachers.city_clip.tokenizer import save_tokenizer, train_tokenizer
from langocc.teachers.text import BACKGROUND, load_vocabulary

KINDS = [
    Kind("car", "sedan", "green", "metal"),
    Kind("car", "taxi", "yellow", "metal"),
    Kind("truck", "box truck", "yellow", "metal"),
    Kind("bus", "city bus", "blue", "metal"),
    Kind("manmade", "townhouse", "yellow", "plaster"),
    Kind("vegetation", "fir tree", "dark green", "needles"),
    Kind("driveable_surface", "road", "grey", "asphalt"),
    SKY,
]


def classes_of_names() -> dict[str, set[str]]:
    """Class names each name may be said of; nouns of the city belong to the class of any prompt."""
    found: dict[str, set[str]] = {}
    for part in (lexicon().classes, lexicon().rare):
        for class_name, names in part.items():
            for name in names:
                found.setdefault(name.lower(), set()).add(class_name)
    return found


@pytest.mark.parametrize("name", ["v1", "v2", "city"])
def test_every_shipped_prompt_is_among_the_captions_words(name: str) -> None:
    vocabulary = load_vocabulary(name)
    of_class = classes_of_names()
    of_nouns = {name.lower() for names in lexicon().nouns.values() for name in names}
    for prompt, id_ in zip(vocabulary.prompts, vocabulary.class_ids, strict=True):
        word = prompt.removeprefix("a photo of a ").removeprefix("a photo of the ")
        word = word.removeprefix("a photo of ").lower()  # as the tokenizer reads it
        class_name = OCC3D_CLASSES[id_] if id_ else BACKGROUND
        assert word in of_nouns or class_name in of_class.get(word, set()), prompt


def test_a_name_stands_for_one_class() -> None:
    assert {name: found for name, found in classes_of_names().items() if len(found) > 1} == {}


def test_captions_claim_only_what_is_true_and_nothing_held_out() -> None:
    generator = random.Random(0)
    words = lexicon()
    claimed = set()
    for _ in range(3000):
        kinds = generator.choices(KINDS, k=generator.randint(1, 3))
        made = caption(kinds, generator, is_ordered=True)
        true = set().union(*(words.true_words(kind) for kind in kinds))
        assert set(made.said) <= true
        claimed |= set(made.said)
    assert {"yellow@car", "dark green@vegetation", "asphalt@driveable_surface"} <= claimed
    assert not {"green@car", "yellow@truck", "blue@bus", "yellow@manmade"} & claimed


def test_held_out_pairs_are_in_no_text() -> None:
    generator = random.Random(1)
    for kind, attribute in ((KINDS[0], "green"), (KINDS[2], "yellow"), (KINDS[4], "yellow")):
        assert lexicon().is_held_out(attribute, kind)
        texts = [caption([kind], generator).text for _ in range(500)]
        assert not [text for text in texts if attribute in text]
    assert not lexicon().is_held_out("yellow", KINDS[1])


def test_kinds_of_things() -> None:
    kind = kind_of(Thing("vehicle.bus.rigid", "coach", "white", "metal"))
    assert kind == Kind("bus", "coach", "white", "metal")
    assert class_id(kind) == 3
    assert class_id(SKY) == 0
    ego = kind_of(Thing("vehicle.ego", "car", "black"))
    assert class_id(ego) == CATEGORY["vehicle.ego"].occ3d_id == 0
    assert lexicon().true_words(ego) == {"car", "black@background"}  # never called sky


def test_tokenizer_knows_the_citys_words_and_any_other_text(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(corpus(KINDS, 3000), size=1536)
    save_tokenizer(tokenizer, tmp_path, context=64)
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("a yellow taxi", "traffic light", "sedan"):
        assert len(again.encode(text).ids) == 2 + len(text.split())
    for text in ("", "Größe 北京 🚗", "zyxwv"):
        tokens = again.encode(text)
        assert tokens.ids[0] == 0
        assert tokens.ids[-1] == 1
        assert again.decode(tokens.ids).strip() == text.lower()
    for vocabulary in ("v1", "v2", "city"):
        for prompt in load_vocabulary(vocabulary).prompts:
            assert len(again.encode(f"a jpeg corrupted photo of the {prompt}.").ids) <= 64
