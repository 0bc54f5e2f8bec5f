"""nearfar: one endpoint in front of local and cloud language models."""

__version__ = "0.1.0"
