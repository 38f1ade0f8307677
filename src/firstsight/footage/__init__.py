"""Footage: recordings, pictures and live streams as frames. Nothing is learned here."""
