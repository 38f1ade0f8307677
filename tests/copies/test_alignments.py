"""Alignments of matching passages, made up."""

import numpy as np

from firstsight.copies.alignments import find_alignments
from firstsight.copies.passages import Matches
from firstsight.searching.calibration import Background


def test_a_source_that_is_as_like_itself_as_the_other_is_no_copy_and_no_failure() -> None:
    num, none = 20, np.empty(0, np.float32)
    matches = Matches(
        sources=np.array([[0, 1]] * num),
        ticks=np.column_stack([np.arange(num), np.arange(num)]),
        similarity=np.full(num, 0.95, np.float32),
        mirrored=np.zeros(num, np.bool_),
        shows_more=np.zeros(num, np.int64),
    )
    background = Background(none, np.linspace(0.1, 0.6, 100, dtype=np.float32), 2)
    repeats = Background(none, np.linspace(0.96, 0.99, 50, dtype=np.float32), 1)
    sizes = np.array([40, 40])
    assert find_alignments(matches, background, [None, None], num_passages=100, num_ticks=sizes)
    assert not find_alignments(matches, background, [repeats, None], num_passages=100, num_ticks=sizes)
