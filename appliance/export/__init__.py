"""The formats a transcript is written in, one file per format, and their table."""
