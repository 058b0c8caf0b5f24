# SPDX-License-Identifier: Apache-2.0
"""Teachers by name: the city's own CLIP, any CLIP of the hub, or a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import nn

from langocc.errors import ConfigError, DataError
from langocc.teachers.checkpoint import digest_of, read_state
from langocc.teachers.names import TEXT_CLIP
from langocc.teachers.teacher import Teacher

if TYPE_CHECKING:
    from transformers import CLIPModel

    from langocc.teachers.maskclip import Form
    from langocc.teachers.maskclip_plus import MaskClipPlusNetwork

CITY_CLIP = "city-clip"
"""Name of the CLIP that comes with the package."""

CITY_CLIP_FOLDER = Path(__file__).parent / "city_clip" / "weights"
"""Where its weights lie."""

NEEDED_FILES = "config.json, model.safetensors and tokenizer.json (or vocab.json and merges.txt)"
"""What a folder must hold to be a CLIP."""

_SUFFIX = {torch.float32: "", torch.bfloat16: "-bf16", torch.float16: "-fp16"}
"""Ending of a teacher's id by its precision."""


def load_teacher(
    name: str,
    form: "Form" = "published",
    device: torch.device | str = "cpu",
    *,
    dtype: torch.dtype = torch.float32,
    quirks: Literal["published", "none"] = "none",
    image_height_px: int | None = None,
    text: str = TEXT_CLIP,
) -> Teacher:
    """A frozen teacher, ready to use.

    Args:
        name: `city-clip`, a name on the hub (`openai/clip-vit-base-patch16`), a folder, or a
            checkpoint file: MaskCLIP+ or a CLIP of the original release.
        form: What stands for the last block's attention; see `maskclip.Form`.
        device: Where it runs.
        dtype: Precision of weights and activations; part of the id unless float32. Below float32,
            MaskCLIP+ runs with its norms folded, channels last.
        quirks: `published` takes exact GELU and LayerNorm eps 1e-6 in the image tower.
        image_height_px: Height that images are resized to before the network; None: their own.
        text: For a checkpoint file: the CLIP (name or folder) whose tokenizer, and for MaskCLIP+
            whose text tower, goes with it.

    Raises:
        DataError: the files are not there, not a CLIP, or damaged; says what to place where.
        ConfigError: an unknown form or precision.
    """
    from langocc.teachers.clip_text import ClipText
    from langocc.teachers.folded import folded
    from langocc.teachers.maskclip import FORMS, MaskClip, use_published_numerics
    from langocc.teachers.maskclip_plus import is_maskclip_plus, load_maskclip_plus

    if form not in FORMS:
        raise ConfigError(f"teacher form {form!r}: there are {', '.join(FORMS)}")
    if dtype not in _SUFFIX:
        raise ConfigError(f"teacher precision {dtype}: there are {', '.join(map(str, _SUFFIX))}")
    if Path(name).is_file() and is_maskclip_plus(state := read_state(Path(name))):
        plus = load_maskclip_plus(state, name, ClipText(*_reader_for(name, text)))
        if dtype != torch.float32:
            plus.network = cast("MaskClipPlusNetwork", folded(plus.network, dtype))
            plus.id += _SUFFIX[dtype]
        return plus.to(device)
    model, tokenizer = load_clip(name, text)
    label = Path(name).stem if Path(name).is_file() else Path(name).name
    hashed = digest_of(model.state_dict())
    size = "" if image_height_px is None else f"-h{image_height_px}"
    suffix = "" if form == "published" else f"-{form}"
    if quirks == "published":
        use_published_numerics(model)
        suffix += "-quirks"
    id_ = f"{label}-{hashed}{suffix}{size}{_SUFFIX[dtype]}"
    precise = cast("CLIPModel", nn.Module.to(model, dtype))
    teacher = MaskClip(precise, tokenizer, id_, form, image_height_px)
    return teacher.to(device)


def load_clip(name: str, text: str = "") -> tuple["CLIPModel", Any]:
    """A CLIP and its tokenizer, float32 on the CPU, from a name, a folder, or an original file.

    Args:
        name: As for `load_teacher`.
        text: For a file: the CLIP whose tokenizer goes with it.

    Raises:
        DataError: as for `load_teacher`.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer, CLIPConfig, CLIPModel
    from transformers.utils import logging

    if Path(name).is_file():
        from langocc.teachers.convert import clip_from_openai

        return clip_from_openai(read_state(Path(name)), name), _reader_for(name, text)[1]
    logging.disable_progress_bar()  # three bars for a fraction of a second
    source = str(CITY_CLIP_FOLDER) if name == CITY_CLIP else name
    is_folder = Path(source).is_dir()
    if is_folder and not (Path(source) / "config.json").is_file():
        raise DataError(f"{source}: no config.json; a CLIP folder holds {NEEDED_FILES}")
    kept_only: dict[str, Any] = {"local_files_only": is_folder or _is_cached(source)}
    try:
        config = AutoConfig.from_pretrained(source, **kept_only)
        if not isinstance(config, CLIPConfig):
            raise DataError(f"{source}: expected a CLIP, found model type {config.model_type!r}")
        loaded: Any = CLIPModel.from_pretrained(
            source, config=config, dtype=torch.float32, output_loading_info=True, **kept_only
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **kept_only)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataError(_not_loaded(source, is_folder, error)) from None
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise DataError(f"{source}: {len(missing)} weights are missing, the first: {missing[0]}")
    return model, tokenizer


def _reader_for(file: str, text: str) -> tuple["CLIPModel", Any]:
    """The CLIP that reads words for a checkpoint file."""
    try:
        return load_clip(text)
    except DataError as error:
        raise DataError(
            f"{file}: holds no tokenizer; the CLIP that reads its words (--text) is not there: "
            f"{error}"
        ) from None


def _is_cached(source: str) -> bool:
    """Whether a hub name was fetched before; asking the hub again would cost a network wait."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(source, "config.json"), str)
    except HFValidationError:  # not a possible hub name, as a path that does not exist
        return False


def _not_loaded(source: str, is_folder: bool, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if is_folder:
        return f"{source}: not loadable as a CLIP ({reason}); the folder must hold {NEEDED_FILES}"
    return (
        f"teacher {source!r}: no such folder, and it could not be fetched from the hub ({reason}). "
        f"Without network, place {NEEDED_FILES} in a folder and give that folder's path"
    )
