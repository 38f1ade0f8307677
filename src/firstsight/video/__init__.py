"""Pixels in, nothing learned: video files, pictures and arrays as one stream of frames."""
