"""How older databases become new ones (Alembic). Imported only when there is something to do."""
