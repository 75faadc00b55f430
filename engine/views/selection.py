"""Which finished runs a board, a comparison or a verdict is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import UserError, nearest
from engine.records import RunStatus
from engine.store import Store, list_values
from engine.store.core.damage import damaged_runs
from engine.store.queries.filters import field_named

if TYPE_CHECKING:
    from engine.reports.boards.evidence import Evidence
    from engine.store import Run


def finished_runs(
    store: Store,
    study: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    *,
    where: str | None = None,
) -> list[Run]:
    """The finished runs of the study, or of the whole store, that match and are not damaged. `where` is a filter as
    lists of runs take it. Raises UserError where the study, or a name among all runs, is unknown, or the filter is no
    filter."""
    from engine.store import list_runs  # SQLAlchemy, which a board without a study does not wait for
    from engine.store.studies import study_runs

    if study is None:
        runs = list_runs(store, dataset=dataset, backbone=backbone, status=RunStatus.FINISHED)
    else:
        counted = [run for _, run in study_runs(store, study) if run is not None and run.status == RunStatus.FINISHED]
        runs = [run for run in counted if dataset in (None, run.dataset) and backbone in (None, run.backbone)]
    if not runs:
        check_names(store, dataset=dataset, backbone=backbone)
    damaged = dict(damaged_runs(store))
    runs = [run for run in runs if run.id not in damaged]
    if where is None:
        return runs
    from engine.store.queries.filters import parse  # the fields there are cost a little to describe

    matching = {run for (run,) in list_values(store, [], parse(where).clause(), status=RunStatus.FINISHED)}
    return [run for run in runs if run.id in matching]


def finished_evidence(
    store: Store,
    study: str | None = None,
    dataset: str | None = None,
    backbone: str | None = None,
    *,
    where: str | None = None,
) -> list[Evidence]:
    """The same with all that statistics need; without runs that left the test split unread, where no study is named.
    Raises UserError also where there is none."""
    from engine.reports.boards.evidence import evidence_of  # scipy, which a board without tests does not wait for

    finished = evidence_of(store, finished_runs(store, study, dataset, backbone, where=where))
    evidence = [run for run in finished if study is not None or run.experiment.evaluate.test]
    if not evidence:
        raise UserError(f"{study or store.name}: no finished run matches; tfllmer runs lists what there is")
    return evidence


def finished_seeds(store: Store, *, trashed: bool = False) -> dict[str, int]:
    """By configuration, how many seeds of it have finished, in the whole store or in the trash."""
    seeds: dict[str, set[int]] = {}
    fields = [field_named("config_hash", "field"), field_named("seed", "field")]
    for _, config, seed in list_values(store, fields, trashed=trashed, status=RunStatus.FINISHED):
        seeds.setdefault(config, set()).add(seed)
    return {config: len(each) for config, each in seeds.items()}


def check_names(store: Store, **wanted: str | None) -> None:
    """Raises UserError where no run at all has the name that was asked for."""
    for column, name in wanted.items():
        if name is None:
            continue
        known = sorted({value for _, value in list_values(store, [field_named(column, "--" + column)])})
        if known and name not in known:
            raise UserError(f"--{column} {name}: no run with it{nearest(name, known)}")
