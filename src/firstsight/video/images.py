"""Still images, read with Pillow and brought to 8 bits."""

import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from firstsight.errors import SourceError
from firstsight.text import printable
from firstsight.video.regular import open_regular

# Recognised in folders and by name; Pillow reads all of these wherever it is installed.
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

# What a file may hold, whatever it is called. Pillow knows more, and hands some of it (EPS) to other programs.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "GIF", "AVIF")

# A header can state any size; decoding takes four bytes a pixel.
MAX_MEGAPIXELS = 250

# Larger pictures are brought to at most so many pixels while they are read.
_FULL_SIZE_PIXELS = 64_000_000

_STRIP_PIXELS = 1_000_000  # converted at once

# How a picture is turned upright: by turns of 90 degrees to the left, and whether it is mirrored before.
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False)}

# Pillow's limit of size and Python's warnings are those of the process.
_SETTINGS = threading.RLock()  # measuring levels opens further pictures meanwhile


@dataclass(frozen=True)
class Levels:
    """Which values are shown as black and as white; those between in proportion, those beyond as these."""

    low: float
    high: float


# Without other word, integers are 16 bits and floating point is 0 to 1.
FULL_LEVELS = {"integers": Levels(0, 65_535), "floating point": Levels(0, 1)}

# The levels for one of these kinds of numbers.
LevelsOf = Callable[[str], Levels]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it was read."""

    pixels: NDArray[np.uint8]  # (H, W, 1) for grey or (H, W, 3) for RGB; smaller than stated of a very large one
    size: tuple[int, int]  # width and height that the file states, upright
    remarks: tuple[str, ...] = ()  # what a person should know: "holds 60 pages, of which the first is used"


def is_picture(path: Path) -> bool:
    """Whether a file of that name is taken for a still picture; what is not is a video."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: Path, *, name: str) -> NDArray[np.uint8]:
    """The pixels of `read_picture`, with integers as 16 bits and floating point as 0 to 1."""
    return read_picture(path, name=name).pixels


