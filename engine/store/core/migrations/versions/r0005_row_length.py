"""Specifications that say how long the raw rows of the item table are; those stored before left them as they come.

Hashes stay: a table as it comes has the identity that it had before there was another.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AT_ONCE = 500


def upgrade() -> None:
    from engine.errors import UserError
    from engine.spec import from_document, to_document

    connection = op.get_bind()
    for name, named in (("run", "id"), ("diagnosis", "identity")):
        table = sa.table(name, sa.column(named, sa.String), sa.column("spec", sa.JSON))
        key, last = table.c[named], ""
        while rows := connection.execute(
            sa.select(key, table.c.spec).where(key > last).order_by(key).limit(_AT_ONCE)
        ).all():
            for identity, stored in rows:
                try:
                    present = to_document(from_document(stored))
                except (UserError, ValueError):
                    continue  # what cannot be read stays as it is; reading it says why
                connection.execute(table.update().where(key == identity).values(spec=present))
            last = rows[-1][0]
