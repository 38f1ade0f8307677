"""Frames against anchors, frames and videos; two videos against each other."""
