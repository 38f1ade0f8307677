"""The words that settings choose among; apart from the rest, so that a command line can name them without PyTorch."""

from typing import Literal

Method = Literal["default", "random", "article"]
Form = Literal["article", "predecessor", "earliest"]
Schedule = Literal["article", "repository", "predecessor", "earliest"]
Similarity = Literal["cosine", "pearson"]
Optimiser = Literal["sgd", "adam"]
