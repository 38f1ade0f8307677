"""Made cases of what happens to a still view: its light changes, or the camera is moved, covered or frozen.

Each is a function of a real picture, the seconds since it began, and a generator of random numbers. The ground is real:
a stretch of a clip of a still camera, or one real picture with the noise of a sensor added.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Picture = NDArray[np.uint8]  # (H, W, 3)
Random = np.random.Generator
Change = Callable[[Picture, float, Random, "Drawn"], Picture]

FRAMES_PER_SECOND = 2.0


@dataclass(frozen=True)
class Drawn:
    """What a case draws once."""

    a: float  # 0 to 1
    b: float
    c: float
    other: Picture  # another real picture of the same size
    person: tuple[Picture, NDArray[np.bool_]] | None = None


def _clipped(values: NDArray[np.floating]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def noisy(picture: Picture, random: Random, deviation: float) -> Picture:
    """With the noise of a sensor."""
    return _clipped(picture + random.normal(0, deviation, picture.shape[:2])[..., None])


def switch_on(picture: Picture, _: float, __: Random, drawn: Drawn) -> Picture:
    """Another light, at once: brighter or darker, another colour."""
    gain = 1.3 + 0.6 * drawn.a if drawn.b < 0.5 else 0.35 + 0.35 * drawn.a
    tint = np.array([1.0, 0.95 + 0.1 * drawn.c, 0.8 + 0.4 * drawn.c])
    return _clipped(picture * gain * tint)


def lamp(picture: Picture, _: float, __: Random, drawn: Drawn) -> Picture:
    """A lamp lights half the view, with a soft edge."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    far = np.hypot((columns / width - drawn.a) * 1.3, rows / height - drawn.b)
    return _clipped(picture * (1 + 0.8 * np.exp(-((far / 0.45) ** 2)))[..., None])


def fade(picture: Picture, seconds: float, _: Random, drawn: Drawn) -> Picture:
    """Light that fades to a half or swells by a half, in 5 to 20 seconds."""
    way = min(1.0, seconds / (5 + 15 * drawn.a))
    return _clipped(picture * (1 + way * (0.5 if drawn.b < 0.5 else -0.5)))


def clouds(picture: Picture, seconds: float, _: Random, drawn: Drawn) -> Picture:
    """Clouds before the sun: a shadow that crosses the view in ten seconds, again and again."""
    height, width = picture.shape[:2]
    columns = np.linspace(0, 1, width)[None] + 0.3 * np.linspace(0, 1, height)[:, None]
    wave = np.sin(2 * np.pi * (columns * 0.7 - seconds / (8 + 8 * drawn.a)))
    return _clipped(picture * (1 - 0.35 * np.clip(wave, 0, 1) * min(1, seconds / 2))[..., None])


def infrared(picture: Picture, _: float, __: Random, drawn: Drawn) -> Picture:
    """Colour to grey: other weights of the colours, other contrast, the middle lit by the camera's own lamp."""
    weights = np.array([0.6 + 0.3 * drawn.a, 0.1, 0.3 - 0.3 * drawn.a])
    grey = (picture @ weights / 255) ** (0.6 + 0.5 * drawn.b) * 255
    height, width = grey.shape
    rows, columns = np.mgrid[0:height, 0:width]
    far = np.hypot(columns / width - 0.5, rows / height - 0.5)
    return np.repeat(_clipped(grey * (1.15 - 0.9 * far))[..., None], 3, axis=2)


def more_noise(picture: Picture, _: float, random: Random, drawn: Drawn) -> Picture:
    """Noise of 6 to 16 grey levels."""
    return noisy(picture, random, 6 + 10 * drawn.a)


