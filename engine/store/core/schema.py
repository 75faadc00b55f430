"""The schema's revision: stamped on what is made, raised by migrations, whichever database it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.store.dialects.sql import run

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0007"
"""The schema of `tables`: the newest revision in `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"


def stamp(connection: Connection) -> None:
    """What alembic's `stamp` does, without the time that importing alembic takes."""
    run(
        connection,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
    )
    run(connection, "INSERT INTO alembic_version VALUES (?)", (HEAD,))


def migrations(name: object, revision: str) -> Any:
    """Alembic's settings. Raises UserError where the store `name` is of a revision that nobody here knows."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if revision not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise UserError(newer(name, revision))
    return config


def upgrade(connection: Connection, config: Any) -> None:
    """Bring the tables to HEAD, inside the connection's transaction."""
    from alembic import command

    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def newer(name: object, revision: str) -> str:
    return f"{name}: was made by a newer tfllmer (schema {revision}, this one knows {HEAD}); update tfllmer to open it"


def older(name: object, revision: str) -> str:
    return (
        f"{name}: was made by an older tfllmer (schema {revision}, this one reads {HEAD}); `tfllmer db migrate` brings"
        " it up to date, after a backup beside it"
    )
