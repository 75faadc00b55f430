"""What a spool held where it was read to, and why a run is damaged."""

import sqlalchemy as sa

from engine.store.core.altering import add_columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("run", _text("spool_mark"), _text("damage"), behind="spool_offset")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False, server_default="")
