"""Drawing for pages and pictures: templates, pictures as addresses, boxes, filters, maps, neighbours."""

import base64
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

import jinja2
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from firstsight.comparison.neighbours import Neighbourhood
from firstsight.encoder.encoder import Agreement, CellMatch
from firstsight.encoder.model import EncoderView
from firstsight.library.records import SourceRecord
from firstsight.object_store import ObjectPath
from firstsight.pixels import Crop, with_channels
from firstsight.searching.regions import Box
from firstsight.text import printable, shortened

Picture = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class Whole:
    """A view of the entire frame, its longer side at most so many pixels, both sides even as H.264 asks for."""

    longer_side: int = 480
    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of the picture."""
        scale = min(1.0, self.longer_side / max(width, height))
        out_width, out_height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
        return Crop(0, 0, width, height, out_width, out_height)


def figure_text(name: str) -> str:
    """The name, escaped for matplotlib, which reads text between dollars as mathematics."""
    return printable(name).replace("$", r"\$")


def figure_png(figure: Figure) -> bytes:
    """The figure as PNG; letters that the font lacks are boxes, without a warning."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(content, format="png")
    return content.getvalue()


def png_uri(picture: Picture, *, enlarge: int = 1) -> str:
    """The picture as a `data:` address, each pixel enlarged to a square."""
    image = Image.fromarray(picture)
    if enlarge > 1:
        image = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST)
    return _uri(image, "png")


def jpeg_uri(picture: Picture) -> str:
    """The picture as a `data:` address, for photographs."""
    return _uri(Image.fromarray(picture), "jpeg")


