"""The pictures of docs/research.md: `python examples/agreement.py --data ../shared/data` writes
docs/pictures/agreement-*.jpg and prints how much of each pair agrees.

Two photographs of a place taken from two sides, two moments of a walk, two moments of a still camera; and of the first
two kinds a pair that has nothing in common. Each encoder learns from the footage that the pair is of.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import firstsight
from firstsight.report.drawing import agreement_picture

HEIGHT, SEAM = 180, 8  # pixels
PLACES = ((0, 0), (3, 3), (0, 7))  # query and reference; those of one number show the same place
WALK = ("ie_tower/b2_hallway_walkpath_c025.mp4", ((1.0, 2.5), (5.0, 6.0), (5.0, 9.0)))  # seconds
CAMERA = ("clips/one-by-one-person-detection.mp4", ((8.0, 12.0), (8.0, 20.0), (8.0, 25.0)))


def draw_row(encoder, first, second):
    """Two frames, and beside them where they agree."""
    agreement = encoder.agreement(first, second)
    print(f"  {100 * agreement.share:.0f} % agrees, {len(agreement.matches)} matches")
    pair = [
        np.asarray(Image.fromarray(one).resize((round(one.shape[1] * HEIGHT / len(one)), HEIGHT)))
        for one in (first, second)
    ]
    seam = np.full((HEIGHT, SEAM, 3), 255, np.uint8)
    return np.hstack([pair[0], seam, pair[1], seam, agreement_picture(*pair, agreement)])


def write_rows(out, encoder, pairs):
    """The picture of some pairs of frames, one below the other."""
    print(out.name)
    rows = [draw_row(encoder, *pair) for pair in pairs]
    seam = np.full((SEAM, rows[0].shape[1], 3), 255, np.uint8)
    picture = np.vstack([part for row in rows for part in (row, seam)][:-1])
    Image.fromarray(picture).save(out, quality=82, optimize=True)


def write_places(places, out):
    """Of photographs, `query` and `reference` uint8 (N, H, W, 3)."""
    encoder = firstsight.learn(np.concatenate([places["reference"], places["query"]]), seed=0)
    write_rows(out, encoder, [(places["query"][one], places["reference"][other]) for one, other in PLACES])


def write_moments(clip, times, out):
    """Of pairs of moments of a clip, in seconds."""
    encoder = firstsight.learn(clip, seed=0)
    pairs = [[firstsight.frame_at(clip, seconds).pixels for seconds in pair] for pair in times]
    write_rows(out, encoder, pairs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    data = parser.parse_args().data
    folder = Path(__file__).parents[1] / "docs" / "pictures"
    write_places(np.load(data / "places" / "essex_a.npz"), folder / "agreement-places.jpg")
    write_moments(data / WALK[0], WALK[1], folder / "agreement-walk.jpg")
    write_moments(data / CAMERA[0], CAMERA[1], folder / "agreement-camera.jpg")
