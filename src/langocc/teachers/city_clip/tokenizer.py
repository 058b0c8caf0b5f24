# SPDX-License-Identifier: Apache-2.0
"""A small byte-level BPE: words of the city are one token, any other text still has tokens."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from langocc.files import replacing

START, END = "<|startoftext|>", "<|endoftext|>"
"""Marks around every text, CLIP's own; ids 0 and 1."""


def train_tokenizer(texts: Iterable[str], size: int = 2048) -> Tokenizer:
    """Learns merges from texts. Lower case; the 256 bytes are in, so nothing is unknown."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, 0), (END, 1)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Writes what `transformers.AutoTokenizer` reads from a folder."""
    with replacing(folder / "tokenizer.json") as path:
        tokenizer.save(str(path))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "model_max_length": context,
    }
    with replacing(folder / "tokenizer_config.json") as path:
        path.write_text(json.dumps(config, indent=2) + "\n")
