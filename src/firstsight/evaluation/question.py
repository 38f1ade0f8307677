"""Something to ask of an encoder. Asked of a baseline, it is the same question."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.evaluation.baselines import Encode
from firstsight.evaluation.sampling_error import standard_error


@dataclass(frozen=True)
class Scores:
    """How well one method answers."""

    figures: Mapping[str, float | None]  # 0 to 1, by the question's columns; None: not to be asked of this footage
    per_query: NDArray[np.float64]  # (Q,), whose mean is the first figure
    blocks: NDArray[np.int64]  # (Q,), queries of one block are alike, as neighbouring frames are

    @property
    def standard_error(self) -> float:
        """Of the first figure."""
        return standard_error(self.per_query, self.blocks)


@dataclass(frozen=True)
class Question:
    """What is asked, and how an answer is scored."""

    asks: str  # in words
    columns: Mapping[str, str]  # name of a figure: what it means. Methods are compared by the first.
    score: Callable[[Encode, NDArray[np.uint8]], Scores]  # of a method, and the sample's frames as it sees them
    notes: tuple[str, ...] = ()  # what a person should know, a line each
