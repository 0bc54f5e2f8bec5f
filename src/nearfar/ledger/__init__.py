"""Every attempt is journalled before its bytes leave and again at its end; the database is filled from the journal."""
