"""What a spool held where it was read to, and why a run is damaged."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run", recreate="always") as run:
        run.add_column(_text("spool_mark"), insert_after="spool_offset")
        run.add_column(_text("damage"), insert_after="spool_mark")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False, server_default="")
