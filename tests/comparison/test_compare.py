"""The stream against a slow, obvious version of the article's demonstration."""

import numpy as np
import pytest

import firstsight
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.comparison.compare import (
    AtSeconds,
    BelowSimilarity,
    CompareSettings,
    Comparisons,
    EveryNFrames,
    FromPicture,
    compare,
)
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.errors import SettingsError, SourceError
from firstsight.searching.regions import Box


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    levels = article_levels(num_levels=2, maps=4, hidden_maps=8)
    return Encoder(ArticleModel(CentralSquare(48, 32), Network(levels, input_size=32, seed=0)))


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def slow_compare(features: np.ndarray, settings: CompareSettings, renew: object) -> list[tuple[int, int, float | None]]:
    """(frame, anchor, similarity) with every standard deviation computed from all embeddings."""
    anchor, remembered, compared, result = None, [], 0, []
    for index, vector in enumerate(features.astype(np.float64)):
        if anchor is None:
            anchor, compared = index, 0
            continue
        remembered.append(vector)
        over = np.array(remembered[-(settings.over_last or len(remembered)) :])
        chosen = np.arange(len(vector))
        if len(remembered) > 1 and settings.num_dimensions != 0:
            chosen = np.argsort(-over.std(axis=0), kind="stable")[: settings.num_dimensions or 64]
        mean = over.mean(axis=0) if settings.centred else np.zeros_like(vector)
        if settings.centred and len(remembered) == 1:
            similarity = None
        else:
            similarity = cosine((features[anchor] - mean)[chosen], (vector - mean)[chosen])
        compared += 1
        result.append((index, anchor, similarity))
        if renew(compared, similarity):
            anchor = None
    return result


@pytest.mark.parametrize(
    "extra", [{}, {"num_dimensions": 0}, {"over_last": 16}, {"centred": True}, {"level": 1}, {"batch_size": 1}]
)
@pytest.mark.parametrize(
    ("anchor", "renew"),
    [
        (EveryNFrames(30), lambda compared, _: compared >= 30),
        (BelowSimilarity(0.97), lambda _, similarity: similarity is not None and similarity < 0.97),
    ],
)
def test_equals_the_slow_version(
    encoder: Encoder, moving_square: np.ndarray, extra: dict, anchor: object, renew: object
) -> None:
    frames = moving_square[:100]
    settings = CompareSettings(anchor=anchor, **extra)
    features = encoder.features(frames, level=settings.level).reshape(100, -1)
    expected = slow_compare(features, settings, renew)
    found = list(Comparisons(encoder, firstsight.open_source(frames), settings, ()))
    assert [(one.frame.index, one.anchor.index) for one in found] == [row[:2] for row in expected]
    assert [one.similarity for one in found] == [
        value if value is None else pytest.approx(value, abs=1e-5) for _, _, value in expected
    ]


def test_the_articles_anchor_takes_a_frame_of_its_own(encoder: Encoder, moving_square: np.ndarray) -> None:
    found = list(compare(encoder, moving_square[:70], anchor=EveryNFrames(30)))
    assert [one.frame.index for one in found] == [*range(1, 31), *range(32, 62), *range(63, 70)]
    assert sorted({one.anchor.index for one in found}) == [0, 31, 62]


def test_an_anchor_at_a_time_is_compared_with_every_frame(encoder: Encoder, moving_square: np.ndarray) -> None:
    found = list(compare(encoder, moving_square[:50], anchor=AtSeconds(19.6)))
    assert len(found) == 50
    assert {one.anchor.index for one in found} == {20}
    assert found[20].similarity == pytest.approx(1)


def test_a_picture_as_anchor(encoder: Encoder, moving_square: np.ndarray) -> None:
    found = list(compare(encoder, moving_square[:50], anchor=FromPicture(moving_square[7])))
    assert len(found) == 50
    assert int(np.argmax([one.similarity for one in found])) == 7


