"""Tables altered in either database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op


def add_columns(table: str, *columns: sa.Column[Any], behind: str | None = None) -> None:
    """Add columns behind one that is there, or all: SQLite makes the table anew for it, a server puts them last."""
    if op.get_bind().dialect.name == "postgresql":
        for column in columns:
            op.add_column(table, column)
        return
    with op.batch_alter_table(table, recreate="always") as batch:
        for column in columns:
            batch.add_column(column, insert_after=behind)
            behind = column.name if behind else None
