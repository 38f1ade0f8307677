"""The web app: a local page on which footage is looked at, and a REST API of the same functions. Thin over `api.py`."""
