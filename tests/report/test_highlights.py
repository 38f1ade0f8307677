"""What a stream of comparisons shows of itself, against all of it at once."""

import numpy as np
import pytest

from firstsight.comparison.compare import Comparison
from firstsight.footage.frames import Frame
from firstsight.report.comparison import Highlights


def frame(number: int) -> Frame:
    return Frame((np.zeros((1, 1, 3), np.uint8),), number / 25, number, "clip", (1, 1))


def compared(similarities: list[float | None]) -> Highlights:
    highlights, anchor = Highlights(), frame(0)
    for number, value in enumerate(similarities, start=1):
        highlights.add(Comparison(frame(number), anchor, value, np.empty(0, np.intp)))
    return highlights


@pytest.mark.parametrize("num", [1, 2, 31, 32, 33, 64, 65, 1000])
@pytest.mark.parametrize("unknown", [0, 1, 5])
def test_the_first_of_each_list_are_those_of_all_and_lists_are_in_order(num: int, unknown: int) -> None:
    values = np.random.default_rng(num).uniform(-1, 1, num).tolist()
    highlights = compared([*[None] * unknown, *values])
    most, least = (
        [one.similarity for one in found] for found in (highlights.most_similar(6), highlights.least_similar(6))
    )
    assert (most[0], least[0]) == (max(values), min(values))
    assert (most, least) == (sorted(most, reverse=True), sorted(least))
    assert highlights.mean.value == pytest.approx(np.mean(values))
    assert highlights.anchors[0].mean.value == pytest.approx(np.mean(values))
    assert highlights.num_compared == num + unknown


def test_what_has_no_similarity_is_neither_the_most_nor_the_least_similar() -> None:
    highlights = compared([None, None])
    assert (highlights.most_similar(3), highlights.least_similar(3), highlights.mean.value) == ([], [], None)
    assert (highlights.num_compared, highlights.num_anchors) == (2, 1)
