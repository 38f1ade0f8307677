"""A stream as it comes: matches, and what is new."""
