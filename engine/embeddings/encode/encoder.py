"""A text encoder: text -> tokens -> vectors with transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.embeddings.encode.architecture import Architecture, import_transformers, load, load_model
from engine.embeddings.encode.declared import TextRecipe
from engine.embeddings.encode.pooling import pool
from engine.embeddings.encode.source import Source, first_line
from engine.errors import UserError

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
IntArray: TypeAlias = npt.NDArray[np.int32]
FloatArray: TypeAlias = npt.NDArray[np.float32]
Batching: TypeAlias = Literal["padded", "equal lengths", "one by one"]

DEFAULT_LENGTH = 128
_NO_LIMIT = 1 << 30  # tokenizers without a limit say 10^30
_TOKENIZED_AT_ONCE = 8192


_FEW, _LEAST_WORDS = 1000, 3
"""Tokens above which a tokenizer is none of special tokens alone, and words below which it is."""


@dataclass(frozen=True)
class Tokens:
    """One text. `types` only where they are not all 0 (XLNet and Funnel mark the CLS token)."""

    ids: IntArray
    types: IntArray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Tokens:
        return Tokens(self.ids[part], self.types[part] if self.types is not None else None)


# ------------------------------------------------------------------------------------ tokens


class Tokenizer:
    """Text -> token numbers, truncated, not padded."""

    def __init__(self, source: Source, architecture: Architecture, recipe: TextRecipe) -> None:
        self._tokenizer = load(source, import_transformers().AutoTokenizer)
        self._source, self._vocabulary = source.name, architecture.vocabulary
        if _is_empty(self._tokenizer):
            raise UserError(
                f"--encoder {source.name}: its tokenizer knows no words; copy the files of the tokenizer "
                "(tokenizer.json, vocab.txt, ...) beside the model"
            )
        if "cls" in recipe.pooling and source.declared.pooling is None and self._tokenizer.cls_token_id is None:
            raise UserError(
                f"--pooling cls: {source.name} has no CLS token (its first token has not seen the text); "
                "use mean, last or eos-weighted"
            )
        self.max_length, self.warnings = _length(source, architecture, recipe, self._tokenizer.model_max_length)
        """Tokens read of a text, and what a person should know of that."""
        self.pad = self._inside()
        """Fills rows up; masked, so that any number inside the model's table will do."""
        self._prompt, self._lower = recipe.prompt, recipe.lower_case
        self.start = 0 if recipe.pools_prompt or not recipe.prompt else self._prompt_tokens()
        """Tokens at the beginning that take no part in pooling."""

    def __call__(self, texts: Sequence[str], should_stop: Callable[[], bool] = lambda: False) -> list[Tokens]:
        """Token numbers of each text, at least one. Fewer texts than given only where it was asked to stop.
        Raises UserError where a token is outside the model's table."""
        tokens: list[Tokens] = []
        for at in range(0, len(texts), _TOKENIZED_AT_ONCE):
            if should_stop():
                break
            tokens += self._tokenized([self._prompt + text for text in texts[at : at + _TOKENIZED_AT_ONCE]])
        return tokens

    def _tokenized(self, texts: Sequence[str]) -> list[Tokens]:
        if self._lower:
            from tokenizers.normalizers import Lowercase

            texts = [Lowercase().normalize_str(text) for text in texts]
        tokens = self._numbers(texts)
        unknown_places = [place for place, row in enumerate(tokens) if self._is_outside(row)]
        if unknown_places:  # a text that has the name of such a token in it, as [PAD]: letters like others
            for place, row in zip(
                unknown_places, self._numbers([texts[place] for place in unknown_places], letters=True), strict=True
            ):
                tokens[place] = row
                if self._is_outside(row):
                    largest = int(row.ids.max())
                    raise UserError(
                        f"--encoder {self._source}: its tokenizer gives token number {largest} "
                        f"({self._tokenizer.convert_ids_to_tokens(largest)}), its model knows {self._vocabulary}; take "
                        "the tokenizer that belongs to the model"
                    )
        return tokens

    def _numbers(self, texts: Sequence[str], *, letters: bool = False) -> list[Tokens]:
        encoding = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=False,
            **({"split_special_tokens": True} if letters else {}),
        )
        rows = [np.asarray(row or [self.pad], dtype=np.int32) for row in encoding["input_ids"]]
        types = [np.asarray(row, dtype=np.int32) for row in encoding.get("token_type_ids", [])]
        has_types = [n < len(types) and bool(types[n].any()) for n in range(len(rows))]
        return [Tokens(row, types[n] if has_types[n] else None) for n, row in enumerate(rows)]

    def _is_outside(self, row: Tokens) -> bool:
        return self._vocabulary is not None and int(row.ids.max()) >= self._vocabulary

    def _inside(self) -> int:
        tokenizer = self._tokenizer
        spare = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, 0)
        rows = self._vocabulary or _NO_LIMIT
        return next(int(number) for number in spare if number is not None and number < rows)

    def _prompt_tokens(self) -> int:
        """As sentence-transformers counts them: all but a special token at the end."""
        ids = self._tokenized([self._prompt])[0].ids
        return len(ids) - int(int(ids[-1]) in self._tokenizer.all_special_ids)


