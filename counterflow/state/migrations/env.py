"""Alembic's entry: runs on the connection that `counterflow.state.database.migrate` hands over."""

from alembic import context

from counterflow.state.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
