"""Answers as files for other programs."""
