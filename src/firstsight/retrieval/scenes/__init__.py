"""Cuts and gradual changes."""
