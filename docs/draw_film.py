"""Draws docs/pictures/bikes.webp, the moving picture of the README: `python docs/draw_film.py`.

Each frame of ten seconds of city traffic beside the anchor, the frame at 4.8 s, and their similarity.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import firstsight
from firstsight.report.drawing import Whole
from firstsight.report.film import Windows

ROOT = Path(__file__).parents[1]
ANCHOR_SECONDS, EVERY = 4.8, 3  # frames; at 25 a second
PANEL, PLOT_HEIGHT = 400, 110  # pixels
BLUE, GREY, ORANGE = (110, 180, 240), (90, 94, 102), (208, 160, 90)


def plot(values: list[float], num: int, anchor: float, size: tuple[int, int]) -> Image.Image:
    """The similarities so far, as a curve that will have `num` values; -0.2 to 1 from bottom to top."""
    image = Image.new("RGB", size, (20, 22, 26))
    draw = ImageDraw.Draw(image)
    x, y = np.linspace(12, size[0] - 12, num), size[1] - 12 - (np.array(values) + 0.2) / 1.2 * (size[1] - 24)
    zero = size[1] - 12 - 0.2 / 1.2 * (size[1] - 24)
    draw.line((12, zero, size[0] - 12, zero), fill=GREY)
    draw.line((12 + anchor * (size[0] - 24), 6, 12 + anchor * (size[0] - 24), size[1] - 6), fill=ORANGE)
    draw.line(list(zip(x, y, strict=False)), fill=BLUE, width=2)
    draw.ellipse((x[len(values) - 1] - 4, y[-1] - 4, x[len(values) - 1] + 4, y[-1] + 4), fill=BLUE)
    return image


clip = subprocess.run([sys.executable, ROOT / "examples/bikes.py"], capture_output=True, text=True, check=True)
source = firstsight.open_source(clip.stdout.strip(), every=EVERY)
encoder = firstsight.learn(clip.stdout.strip(), seed=0)
anchor = firstsight.frame_at(clip.stdout.strip(), ANCHOR_SECONDS)
comparisons = list(firstsight.compare(encoder, source, anchor=anchor.pixels, views=(Whole(PANEL),)))
height, width = comparisons[0].frame.whole.shape[:2]
windows = Windows(encoder, level=None, panel=(width, height))
pictures, values = [], []
for comparison in comparisons:
    values.append(comparison.similarity or 0.0)
    two = Image.fromarray(windows.draw(comparison))
    whole = Image.new("RGB", (two.width, two.height + PLOT_HEIGHT))
    whole.paste(two, (0, 0))
    at = ANCHOR_SECONDS / comparisons[-1].frame.seconds
    whole.paste(plot(values, len(comparisons), at, (two.width, PLOT_HEIGHT)), (0, two.height))
    pictures.append(whole)
target = ROOT / "docs/pictures/bikes.webp"
milliseconds = 1000 * EVERY // 25
pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, quality=55, method=4)
print(target, f"{target.stat().st_size / 1e6:.2f} MB")
