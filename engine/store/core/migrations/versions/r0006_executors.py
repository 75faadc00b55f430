"""Where a run is carried out and what it is called there; what a worker hands its runs to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("executor", sa.String(), nullable=False, server_default="local"))
    for name, default in (("executor", "local"), ("cluster", ""), ("handle", ""), ("handle_state", "")):
        op.add_column("run", sa.Column(name, sa.String(), nullable=False, server_default=default))
