"""Rows that cannot be trusted: what is wrong with a run, in one expression that every list asks for.

What a column of the database should hold is not enforced by SQLite, and a hand or a failing disk can put anything
there. A run that is damaged stays in lists, with the reason; what is computed from runs leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.dialects.pieces import DAMAGE
from engine.store.dialects.sql import sql

if TYPE_CHECKING:  # who lists rows through a plain connection does not wait for it
    from sqlalchemy import ColumnElement

    from engine.store.core.database import Store


def damage() -> ColumnElement[str]:
    """The reason (`DAMAGE`) for queries of SQLAlchemy."""
    from engine.store.dialects.alchemy import piece

    return piece(DAMAGE)


def damaged_runs(store: Store) -> list[tuple[str, str]]:
    """The runs outside the trash that are damaged, with the reason, the newest first."""
    rows = sql("SELECT id, {} AS why FROM run WHERE trashed IS NULL", DAMAGE)
    query = sql("SELECT id, why FROM ({}) AS looked_at WHERE why IS NOT NULL ORDER BY id DESC", rows)
    with store.rows() as connection:
        return [(run_id, why) for run_id, why in connection.execute(query)]
