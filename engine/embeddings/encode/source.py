"""Where an encoder's files are: a local folder, or the hub's cache.

Only safetensors weights are read and no code of a model's author is run: a model from a stranger cannot
do anything here but compute.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.embeddings.encode.declared import Declaration, read_declaration, read_declared
from engine.errors import UserError
from engine.files import path_of
from engine.spec import file_fingerprint

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_POINTER = b"version https://git-lfs"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_OTHER_FORMATS = ("*.h5", "*.msgpack", "*.gguf", "*.onnx", "*.ot")
_MODEL = [*_WEIGHTS, "model-*.safetensors", "config.json", "tokenizer*", "vocab*", "merges.txt", "*.model",
          "special_tokens_map.json", "added_tokens.json", "sentence_*_config.json", "adapter_config.json"]  # fmt: skip
_LAYERS = [f"[0-9]_{kind}/{file}" for kind in ("Pooling", "Dense", "LayerNorm", "Normalize")
           for file in ("config.json", "model.safetensors")]  # fmt: skip
_FILES = [*_MODEL, *(f"[0-9]_Transformer/{file}" for file in _MODEL), *_LAYERS,
          "modules.json", "config_sentence_transformers.json"]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An encoder's files. `revision` tells its content: the hub's commit, or a hash of a local folder."""

    name: str
    folder: Path
    revision: str
    declared: Declaration


def locate(name: str, revision: str | None, say: Callable[[str], None]) -> Source:
    """The files of a local directory or of a hub id, fetched where they are not in the hub's cache.

    Raises UserError in one line where there is no such model, the hub cannot be reached, or the weights are
    in another format than safetensors.
    """
    local = path_of(name)
    if local.is_dir():
        if revision is not None:
            raise UserError(f"--revision {revision}: {local} is a directory, which has one state; leave it out")
        declared = _checked(local, str(local))
        return Source(name, local, _content(local, declared), declared)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"--encoder {name}: no such directory; give one, or a hub id such as intfloat/e5-small-v2")
    folder = _fetch(name, revision, say)
    return Source(name, folder, folder.name, _checked(folder, name))


def _fetch(name: str, revision: str | None, say: Callable[[str], None]) -> Path:
    from huggingface_hub import constants, errors, snapshot_download

    label = f"--encoder {name}" + (f" --revision {revision}" if revision else "")
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
        problem = f"fetching it from {constants.ENDPOINT} failed ({first_line(error)}); try again, or {from_elsewhere}"
    raise UserError(f"{label}: {problem}")


def _checked(folder: Path, shown: str) -> Declaration:
    """What the folder declares. Raises UserError where it holds no model that can be read."""
    try:
        return _declaration(folder, shown)
    except (OSError, UnicodeError) as error:  # a name that no file system has; a folder that is closed
        raise UserError(f"--encoder {shown}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _declaration(folder: Path, shown: str) -> Declaration:
    _refuse_adapter(folder, shown)
    declared = read_declaration(folder, shown)
    place = declared.transformer
    _refuse_adapter(place, shown)
    if not (place / "config.json").is_file():
        raise UserError(f"--encoder {shown}: no config.json in it; name a model that transformers can load")
    if not any((place / file).is_file() for file in _WEIGHTS):
        pickles = sorted(path.name for pattern in _PICKLES for path in place.glob(pattern))
        others = sorted(path.name for pattern in _OTHER_FORMATS for path in place.glob(pattern))
        what = f"no {_WEIGHTS[0]} in it"
        if pickles:
            what = f"its weights are {pickles[0]}, a pickle"
        elif others:
            what = f"its weights are {others[0]}"
        raise UserError(
            f"--encoder {shown}: {what}; only safetensors are read, so convert it "
            "(model.save_pretrained(FOLDER, safe_serialization=True)) or take a revision that has them"
        )
    for file in _WEIGHTS:
        if (place / file).is_file() and _is_pointer(place / file):
            raise UserError(
                f"--encoder {shown}: {file} is a pointer of Git LFS, not the weights; run `git lfs pull` there"
            )
    _require_safetensors(place, shown)
    return declared


def _is_pointer(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def _require_safetensors(place: Path, shown: str) -> None:
    """Raises UserError where the index of weights in several files names anything but safetensors beside it."""
    index = place / _WEIGHTS[1]
    if not index.is_file():
        return
    content = read_declared(index, shown)
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not files:
        raise UserError(f"--encoder {shown}: {index.name} names no files of weights; copy it again")
    for file in files.values():
        if not isinstance(file, str) or not re.fullmatch(r"[\w-][\w.-]*\.safetensors", file):
            raise UserError(f"--encoder {shown}: {index.name} names {file!r}; only safetensors in its folder are read")


_LEARNED_PROMPTS = ("PROMPT", "PREFIX", "P_TUNING", "CPT")
"""In the names of adapters that are tokens before the text: there are no weights that they could be added to."""


def _refuse_adapter(folder: Path, shown: str) -> None:
    """An adapter is a difference to a model, and what it adds is lost where only the model is loaded."""
    path = folder / "adapter_config.json"
    if not path.is_file():
        weights = next((file.name for file in sorted(folder.glob("adapter_model.*"))), None)
        if weights is not None and not any((folder / file).is_file() for file in _WEIGHTS):
            raise UserError(
                f"--encoder {shown}: {weights} is an adapter, not a whole model, and its adapter_config.json is not "
                "there; copy it too, or give the model that it was merged into"
            )
        return
    config = read_declared(path, shown)
    if not isinstance(config, dict):
        raise UserError(f"--encoder {shown}: adapter_config.json is no JSON object; copy it again")
    kind, base = str(config.get("peft_type") or "PEFT"), config.get("base_model_name_or_path")
    is_named = isinstance(base, str) and bool(base)
    of = base if is_named else "a model that adapter_config.json does not name (BASE)"
    is_missing = isinstance(base, str) and Path(base).is_absolute() and not Path(base).exists()
    what = f"an adapter ({kind}) of {of}{', which is not there' if is_missing else ''}"
    if any((folder / file).is_file() for file in _WEIGHTS):
        what = f"holds weights of a model and {what}; take adapter_config.json away to have the model alone, or"
    else:
        what = f"{what}, not a whole model;"
    if any(word in kind.upper() for word in _LEARNED_PROMPTS):
        raise UserError(
            f"--encoder {shown}: {what.removesuffix(' or')} learned prompts cannot be merged with their model: encode "
            "with peft, and put the matrix beside the data as NAME.SOURCE.npy"
        )
    raise UserError(
        f"--encoder {shown}: {what} merge the two and give the result: "
        f"from peft import PeftModel; PeftModel.from_pretrained(AutoModel.from_pretrained("
        f"{base if is_named else 'BASE'!r}), {shown!r})"
        ".merge_and_unload().save_pretrained('MERGED'), with the tokenizer beside it"
    )


def _content(folder: Path, declared: Declaration) -> str:
    """Hash of the names and the content of the model's files, in whatever folders it has them."""
    digest = hashlib.sha256()
    paths = {path for pattern in _FILES for path in folder.glob(pattern)}
    paths |= {path for pattern in _MODEL for path in declared.transformer.glob(pattern)}
    paths |= {layer.folder / file for layer in declared.layers for file in ("config.json", "model.safetensors")}
    for path in sorted(path for path in paths if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{file_fingerprint([path])}\0".encode())
    return f"sha256:{digest.hexdigest()[:24]}"


def first_line(error: Exception) -> str:
    """An error in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