def _is_empty(tokenizer: Any) -> bool:
    """Whether it has no words beside its special tokens, as one that transformers made of no files."""
    if len(tokenizer) > _FEW:
        return False
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    return len(set(tokenizer.get_vocab()) - added - set(tokenizer.all_special_tokens)) < _LEAST_WORDS


def _length(
    source: Source, architecture: Architecture, recipe: TextRecipe, tokenizer_reads: float
) -> tuple[int, list[str]]:
    """Tokens to read of a text, and what to say of them. What the model has positions for is a limit; what the
    tokenizer says it reads is a declaration."""
    limit, declared = architecture.positions or _NO_LIMIT, int(min(tokenizer_reads, _NO_LIMIT))
    requested = recipe.max_length
    if recipe.is_asked_length and requested is not None:
        if requested > limit:
            raise UserError(f"--max-length {requested}: {source.name} reads at most {limit} tokens")
        if requested > declared and source.declared.max_length is None:
            return requested, [
                f"--max-length {requested} contradicts {source.name}, whose tokenizer declares {declared} tokens"
            ]
        return requested, []
    limit = min(limit, declared)
    if requested is None:
        requested = limit if recipe.reads_all and limit < _NO_LIMIT else DEFAULT_LENGTH
    return min(requested, limit), []


# ------------------------------------------------------------------------------------ vectors


