"""Queries: candidates, exact comparison, calibrated thresholds, boxes, moments."""
