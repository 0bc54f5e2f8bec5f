"""Connections, migrations and time-ordered ids for SQLite and PostgreSQL. It knows no table's meaning."""
