"""A text encoder: where its files are, and text -> tokens -> vectors with transformers.

Only safetensors weights are read and no code of a model's author is run: a model from a stranger cannot
do anything here but compute.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.errors import UserError
from engine.spec import file_fingerprint

Pooling: TypeAlias = Literal["mean", "last", "cls", "eos-weighted"]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
Tokens: TypeAlias = npt.NDArray[np.int32]
FloatArray: TypeAlias = npt.NDArray[np.float32]

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_FILES = [*_WEIGHTS, "model-*.safetensors", "config.json", "tokenizer*", "vocab*", "merges.txt", "*.model",
          "special_tokens_map.json", "added_tokens.json"]  # fmt: skip
_TOKENIZED_AT_ONCE = 8192


@dataclass(frozen=True)
class Source:
    """An encoder's files. `revision` tells its content: the hub's commit, or a hash of a local folder."""

    name: str
    folder: Path
    revision: str


def locate(name: str, revision: str | None, say: Callable[[str], None]) -> Source:
    """The files of a local directory or of a hub id, fetched where they are not in the hub's cache.

    Raises UserError in one line where there is no such model, the hub cannot be reached, or the weights are
    in another format than safetensors.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        if revision is not None:
            raise UserError(f"--revision {revision}: {local} is a directory, which has one state; leave it out")
        return Source(name, local, _content(_checked(local)))
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"--encoder {name}: no such directory; give one, or a hub id such as intfloat/e5-small-v2")
    folder = _checked(_fetch(name, revision, say), name)
    return Source(name, folder, folder.name)


def _fetch(name: str, revision: str | None, say: Callable[[str], None]) -> Path:
    from huggingface_hub import constants, errors, snapshot_download

    shown = f"--encoder {name}" + (f" --revision {revision}" if revision else "")
    from_elsewhere = "give a local directory with the model's files"
    try:
        if not constants.HF_HUB_OFFLINE:
            say(f"looking for {name} at {constants.ENDPOINT}")
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except errors.GatedRepoError:
        problem = "the hub asks for access rights; ask for them on the model's page and log in with `hf auth login`"
    except errors.RepositoryNotFoundError:
        problem = f"the hub knows no such model (or it is private); check the name, or {from_elsewhere}"
    except errors.RevisionNotFoundError:
        problem = "the hub has no such revision; leave --revision out for the newest"
    except errors.HFValidationError:
        problem = "neither a directory nor the form of a hub id (OWNER/NAME)"
    except errors.LocalEntryNotFoundError:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
        problem = f"{why} and the model is not in the hub's cache; {from_elsewhere}"
    except Exception as error:  # whatever the network does is not our fault, and is said in one line
        problem = f"fetching it from {constants.ENDPOINT} failed ({_first_line(error)}); try again, or {from_elsewhere}"
    raise UserError(f"{shown}: {problem}")


def _checked(folder: Path, name: str | None = None) -> Path:
    shown = name or folder
    if not (folder / "config.json").is_file():
        raise UserError(f"--encoder {shown}: no config.json in it; name a model that transformers can load")
    if not any((folder / file).is_file() for file in _WEIGHTS):
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        what = f"its weights are {pickled[0]}, a pickle" if pickled else f"no {_WEIGHTS[0]} in it"
        raise UserError(
            f"--encoder {shown}: {what}; only safetensors are read, so convert it "
            "(model.save_pretrained(FOLDER, safe_serialization=True)) or take a revision that has them"
        )
    return folder


