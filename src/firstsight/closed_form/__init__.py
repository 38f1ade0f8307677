"""The default method: filters and read-out from the footage in closed form."""