def file_uri(content: bytes, kind: str) -> str:
    """A picture file of that kind, "png" or "jpeg", as a `data:` address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def moment_uri(path: Path, seconds: float, *, is_picture: bool = False) -> str:
    """Opens a file on this machine, a video at that time; empty for one in an object store.

    Source: W3C, "Media Fragments URI 1.0", 4.2.1, which browsers follow.
    """
    if isinstance(path, ObjectPath):
        return ""  # a browser cannot
    return path.absolute().as_uri() + ("" if is_picture else f"#t={max(0.0, seconds):.2f}")


def recorded_uri(record: SourceRecord, seconds: float) -> str:
    """Opens a source of a library, a video at that time."""
    return moment_uri(record.path, seconds, is_picture=record.is_picture)


def with_crop_drawn(picture: Picture, size: tuple[int, int], preprocessing: EncoderView) -> Picture:
    """The entire frame, with the network's part framed and the rest dimmed.

    Args:
        picture: the entire frame at any scale, uint8 (H, W, 3).
        size: width and height of the frame itself.
        preprocessing: what cuts the crop.
    """
    crop = preprocessing.crop(*size)
    scale_x, scale_y = picture.shape[1] / size[0], picture.shape[0] / size[1]
    left, top = round(crop.x * scale_x), round(crop.y * scale_y)
    right, bottom = round((crop.x + crop.width) * scale_x), round((crop.y + crop.height) * scale_y)
    dimmed = (picture * 0.35).astype(np.uint8)
    dimmed[top:bottom, left:right] = picture[top:bottom, left:right]
    image = Image.fromarray(dimmed)
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), outline=(208, 138, 46), width=2)
    return np.asarray(image)


def draw_box(image: Image.Image, box: Box, size: tuple[int, int]) -> None:
    """Draws a box of a frame of that width and height onto a picture of the entire frame, at any scale."""
    across, down = image.width / size[0], image.height / size[1]
    right, bottom = (box.x + box.width) * across - 1, (box.y + box.height) * down - 1
    ImageDraw.Draw(image).rectangle((box.x * across, box.y * down, right, bottom), outline=(208, 138, 46), width=2)


_HEAT = (np.asarray(colormaps["inferno"](np.arange(256)))[:, :3] * 255).astype(np.uint8)  # perceptually even
_MOST_HEAT = 0.7  # of a pixel's colour; the rest is the picture
_GREY = 0.65  # of the picture's light, so that the brightest colour differs from a white wall
_MAX_LINES = 25  # of matches; more hide the pictures
_SEAM = 8  # pixels between two frames
_SHARPER = 2  # lines are drawn so many times larger, then reduced


def agreement_picture(first: Picture, second: Picture, found: Agreement) -> Picture:
    """Two frames side by side in grey, coloured where they agree, and lines between the strongest matches.

    Args:
        first: the entire frame at any scale, uint8 (H, W, 3).
        second: the other; it is brought to the same height.
        found: by `Encoder.agreement`, of the same frames in this order.

    Returns:
        uint8 (H, W + 8 + W', 3). Colours run from black over red to yellow with the square root of the support; what
        has none stays grey. Of matches that adjoin each other only the strongest has a line.
    """
    height = len(first)
    width = max(1, round(second.shape[1] * height / len(second)))
    other = np.asarray(Image.fromarray(second).resize((width, height)))
    seam = np.full((height, _SEAM, 3), 255, np.uint8)
    left = with_support(first, found.first, found.first_shows)
    right = with_support(other, found.second, found.second_shows)
    both = np.hstack([np.asarray(left), seam, np.asarray(right)])
    large = Image.fromarray(both).resize((both.shape[1] * _SHARPER, height * _SHARPER))
    draw, (rows, columns) = ImageDraw.Draw(large, "RGBA"), found.first.shape
    begins = first.shape[1] + _SEAM
    for match in reversed(_apart(found.matches)):
        (row, column), (other_row, other_column) = match.first, match.second
        begin = ((column + 0.5) / columns * first.shape[1], (row + 0.5) / rows * height)
        end = (begins + (other_column + 0.5) / columns * width, (other_row + 0.5) / rows * height)
        _draw_match(draw, begin, end, match.support)
    return np.asarray(large.resize((both.shape[1], height), Image.Resampling.BOX))


def agreement_scale() -> Picture:
    """The colours of `agreement_picture`, uint8 (1, 256, 3), for support 0 to 1; the middle is a support of 0.25."""
    return _HEAT[None]


def _apart(matches: Sequence[CellMatch]) -> list[CellMatch]:
    """The strongest, of cells that adjoin each other in the first frame only the strongest one."""
    chosen: list[CellMatch] = []
    for match in matches:
        if all(max(abs(a - b) for a, b in zip(match.first, one.first, strict=True)) > 1 for one in chosen):
            chosen.append(match)
    return chosen[:_MAX_LINES]


def with_support(picture: Picture, support: NDArray[np.float32], shows: NDArray[np.bool_]) -> Image.Image:
    """The picture in grey, blended with the colour of each cell's support (rows, columns), 0 to 1, where it shows."""
    image = Image.fromarray(picture)
    strength = np.sqrt(support)
    opacity = (255 * _MOST_HEAT * strength * shows).astype(np.uint8)
    cells = np.dstack([_HEAT[(255 * strength).astype(np.intp)], opacity])
    colours = Image.fromarray(cells, "RGBA").resize(image.size, Image.Resampling.BILINEAR)
    grey = image.convert("L").point([int(light * _GREY) for light in range(256)]).convert("RGB")
    grey.paste(colours, mask=colours)
    return grey


def _draw_match(
    draw: ImageDraw.ImageDraw, begin: tuple[float, float], end: tuple[float, float], support: float
) -> None:
    """A line between two dots, in the colour of its support, weak ones faint."""
    strength = support**0.5
    red, green, blue = _HEAT[int(strength * 255)].tolist()
    colour = (red, green, blue, int(255 * min(1.0, 0.1 + 1.5 * strength)))
    (x, y), (other_x, other_y) = ((across * _SHARPER, down * _SHARPER) for across, down in (begin, end))
    draw.line((x, y, other_x, other_y), fill=colour, width=_SHARPER)
    for across, down in ((x, y), (other_x, other_y)):
        draw.ellipse((across - 4, down - 4, across + 4, down + 4), fill=colour)


def cell_centres_in_frame(
    dimensions: NDArray[np.intp], centres: tuple[NDArray[np.float64], NDArray[np.float64]], crop: Crop
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Centres in the frame of the cells of the chosen dimensions, and how many maps are chosen at each.

    Args:
        dimensions: positions in the flattened level (maps, rows, columns).
        centres: of the level's rows and columns, in pixels of the network's input.
        crop: the rectangle of the frame that became the network's input.

    Returns:
        float64 (P, 2) as x, y in pixels of the frame, where pixel i covers i - 0.5 to i + 0.5; and counts (P,).
    """
    row_centres, column_centres = centres
    cells, counts = np.unique(dimensions % (len(row_centres) * len(column_centres)), return_counts=True)
    rows, columns = np.divmod(cells, len(column_centres))
    x = crop.x + (column_centres[columns] + 0.5) * crop.scale_x - 0.5
    y = crop.y + (row_centres[rows] + 0.5) * crop.scale_y - 0.5
    return np.stack([x, y], axis=1), counts


def filters_picture(weights: NDArray[np.float32]) -> Picture:
    """The filters of a convolution (out, in, k, k), a tile each.

    Filters that read one or three channels are shown in them; of deeper ones each input map has its own row.
    """
    if weights.shape[1] in (1, 3):
        tiles = np.stack([_scaled(kernel.transpose(1, 2, 0)) for kernel in weights])
        return _tiled(tiles, columns=16)
    tiles = np.stack([_scaled(kernel[..., None]) for inputs in weights.transpose(1, 0, 2, 3) for kernel in inputs])
    return _tiled(tiles, columns=weights.shape[0])


def maps_picture(maps: NDArray[np.float32]) -> Picture:
    """The maps (C, H, W) of one frame, a tile each, every map scaled to its own range."""
    colours = colormaps["viridis"]
    tiles = np.stack([(colours(_to_unit(values))[..., :3] * 255).astype(np.uint8) for values in maps])
    return _tiled(tiles, columns=max(1, round(len(maps) ** 0.5)))


def similarity_picture(similarities: NDArray[np.float32]) -> Picture:
    """A matrix of similarities (C, C): white is 0, blue +1, red -1; the diagonal, always 1, is left grey."""
    colours = (colormaps["RdBu"]((similarities + 1) / 2)[..., :3] * 255).astype(np.uint8)
    np.einsum("iic->ic", colours)[:] = 200
    return colours


def _uri(image: Image.Image, kind: str) -> str:
    content = io.BytesIO()
    image.save(content, kind)
    return file_uri(content.getvalue(), kind)


def _to_unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full_like(values, 0.5)


def _scaled(kernel: NDArray[np.float32]) -> Picture:
    picture = (_to_unit(kernel) * 255).astype(np.uint8)
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture


def _tiled(tiles: NDArray[np.uint8], *, columns: int) -> Picture:
    """Tiles (N, H, W, 3) in rows, a pixel apart."""
    num, height, width, _ = tiles.shape
    rows = -(-num // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = tile
    return canvas


_TILE = 112  # pixels; four times a digit of 28
_LINE = 14  # pixels below a tile for each of the two lines of its caption
_FONT_SIZE = 11
_GAP = 6  # pixels between tiles
_ACCENT = (208, 138, 46)  # frames the anchor, as in the other pictures of this package


def neighbours_picture(rows: Sequence[Neighbourhood]) -> bytes:
    """PNG of a row for each anchor: the anchor, and its neighbours."""
    num_columns = 1 + max(len(row.neighbours) for row in rows)
    lines = [
        [
            (row.pixels, ("anchor", row.label, PurePath(row.anchor).name)),
            *(
                (one.frame.pixels, (f"{rank}. {one.similarity:.2f}", one.label, PurePath(one.frame.source).name))
                for rank, one in enumerate(row.neighbours, start=1)
            ),
        ]
        for row in rows
    ]
    heights = [max(_fitted(pixels)[1] for pixels, _ in line) for line in lines]
    height = sum(heights) + len(lines) * (2 * _LINE + _GAP) + _GAP
    canvas = Image.new("RGB", (num_columns * (_TILE + _GAP) + _GAP, height), "white")
    top = _GAP
    for line, row_height in zip(lines, heights, strict=True):
        for column, (pixels, caption) in enumerate(line):
            corner = (_GAP + column * (_TILE + _GAP), top)
            _put(canvas, pixels, caption, corner, row_height, is_anchor=column == 0)
        top += row_height + 2 * _LINE + _GAP
    content = io.BytesIO()
    canvas.save(content, "png")
    return content.getvalue()


def _fitted(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of a picture (H, W, C) whose longer side is a tile's."""
    height, width = pixels.shape[:2]
    scale = _TILE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _put(
    canvas: Image.Image,
    pixels: NDArray[np.uint8],
    caption: tuple[str, str, str],
    corner: tuple[int, int],
    height: int,
    *,
    is_anchor: bool,
) -> None:
    """A picture at the bottom of its cell, rank or "anchor" and label below, and the file's name below that."""
    picture = Image.fromarray(with_channels(pixels[None], 3)[0])
    size = _fitted(pixels)
    left, top = corner[0], corner[1] + height - size[1]
    small = max(picture.size) < _TILE
    canvas.paste(picture.resize(size, Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS), (left, top))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=_FONT_SIZE)
    first, label, name = map(printable, caption)
    for line, (text, colour) in enumerate(((f"{first}  {label}", "black"), (name, "#5a5e66"))):
        shown = next(
            short
            for letters in range(len(text), -1, -1)
            if draw.textlength(short := shortened(text, letters), font) <= _TILE
        )
        draw.text((left, corner[1] + height + line * _LINE + 1), shown, fill=colour, font=font)
    if is_anchor:
        draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), outline=_ACCENT, width=2)


def load_template(name: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> jinja2.Template:
    """The template in that file. Values are escaped, unprintable letters too; a missing one is an error."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_shown, loader=jinja2.FunctionLoader(_text_of)
    )
    environment.filters |= filters or {}
    return environment.get_template(name)


def _text_of(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:  # noqa: ANN401, whatever a template puts out
    if isinstance(value, str) and not hasattr(value, "__html__") and not value.isprintable():
        return printable(value)
    return value
