"""Which place a request may reach, in which order candidates are tried, and the seal that proves it. Pure."""
