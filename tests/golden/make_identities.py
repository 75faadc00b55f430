"""Write `identities.jsonl.gz`: `python -m tests.golden.make_identities` in a checkout of commit ec201ce with this
folder in it.

It holds every arm on every backbone, every cell of every shipped study, and every value of every setting, one at a
time, on a few arms. Data sets are files of a few bytes under a folder that is called /data.
"""

# mypy: ignore-errors
# It runs in that checkout alone, and names things that have moved since.

import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from engine.errors import UserError
from engine.presets import expand, list_studies, resolve
from engine.presets.compose import _field, flatten
from engine.spec import Experiment, config_hash, data_hash, spec_hash, to_json
from tests.golden.identities import GOLDEN, Identity
from tests.golden.make_weights import arms

BACKBONES = ("sasrec", "gru4rec", "bert4rec")
BASES = ("tf-llmer/full", "id", "ace", "alphafuse", "tf-llmer/gbce", "tf-llmer/content-graph")


def main() -> None:
    kept: dict[str, Identity] = {}
    with tempfile.TemporaryDirectory() as root:
        for name in ("ml-100k", "ml-1m", "amazon-beauty"):
            folder = Path(root) / name
            folder.mkdir()
            for ending in ("inter", "item", "minilm-l6.npy"):
                (folder / f"{name}.{ending}").write_text(f"{name}.{ending}", "utf-8")
        os.environ["TFLLMER_DATA"] = root
        for origin, experiment in experiments():
            text = to_json(experiment).replace(str(Path(root).resolve()), "/data")
            hashes = spec_hash(experiment), config_hash(experiment), data_hash(experiment.data)
            kept.setdefault(text, Identity(origin, text, *hashes))
    lines = "".join(json.dumps(asdict(identity)) + "\n" for identity in kept.values())
    GOLDEN.write_bytes(gzip.compress(lines.encode(), mtime=0))
    print(len(kept), "specifications,", len({identity.spec_hash for identity in kept.values()}), "hashes")


def experiments() -> Iterator[tuple[str, Experiment]]:
    for backbone in BACKBONES:
        for arm in arms():
            yield f"{backbone} {arm}", _resolve(arm, backbone)
    for study in list_studies():
        for cell in expand(study).cells:
            yield f"study {study.name}", cell.experiment
    for backbone in BACKBONES:
        for arm in BASES:
            base = flatten(_resolve(arm, backbone).model_dump(by_alias=True))
            for path in base:
                for value in _values(path, backbone, base[path]):
                    try:
                        yield f"{backbone} {arm} {path}={value}", _resolve(arm, backbone, f"{path}={value}")
                    except UserError:
                        continue


def _resolve(arm: str, backbone: str, *sets: str) -> Experiment:
    method, _, ablation = arm.partition("/")
    return resolve(method=method, ablation=ablation or None, backbone=backbone, sets=sets).experiment


def _values(path: str, backbone: str, now: Any) -> list[Any]:
    """Values that the setting might take; not all of them are valid."""
    if path in ("data.name", "data.path", "backbone.name", "embedding.path", "embedding.source", "method", "ablation"):
        return []
    kinds = _kinds(_field(path, backbone, "").annotation)
    values = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    values += ["true", "false"] if bool in kinds else []
    values += ["none"] if type(None) in kinds else []
    number = now if isinstance(now, int | float) and not isinstance(now, bool) else 2
    values += [2, 3, number + 1, number * 2] if int in kinds else []
    values += [0, 0.25, 0.5, number / 2, number * 2] if float in kinds else []
    return values + (["a note"] if path == "note" else [])


def _kinds(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if isinstance(annotation, UnionType) else [annotation]


if __name__ == "__main__":
    main()
