"""What there is: layout, clusters, the most different moments."""
