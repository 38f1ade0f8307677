"""What is normal before a fixed camera: motion and appearance, remembered from footage, and how rare a frame is."""
