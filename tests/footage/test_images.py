import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from firstsight.errors import SourceError
from firstsight.footage.images import read_image, read_picture


def saved(path, pixels, mode=None, **options):
    Image.fromarray(pixels, mode).save(path, **options) if mode else Image.fromarray(pixels).save(path, **options)
    return read_picture(path, name=path.name).pixels


RAMP = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
COLOUR = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)


def test_grey_stays_grey_and_colour_colour(tmp_path):
    np.testing.assert_array_equal(saved(tmp_path / "grey.png", RAMP), RAMP[..., None])
    np.testing.assert_array_equal(saved(tmp_path / "colour.png", COLOUR), COLOUR)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_not_cut(tmp_path, suffix):
    pixels = saved(tmp_path / f"deep{suffix}", RAMP.astype(np.uint16) * 257)
    np.testing.assert_array_equal(pixels, RAMP[..., None])


def test_colour_of_sixteen_bits_gives_the_upper_eight(tmp_path):
    rows = b"".join(b"\0" + (row.astype(np.uint16) << 8 | 100).astype(">u2").tobytes() for row in COLOUR)
    header = struct.pack(">IIBBBBB", COLOUR.shape[1], COLOUR.shape[0], 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, part in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
    (tmp_path / "deep.png").write_bytes(content)
    np.testing.assert_array_equal(read_picture(tmp_path / "deep.png", name="deep.png").pixels, COLOUR)


def test_floating_point_runs_from_nought_to_one(tmp_path):
    values = np.array([[0, 0.5, 1, 2, -1, np.nan]], np.float32)
    assert saved(tmp_path / "float.tif", values)[0, :, 0].tolist() == [0, 128, 255, 255, 0, 0]


def test_transparency_is_laid_over_black(tmp_path):
    alpha = np.full_like(RAMP, 128)
    pixels = saved(tmp_path / "rgba.png", np.dstack([COLOUR, alpha]))
    np.testing.assert_array_equal(pixels, np.rint(COLOUR * (128 / 255)).astype(np.uint8))
    pixels = saved(tmp_path / "la.png", np.dstack([RAMP, alpha]))
    np.testing.assert_array_equal(pixels[..., 0], np.rint(RAMP * (128 / 255)).astype(np.uint8))


def test_palettes_and_their_transparency(tmp_path):
    path = tmp_path / "palette.png"
    image = Image.fromarray(RAMP % 3).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(path, transparency=1)
    pixels = read_image(path, name="palette")
    assert pixels[0, :3].tolist() == [[255, 0, 0], [0, 0, 0], [0, 0, 255]]


def test_cmyk_and_one_bit(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    assert read_image(tmp_path / "print.tif", name="print")[0, 0].tolist() == [255, 0, 0]
    Image.new("1", (4, 4), 1).save(tmp_path / "bit.png")
    assert (read_image(tmp_path / "bit.png", name="bit") == 255).all()


def test_turns_upright_as_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    pixels = saved(tmp_path / "phone.png", COLOUR, exif=exif)
    np.testing.assert_array_equal(pixels, np.rot90(COLOUR, -1))


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_not_a_picture_is_one_line(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"^broken.png cannot be read as a picture: [^\n]+$"):
        read_image(path, name="broken.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_truncated_picture_is_an_error(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="cannot be read as a picture"):
        read_image(path, name=path.name)
