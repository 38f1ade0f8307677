"""What an encoder is put to: comparing frames."""
