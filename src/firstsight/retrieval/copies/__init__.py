"""Clips and frames that are there twice."""
