"""The queue: order, place and crashes of runs; load of workers; the trash."""

import sqlalchemy as sa
from alembic import op

from engine.store.core.altering import add_columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns(
        "worker",
        sa.Column("devices", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("draining", sa.Boolean(), nullable=False, server_default="0"),
    )
    add_columns(
        "run",
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("position", sa.Float(), nullable=False, server_default="0"),
        sa.Column("crashes", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("device", sa.String(), nullable=True),
        sa.Column("trashed", sa.DateTime(), nullable=True),
    )
    op.create_index("ix_run_queue", "run", ["status", "priority", "position"])
