"""By a memory of what is normal, light that changes is nothing new, and what comes in the new light is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firstsight.encoder.encoder import Encoder
from firstsight.footage.encoding import VideoWriter
from firstsight.learning.learn import learn
from firstsight.monitoring.novelty import detect_novelty
from firstsight.normality.learning import learn_memory
from firstsight.normality.memory import Memory

_RANDOM = np.random.default_rng(0)
GROUND = np.repeat(np.repeat(_RANDOM.integers(60, 160, (20, 30, 3), np.uint8), 8, 0), 8, 1)
THING = np.repeat(np.repeat(_RANDOM.integers(0, 160, (5, 5, 3), np.uint8), 8, 0), 8, 1)
CHANGES_AT, COMES_AT, END = 4.0, 12.0, 15.0


def write(path: Path, light: Callable[[float], np.ndarray | float], seconds: float, *, comes: bool = True) -> Path:
    """240x160 at 12.5 frames a second, with the noise of a sensor; at the end a thing may cross."""
    noise = np.random.default_rng(1)
    with VideoWriter(path, size=(240, 160)) as writer:
        for index in range(round(seconds * 12.5)):
            at, picture = index / 12.5, GROUND.astype(float)
            if comes and at >= COMES_AT:
                x = int(60 * (at - COMES_AT))
                picture[60:100, x : x + 40] = THING
            picture = picture * light(at) + noise.normal(0, 1.5, GROUND.shape[:2])[..., None]
            writer.write(np.clip(picture, 0, 255).astype(np.uint8), seconds=at)
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, Memory]:
    clip = write(tmp_path_factory.mktemp("normal") / "normal.mp4", lambda _: 1.0, 24.0, comes=False)
    encoder = learn(clip, method="random", every=5, seed=0)
    memory = learn_memory(clip, encoder=encoder)
    assert memory is not None
    return encoder, memory


def lamp(at: float) -> np.ndarray | float:
    """Lights a third of the view."""
    rows, columns = np.mgrid[0:160, 0:240]
    return (
        1 + (at >= CHANGES_AT) * 0.7 * np.exp(-((columns / 240 - 0.3) ** 2 + (rows / 160 - 0.4) ** 2) / 0.15)[..., None]
    )


def infrared(at: float) -> np.ndarray:
    """Other weights of the colours."""
    return np.array([1.0, 1.0, 1.0]) if at < CHANGES_AT else np.array([0.6, 0.9, 1.4])


def clouds(at: float) -> np.ndarray | float:
    """Shadows that cross the view."""
    wave = np.sin(2 * np.pi * (np.linspace(0, 0.7, 240) - (at - CHANGES_AT) / 8))
    return 1 - 0.35 * (at >= CHANGES_AT) * np.clip(wave, 0, 1)[None, :, None]


@pytest.mark.parametrize("light", [clouds, lamp, infrared])
def test_light_is_nothing_new_and_what_comes_in_it_is(
    light: Callable[[float], np.ndarray | float], learned: tuple[Encoder, Memory], tmp_path: Path
) -> None:
    encoder, memory = learned
    found = detect_novelty(encoder, write(tmp_path / "a.mp4", light, END), memory=memory)
    assert [one for one in found.episodes if one.start_seconds < COMES_AT - 0.1] == []
    assert {one.part for one in found.episodes} & {"motion", "appearance"}
