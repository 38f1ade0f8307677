"""Filling a library: what is new is embedded, what is there is not read again."""
