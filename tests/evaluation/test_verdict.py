"""What an encoder is good for, in words with their evidence."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from firstsight.evaluation.evaluate import Use, _learned_from, _more_clips, against_baselines
from firstsight.evaluation.metrics import Scores
from firstsight.evaluation.sample import Sample
from firstsight.footage.source import open_source

NAMES = {
    "model": "this encoder",
    "random": "random filters",
    "thumbnail": "16x16 thumbnail",
    "hash": "perceptual hash",
}


def scores(**shares: float) -> dict[str, Scores]:
    """400 independent queries each, of which that share is answered rightly, the same ones first."""
    found = {}
    for name, share in shares.items():
        right = (np.arange(400) < 400 * share).astype(float)
        found[NAMES[name]] = Scores({"R@1": share}, right, np.arange(400))
    return found


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (
            {"model": 0.8, "random": 0.7, "thumbnail": 0.59, "hash": 0.2},
            (
                "R@1 80.0 ± 2.0 %; better than 16x16 thumbnail, the best without learning, by 21.0 ± 2.0 points; "
                "learning adds 10.0 ± 1.5 points to random filters"
            ),
        ),
        (
            {"model": 0.5, "random": 0.505, "thumbnail": 0.2, "hash": 0.495},
            (
                "R@1 50.0 ± 2.5 %; no clear difference from perceptual hash (+0.5 ± 0.4 points), either will do; "
                "no clear difference from random filters (-0.5 ± 0.4 points), learning may not have helped"
            ),
        ),
        (
            {"model": 0.5, "random": 0.6, "thumbnail": 0.9, "hash": 0.2},
            (
                "R@1 50.0 ± 2.5 %; not better: 16x16 thumbnail is ahead by 40.0 ± 2.5 points; "
                "random filters are ahead by 10.0 ± 1.5 points"
            ),
        ),
    ],
)
def test_in_words(shares: dict, words: str) -> None:
    assert against_baselines(scores(**shares)) == words


def test_queries_that_all_are_one_block_prove_nothing() -> None:
    found = {
        name: Scores(one.figures, one.per_query, np.zeros(400, np.int64))
        for name, one in scores(model=0.9, random=0.5, thumbnail=0.1).items()
    }
    assert against_baselines(found).startswith(
        "R@1 90.0 %; no clear difference from 16x16 thumbnail (+80.0 points), either will do"
    )


def clips(found: dict[str, Scores], *, learned: tuple[bool, bool] | None, verdict: str = "", num_files: int = 4) -> str:
    """Of 400 frames; whether half of the files were learned from, and the others."""
    frames = np.zeros((400, 1, 1, 3), np.uint8)
    sample = Sample(
        inputs=frames,
        full_frames=frames,
        seconds=np.arange(400.0),
        sources=np.arange(400) * num_files // 400,
        names=tuple(f"{number}.mp4" for number in range(num_files)),
        labels=(),
        of_pictures=False,
        num_read=400,
        num_unlabelled=0,
    )
    spread = np.linspace(0, 399, 300).round().astype(int)  # of which so many are asked about
    asked = {name: Scores(one.figures, one.per_query[spread], np.arange(300)) for name, one in found.items()}
    known = None if learned is None else dict(zip(sample.names, np.repeat(learned, num_files // 2), strict=True))
    return _more_clips(Use("find again", verdict, None, asked), sample, known)


@pytest.mark.parametrize(
    ("shares", "learned", "words"),
    [
        ({"model": 0.9, "random": 0.5, "thumbnail": 0.2}, None, "cannot be judged: it is not known which files"),
        ({"model": 0.9, "random": 0.5, "thumbnail": 0.2}, (True, True), "cannot be judged: it learned from all of"),
        (
            {"model": 0.5, "random": 0.4, "thumbnail": 0.7},
            (True, True),
            "yes: even of what it learned from .* than 16x16",
        ),
        ({"model": 0.9, "random": 0.5, "thumbnail": 0.2}, (False, False), "no need seen: .* ahead of random filters"),
        (
            {"model": 0.5, "random": 0.8, "thumbnail": 0.2},
            (False, False),
            r"yes: .* behind random filters \(-30.*learn f",
        ),
        ({"model": 0.5, "random": 0.5, "thumbnail": 0.2}, (False, False), "yes: .* no better than random filters"),
        # The first half is answered rightly, the second is not.
        ({"model": 0.5, "random": 0.1, "thumbnail": 0}, (True, False), r"yes: its lead over 16x16 thumbnail is \+100"),
        (
            {"model": 0.5, "random": 0.1, "thumbnail": 0},
            (False, True),
            r"no need seen: .* \+0.0 points .* \+100.0 points",
        ),
        ({"model": 1, "random": 0.1, "thumbnail": 0}, (True, False), "no need seen: .* no clear difference"),
    ],
)
def test_when_to_learn_from_more(shares: dict, learned: tuple[bool, bool] | None, words: str) -> None:
    assert re.match(words, clips(scores(**shares), learned=learned)), clips(scores(**shares), learned=learned)


def test_two_files_that_differ_are_no_reason_to_learn_from_more() -> None:
    """Any two do, whatever the number of frames of each; if all of several do, there is one."""
    found = scores(model=0.5, random=0.1, thumbnail=0)
    words = r"cannot be judged: one video does not say how much videos differ: its lead over .* \+100.* \+0.0 "
    assert re.match(words, clips(found, learned=(True, False), num_files=2))
    assert clips(found, learned=(True, False), num_files=6).startswith("yes: its lead")


def test_a_still_camera_gives_no_plain_yes() -> None:
    found = scores(model=0.5, random=0.4, thumbnail=0.7)
    assert clips(found, learned=(True, True), verdict="says little of a camera").startswith("perhaps: even of what")


def test_where_frames_are_not_found_again_nothing_is_said_on_more_clips() -> None:
    unjudged = Use("find again", "cannot be judged: the frames are all alike")
    assert not unjudged.is_judged
    assert _more_clips(unjudged, SimpleNamespace(), {}) == unjudged.verdict


def test_what_it_learned_from_is_known_by_path_folder_or_pattern(bikes: Path, tmp_path: Path) -> None:
    for name in ("a/1.mp4", "a/2.mp4", "b/1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bikes.read_bytes())
    footage = open_source([tmp_path / "a", tmp_path / "b"])

    def known(*parts: list[str]) -> list[bool] | None:
        first, *more = ({"paths": [str(tmp_path / path) for path in paths]} for paths in parts)
        record = SimpleNamespace(provenance={"footage": first, "extended_by": more})
        found = _learned_from(record, footage)
        return found and list(found.values())

    assert known(["a/2.mp4"]) == [False, True, False]
    assert known(["a"]) == [True, True, False]
    assert known(["*/1.mp4"]) == [True, False, True]
    assert known(["**/2.mp4"]) == [False, True, False]
    assert known(["b*"]) == [False, False, True]
    assert known(["a/2.mp4"], ["b"]) == [False, True, True]
    assert known([]) is None
    assert _learned_from(SimpleNamespace(provenance={}), footage) is None
    assert _learned_from(SimpleNamespace(provenance={}), open_source(np.zeros((5, 24, 24, 3), np.uint8))) is None
