"""A library on the disk: its tables, index, rows and records, on LanceDB."""
