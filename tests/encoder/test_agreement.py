"""Where two frames agree."""

import numpy as np
import pytest
from numpy.typing import NDArray

import firstsight
from firstsight.article.model import untrained
from firstsight.encoder.encoder import Agreement, Encoder
from firstsight.errors import PixelsError, SettingsError

BLACK = np.zeros((48, 64, 3), np.uint8)


def pictures(num: int = 20) -> NDArray[np.uint8]:
    """Coarse noise, uint8 (num, 48, 64, 3): a picture has nothing in common with another."""
    coarse = np.random.default_rng(0).integers(0, 256, (num, 12, 16, 3), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return firstsight.learn(pictures(), method="random", seed=0)


def checked(found: Agreement) -> Agreement:
    """What holds of every agreement."""
    for support, shows in ((found.first, found.first_shows), (found.second, found.second_shows)):
        assert support.dtype == np.float32
        assert np.isfinite(support).all()
        assert ((support >= 0) & (support <= 1)).all()
        assert (shows | (support == 0)).all()
    total = sum(match.support for match in found.matches)
    assert found.first.sum() == pytest.approx(total, abs=1e-3)
    assert found.second.sum() == pytest.approx(total, abs=1e-3)
    assert 0 <= found.share <= 1
    supports = [match.support for match in found.matches]
    assert supports == sorted(supports, reverse=True)
    return found


def test_a_frame_agrees_with_itself_everywhere_and_with_another_nowhere(encoder: Encoder) -> None:
    first, second = pictures()[:2]
    itself, other = checked(encoder.agreement(first, first)), checked(encoder.agreement(first, second))
    assert itself.share == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(itself.first, 1, atol=1e-3)
    assert all(match.first == match.second for match in itself.matches)
    assert itself.in_words == "100 % agrees"
    assert other.share < 0.05


def test_what_has_moved_is_matched_where_it_is_now(encoder: Encoder) -> None:
    picture = pictures()[0]
    found = checked(encoder.agreement(picture, np.roll(picture, 16, axis=1)))
    rows, columns = found.first.shape
    moves = [match.second[1] - match.first[1] for match in found.matches[: rows * columns // 3]]
    assert np.median(moves) == round(16 * columns / 64)


def test_where_a_part_was_exchanged_nothing_agrees(encoder: Encoder) -> None:
    first, second = pictures()[:2]
    mixed = first.copy()
    mixed[:, 32:] = second[:, 32:]
    found = checked(encoder.agreement(first, mixed))
    columns = found.first.shape[1]
    assert found.first[:, : columns // 4].mean() > 10 * found.first[:, -(columns // 4) :].mean()
    back = checked(encoder.agreement(mixed, first))
    np.testing.assert_allclose(back.second, found.first, atol=1e-3)


@pytest.mark.parametrize("other", [BLACK, np.full_like(BLACK, 255), BLACK + np.uint8(3), pictures()[0]])
def test_in_a_black_frame_there_is_nothing_to_match(encoder: Encoder, other: NDArray[np.uint8]) -> None:
    for found in (encoder.agreement(BLACK, other), encoder.agreement(other, BLACK)):
        assert checked(found).is_empty
        assert (found.share, found.matches) == (0, ())
        assert not found.first.any()
        assert found.in_words == "nothing to match"


def test_black_bars_are_no_agreement(encoder: Encoder) -> None:
    first, second = pictures()[:2]
    for one in (first, second):
        one[:12] = one[-12:] = 0
    found = checked(encoder.agreement(first, first))
    assert not found.first_shows[0].any()
    assert found.share == pytest.approx(1, abs=1e-3)
    assert checked(encoder.agreement(first, second)).first[0].max() == 0


def test_grey_pictures_other_sizes_and_the_smallest(encoder: Encoder) -> None:
    large = pictures()[0].repeat(5, axis=0).repeat(5, axis=1)
    assert checked(encoder.agreement(large, pictures()[0])).share > 0.3
    grey = pictures()[..., 0]
    one = firstsight.learn(grey[:6], method="random", seed=0)
    assert checked(one.agreement(grey[0], grey[0])).share == pytest.approx(1, abs=1e-3)
    small = firstsight.learn(pictures(6)[:, :24, :24], method="random", seed=0)
    assert checked(small.agreement(pictures()[0, :24, :24], pictures()[1, :24, :24])).first.size >= 1


def test_frames_that_are_known_are_not_embedded_again(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = frames = encoder.view.apply(pictures()[:2])
    expected = encoder.compared(frames)
    np.testing.assert_allclose(encoder.compared_and_known(frames), expected, rtol=1e-4, atol=1e-4)
    cosines = encoder.similarities(frames, frames)
    monkeypatch.setattr(encoder, "describe", None)
    assert encoder.agreement(first, second).share < 0.05
    np.testing.assert_array_equal(encoder.similarities(frames, frames), cosines)


def test_an_encoder_without_a_second_stage_says_so(encoder: Encoder) -> None:
    with pytest.raises(SettingsError, match="learn it again"):
        untrained(seed=0).agreement(BLACK, BLACK)
    with pytest.raises(PixelsError, match="valid is a uint8 array"):
        encoder.agreement(pictures()[:2], BLACK)
