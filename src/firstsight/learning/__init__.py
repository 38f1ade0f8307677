"""From footage to an encoder, by either method."""
