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
                experiment = from_document(json.loads(spec))
            except UserError:
                continue
            values = flat(experiment)
            row = {
                "id": run_id,
                "spec": json.dumps(to_document(experiment)),
                "overrides": json.dumps(upgraded_settings(json.loads(overrides), values)),
                "spec_hash": spec_hash(experiment),
                "config_hash": config_hash(experiment),
                "data_hash": data_hash(experiment.data),
            }
            sets = ", ".join(f"{name} = :{name}" for name in row if name != "id")
            self._connection.execute(sa.text(f"UPDATE run SET {sets} WHERE id = :id"), row)
            self.cells[old_hash] = (row["spec_hash"], row["config_hash"], values)
            self.data_hashes[old_data] = row["data_hash"]

    def _rows(self) -> Iterator[Any]:
        query = "SELECT id, spec_hash, data_hash, spec, overrides FROM run WHERE id > :last ORDER BY id LIMIT :most"
        last = ""
        while rows := self._connection.execute(sa.text(query), {"last": last, "most": _AT_ONCE}).all():
            yield from rows
            last = rows[-1][0]


def _studies(connection: sa.Connection, runs: _Runs) -> None:
    for study_id, text in connection.execute(sa.text("SELECT id, spec FROM study")).all():
        study = json.loads(text)
        for part in ("cells", "former"):
            study[part] = [_cell(cell, runs) for cell in study.get(part, [])]
        if "axes" in study:
            study["axes"] = _renamed(study["axes"])
        row = {"id": study_id, "spec": json.dumps(study)}
        connection.execute(sa.text("UPDATE study SET spec = :spec WHERE id = :id"), row)


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

    query = "SELECT identity, spec, result FROM diagnosis WHERE identity NOT LIKE 'run %' ORDER BY created DESC"
    taken: set[str] = set()
    for identity, spec, result in connection.execute(sa.text(query)).all():
        try:
            experiment = from_document(json.loads(spec))
        except UserError:
            continue
        new = question(experiment) if '"histogram"' in result else identity
        if new in taken:
            connection.execute(sa.text("DELETE FROM diagnosis WHERE identity = :old"), {"old": identity})
            continue
        taken.add(new)
        row = {"old": identity, "new": new, "spec": json.dumps(to_document(experiment))}
        connection.execute(sa.text("UPDATE diagnosis SET identity = :new, spec = :spec WHERE identity = :old"), row)
