"""What is in a library: clusters, key frames, a map."""
