"""How good is an encoder without labels: perturbations, self test, health."""
