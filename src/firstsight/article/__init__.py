"""Multi-Perspective Neural Networks, to the letter."""
