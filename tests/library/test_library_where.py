"""Names, patterns and times that choose frames."""

import pytest

from firstsight.errors import LibraryError, SettingsError
from firstsight.library.selection import Where

NAMES = ("2026-01/gate.mp4", "2026-01/yard.mp4", "2026-02/gate.mp4", "odd [1].mp4")


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        ((), [0, 1, 2, 3]),
        (("2026-02/gate.mp4",), [2]),
        (("*/gate.mp4",), [0, 2]),
        (("*/gate.mp4", "2026-01/*"), [0, 1, 2]),
        (("odd [1].mp4",), [3]),
        (("*",), [0, 1, 2, 3]),
    ],
)
def test_sources_are_chosen_by_name_or_pattern(wanted: tuple[str, ...], positions: list[int]) -> None:
    assert Where(wanted).chosen(NAMES) == positions


@pytest.mark.parametrize(("names", "there"), [(NAMES, "2026-01/gate.mp4, 2026-01/yard.mp4, "), ((), "none yet")])
def test_one_that_fits_nothing_is_an_error_that_names_some(names: tuple[str, ...], there: str) -> None:
    with pytest.raises(LibraryError, match=f"'gate.mp4' or matches it; there are {there}"):
        Where(("gate.mp4",)).chosen(names)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (None, 0), (5, 5), (float("nan"), None), (None, float("inf"))])
def test_times_that_leave_nothing_are_refused(start: float | None, end: float | None) -> None:
    with pytest.raises(SettingsError, match=r"valid are|give a later end"):
        Where(start_seconds=start, end_seconds=end)


def test_only_one_that_leaves_something_out_counts() -> None:
    assert not Where()
    assert Where(("a",))
    assert Where(start_seconds=0.0)
