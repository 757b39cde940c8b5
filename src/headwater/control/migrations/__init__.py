"""Alembic migrations; they ship in the package and run when the server starts."""
