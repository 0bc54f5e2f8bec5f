"""Pure codecs between bytes and values: no I/O, no clock, no configuration."""
