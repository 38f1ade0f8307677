"""Streams: matches of anchors, what is new, and who is told."""
