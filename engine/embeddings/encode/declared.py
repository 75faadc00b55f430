"""What an encoder's own files declare of the way from a text to its vector, in the format of sentence-transformers.

`modules.json` with its folders `1_Pooling`, `2_Dense`, `2_Normalize`, `config_sentence_transformers.json` (prompts) and
`sentence_bert_config.json` (how much is read, and how).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from engine.bounds import read_json
from engine.embeddings.encode.pooling import NAMES_ELSEWHERE, PoolingKind, parse_pooling
from engine.errors import UserError

LayerKind: TypeAlias = Literal["dense", "layer-norm", "normalize", "truncate"]

_LAYERS: dict[str, LayerKind] = {"Dense": "dense", "LayerNorm": "layer-norm", "Normalize": "normalize"}
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # an item is a document; SentenceTransformer.encode_document
_ALONE = "for its transformer alone, give a copy of the folder without modules.json"


@dataclass(frozen=True)
class VectorLayer:
    """A step behind the pooling. `folder` holds config.json and the weights of a dense layer or layer norm; a
    truncation keeps the first `dimensions` numbers (models trained for several widths)."""

    kind: LayerKind
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.kind == "truncate":
            return f"first {self.config['dimensions']}"
        if self.kind != "dense":
            return self.kind
        activation = str(self.config.get("activation_function", "Tanh")).rsplit(".", 1)[-1].lower()
        return f"dense {self.config.get('in_features')}->{self.config.get('out_features')} {activation}"


@dataclass(frozen=True)
class Declaration:
    """What the files say; None and empty where they say nothing."""

    transformer: Path
    """The folder of the transformer and its tokenizer."""
    is_complete: bool = False
    """Whether there is a `modules.json`: the folder is one of sentence-transformers."""
    pooling: tuple[PoolingKind, ...] | None = None
    pools_prompt: bool = True
    layers: tuple[VectorLayer, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    """The name of the prompt that is declared as the default, else of the one for documents."""
    max_length: int | None = None
    lower_case: bool = False


@dataclass(frozen=True)
class TextRecipe:
    """How a text becomes a vector: what is declared, changed by what was asked for."""

    pooling: tuple[PoolingKind, ...] = ("mean",)
    layers: tuple[VectorLayer, ...] = ()
    prompt: str = ""
    pools_prompt: bool = True
    max_length: int | None = None
    """As asked for or declared; None: the default."""
    is_asked_length: bool = False
    reads_all: bool = False
    """Whether the default is all that the model can read."""
    lower_case: bool = False
    warnings: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For people and for the key of the vectors; what does not apply is left out."""
        facts: dict[str, Any] = {"pooling": "+".join(self.pooling)}
        if self.layers:
            facts["layers"] = ", ".join(map(str, self.layers))
        if self.prompt:
            facts["prompt"] = self.prompt
            facts |= {} if self.pools_prompt else {"prompt_pooled": False}
        if self.lower_case:
            facts["lower_case"] = True
        return facts


def read_declaration(folder: Path, name: str) -> Declaration:
    """Raises UserError where a file is damaged or declares what cannot be done."""
    transformer, pooling, pools_prompt = folder, None, True
    layers: list[VectorLayer] = []
    for kind, place in _modules(folder, name):
        if kind == "Transformer":
            transformer = place
        elif kind == "Pooling":
            config = _json(place / "config.json", name, required=True)
            pooling, pools_prompt = _pooling(config, place, name), bool(config.get("include_prompt", True))
        elif kind in _LAYERS:
            layers.append(_layer(kind, place, name, is_pooled=pooling is not None))
        elif kind != "Dropout":  # which does nothing at inference
            raise UserError(
                f"--encoder {name}: its modules.json declares a module {kind} ({place.name or '.'}), which is "
                f"not known here (known: Transformer, Pooling, Dense, LayerNorm, Normalize); {_ALONE}"
            )
    more = _json(folder / "config_sentence_transformers.json", name)
    listed = more.get("prompts") or {}
    default_name = more.get("default_prompt_name")
    if not isinstance(listed, dict) or not isinstance(default_name, str | None):
        raise UserError(f"--encoder {name}: config_sentence_transformers.json has no prompts by name; repair it")
    prompts = {key: text for key, text in listed.items() if isinstance(text, str)}
    if default_name and default_name not in prompts:
        raise UserError(
            f"--encoder {name}: config_sentence_transformers.json names the default prompt {default_name!r}, which is "
            f"none of its prompts ({', '.join(sorted(prompts)) or 'it has none'}); repair it"
        )
    default = default_name or next((key for key in _DOCUMENT_PROMPTS if prompts.get(key)), None)
    width = more.get("truncate_dim")
    if width is not None:
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise UserError(
                f"--encoder {name}: truncate_dim {width!r} in config_sentence_transformers.json is no width"
            )
        layers.append(VectorLayer("truncate", folder, {"dimensions": width}))
    reading: Mapping[str, Any] = {}
    for file in sorted(transformer.glob("sentence_*_config.json")):
        reading = _json(file, name)
        break
    length = reading.get("max_seq_length")
    return Declaration(
        transformer,
        (folder / "modules.json").is_file(),
        pooling,
        pools_prompt,
        tuple(layers),
        prompts,
        default,
        length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None,
        bool(reading.get("do_lower_case", False)),
    )


