"""firstsight learns to see from your own video."""
