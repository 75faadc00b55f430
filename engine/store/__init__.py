"""What happened to every run, in one SQLite file: tables, exactly-once ingest, windows on series.

Readers and short writes only; a run itself never comes here (`engine.spool`). What is named here is imported when
it is first used: most of it needs sqlmodel, which takes longer to import than curves take to read (`Store.rows`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.core.connections import StoreError, StoreLostError, StoreUnreachableError
    from engine.store.core.database import Store, existing_store, open_store
    from engine.store.core.tables import Artifact, Event, Run
    from engine.store.curves.curves import Series, Window, series, series_names, window
    from engine.store.curves.intake import ingest
    from engine.store.queries.listing import count_runs, list_records, list_values, record
    from engine.store.queries.overview import info
    from engine.store.runs import (
        artifact_files,
        artifacts,
        create_run,
        events,
        experiment_of,
        facts_of,
        find_run,
        get_run,
        list_runs,
        request_cancel,
        result_of,
        set_status,
    )
else:
    _MODULES = {
        "curves.curves": ("Series", "Window", "series", "series_names", "window"),
        "core.connections": ("StoreError", "StoreLostError", "StoreUnreachableError"),
        "core.database": ("Store", "existing_store", "open_store"),
        "curves.intake": ("ingest",),
        "queries.listing": ("count_runs", "list_records", "list_values", "record"),
        "queries.overview": ("info",),
        "runs": (
            "artifact_files",
            "artifacts",
            "create_run",
            "events",
            "experiment_of",
            "facts_of",
            "find_run",
            "get_run",
            "list_runs",
            "request_cancel",
            "result_of",
            "set_status",
        ),
        "core.tables": ("Artifact", "Event", "Run"),
    }
    _HOMES = {name: module for module, names in _MODULES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value


__all__ = [
    "Artifact",
    "Event",
    "Run",
    "Series",
    "Store",
    "StoreError",
    "StoreLostError",
    "StoreUnreachableError",
    "Window",
    "artifact_files",
    "artifacts",
    "count_runs",
    "create_run",
    "events",
    "existing_store",
    "experiment_of",
    "facts_of",
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
    "result_of",
    "series",
    "series_names",
    "set_status",
    "window",
]
