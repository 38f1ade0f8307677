"""Frames and an unlearned network in, an encoder out."""
