"""Augmentation keeps shape and range, and follows the seed."""

import numpy as np

from firstsight.closed_form.pairs import augmented
from firstsight.device import generator


def test_augmented_pictures_stay_pictures() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), dtype=np.uint8)
    views = augmented(frames, generator=generator(0))
    assert views.shape == frames.shape
    assert views.dtype == np.uint8
    assert 2 < np.abs(views.astype(int) - frames).mean() < 80
