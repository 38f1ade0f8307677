"""A part of a frame, looked for in every window of its size."""
