"""One small file per system, found by its file name: there is no list to edit."""
