"""What a store holds, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlmodel import select

from engine.store.database import Store
from engine.store.rollups import SIZES
from engine.store.tables import Run


def info(store: Store) -> dict[str, Any]:
    """Path, size in bytes (with the write-ahead log), schema revision, runs by status, points, events."""
    with store.read() as session:
        statuses = Counter(session.exec(select(Run.status)))
        scalar = session.connection().exec_driver_sql
        return {
            "path": str(store.path),
            "files": str(store.files),
            "size": store.size,
            "revision": scalar("SELECT version_num FROM alembic_version").scalar_one(),
            "runs": dict(sorted(statuses.items())),
            # every point is in one cell of the coarsest roll-up: far fewer rows than the points themselves
            "points": scalar("SELECT coalesce(sum(count), 0) FROM rollup WHERE size = ?", (SIZES[-1],)).scalar_one(),
            "events": scalar("SELECT count(*) FROM event").scalar_one(),
        }
