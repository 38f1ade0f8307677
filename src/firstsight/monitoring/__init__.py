"""Streams: matches of anchors, what is new, and where events go."""
