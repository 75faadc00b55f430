"""What jobs ask of clusters: `configs/cluster/NAME.yaml`, shipped, and overlaid from the working folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import yaml
from pydantic import ValidationError

from engine.errors import UserError, nearest
from engine.places import files_of, label_of
from engine.presets.files import read_document, read_tree
from engine.presets.places import line_of
from engine.queue.executors.ray.cluster import RayCluster
from engine.queue.executors.slurm.cluster import SlurmCluster, minutes

Cluster: TypeAlias = SlurmCluster | RayCluster
Kind = TypeVar("Kind", SlurmCluster, RayCluster)
_KINDS: dict[str, type[SlurmCluster] | type[RayCluster]] = {"slurm": SlurmCluster, "ray": RayCluster}


def list_clusters() -> dict[str, Cluster]:
    """All cluster presets, by name. Raises UserError where a file is none."""
    return {name: _read(file) for name, file in sorted(files_of("cluster").items())}


def find_cluster(name: str) -> Cluster:
    """The cluster preset of that name. Raises UserError with the nearest name, or the place of what does not fit."""
    files = files_of("cluster")
    if name not in files:
        raise UserError(f"--cluster {name}: no such cluster preset{nearest(name, sorted(files))}")
    return _read(files[name])


def cluster_for(kind: type[Kind], name: str) -> Kind:
    """`find_cluster`, for that kind of cluster. Raises UserError where it is for another."""
    cluster = find_cluster(name)
    if not isinstance(cluster, kind):
        raise UserError(
            f"--cluster {name}: is for --on {cluster.executor}; `tfllmer presets cluster` lists what there is"
        )
    return cluster


def _read(file: Path) -> Cluster:
    label = label_of(file)
    root, _ = read_tree(file, label)
    entries = {key.value: value.value for key, value in root.value}
    kind = entries.get("executor", "slurm")
    if kind not in _KINDS:
        line = line_of(root, "executor")
        raise UserError(f"{label}:{line}: executor: is one of {', '.join(_KINDS)}{nearest(str(kind), [*_KINDS])}")
    document, *_ = read_document(_KINDS[kind], file, label, partial(_explain, _KINDS[kind]))
    # to YAML, 36:30:00 without quotes is a number on base 60
    if isinstance(document, SlurmCluster) and ":" in entries.get("time", ""):
        return document.model_copy(update={"time": minutes(entries["time"])})
    return document


def _explain(kind: type[SlurmCluster] | type[RayCluster], error: ValidationError, root: yaml.Node, label: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"]))
    known = ", ".join(kind.model_fields)
    what = {"missing": f"a cluster preset needs `{path}:`", "extra_forbidden": f"{path}: no such entry; it has {known}"}
    words = what.get(first["type"], f"{path}: {first['msg'][0].lower()}{first['msg'][1:]}")
    return f"{label}:{line_of(root, *first['loc'])}: {words}"
