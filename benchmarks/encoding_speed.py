"""Encoding speed: items per CPU second against a plain transformers loop, in one process.

    python benchmarks/encoding_speed.py --encoder DIRECTORY [--items 512] [--dataset NAME]

The plain loop takes batches of 32 texts in the order of the file, lets the tokenizer pad them to the longest
and takes the mean over real tokens. Both use the same model, tokenizer, maximum length (128) and threads, include
the tokenizing, and take turns. The texts are those of a data set's items, all of them distinct; without one they are
of mixed length: 5 to 120 words, log-normal. Prints JSON; the aim is a ratio of at least 2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.data.atomic import read_items
from engine.embeddings.encode.architecture import read_architecture
from engine.embeddings.encode.declared import TextRecipe
from engine.embeddings.encode.embed import DEFAULT_BATCH_TOKENS, Encoding, distinct
from engine.embeddings.encode.encoder import Encoder, Tokenizer
from engine.embeddings.encode.shards import Shards
from engine.embeddings.encode.source import locate
from engine.presets import find_dataset

MAX_LENGTH = 128


class Silent:
    """A recorder that nobody reads."""

    def points(self, step: int, values: Any) -> None: ...

    def facts(self, values: Any) -> None: ...

    def event(self, text: str, level: str = "info") -> None: ...

    def artifact(self, kind: str, path: Path) -> None: ...

    def result(self, values: Any) -> None: ...


def mixed_texts(count: int) -> list[str]:
    """Texts of 5 to 120 words; most are short, some are long."""
    rng = np.random.default_rng(0)
    words = ["red", "shatter", "nail", "polish", "soft", "daily", "cream", "with", "natural", "oil", "for", "hair"]
    lengths = np.clip(np.exp(rng.normal(3.0, 0.8, count)), 5, 120).astype(int)
    return [" ".join(rng.choice(words, length)) + f" {n}" for n, length in enumerate(lengths)]


def plain(texts: Sequence[str], tokenizer: Any, model: Any, batch_size: int) -> np.ndarray[Any, Any]:
    """The usual way."""
    made = []
    for at in range(0, len(texts), batch_size):
        inputs = tokenizer(
            list(texts[at : at + batch_size]), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None].float()
        made.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())
    return np.concatenate(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--dataset", help="take the texts of this data set's items, evenly spread over the file")
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=DEFAULT_BATCH_TOKENS["cpu"])
    parser.add_argument("--plain-batch", type=int, default=32)
    given = parser.parse_args()
    torch.set_num_threads(1)
    from transformers import AutoModel, AutoTokenizer

    if given.dataset:
        texts, _ = distinct(read_items(find_dataset(given.dataset), given.dataset).text)
        texts = [texts[i] for i in np.linspace(0, len(texts) - 1, min(given.items, len(texts))).astype(int)]
    else:
        texts = mixed_texts(given.items)
    source = locate(given.encoder, None, print)
    architecture, recipe = read_architecture(source), TextRecipe(max_length=MAX_LENGTH, is_asked_length=True)
    tokenizer = Tokenizer(source, architecture, recipe)
    encoder = Encoder(source, architecture, recipe, tokenizer, device="cpu", precision="fp32")
    auto_tokenizer = AutoTokenizer.from_pretrained(source.folder)
    model = AutoModel.from_pretrained(source.folder, use_safetensors=True).eval()

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            tick = time.process_time()
            shards = Shards(Path(folder), len(texts))
            tokens = tokenizer(texts)
            options = {"batch_tokens": given.batch_tokens, "shard_s": 5.0}
            Encoding(tokens, shards, Silent(), lambda: False, **options).run([encoder])
            shards.assemble(Path(folder) / "out", np.arange(len(texts)), {})
            return len(texts) / (time.process_time() - tick)

    def usual() -> float:
        tick = time.process_time()
        plain(texts, auto_tokenizer, model, given.plain_batch)
        return len(texts) / (time.process_time() - tick)

    ours(), usual()
    pairs = [(ours(), usual()) for _ in range(given.rounds)]
    lengths = [len(row) for row in tokenizer(texts)]
    print(
        json.dumps(
            {
                "items": len(texts),
                "texts": given.dataset or "mixed",
                "tokens_mean": round(statistics.mean(lengths), 1),
                "tokens_max": max(lengths),
                "threads": 1,
                "batch_tokens": given.batch_tokens,
                "plain_batch": given.plain_batch,
                "items_per_cpu_s": round(statistics.median(one for one, _ in pairs), 1),
                "plain_items_per_cpu_s": round(statistics.median(other for _, other in pairs), 1),
                "ratio": round(statistics.median(one / other for one, other in pairs), 2),
                "ratios": [round(one / other, 2) for one, other in pairs],
            }
        )
    )


if __name__ == "__main__":
    main()
