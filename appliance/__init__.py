"""A box on an office network that turns any shared folder into a transcription service."""

__version__ = "0.1.0"
