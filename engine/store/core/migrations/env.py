"""Run by alembic. `database.open_store` passes the connection, already inside its transaction."""

from alembic import context

from engine.store.core.tables import Run

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Run.metadata,
    render_as_batch=True,  # SQLite alters a table by rebuilding it
)
with context.begin_transaction():
    context.run_migrations()