class Encoder:
    """A model on one device: tokens -> vectors."""

    def __init__(
        self,
        source: Source,
        architecture: Architecture,
        recipe: TextRecipe,
        tokenizer: Tokenizer,
        *,
        device: str,
        precision: Precision,
    ) -> None:
        import inspect

        import torch

        from engine.embeddings.encode.layers import load_layers

        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        model, lacking = load_model(source, architecture.kind, dtype)
        self.warnings = (
            [f"{source.name} lacks {len(lacking)} weights ({lacking[0]}, ...): they are random, and so are the vectors"]
            if lacking
            else []
        )
        """What a person should know of the model; the pooler, which is not used, may be missing."""
        self._model = model.to(device).eval()
        self._reads = set(inspect.signature(model.forward).parameters)
        self._layers = [layer.to(device) for layer in load_layers(recipe.layers, source.name)]
        self._name, self._recipe, self._start, self._pad = source.name, recipe, tokenizer.start, tokenizer.pad
        self._device, self._precision = torch.device(device), precision
        self.batching: Batching | None = (
            "one by one" if hasattr(getattr(model, "config", None), "expert_capacity") else None
        )
        """How texts may share a batch without changing one another's vectors; None until the first one is tried."""

    def __call__(self, rows: Sequence[Tokens]) -> npt.NDArray[np.floating]:
        """Vectors [len(rows) x D], float32 from fp32 and float16 from the half precisions where they fit.

        A batch too large for the device's memory is halved. Raises UserError where not even one text fits,
        where the model cannot read it, and where numbers overflow.
        """
        import torch

        try:
            with torch.inference_mode():
                if self.batching is None:
                    self.batching = self._probe(rows)
                vectors: FloatArray = self._vectors(rows).cpu().numpy()
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise UserError(
                    f"{self._device}: no memory for one text of {len(rows[0])} tokens; use --dtype bf16, a smaller "
                    "--max-length, or another --device"
                ) from None
            half = len(rows) // 2
            return np.concatenate([self(rows[:half]), self(rows[half:])])
        if not np.isfinite(vectors).all():
            raise UserError(
                f"--dtype {self._precision}: the encoder's numbers overflow; use --dtype "
                + ("bf16 or fp32" if self._precision == "fp16" else "fp32" if self._precision == "bf16" else "bf16")
            )
        if self._precision == "fp32" or np.abs(vectors).max() > np.finfo(np.float16).max:
            return vectors
        return vectors.astype(np.float16)

    def _probe(self, rows: Sequence[Tokens]) -> Batching:
        """Padding is masked and stands on the right, but some models mix it in (FNet, ConvBERT), and some let the
        texts of a batch compete (experts with a capacity). So a text's beginning is encoded alone, and in a batch."""
        longest = max(rows, key=len)
        short = longest[: max(1, len(longest) // 3)]
        other = longest[len(longest) - len(short) :]
        alone = self._states([short])[0]
        tolerance = (1e-3 if self._precision == "fp32" else 3e-2) * float(alone.norm())

        def differs(states: Any) -> bool:
            return float((states[0, : len(short)] - alone).norm()) > tolerance

        if differs(self._states([short])):
            self.warnings.append(f"{self._name} gives one text another vector each time: it draws at random")
            return "padded"
        if differs(self._states([short, other])):
            return "one by one"
        return "equal lengths" if differs(self._states([short, longest])) else "padded"

    def _vectors(self, rows: Sequence[Tokens]) -> Any:
        import torch

        if self.batching == "padded":
            return self._pooled(rows)
        groups: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(len(row) if self.batching == "equal lengths" else -place, []).append(place)
        pooled = torch.cat([self._pooled([rows[place] for place in group]) for group in groups.values()])
        order = np.argsort(np.concatenate(list(groups.values())))
        return pooled[torch.from_numpy(order).to(pooled.device)]

    def _pooled(self, rows: Sequence[Tokens]) -> Any:
        vectors = pool(self._states(rows), [len(row) for row in rows], self._recipe.pooling, self._start)
        for layer in self._layers:
            vectors = layer(vectors)
        return vectors

    def _states(self, rows: Sequence[Tokens]) -> Any:
        """The last layer's vectors [len(rows) x T x D].

        Padding stands on the right whatever the tokenizer's habit: positions then count from 0, and the
        last real token is at length - 1, for encoders and decoders alike.
        """
        import torch

        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids, types = np.full(mask.shape, self._pad, dtype=np.int64), np.zeros(mask.shape, dtype=np.int64)
        ids[mask] = np.concatenate([row.ids for row in rows])
        for place, row in enumerate(rows):
            if row.types is not None:
                types[place, : len(row)] = row.types
        inputs = {"input_ids": torch.from_numpy(ids)}
        if "attention_mask" in self._reads:
            inputs["attention_mask"] = torch.from_numpy(mask.astype(np.int64))
        if types.any() and "token_type_ids" in self._reads:
            inputs["token_type_ids"] = torch.from_numpy(types)
        try:
            states = self._model(**{name: value.to(self._device) for name, value in inputs.items()}).last_hidden_state
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a model lacks, it lacks at the next try as well
            raise UserError(
                f"--encoder {self._name}: {type(self._model).__name__} cannot encode text of {lengths.max()} tokens "
                f"({type(error).__name__}: {first_line(error)}); give another encoder"
            ) from error
        if states.shape[:2] != mask.shape:
            raise UserError(
                f"--encoder {self._name}: {type(self._model).__name__} gives {states.shape[1]} vectors for "
                f"{lengths.max()} tokens, so that none can be told from padding; give another encoder"
            )
        return states