def recipe(
    declared: Declaration,
    name: str,
    *,
    pooling: str | None = None,
    normalize: bool | None = None,
    prompt: str | None = None,
    max_length: int | None = None,
) -> TextRecipe:
    """The declaration is the default; an option that contradicts it goes first and leaves a warning."""
    warnings: list[str] = []

    def contradicts(option: str, says: str) -> None:
        warnings.append(f"{option} contradicts {name}, which declares {says}; {option} is used")

    kinds = declared.pooling or ("mean",)
    if pooling is not None and (requested := parse_pooling(pooling)) != kinds:
        if declared.pooling is not None:
            contradicts(f"--pooling {pooling}", f"pooling {'+'.join(kinds)}")
        kinds = requested
    layers = declared.layers
    if normalize is not None and normalize != any(layer.kind == "normalize" for layer in layers):
        if normalize:
            if declared.pooling is not None:
                contradicts("--normalize", "no normalisation")
            layers = (*layers, VectorLayer("normalize", declared.transformer))
        else:
            contradicts("--no-normalize", "normalisation to length 1")
            layers = tuple(layer for layer in layers if layer.kind != "normalize")
    by_default = declared.prompts.get(declared.default_prompt or "", "")
    text = by_default if prompt is None else _prompt(declared, name, prompt)
    if text != by_default:
        contradicts(f"--prompt {prompt}", f"the prompt {by_default!r}" if by_default else "no prompt")
    if max_length is not None and declared.max_length is not None and max_length != declared.max_length:
        contradicts(f"--max-length {max_length}", f"at most {declared.max_length} tokens")
    return TextRecipe(
        kinds,
        layers,
        text,
        declared.pools_prompt,
        max_length if max_length is not None else declared.max_length,
        max_length is not None,
        declared.is_complete,
        declared.lower_case,
        tuple(warnings),
    )


def _prompt(declared: Declaration, name: str, asked: str) -> str:
    if asked == "none":
        return ""
    if asked not in declared.prompts:
        known = ", ".join(sorted(declared.prompts)) or "no prompts"
        raise UserError(
            f"--prompt {asked}: {name} declares {known}; give one of its names or none (own words: --template)"
        )
    return declared.prompts[asked]


def _modules(folder: Path, name: str) -> list[tuple[str, Path]]:
    """Each module's class and folder. Without a modules.json: the folders that are named as it would name them."""
    file = folder / "modules.json"
    if not file.is_file():
        places = sorted(path for path in folder.glob("[0-9]_*") if re.fullmatch(r"\d_[A-Z][A-Za-z]+", path.name))
        known = ("Transformer", "Pooling", *_LAYERS)
        return [(path.name[2:], path) for path in places if path.name[2:] in known]
    modules: list[tuple[str, Path]] = []
    listed = read_declared(file, name)
    try:
        for module in listed:
            kind, path = str(module["type"]), str(module["path"])
            if not kind.startswith("sentence_transformers."):
                raise UserError(
                    f"--encoder {name}: its modules.json declares {kind}, code by its author, which is never run; "
                    + _ALONE
                )
            place = folder / path
            if not place.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"--encoder {name}: its modules.json leads out of the folder ({path})")
            modules.append((kind.rsplit(".", 1)[-1], place))
    except (TypeError, KeyError, ValueError):  # the last of zeros in a path
        raise UserError(f"--encoder {name}: modules.json is no list of modules with type and path; repair it") from None
    return modules


def _pooling(config: Mapping[str, Any], place: Path, name: str) -> tuple[PoolingKind, ...]:
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for mode in NAMES_ELSEWHERE if config.get(_flag(mode))] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    for mode in modes:
        if mode not in NAMES_ELSEWHERE:
            raise UserError(
                f"--encoder {name}: {place.name} declares the pooling {mode!r}, which is not known here "
                f"(known: {', '.join(NAMES_ELSEWHERE)})"
            )
    return tuple(NAMES_ELSEWHERE[mode] for mode in modes)


def _flag(mode: str) -> str:
    """`pooling_mode_cls_token`, `pooling_mode_mean_tokens`, `pooling_mode_lasttoken`, ..."""
    endings = {"cls": "cls_token", "lasttoken": "lasttoken", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens"}
    return f"pooling_mode_{endings.get(mode, f'{mode}_tokens')}"


def _layer(module: str, place: Path, name: str, *, is_pooled: bool) -> VectorLayer:
    config = _json(place / "config.json", name, required=module != "Normalize")
    reads = config.get("module_input_name") or "sentence_embedding"
    writes = config.get("module_output_name") or reads
    if (reads, writes) != ("sentence_embedding", "sentence_embedding") or not is_pooled:
        raise UserError(
            f"--encoder {name}: its {module} ({place.name}) works on the vectors of tokens; only a layer behind the "
            f"pooling is known here; {_ALONE}"
        )
    if module != "Normalize" and not (place / "model.safetensors").is_file():
        raise UserError(
            f"--encoder {name}: no model.safetensors in {place.name} (a pickle is never read); convert it with "
            f"python -c \"from sentence_transformers import SentenceTransformer as S; S('{name}').save('FOLDER')\""
        )
    return VectorLayer(_LAYERS[module], place, config)


def _json(path: Path, name: str, *, required: bool = False) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise UserError(f"--encoder {name}: no {path.parent.name}/{path.name}, which its modules need; copy it too")
        return {}
    content = read_declared(path, name)
    if not isinstance(content, dict):
        raise UserError(f"--encoder {name}: {path.name} of {path.parent.name} is no JSON object; repair it")
    return content


def read_declared(path: Path, name: str) -> Any:
    """The JSON of a file of the encoder. Raises UserError where it is none."""
    try:
        return read_json(path)
    except (ValueError, OSError) as error:
        raise UserError(f"--encoder {name}: {path} is no JSON ({error}); repair it") from None
