"""Answers as pages, pictures and films."""
