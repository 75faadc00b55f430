"""Which class of transformers reads an encoder's text, how many tokens it can read, and its weights."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from engine.embeddings.encode.source import Source, first_line
from engine.errors import UserError

_TEXT_ONLY = ("EncoderModel", "ContextEncoder", "QuestionEncoder", "TextModel")
"""Ends of the names of classes that are the part of a larger model that reads text; AutoModel would take the whole."""


@dataclass(frozen=True)
class Architecture:
    """An encoder's class, before its weights are read."""

    kind: Any
    """A model class, or AutoModel."""
    positions: int | None
    """Tokens it can read at most; None: it has no limit."""
    vocabulary: int | None
    """Rows of its table of token vectors; None where it has no such table."""


def read_architecture(source: Source) -> Architecture:
    """From config.json alone, and from the model built without its weights. Raises UserError where transformers
    does not know it, or it is none that reads text."""
    import torch

    transformers = import_transformers()
    config = load(source, transformers.AutoConfig)
    kind = _kind(config, transformers)
    positions = _declared_positions(config)
    try:
        with torch.device("meta"):
            whole = kind.from_config(config) if kind is transformers.AutoModel else kind(config)
            part = text_part(whole)
    except Exception:  # a class that cannot be built so is loaded, and says then what it lacks
        return Architecture(kind, positions, None)
    tables = _tables(part, _POSITIONS)
    limits = [_room(table) for table in tables] + ([positions] if positions else [])
    return Architecture(kind, min(limits) if limits else None, _vocabulary(part))


def load_model(source: Source, kind: Any, dtype: Any) -> tuple[Any, list[str]]:
    """The part that reads text, and the names of the weights that the files lack. Raises UserError where they have
    none of them: another model's, or under other names."""
    transformers = import_transformers()
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    more = {name: dtype, "use_safetensors": True, "output_loading_info": True}
    model, info = load(source, kind, **more)
    part = text_part(model)
    prefix = next((f"{name}." for name, module in model.named_modules() if module is part and name), "")
    keys = [str(key) for key in info["missing_keys"]]
    lacking = sorted(key for key in keys if key.startswith(prefix) and "pooler" not in key)
    own = {prefix + name for name, _ in part.named_parameters()}
    if own and own <= set(keys):
        raise UserError(
            f"--encoder {source.name}: its files hold no weights of {type(part).__name__}; config.json names "
            f"{_declared_class(model.config)}: give a model that encodes text, or copy its files again"
        )
    if hasattr(part, "config"):
        part.config.use_cache = False
    return part, lacking


def text_part(model: Any) -> Any:
    """The encoder of an encoder-decoder, the text tower of a two-tower model, the language model of one that sees."""
    config = model.config
    if getattr(config, "is_encoder_decoder", False):
        return model.get_encoder()
    if hasattr(config, "text_config") or hasattr(config, "vision_config"):
        for name in ("text_model", "language_model"):
            if hasattr(model, name):
                return getattr(model, name)
    for name in ("ctx_encoder", "question_encoder"):  # DPR
        if hasattr(model, name):
            return getattr(model, name).bert_model
    return model


def import_transformers() -> Any:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    transformers = importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    return transformers


def load(source: Source, kind: Any, **more: Any) -> Any:
    """A part of the model, from its folder alone."""
    place = str(source.declared.transformer)
    try:
        return kind.from_pretrained(place, trust_remote_code=False, local_files_only=True, **more)
    except Exception as error:
        if "trust_remote_code" in str(error):
            what = "it needs code by its author, which is never run; choose a model that transformers knows itself"
        else:
            what = f"transformers cannot load it ({type(error).__name__}: {first_line(error)})"
        raise UserError(f"--encoder {source.name}: {what}") from error


def _kind(config: Any, transformers: Any) -> Any:
    """AutoModel, or the class of the part that reads text where the folder holds no more than that."""
    for name in getattr(config, "architectures", None) or []:
        named = getattr(transformers, name, None)
        fits = isinstance(named, type) and isinstance(config, getattr(named, "config_class", None) or ())
        if fits and name.endswith(_TEXT_ONLY):
            return named
    encoders = transformers.models.auto.modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES
    reads_text = encoders.get(config.model_type, "")
    if reads_text.endswith("EncoderModel") and hasattr(transformers, reads_text):
        return getattr(transformers, reads_text)
    return transformers.AutoModel


def _declared_class(config: Any) -> str:
    return ", ".join(getattr(config, "architectures", None) or []) or str(config.model_type)


def _declared_positions(config: Any) -> int | None:
    """What config.json says; XLNet says -1, T5 and others whose positions are relative say nothing."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_encoder_position_embeddings", "max_position_embeddings"):
        number = getattr(text, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return None


_POSITIONS = {
    "position_embeddings",
    "position_embedding",
    "embed_positions",
    "wpe",
    "positions_embed",
    "wpe_embeddings",
}


_TOKENS = {"word_embeddings", "token_embedding", "token_embeddings", "embed_tokens", "wte"}


def _tables(part: Any, names: Collection[str]) -> list[Any]:
    """Tables of vectors by the names of their modules, not by their class: I-BERT and others have classes of their
    own."""
    modules = [module for name, module in part.named_modules() if name.rsplit(".", 1)[-1] in names]
    return [module for module in modules if getattr(getattr(module, "weight", None), "ndim", 0) == 2]


def _vocabulary(part: Any) -> int | None:
    """Rows of the table of token vectors. The text tower of some models is no model of its own that would name it."""
    try:
        tables = [part.get_input_embeddings()]
    except (AttributeError, NotImplementedError):
        tables = _tables(part, _TOKENS)
    sizes = [int(table.weight.shape[0]) for table in tables if hasattr(table, "weight")]
    return sizes[0] if sizes else None


def _room(table: Any) -> int:
    """Positions of a table that tokens can have: RoBERTa and its kin count from the pad token's number + 1 on, BART
    and its kin from `offset` on."""
    pad = getattr(table, "padding_idx", None)
    skipped = pad + 1 if pad is not None else getattr(table, "offset", 0)
    return int(table.weight.shape[0]) - int(skipped)
