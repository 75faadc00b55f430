"""Specifications that say how long the raw rows of the item table are; those stored before left them as they come.

Hashes stay: a table as it comes has the identity that it had before there was another.
"""

import json

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
    for table, key in (("run", "id"), ("diagnosis", "identity")):
        query = sa.text(f"SELECT {key}, spec FROM {table} WHERE {key} > :last ORDER BY {key} LIMIT :most")
        change = sa.text(f"UPDATE {table} SET spec = :spec WHERE {key} = :key")
        last = ""
        while rows := connection.execute(query, {"last": last, "most": _AT_ONCE}).all():
            for name, stored in rows:
                try:
                    present = to_document(from_document(json.loads(stored)))
                except (UserError, ValueError):
                    continue  # what cannot be read stays as it is; reading it says why
                connection.execute(change, {"spec": json.dumps(present), "key": name})
            last = rows[-1][0]
