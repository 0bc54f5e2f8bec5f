"""HTTP in and out: routes, edge, workers."""
