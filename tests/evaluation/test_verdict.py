import numpy as np
import pytest

from firstsight.evaluation.evaluate import MODEL, verdicts
from firstsight.evaluation.metrics import Scores


def scores(**shares: float) -> dict:
    """400 independent queries each, of which that share is answered rightly, the same ones first."""
    names = {"model": MODEL, "random": "random filters", "thumbnail": "16x16 thumbnail", "hash": "perceptual hash"}
    found = {}
    for name, share in shares.items():
        right = (np.arange(400) < 400 * share).astype(float)
        found[names[name]] = Scores({"R@1": share}, right, np.arange(400))
    return found


@pytest.mark.parametrize(
    ("shares", "simple", "random"),
    [
        (
            {"model": 0.8, "random": 0.7, "thumbnail": 0.59, "hash": 0.2},
            "better than the 16x16 thumbnail on your footage, by 21.0 points of 'R@1' (standard error 2.0)",
            "what it learned adds 10.0 points of 'R@1' (standard error 1.5) to random filters",
        ),
        (
            {"model": 0.5, "random": 0.505, "thumbnail": 0.2, "hash": 0.495},
            "no clear difference from the perceptual hash on your footage: +0.5 points of",
            "no clear difference from random filters: -0.5 points",
        ),
        (
            {"model": 0.5, "random": 0.6, "thumbnail": 0.9, "hash": 0.2},
            "not better: use the 16x16 thumbnail, which is ahead on your footage by 40.0 points",
            "random filters are ahead by 10.0 points",
        ),
        ({"model": 0, "random": 0, "thumbnail": 0, "hash": 0}, "no clear difference", "no clear difference"),
    ],
)
def test_in_words(shares: dict, simple: str, random: str) -> None:
    first, second = verdicts(scores(**shares))
    assert first.startswith(simple)
    assert second.startswith(random)


def test_queries_that_all_are_one_block_prove_nothing() -> None:
    found = {
        name: Scores(one.figures, one.per_query, np.zeros(400, np.int64))
        for name, one in scores(model=0.9, random=0.5, thumbnail=0.1).items()
    }
    line = verdicts(found)[0]
    assert line == "no clear difference from the 16x16 thumbnail on your footage: +80.0 points of 'R@1'; either will do"
