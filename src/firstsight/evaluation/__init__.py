"""How good is an encoder with labels, beside baselines."""
