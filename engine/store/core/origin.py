"""Runs that came from an archive: their folder says so, by a record at the end of the spool.

The record names an artifact of the kind `archive`, a file of the run whose name is that of the archive. So the rows
know it without a column, also those of a database that is made anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.store.dialects.sql import Sql, sql

if TYPE_CHECKING:  # who lists rows through a plain connection does not wait for it
    from engine.store.core.database import Store

KIND = "archive"
SUFFIX = ".archive.json"
ARCHIVE = Sql(f"""(SELECT replace(path, '{SUFFIX}', '') FROM artifact
 WHERE artifact.run_id = run.id AND kind = '{KIND}' LIMIT 1)""")
"""Of a row of `run`: the name of the archive; NULL for a run that was made here."""


def origin_record(archive_name: str) -> dict[str, str]:
    """The record of a spool."""
    return {"r": "artifact", "kind": KIND, "path": origin_file(archive_name)}


def is_origin(record: object) -> bool:
    """Whether it is that record."""
    return isinstance(record, dict) and (record.get("r"), record.get("kind")) == ("artifact", KIND)


def origin_file(archive_name: str) -> str:
    """The file in the run's folder; a name that fits every file system and no path."""
    return re.sub(r"[^\w.+-]", "_", archive_name)[:100] + SUFFIX


def archive_of(store: Store, run_id: str) -> str | None:
    """The archive that a run came from; None where it was made here."""
    with store.rows() as connection:
        row = connection.execute(sql("SELECT {} FROM run WHERE id = {}", ARCHIVE, run_id)).fetchone()
    return None if row is None else row[0]
