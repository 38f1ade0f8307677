"""Pictures read from files; of more than 8 bits with black and white levels measured on all that belong together.

A camera of 12 bits uses a sixteenth of 16 bits, and counts of a microscope or a thermal camera less: without measured
levels such pictures would be a single grey.
"""

import math
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from firstsight.errors import SourceError
from firstsight.files import FileIdentity, file_identity, open_regular
from firstsight.footage.finding import is_picture
from firstsight.text import printable

# Formats that are read, whatever the suffix. Pillow has more, and passes some (EPS) to other programs.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "GIF", "AVIF")

# A header can state any size; decoding takes four bytes a pixel.
MAX_MEGAPIXELS = 250

# Larger pictures are reduced to at most so many pixels while they are read.
_FULL_SIZE_PIXELS = 64_000_000

_STRIP_PIXELS = 1_000_000  # converted at once

_PHOTOMETRIC = 262  # TIFF's tag of what 0 means

# By EXIF orientation: turns of 90 degrees to the left, and whether the picture is mirrored before.
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False)}

# Pillow's limit of size and Python's warnings are global.
_SETTINGS = threading.RLock()  # measuring levels opens other pictures meanwhile


@dataclass(frozen=True)
class Levels:
    """The values of black and white; values between are scaled linearly, values beyond are clipped."""

    low: float
    high: float


# By default integers are 16 bits and floating point is 0 to 1.
FULL_LEVELS = {"integers": Levels(0, 65_535), "floating point": Levels(0, 1)}

LevelsOf = Callable[[str], Levels]  # from a key of FULL_LEVELS


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture from a file."""

    pixels: NDArray[np.uint8]  # (H, W, 1) for grey or (H, W, 3) for RGB; smaller than `size` if that is very large
    size: tuple[int, int]  # width and height that the file states, upright
    remarks: tuple[str, ...] = ()  # for people: "holds 60 pages, of which the first is used"


def read_image(path: Path, *, name: str) -> NDArray[np.uint8]:
    """The pixels of `read_picture`, with the black and white of its folder."""
    return read_picture(path, name=name, levels=lambda kind: levels_of_folder(path.parent, kind).levels).pixels


def read_picture(path: Path, *, name: str, levels: LevelsOf = FULL_LEVELS.__getitem__) -> Picture:
    """The picture in a file, turned upright by its EXIF data.

    Transparency becomes black; CMYK and palettes become RGB. Of several pictures in a file the first is read. Above 64
    megapixels width and height are divided by an integer.

    Args:
        path: a JPEG, PNG, TIFF, WebP, BMP, PPM, GIF or AVIF file, whatever its suffix.
        name: of the file, in errors.
        levels: black and white of more than 8 bits.

    Raises:
        SourceError: the file is damaged, not a picture, not a plain file, or larger than 250 megapixels.
    """
    with opened(path, name=name) as image:
        remarks, size = _several(image), image.size
        if (factor := _factor(size)) > 1:
            image.draft(
                None, (size[0] // factor, size[1] // factor)
            )  # JPEG can be decoded at a half, quarter or eighth
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
    """Of a picture of more than 8 bits "integers" or "floating point", else empty."""
    if image.mode == "F":
        return "floating point"
    return "integers" if image.mode == "I" or image.mode.startswith("I;16") else ""


@contextmanager
def opened(path: Path, *, name: str) -> Iterator[Image.Image]:
    """The picture in a file, not decoded yet. Any error in the block becomes a `SourceError` about this file.

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
    """The remark on a file with several pictures. Other pictures of a phone's JPEG are previews and depth."""
    count = 1
    if image.format != "MPO":
        with suppress(Exception):
            count = getattr(image, "n_frames", 1)
    what = "pages" if image.format == "TIFF" else "pictures"
    return (f"holds {count} {what}, of which the first is used",) if count > 1 else ()


def _orientation(image: Image.Image) -> int:
    """By EXIF, 1 to 8; 1 if it is damaged."""
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _factor(size: tuple[int, int]) -> int:
    """What to divide width and height by."""
    return math.ceil(math.sqrt(size[0] * size[1] / _FULL_SIZE_PIXELS))


def _as_pixels(image: Image.Image, levels: LevelsOf) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The pixels, converted in strips to save memory; and remarks."""
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
        black_and_white, is_negative = levels(kind), _has_white_zero(image)
        return lambda strip: _to_bytes(np.asarray(strip), black_and_white, is_negative=is_negative), 1
    is_grey = image.mode in ("1", "L", "LA")
    channels = 1 if is_grey else 3
    if image.has_transparency_data:
        return lambda strip: _over_black(strip.convert("LA" if is_grey else "RGBA")), channels
    mode = "L" if is_grey else "RGB"
    return lambda strip: np.asarray(strip.convert(mode)).reshape(strip.height, strip.width, channels), channels


def _has_white_zero(image: Image.Image) -> bool:
    """Whether it is a TIFF in which 0 is white, as of X-rays; Pillow turns only 8 bits round."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(_PHOTOMETRIC) == 0


def _to_bytes(values: NDArray[np.generic], levels: Levels, *, is_negative: bool) -> NDArray[np.uint8]:
    is_usual = levels in FULL_LEVELS.values()  # for the same pixels as ever
    exact: NDArray[np.floating] = values.astype(np.float32 if is_usual else np.float64)
    exact[~np.isfinite(exact)] = levels.high if is_negative else levels.low  # black
    brightness = (exact - levels.low) * (255 / (levels.high - levels.low))
    pixels: NDArray[np.uint8] = np.rint(brightness.clip(0, 255)).astype(np.uint8)
    return (255 - pixels if is_negative else pixels)[..., None]


