"""The specification of a stored run with changes: composed again, so that changes mean what they mean in `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.presets import Resolved
    from engine.store import Run

_CHOSEN = (
    *("method", "ablation", "backbone.name", "data.name", "data.path", "data.fingerprint"),
    *("embedding.source", "embedding.path", "embedding.fingerprint"),
)
"""Fields that name a preset or a file, or are measured from one."""


def respecify(run: Run, sets: Sequence[str]) -> Resolved:
    """The run's presets and files, then what it had set otherwise, then `sets` (`field=value`). Where a
    change names another backbone, the stored settings of the old one are left out. Raises UserError."""
    from engine.presets import resolve
    from engine.store import experiment_of
    from tfllmer_tui.cli.output import flatten

    stored = experiment_of(run)
    vectors = None
    if stored.uses_embedding and stored.data.name != "demo":
        vectors = stored.embedding.path or stored.embedding.source
    compose = partial(
        resolve,
        method=stored.method,
        ablation=stored.ablation,
        dataset=stored.data.path or stored.data.name,
        backbone=stored.backbone.name,
        embedding=vectors,
    )
    given = {text.partition("=")[0].strip() for text in sets}
    plain = flatten(compose().experiment.model_dump(mode="json", by_alias=True))
    had = flatten(stored.model_dump(mode="json", by_alias=True))
    different = {path: value for path, value in had.items() if path not in _CHOSEN and plain.get(path) != value}
    if "backbone.name" in given:
        different = {path: value for path, value in different.items() if not path.startswith("backbone.")}
    kept = [f"{path}={_text(value)}" for path, value in different.items() if path not in given]
    resolved = compose(sets=[*kept, *sets])
    return replace(resolved, overrides={path: v for path, v in resolved.overrides.items() if path in given})


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
