"""Tensors in, tensors out; no video, no learning."""
