"""Is it good? Measures, baselines with the interface of the encoder, and the protocols that compare them."""
