"""Copies of pictures: found however they were altered, and no others."""

from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder
from PIL import Image

from firstsight.copies.duplicates import Duplicates, find_duplicates
from firstsight.indexing.index_files import add
from firstsight.library.store import Store

NUM = 60


def picture(seed: int) -> np.ndarray:
    """Coarse and fine areas of all tones, as in a photograph. uint8 (90, 120, 3)."""
    random = np.random.default_rng(seed)
    parts = [
        np.asarray(Image.fromarray(random.integers(0, 256, (rows, rows, 3), dtype=np.uint8)).resize((120, 90)), float)
        for rows in (3, 5, 9, 16)
    ]
    return (sum(part / (number + 1) for number, part in enumerate(parts)) / 2.09).clip(0, 255).astype(np.uint8)


def duplicates_of(pictures: dict[str, np.ndarray], folder: Path) -> Duplicates:
    (folder / "pictures").mkdir()
    for name, pixels in pictures.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / "pictures" / f"{name}.jpg", quality=80)
    with Store.create(folder / "library", small_encoder()) as library:
        add(library, [folder / "pictures"])
        return find_duplicates(library)


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
def duplicates(tmp_path_factory: pytest.TempPathFactory) -> Duplicates:
    pictures = {f"{seed}": picture(seed) for seed in range(NUM)}
    pictures |= {f"0 {name}": alter(picture(0)) for name, alter in ALTERED.items()}
    pictures |= {f"{seed} flipped": picture(seed)[:, ::-1] for seed in range(1, 16)}
    pictures |= {"black": np.zeros((90, 120, 3), np.uint8), "blacker": np.zeros((90, 122, 3), np.uint8)}
    return duplicates_of(pictures, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def found(duplicates: Duplicates) -> dict:
    return {frozenset((one.first, one.second)): one for one in duplicates.shared if one.is_copy}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_picture_is_a_copy(found: dict, name: str) -> None:
    pair = found[frozenset(("0.jpg", f"0 {name}.jpg"))]
    assert pair.mirrored == (name == "mirrored")
    assert pair.expected_by_chance <= 0.05
    assert pair.cropped == ("0 cropped.jpg" if name == "cropped" else None)


@pytest.mark.parametrize("seed", range(1, 16))
def test_each_mirrored_picture_is_found(found: dict, seed: int) -> None:
    assert found[frozenset((f"{seed}.jpg", f"{seed} flipped.jpg"))].mirrored


def test_no_other_picture_is(found: dict) -> None:
    for pair in found:
        first, second = (name.removesuffix(".jpg").split()[0] for name in pair)
        assert first == second


def test_blank_pictures_are_reported_and_are_no_copies(duplicates: Duplicates) -> None:
    assert duplicates.blank == ("black.jpg", "blacker.jpg")
    assert not any("black" in one.first for one in duplicates.shared)


def test_a_few_pictures_are_not_compared_and_that_is_reported(tmp_path: Path) -> None:
    found = duplicates_of({"one": picture(1), "same": picture(1)[1:]}, tmp_path)
    assert (found.shared, found.too_few_pictures) == ((), 2)
