"""Rows that cannot be trusted: what is wrong with a run, in one expression that every list asks for.

What a column of the database should hold is not enforced by SQLite, and a hand or a failing disk can put anything
there. A run that is damaged stays in lists, with the reason; what is computed from runs leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.records import STATUSES

if TYPE_CHECKING:  # who lists rows through a plain connection does not wait for it
    from sqlalchemy import ColumnElement

    from engine.store.core.database import Store

_TIME = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]*"
_TIMES = ("created", "started", "ended")
_WORDS = ", ".join(f"'{status}'" for status in STATUSES)

DAMAGE = f"""CASE
 WHEN run.damage <> '' THEN run.damage
 WHEN run.status NOT IN ({_WORDS}) THEN 'its status is no word that a run can have'
 WHEN NOT json_valid(run.spec) THEN 'its specification is no JSON'
 WHEN json_type(run.spec, '$.train') IS NOT 'object' THEN 'its specification is none of a run'
 WHEN NOT json_valid(run.overrides) THEN 'its changed settings are no JSON'
 WHEN NOT json_valid(run.facts) THEN 'its facts are no JSON'
 WHEN NOT json_valid(coalesce(run.result, '{{}}')) THEN 'its result is no JSON'
 WHEN typeof(run.seed) <> 'integer' THEN 'its seed is no number'
 {" ".join(f"WHEN run.{name} NOT GLOB '{_TIME}' OR run.{name} < '1970' THEN '{name} is no time'" for name in _TIMES)}
END"""
"""Of a row of `run`; NULL where it is sound."""


def damage() -> ColumnElement[str]:
    """The same for queries of SQLAlchemy."""
    from sqlalchemy import String, literal_column

    return literal_column(DAMAGE, String())


def sound(column: str) -> str:
    """A column of JSON in SQL; NULL where it holds none, for which SQLite would give up all rows of a query."""
    return f"CASE WHEN json_valid({column}) THEN {column} END"


def sound_document(column: Any) -> Any:
    """The same for queries of SQLAlchemy."""
    from sqlalchemy import case, func

    return case((func.json_valid(column) == 1, column))


def damaged_runs(store: Store) -> list[tuple[str, str]]:
    """The runs outside the trash that are damaged, with the reason, the newest first."""
    with store.rows() as connection:
        query = f"SELECT id, {DAMAGE} AS why FROM run WHERE why IS NOT NULL AND trashed IS NULL ORDER BY id DESC"
        return [(run_id, why) for run_id, why in connection.execute(query)]