def test_until_two_frames_are_remembered_all_dimensions_count(encoder: Encoder, moving_square: np.ndarray) -> None:
    found = list(compare(encoder, moving_square[:5]))
    assert [len(one.dimensions) for one in found] == [encoder.dim, 64, 64, 64]


def test_still_footage_is_similar_to_itself(encoder: Encoder, moving_square: np.ndarray) -> None:
    still = np.repeat(moving_square[:1], 20, axis=0)
    # One frame at a time: the position in a batch can change the last bit of a feature, and then nothing is equal.
    found = list(compare(encoder, still, batch_size=1))
    assert [one.similarity for one in found] == [pytest.approx(1)] * 19
    assert found[-1].dimensions.tolist() == list(range(64))  # all deviations are zero: the lowest


@pytest.mark.parametrize(("frames", "anchor"), [(1, EveryNFrames()), (10, AtSeconds(100))])
def test_nothing_to_compare(encoder: Encoder, moving_square: np.ndarray, frames: int, anchor: object) -> None:
    with pytest.raises(SourceError):
        list(compare(encoder, moving_square[:frames], anchor=anchor))


@pytest.mark.parametrize(
    "make",
    [
        lambda: EveryNFrames(0),
        lambda: EveryNFrames(float("nan")),
        lambda: EveryNFrames(2.5),
        lambda: CompareSettings(anchor=5),
        lambda: CompareSettings(anchor=0),
        lambda: CompareSettings(over_last=0),
        lambda: CompareSettings(over_last=-1),
        lambda: CompareSettings(num_dimensions=2.5),
        lambda: BelowSimilarity(1.1),
        lambda: AtSeconds(-1),
        lambda: CompareSettings(num_dimensions=-1),
        lambda: CompareSettings(over_last=1),
        lambda: CompareSettings(batch_size=0),
    ],
)
def test_settings(make: object) -> None:
    with pytest.raises(SettingsError, match="valid"):
        make()


@pytest.mark.parametrize("anchor", [5, 0, "", (), EveryNFrames])
def test_what_is_no_anchor_is_refused_when_it_is_given(
    encoder: Encoder, moving_square: np.ndarray, anchor: object
) -> None:
    with pytest.raises((SettingsError, SourceError), match="valid are"):
        compare(encoder, moving_square, anchor=anchor)


def test_what_changes_nothing_is_refused(encoder: Encoder, moving_square: np.ndarray) -> None:
    num = encoder.num_compared(None)
    assert num == encoder.compared(moving_square[:1]).shape[1]
    settings = CompareSettings(num_dimensions=num, over_last=5)
    assert settings.dimensions_for(encoder) is None
    with pytest.raises(SettingsError, match=f"all {num} dimensions are compared"):
        compare(encoder, moving_square, num_dimensions=num, over_last=5)
    compare(encoder, moving_square, num_dimensions=num - 1, over_last=5)
    compare(encoder, moving_square, num_dimensions=0, over_last=5, centred=True)


def test_a_setting_is_refused_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match=r"^over the last 0 embeddings; valid is an integer from 2$"):
        CompareSettings(over_last=0)


def test_a_box_is_itself_at_its_own_time_and_is_followed(moving_square: np.ndarray) -> None:
    encoder = firstsight.learn(moving_square[::20], method="random")
    box = Box(10, 8, 20, 20)
    found = list(compare(encoder, moving_square[:8], anchor=AtSeconds(0.08), box=box))
    assert len(found) == 8
    own = found[found[0].anchor.index]
    assert own.similarity == pytest.approx(1, abs=1e-5)
    assert own.box == own.anchor_box == box
    assert all(one.similarity < 1 - 1e-4 for one in found if one is not own)
    for one in found:
        one.box.check_inside((64, 48))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"anchor": EveryNFrames(5)}, "anchor that changes"),
        ({"anchor": AtSeconds(0), "centred": True}, "leave those out"),
        ({"anchor": AtSeconds(0), "num_dimensions": 0}, "leave those out"),
    ],
)
def test_a_box_goes_with_one_fixed_anchor_alone(settings: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        CompareSettings(box=Box(0, 0, 5, 5), **settings)
