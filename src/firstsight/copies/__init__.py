"""The same footage twice: files, pictures, passages."""
