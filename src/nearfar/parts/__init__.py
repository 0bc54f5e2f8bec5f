"""What the composition root joins, one file for each concern: settings in, parts out. None of them knows the whole."""