def _over_black(image: Image.Image) -> NDArray[np.uint8]:
    *colour, alpha = np.moveaxis(np.asarray(image), -1, 0)
    opacity = alpha.astype(np.float32) / 255
    pixels: NDArray[np.uint8] = np.rint(np.stack(colour, axis=-1) * opacity[..., None]).astype(np.uint8)
    return pixels


def _reduced(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """The mean of each square of so many pixels; squares at the right and lower edges may be cut off."""
    if factor == 1:
        return pixels
    small = np.asarray(Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).reduce(factor))
    return small.reshape(*small.shape[:2], -1)


# Files of each suffix, evenly spaced: enough for a range, and a folder may hold a million.
_MAX_MEASURED = 256

# Pictures that use more of their range are left as they are: they have 64 greys or more.
_MIN_SHARE = 1 / 4

# A few dead or hot pixels must not decide the range: if all but this share at either end use at most half of it, these
# do.
_OUTLIERS = 0.0005
_VALUES_A_PICTURE = 16_384  # for that


@dataclass(frozen=True)
class Measured:
    """The levels of one kind of numbers, and a remark if they differ from the full ones."""

    levels: Levels
    remark: str = ""


def full_levels(kind: str) -> Measured:
    """The levels of values that use their range: 16 bits, or 0 to 1."""
    return Measured(FULL_LEVELS[kind])


def levels_of_files(paths: Sequence[Path], kind: str) -> Measured:
    """The levels for all of these pictures together, measured again when one of those that are measured has changed."""
    measured = tuple(_evenly_spaced(paths))
    return _levels(measured, tuple(map(file_identity, measured))).get(kind) or full_levels(kind)


def levels_of_folder(folder: Path, kind: str) -> Measured:
    """The levels for the pictures in a folder, without subfolders, whether read together or one by one."""
    try:
        return levels_of_files(_pictures_in(folder, folder.stat().st_mtime_ns), kind)
    except OSError:
        return full_levels(kind)


@lru_cache(maxsize=64)
def _pictures_in(folder: Path, _changed_ns: int) -> tuple[Path, ...]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return tuple(path for path in found if is_picture(path))


@lru_cache(maxsize=64)
def _levels(paths: tuple[Path, ...], _identities: tuple[FileIdentity | None, ...]) -> dict[str, Measured]:
    """The levels by kind of numbers."""
    ranges = [found for path in paths if (found := _range_of(path))]
    by_kind = groupby(sorted(ranges, key=lambda found: found.kind), lambda found: found.kind)
    return {kind: _chosen(kind, list(of_kind)) for kind, of_kind in by_kind}


@dataclass(frozen=True, eq=False)
class _Range:
    kind: str
    low: float
    high: float
    some: NDArray[np.float64]  # values of the picture, evenly spaced


def _evenly_spaced(paths: Sequence[Path]) -> Iterable[Path]:
    by_suffix = groupby(sorted(paths, key=lambda path: path.suffix.lower()), lambda path: path.suffix.lower())
    for _, group in by_suffix:
        of_suffix = list(group)
        count = min(len(of_suffix), _MAX_MEASURED)
        yield from (of_suffix[position] for position in np.linspace(0, len(of_suffix) - 1, count).round().astype(int))


def _range_of(path: Path) -> _Range | None:
    try:
        values = deep_values(path, name=path.name)
    except SourceError:
        return None  # reading it raises the error
    if values is None:
        return None
    kind = "floating point" if values.dtype.kind == "f" else "integers"
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not finite.size:
        return None
    some = finite[:: -(-finite.size // _VALUES_A_PICTURE)].astype(np.float64)
    return _Range(kind, float(finite.min()), float(finite.max()), some)


def _chosen(kind: str, ranges: Sequence[_Range]) -> Measured:
    low, high = min(found.low for found in ranges), max(found.high for found in ranges)
    full = FULL_LEVELS[kind]
    is_within = full.low <= low and high <= full.high
    inner_low, inner_high = np.quantile(
        np.concatenate([found.some for found in ranges]), (_OUTLIERS, 1 - _OUTLIERS), method="nearest"
    )
    has_outliers = inner_low < inner_high and inner_high - inner_low < (high - low) / 2
    if has_outliers:
        low, high = float(inner_low), float(inner_high)
    if low == high or (is_within and high - low > _MIN_SHARE * (full.high - full.low)):
        return full_levels(kind)
    return Measured(Levels(low, high), _remark(kind, low, high, has_outliers=has_outliers, ranges=ranges))


def _remark(kind: str, low: float, high: float, *, has_outliers: bool, ranges: Sequence[_Range]) -> str:
    kinds = {"integers": "of 16 bits" if high <= FULL_LEVELS["integers"].high else "of 32 bits"}
    values = f"values {low:g} to {high:g} {kinds.get(kind, 'in floating point')}"
    beyond = ", values beyond as these" if has_outliers else ""
    count = f"{len(ranges)} pictures" if len(ranges) > 1 else "one picture"
    return f"{values} are shown as black to white{beyond}; measured in {count}"
