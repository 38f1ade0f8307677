"""The words that settings choose among; apart from the rest, so that a command line can name them without PyTorch."""

from typing import Literal

Method = Literal["default", "random", "article"]
Schedule = Literal["article", "repository"]
Optimiser = Literal["sgd", "adam"]
