"""What happened to every run, in one SQLite file: tables, exactly-once ingest, windows on series.

Readers and short writes only; a run itself never comes here (`engine.spool`). Everything below costs
the import of sqlmodel: whoever must start at once imports this package late.
"""

from engine.store.curves import Series, Window, series, series_names, window
from engine.store.database import Store, StoreError, open_store
from engine.store.intake import ingest
from engine.store.listing import count_runs, list_records, list_runs, list_values, record
from engine.store.overview import info
from engine.store.runs import (
    artifacts,
    create_run,
    events,
    experiment_of,
    find_run,
    get_run,
    request_cancel,
    set_status,
)
from engine.store.tables import Artifact, Event, Run

__all__ = [
    "Artifact",
    "Event",
    "Run",
    "Series",
    "Store",
    "StoreError",
    "Window",
    "artifacts",
    "count_runs",
    "create_run",
    "events",
    "experiment_of",
    "find_run",
    "get_run",
    "info",
    "ingest",
    "list_records",
    "list_runs",
    "list_values",
    "open_store",
    "record",
    "request_cancel",
    "series",
    "series_names",
    "set_status",
    "window",
]