def read_picture(path: Path, *, name: str, levels: LevelsOf = FULL_LEVELS.__getitem__) -> Picture:
    """The picture in a file, turned upright as its EXIF data says.

    Transparency is laid over black, CMYK and palettes become RGB. Of a file with several pictures the first is read.
    Above 64 megapixels width and height are divided by a whole number.

    Args:
        path: the file; whatever its suffix, it holds JPEG, PNG, TIFF, WebP, BMP, PPM, GIF or AVIF.
        name: what to call it in an error.
        levels: the black and white of more than 8 bits.

    Raises:
        SourceError: the file is damaged, not a picture, not a plain file, or larger than 250 megapixels.
    """
    with opened(path, name=name) as image:
        remarks, size = _several(image), image.size
        if (factor := _factor(size)) > 1:
            image.draft(None, (size[0] // factor, size[1] // factor))  # JPEG can be decoded at a half, quarter, eighth
        image.load()
        if image.format == "TIFF":  # turned upright as it was loaded
            size = image.size
        quarters, is_mirrored = _TURNS.get(_orientation(image), (0, False))
        pixels, more = _as_pixels(image, levels)
    upright = np.rot90(pixels[:, ::-1] if is_mirrored else pixels, quarters)
    return Picture(upright, size[::-1] if quarters % 2 else size, remarks + more)


def deep_values(path: Path, *, name: str) -> NDArray[np.generic] | None:
    """The values (H, W) of a picture of more than 8 bits, as they are in the file; None of any other.

    Raises:
        SourceError: as `read_picture`.
    """
    with opened(path, name=name) as image:
        return np.asarray(image) if kind_of_numbers(image) else None


def kind_of_numbers(image: Image.Image) -> str:
    """Of a picture of more than 8 bits "integers" or "floating point", else nothing."""
    if image.mode == "F":
        return "floating point"
    return "integers" if image.mode == "I" or image.mode.startswith("I;16") else ""


@contextmanager
def opened(path: Path, *, name: str) -> Iterator[Image.Image]:
    """The picture in a file, not decoded yet. Whatever goes wrong in the block is this file's failure.

    Raises:
        SourceError: as `read_picture`.
    """
    with open_regular(path, name=name) as file, _SETTINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_MEGAPIXELS * 1_000_000
        try:
            with Image.open(file, formats=_FORMATS) as image:
                _check_size(image)
                yield image
        except SourceError as error:
            raise SourceError(f"{name} cannot be read as a picture: {error}") from error
        except Exception as error:  # Pillow raises nearly every kind for what is damaged
            raise SourceError(f"{name} cannot be read as a picture: {_reason(error)}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise SourceError(
            f"it states {width}x{height} pixels; valid are up to {MAX_MEGAPIXELS} megapixels: make it smaller"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(_FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):
        return f"it states more than {2 * MAX_MEGAPIXELS} megapixels; valid are up to {MAX_MEGAPIXELS}: make it smaller"
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    reason = printable(" ".join((getattr(error, "strerror", None) or str(error)).split())) or type(error).__name__
    return reason if isinstance(error, OSError | ValueError | SyntaxError) else f"it is damaged ({reason})"


def _several(image: Image.Image) -> tuple[str, ...]:
    """What to say of a file with several pictures. The further ones of a phone's JPEG are previews and depth."""
    count = 1
    if image.format != "MPO":
        with suppress(Exception):
            count = getattr(image, "n_frames", 1)
    what = "pages" if image.format == "TIFF" else "pictures"
    return (f"holds {count} {what}, of which the first is used",) if count > 1 else ()


def _orientation(image: Image.Image) -> int:
    """As EXIF says, 1 to 8; what is damaged says nothing."""
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _factor(size: tuple[int, int]) -> int:
    """What to divide width and height by."""
    return math.ceil(math.sqrt(size[0] * size[1] / _FULL_SIZE_PIXELS))


def _as_pixels(image: Image.Image, levels: LevelsOf) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Strip by strip, so that beside the picture only its result is held; and what is to be said of it."""
    convert, channels = _conversion(image, levels)
    (width, height), factor = image.size, _factor(image.size)
    pixels = np.empty((-(-height // factor), -(-width // factor), channels), np.uint8)
    rows = factor * max(1, _STRIP_PIXELS // width // factor)
    num_missing = 0
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if image.mode == "F":
            num_missing += int(np.count_nonzero(~np.isfinite(np.asarray(strip))))
        pixels[top // factor : top // factor + -(-strip.height // factor)] = _reduced(convert(strip), factor)
    if num_missing == width * height:
        raise SourceError("all its values are NaN or infinite")
    return pixels, (f"has NaN or infinite values, {num_missing} in all, shown as black",) if num_missing else ()


def _conversion(image: Image.Image, levels: LevelsOf) -> tuple[Callable[[Image.Image], NDArray[np.uint8]], int]:
    """How a strip becomes 8 bits, and how many channels it has then."""
    if kind := kind_of_numbers(image):
        black_and_white = levels(kind)
        return lambda strip: _to_bytes(np.asarray(strip), black_and_white), 1
    is_grey = image.mode in ("1", "L", "LA")
    channels = 1 if is_grey else 3
    if image.has_transparency_data:
        return lambda strip: _over_black(strip.convert("LA" if is_grey else "RGBA")), channels
    mode = "L" if is_grey else "RGB"
    return lambda strip: np.asarray(strip.convert(mode)).reshape(strip.height, strip.width, channels), channels


def _to_bytes(values: NDArray[np.generic], levels: Levels) -> NDArray[np.uint8]:
    is_usual = levels in FULL_LEVELS.values()  # whose pixels stay as they always were
    exact: NDArray[np.floating] = values.astype(np.float32 if is_usual else np.float64)
    exact[~np.isfinite(exact)] = levels.low
    brightness = (exact - levels.low) * (255 / (levels.high - levels.low))
    pixels: NDArray[np.uint8] = np.rint(brightness.clip(0, 255)).astype(np.uint8)
    return pixels[..., None]


def _over_black(image: Image.Image) -> NDArray[np.uint8]:
    *colour, alpha = np.moveaxis(np.asarray(image), -1, 0)
    opacity = alpha.astype(np.float32) / 255
    pixels: NDArray[np.uint8] = np.rint(np.stack(colour, axis=-1) * opacity[..., None]).astype(np.uint8)
    return pixels


def _reduced(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Each square of so many pixels becomes its mean; at the right and the lower edge of those that are left."""
    if factor == 1:
        return pixels
    small = np.asarray(Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).reduce(factor))
    return small.reshape(*small.shape[:2], -1)
