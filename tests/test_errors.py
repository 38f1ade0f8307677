"""Checks of one value, and where they are made: seeds and counts that are given to anything public."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import firstsight
from firstsight.article.model import untrained
from firstsight.device import generator
from firstsight.errors import MAX_SEED, SettingsError, check_count, check_seed
from firstsight.evaluation.evaluate import evaluate
from firstsight.exploration.layout import lay_out


@pytest.mark.parametrize("value", [True, 1.5, 2.0, None, "a", np.float32(3), np.True_, -1, MAX_SEED + 1, 10**20])
def test_what_is_no_seed_is_refused_with_the_range(value: object) -> None:
    with pytest.raises(SettingsError, match=f"seed .*; valid is an integer from 0 to {MAX_SEED}"):
        check_seed(value)


@pytest.mark.parametrize("value", [0, 3, np.int64(3), np.uint8(3), MAX_SEED])
def test_a_seed_becomes_an_int(value: int) -> None:
    assert check_seed(value) == value
    assert type(check_seed(value)) is int


def test_a_range_may_have_no_end() -> None:
    assert check_count("{} moments", 10**30) == 10**30
    with pytest.raises(SettingsError, match=r"^0 moments; valid is an integer from 1$"):
        check_count("{} moments", np.int64(0))


_VECTORS = np.eye(5, dtype=np.float32)


@pytest.mark.parametrize("seed", [True, 1.5, "a", -1, 2**32, 2**70])
@pytest.mark.parametrize(
    "take",
    [
        lambda seed: firstsight.learn(np.zeros((30, 8, 8), np.uint8), seed=seed),
        lambda seed: evaluate(untrained(), "nothing.mp4", seed=seed),
        lambda seed: firstsight.Library.create("nowhere", "nothing.mp4", seed=seed),
        lambda seed: untrained(seed=seed),
        lambda seed: lay_out(_VECTORS, seed=seed),
    ],
    ids=["learn", "evaluate", "create", "untrained", "lay_out"],
)
def test_whatever_takes_a_seed_checks_it_first(
    take: Callable[[object], object], seed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"seed .* valid is an integer from 0"):
        take(seed)
    assert not list(tmp_path.iterdir())


def test_an_integer_of_numpy_is_the_same_seed_and_is_recorded(moving_square: np.ndarray) -> None:
    plain, given = (firstsight.learn(moving_square[:4], method="random", seed=seed) for seed in (3, np.int64(3)))
    assert (given.provenance["seed"], type(given.provenance["seed"])) == (3, int)
    assert given.fingerprint == plain.fingerprint


def test_seeds_of_older_runs_are_still_taken() -> None:
    assert generator(-1).initial_seed() == generator(2**64 - 1).initial_seed()
    with pytest.raises(SettingsError, match="seed"):
        generator(2**64)
