"""Footage into a library: embed, write, resume, re-index."""
