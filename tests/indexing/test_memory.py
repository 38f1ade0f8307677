"""Comparing takes no more memory the longer it goes on, and neither does what is written about it."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from memory import megabytes, needs_proc

from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.comparison.compare import CompareSettings, Comparisons, EveryNFrames
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.footage.frames import Events, Frame, Reading, View
from firstsight.footage.source import Source, open_source
from firstsight.report.comparison import write_comparison

MANY_FRAMES = 3_000


@dataclass(frozen=True)
class Looped:
    """A clip over and over, until so many frames were given, as one recording."""

    clip: Source
    num: int
    name: str = "looped"
    replayable: bool = True

    def read(self, *views: View) -> Reading:
        return Reading(self._events(views))

    def size(self) -> tuple[int, int]:
        return self.clip.size()

    def num_frames(self) -> int:
        return self.num

    def split(self, share: float) -> tuple[Source, None]:
        return self, None

    def _events(self, views: tuple[View, ...]) -> Events:
        index = 0
        while True:
            for frame in self.clip.read(*views):
                if index == self.num:
                    return
                yield _at(frame, index)
                index += 1


def _at(frame: Frame, index: int) -> Frame:
    pictures = tuple(picture.copy() for picture in frame.pictures)  # each holds memory of its own, as decoded ones do
    return replace(frame, pictures=pictures, index=index, seconds=index / 25)


@pytest.fixture
def encoder() -> Encoder:
    levels = article_levels(num_levels=2, maps=4, hidden_maps=8)
    return Encoder(ArticleModel(CentralSquare(240, 32), Network(levels, input_size=32, seed=0)))


@pytest.fixture
def pictures() -> np.ndarray:
    """Of 320x240, 230 kB each."""
    return np.random.default_rng(0).integers(0, 256, (60, 240, 320, 3), np.uint8)


@needs_proc
@pytest.mark.parametrize("settings", [CompareSettings(), CompareSettings(over_last=64, anchor=EveryNFrames(5))])
def test_comparing_many_frames_takes_no_more_memory_than_a_few(
    encoder: Encoder, pictures: np.ndarray, settings: CompareSettings
) -> None:
    source = Looped(open_source(pictures), MANY_FRAMES)
    measured = list(_memory_while(Comparisons(encoder, source, settings, (encoder.view,)), every=300))
    assert len(measured) >= 7
    assert max(measured[1:]) - measured[0] < 30  # the frames' own pictures would be 690 MB


@needs_proc
def test_writing_it_all_down_takes_no_more_memory_either(encoder: Encoder, tmp_path: Path) -> None:
    small = np.random.default_rng(0).integers(0, 256, (60, 96, 128, 3), np.uint8)
    measured: list[float] = []
    source = Looped(open_source(small), MANY_FRAMES // 2)
    tiny = Encoder(ArticleModel(CentralSquare(96, 32), encoder.model.network))

    def note(comparison: object) -> None:
        measured.append(megabytes())

    write_comparison(tiny, source, CompareSettings(anchor=EveryNFrames(20)), tmp_path, progress=note)
    assert max(measured[300:]) - measured[300] < 30


def _memory_while(comparisons: object, *, every: int) -> Iterator[float]:
    """Memory after each so many, from the first such on; what only the garbage collector would free counts."""
    gc.collect()
    gc.disable()
    try:
        for number, _ in enumerate(comparisons, start=1):
            if number % every == 0 and number > every:
                yield megabytes()
    finally:
        gc.enable()
