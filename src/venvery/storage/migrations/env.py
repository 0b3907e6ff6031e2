"""Run the migrations on the connection that `database.py` opened and locked."""

from alembic import context

from venvery.storage.schema import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables,
    render_as_batch=True,
    transactional_ddl=False,  # one transaction around all of it is open already
)
context.run_migrations()
