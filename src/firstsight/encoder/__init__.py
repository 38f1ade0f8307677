"""What every encoder is: views of a frame, embedding, maps, saved runs."""
