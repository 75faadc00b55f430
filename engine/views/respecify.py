"""The specification of a stored run with changes: composed again, so that changes mean what they mean in `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.presets import Resolved
    from engine.store import Run

_CHOSEN = (
    *("method", "ablation", "backbone.name", "data.source", "data.source.name", "data.source.path"),
    "data.source.fingerprint",
    *("embedding.source", "embedding.path", "embedding.fingerprint"),
)
"""Fields that name a preset or a file, or are measured from one."""


def respecify(run: Run, sets: Sequence[str]) -> Resolved:
    """The run's presets and files, then what it had set otherwise, then `sets` (`field=value`). Where a
    change names another backbone, the stored settings of the old one are left out, as are those of a kind that
    another takes the place of. Raises UserError."""
    from engine.presets import resolve
    from engine.presets.compose import parse_set
    from engine.presets.files import Setting
    from engine.spec import flat
    from engine.store import experiment_of

    stored = experiment_of(run)
    stored.require_made_here()
    vectors = None
    if stored.embedding is not None and stored.data.name != "demo":
        vectors = stored.embedding.path or stored.embedding.source
    compose = partial(
        resolve,
        method=stored.method,
        ablation=stored.ablation,
        dataset=stored.data.path or stored.data.name,
        backbone=stored.backbone.name,
        embedding=vectors,
    )
    given = {parse_set(text)[0] for text in sets}
    plain, had = flat(compose().experiment), flat(stored)
    settings = {
        name: Setting(value, "the stored run")
        for name, value in had.items()
        if name not in _CHOSEN and name not in given and (name not in plain or plain[name] != value)
    }
    if "backbone.name" in given:
        settings = {name: setting for name, setting in settings.items() if not name.startswith("backbone.")}
    resolved = compose(settings=settings, sets=sets)
    return replace(resolved, overrides={name: value for name, value in resolved.overrides.items() if name in given})
