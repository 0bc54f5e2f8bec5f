"""The embedded engine: one child process per model, without provider keys and without network."""