def _content(folder: Path) -> str:
    """Hash of the names and the content of the model's files."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()}):
        digest.update(f"{path.name}\0{file_fingerprint([path])}\0".encode())
    return f"sha256:{digest.hexdigest()[:24]}"


# ------------------------------------------------------------------------------------ tokens


class Tokenizer:
    """Text -> token numbers, truncated, not padded."""

    def __init__(self, source: Source, max_length: int, pooling: Pooling) -> None:
        transformers = _transformers()
        self._tokenizer = _load(source, transformers.AutoTokenizer)
        if pooling == "cls" and self._tokenizer.cls_token_id is None:
            raise UserError(
                f"--pooling cls: {source.name} has no CLS token (its first token has not seen the text); "
                "use mean, last or eos-weighted"
            )
        limit = min(self._tokenizer.model_max_length, _positions(source, transformers))
        if max_length > limit:
            raise UserError(f"--max-length {max_length}: {source.name} reads at most {limit} tokens")
        self._max_length = max_length
        tokenizer = self._tokenizer
        spare = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, 0)
        self.pad: int = next(number for number in spare if number is not None)
        """Fills rows up; masked, so that a decoder without a pad token may use its end token."""

    def __call__(self, texts: Sequence[str], should_stop: Callable[[], bool] = lambda: False) -> list[Tokens]:
        """Token numbers of each text, at least one. Fewer texts than given only where it was asked to stop."""
        tokens: list[Tokens] = []
        for at in range(0, len(texts), _TOKENIZED_AT_ONCE):
            if should_stop():
                break
            numbers = self._tokenizer(
                list(texts[at : at + _TOKENIZED_AT_ONCE]),
                truncation=True,
                max_length=self._max_length,
                return_attention_mask=False,
                return_token_type_ids=False,
            )["input_ids"]
            tokens += [np.asarray(row or [self.pad], dtype=np.int32) for row in numbers]
        return tokens


def _positions(source: Source, transformers: Any) -> int:
    config = _load(source, transformers.AutoConfig)
    return int(getattr(config, "max_position_embeddings", None) or 1 << 30)


# ------------------------------------------------------------------------------------ vectors


class Encoder:
    """A model on one device: tokens -> vectors."""

    def __init__(self, source: Source, pooling: Pooling, device: str, precision: Precision, pad: int) -> None:
        import torch

        transformers = _transformers()
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
        more = {name: dtype, "use_safetensors": True, "output_loading_info": True}
        model, info = _load(source, transformers.AutoModel, **more)
        lacking = sorted(key for key in info["missing_keys"] if "pooler" not in key)
        self.warnings = (
            [f"{source.name} lacks {len(lacking)} weights ({lacking[0]}, ...): they are random, and so are the vectors"]
            if lacking
            else []
        )
        """What a person should know of the model; the pooler, which is not used, may be missing."""
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        model.config.use_cache = False
        self._model = model.to(device).eval()
        self._device, self._pooling, self._precision, self._pad = torch.device(device), pooling, precision, pad

    def __call__(self, rows: Sequence[Tokens]) -> npt.NDArray[np.floating]:
        """Vectors [len(rows) x D], float32 from fp32 and float16 from the half precisions where they fit.

        A batch too large for the device's memory is halved. Raises UserError where not even one text fits,
        and where numbers overflow.
        """
        import torch

        try:
            with torch.inference_mode():
                vectors: FloatArray = self._pooled(rows).cpu().numpy()
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

    def _pooled(self, rows: Sequence[Tokens]) -> Any:
        """Padding stands on the right whatever the tokenizer's habit: positions then count from 0, and the
        last real token is at length - 1, for encoders and decoders alike."""
        import torch

        lengths = np.array([len(row) for row in rows])
        ids = np.full((len(rows), lengths.max()), self._pad, dtype=np.int64)
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        ids[mask] = np.concatenate(rows)
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
        output = self._model(**{name: value.to(self._device) for name, value in inputs.items()})
        hidden = output.last_hidden_state
        if self._pooling == "cls":
            return hidden[:, 0].float()
        if self._pooling == "last":
            at = torch.from_numpy(lengths - 1).to(self._device)
            return hidden[torch.arange(len(rows), device=self._device), at].float()
        weights = mask * (np.arange(1, ids.shape[1] + 1) if self._pooling == "eos-weighted" else 1.0)
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        shares = torch.from_numpy(weights).to(self._device)
        return torch.bmm(shares[:, None], hidden.float())[:, 0]


def _transformers() -> Any:
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    transformers = importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _load(source: Source, kind: Any, **more: Any) -> Any:
    """A part of the model, from its folder alone."""
    try:
        return kind.from_pretrained(str(source.folder), trust_remote_code=False, local_files_only=True, **more)
    except UserError:
        raise
    except Exception as error:
        if "trust_remote_code" in str(error):
            what = "it needs code by its author, which is never run; choose a model that transformers knows itself"
        else:
            what = f"transformers cannot load it ({type(error).__name__}: {_first_line(error)})"
        raise UserError(f"--encoder {source.name}: {what}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
