"""The queue: order, place and crashes of runs; load of workers; the trash."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("worker", recreate="always") as worker:
        worker.add_column(sa.Column("devices", sa.JSON(), nullable=False, server_default="[]"))
        worker.add_column(sa.Column("draining", sa.Boolean(), nullable=False, server_default="0"))
    with op.batch_alter_table("run", recreate="always") as run:
        run.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
        run.add_column(sa.Column("position", sa.Float(), nullable=False, server_default="0"))
        run.add_column(sa.Column("crashes", sa.Integer(), nullable=False, server_default="0"))
        run.add_column(sa.Column("host", sa.String(), nullable=True))
        run.add_column(sa.Column("device", sa.String(), nullable=True))
        run.add_column(sa.Column("trashed", sa.DateTime(), nullable=True))
    op.create_index("ix_run_queue", "run", ["status", "priority", "position"])
