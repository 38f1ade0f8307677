"""Copies of pictures: found however they were altered, and no others."""

import numpy as np
import pytest
from PIL import Image

from firstsight.retrieval.copies.pictures import picture_copies
from firstsight.retrieval.copies.signature import MIDDLE, Bars, Track, cells, signatures
from firstsight.retrieval.store.records import SourceRecord

NUM = 60


def picture(seed: int) -> np.ndarray:
    """Coarse and fine places of all tones, as in a photograph. uint8 (90, 120, 3)."""
    random = np.random.default_rng(seed)
    parts = [
        np.asarray(Image.fromarray(random.integers(0, 256, (rows, rows, 3), dtype=np.uint8)).resize((120, 90)), float)
        for rows in (3, 5, 9, 16)
    ]
    return (sum(part / (number + 1) for number, part in enumerate(parts)) / 2.09).clip(0, 255).astype(np.uint8)


def track(name: str, pixels: np.ndarray) -> Track:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    both = signatures(np.stack([cells(image, Bars()), cells(image, Bars(), part=MIDDLE)]))
    record = SourceRecord(1, name, "/nowhere", name, 1, 1, None, None, 1)
    return Track(record, np.zeros(1, np.int64), np.zeros(1), both[None].astype(np.float16), Bars(), 10.0)


def with_logo(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[6:16, 100:110] = 255
    return pixels


ALTERED = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "cropped": lambda pixels: pixels[5:-5, 7:-7],
    "half": lambda pixels: pixels[::2, ::2],
    "darker": lambda pixels: (pixels * 0.6).astype(np.uint8),
    "grey": lambda pixels: pixels.mean(axis=-1, keepdims=True).astype(np.uint8).repeat(3, axis=-1),
    "logo": with_logo,
}


@pytest.fixture(scope="module")
def found() -> dict:
    tracks = [track(f"{seed}", picture(seed)) for seed in range(NUM)]
    tracks += [track(f"0 {name}", alter(picture(0))) for name, alter in ALTERED.items()]
    return {(one.first, one.second): one for one in picture_copies(tracks)}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_picture_is_a_copy(found: dict, name: str) -> None:
    pair = found["0", f"0 {name}"]
    assert pair.is_copy
    assert pair.mirrored == (name == "mirrored")
    assert pair.expected_by_chance <= 0.05
    if name == "cropped":
        assert pair.cropped == "0 cropped"


def test_no_other_picture_is(found: dict) -> None:
    assert all(first[0] == second[0] == "0" for first, second in found)


def test_of_a_few_pictures_it_cannot_be_told() -> None:
    assert picture_copies([track("one", picture(1)), track("same", picture(1))]) == ()
