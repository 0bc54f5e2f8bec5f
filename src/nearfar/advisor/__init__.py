"""Which model fits which machine, and how fast: arithmetic over facts. It runs no model and asks no network."""
