"""Specifications whose steps have kinds that carry their own settings, and the hashes that follow from them.

Runs, cells of studies, splits and diagnoses get the hashes of the present form; the correspondence is one to one.
Files keep their names: a split's row leads to the file of its old hash.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_AT_ONCE = 500

_RUN = sa.table(
    "run",
    *(sa.column(name, sa.String) for name in ("id", "spec_hash", "config_hash", "data_hash")),
    *(sa.column(name, sa.JSON) for name in ("spec", "overrides")),
)
_STUDY = sa.table("study", sa.column("id", sa.Integer), sa.column("spec", sa.JSON))
_DIAGNOSIS = sa.table(
    "diagnosis",
    sa.column("identity", sa.String),
    sa.column("spec", sa.JSON),
    sa.column("result", sa.JSON),
    sa.column("created", sa.DateTime),
)


def upgrade() -> None:
    connection = op.get_bind()
    runs = _Runs(connection)
    runs.convert()
    _studies(connection, runs)
    for old, new in runs.data_hashes.items():
        connection.execute(
            sa.text("UPDATE split SET data_hash = :new WHERE data_hash = :old"), {"new": new, "old": old}
        )
    _diagnoses(connection)


class _Runs:
    """The rows of runs, and what has become of their hashes."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.cells: dict[str, tuple[str, str, Mapping[str, Any]]] = {}
        """Old `spec_hash` -> new one, new `config_hash`, all settings by name."""
        self.data_hashes: dict[str, str] = {}

    def convert(self) -> None:
        """Those that this program cannot read stay as they are; reading one says why."""
        from engine.errors import UserError
        from engine.spec import config_hash, data_hash, flat, from_document, spec_hash, to_document
        from engine.spec.upgrade import upgraded_settings

        for run_id, old_hash, old_data, spec, overrides in self._rows():
            try:
                experiment = from_document(spec)
            except UserError:
                continue
            values = flat(experiment)
            row: dict[str, Any] = {
                "spec": to_document(experiment),
                "overrides": upgraded_settings(overrides, values),
                "spec_hash": spec_hash(experiment),
                "config_hash": config_hash(experiment),
                "data_hash": data_hash(experiment.data),
            }
            self._connection.execute(_RUN.update().where(_RUN.c.id == run_id).values(row))
            self.cells[old_hash] = (row["spec_hash"], row["config_hash"], values)
            self.data_hashes[old_data] = row["data_hash"]

    def _rows(self) -> Iterator[Any]:
        columns = (_RUN.c.id, _RUN.c.spec_hash, _RUN.c.data_hash, _RUN.c.spec, _RUN.c.overrides)
        last = ""
        while rows := self._connection.execute(
            sa.select(*columns).where(_RUN.c.id > last).order_by(_RUN.c.id).limit(_AT_ONCE)
        ).all():
            yield from rows
            last = rows[-1][0]


def _studies(connection: sa.Connection, runs: _Runs) -> None:
    for study_id, spec in connection.execute(sa.select(_STUDY.c.id, _STUDY.c.spec)).all():
        study = dict(spec)
        for part in ("cells", "former"):
            study[part] = [_cell(cell, runs) for cell in study.get(part, [])]
        if "axes" in study:
            study["axes"] = _renamed(study["axes"])
        connection.execute(_STUDY.update().where(_STUDY.c.id == study_id).values(spec=study))


def _cell(cell: Mapping[str, Any], runs: _Runs) -> dict[str, Any]:
    """A cell that never had a run keeps its hashes; the next `study run` gives it those of its present form."""
    from engine.spec.upgrade import upgraded_settings

    spec_hash, config_hash, values = runs.cells.get(cell["spec_hash"], (cell["spec_hash"], cell["config_hash"], None))
    return {
        **cell,
        "key": json.dumps(_renamed(json.loads(cell["key"])), sort_keys=True),
        "axes": _renamed(cell["axes"]),
        "spec_hash": spec_hash,
        "config_hash": config_hash,
        "overrides": upgraded_settings(cell["overrides"], values),
    }


def _renamed(axes: Mapping[str, Any]) -> dict[str, Any]:
    """Axes by the present names of their settings."""
    from engine.spec.upgrade import MOVED

    return {MOVED.get(axis, (axis,))[0]: value for axis, value in axes.items()}


def _diagnoses(connection: sa.Connection) -> None:
    """Those of tables before training; what was asked of a run goes by the run's id. An answer of an earlier version,
    which had no histograms, stays where nobody finds it."""
    from engine.errors import UserError
    from engine.spec import from_document, to_document
    from engine.store.diagnoses import question

    identities, columns = _DIAGNOSIS.c.identity, (_DIAGNOSIS.c.identity, _DIAGNOSIS.c.spec, _DIAGNOSIS.c.result)
    before = sa.select(*columns).where(identities.not_like("run %")).order_by(_DIAGNOSIS.c.created.desc())
    taken: set[str] = set()
    for identity, spec, result in connection.execute(before).all():
        try:
            experiment = from_document(spec)
        except UserError:
            continue
        new = question(experiment) if '"histogram"' in json.dumps(result) else identity
        old = identities == identity
        if new in taken:
            connection.execute(_DIAGNOSIS.delete().where(old))
            continue
        taken.add(new)
        connection.execute(_DIAGNOSIS.update().where(old).values(identity=new, spec=to_document(experiment)))
