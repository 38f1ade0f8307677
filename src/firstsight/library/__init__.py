"""The library on disk: rows, records, locks, index, repair."""
