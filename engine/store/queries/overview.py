"""What a store holds, in numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

from engine.store.core.database import Store
from engine.store.curves.rollups import SIZES
from engine.store.dialects.sql import run

_COARSEST = (SIZES[-1],)


def info(store: Store) -> dict[str, Any]:
    """Path, size in bytes (with the write-ahead log), schema revision, runs by status, runs in the trash,
    points, events."""
    with store.read() as session:
        query = partial(run, session.connection())
        statuses = query("SELECT status, count(*) FROM run WHERE trashed IS NULL GROUP BY status ORDER BY status")
        return {
            "path": store.name,
            "files": str(store.files),
            "size": store.size,
            "revision": query("SELECT version_num FROM alembic_version").scalar_one(),
            "runs": {str(status): int(count) for status, count in statuses},
            "trash": query("SELECT count(*) FROM run WHERE trashed IS NOT NULL").scalar_one(),
            # every point is in one cell of the coarsest roll-up: far fewer rows than the points themselves
            "points": int(
                query("SELECT coalesce(sum(count), 0) FROM rollup WHERE size = ?", (SIZES[-1],)).scalar_one()
            ),
            "events": query("SELECT count(*) FROM event").scalar_one(),
        }
