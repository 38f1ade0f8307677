import numpy as np
import pytest
from PIL import Image

from firstsight.encoder.model import CentralSquare
from firstsight.errors import PixelsError, SettingsError
from firstsight.pixels import Crop


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (780, 360, 360)),
        ((640, 272), (184, 0, 272)),  # smaller than the crop: the largest centred square
        ((300, 500), (0, 100, 300)),
        ((361, 361), (0, 0, 360)),  # half a pixel is rounded to even, as torchvision does
        ((363, 363), (2, 2, 360)),
        ((28, 28), (0, 0, 28)),
    ],
)
def test_the_centred_square(size: tuple[int, int], expected: tuple[int, int, int]) -> None:
    crop = CentralSquare().crop(*size)
    assert (crop.x, crop.y, crop.width) == expected
    assert crop.width == crop.height
    assert (crop.out_width, crop.out_height) == (224, 224)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "the square in the middle, 360x360 at most, at 224x224, colour"),
        ((1920, 1080), "the square in the middle, 360x360, at 224x224, colour"),
        ((640, 272), "the square in the middle, 272x272, at 224x224, colour"),
    ],
)
def test_words_for_the_square_are_of_the_frame(size: tuple[int, int] | None, words: str) -> None:
    assert CentralSquare().describe(size) == words


def test_share_of_the_picture() -> None:
    assert CentralSquare().crop(1920, 1080).share_of(1920, 1080) == pytest.approx(0.0625)


def test_equals_pillows_antialiased_bilinear() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 400, 500, 3), dtype=np.uint8)
    ours = CentralSquare().apply(pixels)
    assert ours.shape == (2, 224, 224, 3)
    for picture, mine in zip(pixels, ours, strict=True):
        cut = Image.fromarray(picture).crop((70, 20, 430, 380)).resize((224, 224), Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(cut).astype(int) - mine).max() <= 1


def test_inputs_come_back_unchanged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    np.testing.assert_array_equal(CentralSquare().apply(pixels), pixels)


def test_grey() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    grey = CentralSquare(channels=1).apply(colour)
    assert grey.shape == (1, 224, 224, 1)
    expected = np.asarray(Image.fromarray(colour[0]).convert("L")).astype(int)
    assert np.abs(grey[0, ..., 0] - expected).max() <= 1


def test_too_small() -> None:
    with pytest.raises(PixelsError, match=r"20x20 are too small.*at least 23"):
        CentralSquare().crop(20, 20)


@pytest.mark.parametrize("settings", [{"crop_size": 0}, {"input_size": -1}, {"channels": 2}])
def test_settings(settings: dict) -> None:
    with pytest.raises(SettingsError):
        CentralSquare(**settings)


@pytest.mark.parametrize("values", [(-1, 0, 4, 4, 2, 2), (0, 0, 0, 4, 2, 2), (0, 0, 4, 4, 0, 2)])
def test_an_empty_crop(values: tuple) -> None:
    with pytest.raises(PixelsError):
        Crop(*values)
