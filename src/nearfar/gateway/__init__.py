"""The path of a request: pipeline, transport, health, fleet."""