def rain(picture: Picture, _: float, random: Random, drawn: Drawn) -> Picture:
    """Bright streaks everywhere, others in each frame."""
    height, width = picture.shape[:2]
    streaks = np.zeros((height, width))
    for _number in range(int(60 + 140 * drawn.a)):
        row, column = random.integers(height), random.integers(width)
        long = int(height * random.uniform(0.03, 0.1))
        streaks[row : row + long, column : column + max(1, width // 400)] = random.uniform(20, 60)
    return _clipped(picture + streaks[..., None])


def shake(picture: Picture, _: float, random: Random, __: Drawn) -> Picture:
    """By up to 2 pixels each way, another shift in each frame."""
    return moved_by(picture, *(int(one) for one in random.integers(-2, 3, 2)))


def moved_by(picture: Picture, across: int, down: int) -> Picture:
    """The view shifted; the edge is repeated where nothing was filmed."""
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - across, 0, width - 1)
    return picture[rows][:, columns]


def bump(picture: Picture, seconds: float, random: Random, drawn: Drawn) -> Picture:
    """The camera is pushed by 3 to 12 percent of the width and stays there; it swings for half a second."""
    width = picture.shape[1]
    across = round(width * (0.03 + 0.09 * drawn.a) * (1 if drawn.b < 0.5 else -1))
    swing = round(width * 0.02 * random.uniform(-1, 1)) if seconds < 0.5 else 0
    return moved_by(picture, across + swing, round(width * 0.04 * (drawn.c - 0.5)))


def turned(_: Picture, __: float, random: Random, drawn: Drawn) -> Picture:
    """Another real view, with the noise of a sensor."""
    return noisy(drawn.other, random, 1.0)


def rotated(picture: Picture, _: float, __: Random, drawn: Drawn) -> Picture:
    """Turned about its axis by 8 to 25 degrees."""
    angle = (8 + 17 * drawn.a) * (1 if drawn.b < 0.5 else -1)
    turned_by = Image.fromarray(picture).rotate(angle, Image.Resampling.BILINEAR)
    return np.asarray(turned_by)


def zoomed(picture: Picture, _: float, __: Random, drawn: Drawn) -> Picture:
    """Zoomed in by 1.4 to 2."""
    factor = 1.4 + 0.6 * drawn.a
    height, width = picture.shape[:2]
    left, top = width * (1 - 1 / factor) * drawn.b, height * (1 - 1 / factor) * drawn.c
    box = (left, top, left + width / factor, top + height / factor)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR, box=box))


def hand(picture: Picture, seconds: float, _: Random, drawn: Drawn) -> Picture:
    """A hand before the lens: one blurred tone with soft blotches; it comes within half a second."""
    height, width = picture.shape[:2]
    small = np.random.default_rng(int(1e6 * drawn.a)).uniform(-12, 12, (3, 4))
    blotches = np.asarray(Image.fromarray(small.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    cover = _clipped(np.array([150, 90, 70]) * (0.45 + 0.8 * drawn.b) + blotches[..., None])
    if seconds < 0.5:
        half = width // 2
        return np.concatenate([cover[:, :half], picture[:, half:]], axis=1)
    return cover


def cloth(picture: Picture, _: float, random: Random, drawn: Drawn) -> Picture:
    """A bag over the camera: a tone with a little light that shines through, and noise."""
    blurred = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(picture.shape[1] / 12)))
    return noisy(_clipped(0.25 * blurred + 30 + 120 * drawn.a), random, 2)


def sprayed(picture: Picture, _: float, random: Random, drawn: Drawn) -> Picture:
    """Paint or fog: all but the broadest structure is gone."""
    blurred = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(picture.shape[1] / 25)))
    return noisy(_clipped(0.15 * blurred + 90 + 100 * drawn.a), random, 2)


def dark(picture: Picture, _: float, random: Random, drawn: Drawn) -> Picture:
    """A cap on the lens, or a night without a lamp: black with noise."""
    return noisy(_clipped(np.full(picture.shape, 4 + 10 * drawn.a)), random, 0.5 + 2 * drawn.b)


NO_ALARM: dict[str, Change] = {
    "switch": switch_on,
    "lamp": lamp,
    "fade": fade,
    "clouds": clouds,
    "infrared": infrared,
    "noise": more_noise,
    "rain": rain,
    "shake": shake,
}
MOVED: dict[str, Change] = {"bump": bump, "turned": turned, "rotated": rotated, "zoomed": zoomed}
COVERED: dict[str, Change] = {"hand": hand, "cloth": cloth, "sprayed": sprayed}
DARK: dict[str, Change] = {"dark": dark}


@dataclass(frozen=True)
class Ground:
    """What a camera shows."""

    name: str
    frames: tuple[Picture, ...]  # real ones, in order; repeated forwards and backwards
    noise: float  # grey levels, added to each; 0 where the frames have their own

    def at(self, index: int, random: Random) -> Picture:
        """A frame."""
        num = len(self.frames)
        place = index % max(1, 2 * num - 2)
        return noisy(self.frames[place if place < num else 2 * num - 2 - place], random, self.noise)


def case(
    ground: Ground,
    change: Change | None,
    *,
    drawn: Drawn,
    before: float,
    during: float,
    random: Random,
    after: float = 0.0,
    is_frozen: bool = False,
    fps: float = FRAMES_PER_SECOND,
) -> Iterator[tuple[float, Picture]]:
    """Seconds and pictures: the ground, then the change, then the ground again."""
    frozen: Picture | None = None
    for index in range(round((before + during + after) * fps)):
        seconds = index / fps
        picture = ground.at(index, random)
        if before <= seconds < before + during:
            if is_frozen:
                frozen = picture if frozen is None else frozen
                picture = frozen
            elif change is not None:
                picture = change(picture, seconds - before, random, drawn)
        yield seconds, picture
