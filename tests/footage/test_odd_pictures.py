"""Pictures that are damaged, enormous, something else than their name says, or of several pages."""

import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageFile

from firstsight.errors import SourceError
from firstsight.footage import image_folders, images
from firstsight.footage.finding import IMAGE_SUFFIXES
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.images import read_image, read_picture
from firstsight.footage.source import open_source

GRADIENT = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8) * 2
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def read_all(source):
    with source.read(PixelByPixel()) as reading:
        return list(reading), reading


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
@pytest.mark.parametrize("content", [EPS, b"%PDF-1.4\n", b"%!PS\n", b"GIMP", b"/* XPM */", b"\x89HDF\r\n\x1a\n"])
def test_only_formats_of_the_list_are_opened_whatever_the_suffix(tmp_path, monkeypatch, suffix, content):
    def no_program(*arguments, **options):
        raise AssertionError(f"a program was run: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", no_program)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"^a cannot be read as a picture: it is none of JPEG, PNG"):
        read_image(path, name="a")


def test_a_picture_with_another_suffix_is_read(tmp_path):
    path = tmp_path / "really.png"
    Image.fromarray(GRADIENT).save(path, format="BMP")
    np.testing.assert_array_equal(read_image(path, name="a")[..., 0], GRADIENT)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SyntaxError("broken"), "broken"),
        (OSError("two\nlines\x1b[2J"), r"two lines\x1b[2J"),
        (struct.error("unpack"), "it is damaged (unpack)"),
        (zlib.error("Error -3"), "it is damaged (Error -3)"),
        (OverflowError(), "it is damaged (OverflowError)"),
        (KeyError(3), "it is damaged (3)"),
        (RecursionError("deep"), "it is damaged (deep)"),
        (MemoryError(), "there is not enough memory for it"),
        (
            Image.DecompressionBombError("bomb"),
            "it states more than 500 megapixels; valid are up to 250: make it smaller",
        ),
    ],
)
def test_whatever_pillow_raises_is_the_failure_of_that_file(tmp_path, monkeypatch, error, reason):
    for name in "ab":
        Image.fromarray(GRADIENT).save(tmp_path / f"{name}.png")
    load = ImageFile.ImageFile.load

    def failing(image):
        if getattr(image.fp, "name", "").endswith("a.png"):
            raise error
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", failing)
    frames, reading = read_all(open_source(tmp_path))
    assert [frame.source for frame in frames] == ["b.png"]
    (line,) = reading.skipped_sources
    assert line == f"a.png cannot be read as a picture: {reason}"


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".ppm"])
def test_damaged_bytes_give_a_picture_or_one_line(tmp_path, suffix, seed):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.dstack([GRADIENT] * 3)).save(path)
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(0, min(len(content), 300), 6):
        content[place] = random.integers(0, 256)
    path.write_bytes(content)
    with suppress(SourceError):
        assert read_image(path, name="a").dtype == np.uint8


def header_of(width, height):
    """A PNG that states that size and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + bytes(4) + b"IDAT"
    )


@pytest.mark.parametrize(("width", "height"), [(15_812, 15_812), (30_000, 30_000), (2_000_000_000, 1)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, width, height):
    (tmp_path / "bomb.png").write_bytes(header_of(width, height))
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(SourceError, match=r"megapixels.*make it smaller"):
        read_image(tmp_path / "bomb.png", name="bomb")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_no_warning_of_pillow_or_numpy_gets_out(tmp_path, monkeypatch):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    values[0, :2] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "nan.tif")
    monkeypatch.setattr(
        images, "_check_size", lambda image: warnings.warn("large", Image.DecompressionBombWarning, stacklevel=2)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_image(tmp_path / "nan.tif", name="nan")
    assert caught == []


def test_values_that_are_no_numbers_are_said_and_black(tmp_path, caplog):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    values[2, 2:] = np.nan, np.inf
    Image.fromarray(values).save(tmp_path / "nan.tif")
    frames, _ = read_all(open_source(tmp_path / "nan.tif"))
    assert frames[0].pixels[..., 0].ravel().tolist() == [0, 23, 46, 70, 93, 116, 139, 162, 185, 209, 0, 0]
    assert caplog.messages == ["nan.tif has NaN or infinite values, 2 in all, shown as black"]


def test_nothing_but_nan_is_no_picture(tmp_path):
    Image.fromarray(np.full((3, 4), np.nan, np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(SourceError, match=r"nan\.tif cannot be read as a picture: all its values are NaN or infinite"):
        open_source(tmp_path / "nan.tif")


class TestSeveralPages:
    @pytest.mark.parametrize(("suffix", "what"), [(".tif", "pages"), (".png", "pictures"), (".webp", "pictures")])
    def test_are_counted_and_the_first_is_used(self, tmp_path, caplog, suffix, what):
        pages = [Image.new("L", (32, 32), 40 * number) for number in range(5)]
        pages[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=pages[1:], lossless=True)
        frames, _ = read_all(open_source(tmp_path / f"a{suffix}"))
        assert [int(frame.pixels.max()) for frame in frames] == [0]
        assert caplog.messages == [f"a{suffix} holds 5 {what}, of which the first is used"]

    def test_of_many_files_the_first_is_named_and_the_rest_counted(self, tmp_path, caplog):
        pages = [Image.new("L", (32, 32), 40 * number) for number in range(5)]
        for name in "abcd":
            pages[0].save(tmp_path / f"{name}.tif", save_all=True, append_images=pages[1 : 2 + ord(name) % 3])
        read_all(open_source(tmp_path))
        assert caplog.messages == [
            "a.tif holds 3 pages, of which the first is used",
            "a.tif holds 3 pages, of which the first is used; the same goes for 3 more",
        ]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_every_orientation_is_that_of_pillow(tmp_path, suffix, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.dstack([GRADIENT, GRADIENT[::-1], GRADIENT])).save(path, exif=exif)
    picture = read_picture(path, name="a")
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.size == expected.shape[1::-1]


class TestLarge:
    @pytest.fixture(autouse=True)
    def small_limit(self, monkeypatch):
        monkeypatch.setattr(images, "_FULL_SIZE_PIXELS", 40 * 30)
        monkeypatch.setattr(images, "_STRIP_PIXELS", 500)

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "deep.tif", "alpha.png", "palette.png"])
    def test_are_read_smaller_but_keep_their_size(self, tmp_path, name):
        wide = np.add.outer(np.arange(91), np.arange(121)).astype(np.uint8)
        image = Image.fromarray(np.dstack([wide] * 3))
        if name == "deep.tif":
            image = Image.fromarray(wide.astype(np.uint16) * 257)
        elif name != "a.png" and not name.endswith((".jpg", ".tif")):
            image = image.convert("RGBA" if name == "alpha.png" else "P")
        image.save(tmp_path / name, **({"quality": 100} if name.endswith("jpg") else {}))
        picture = read_picture(tmp_path / name, name="a")
        height, width, _ = picture.pixels.shape
        assert (picture.size, width * height < 1_300) == ((121, 91), True)
        small = np.asarray(Image.fromarray(wide).resize((width, height), Image.Resampling.BOX))
        assert np.abs(picture.pixels[2:-2, 2:-2, 0].astype(int) - small[2:-2, 2:-2]).mean() < 4

    def test_a_view_sees_the_same_part_in_pixels_of_the_file(self, tmp_path):
        pixels = np.zeros((90, 120), np.uint8)
        pixels[30:60, 36:84] = 200
        Image.fromarray(pixels).save(tmp_path / "a.png")

        class Middle(PixelByPixel):
            def crop(self, width, height):
                from firstsight.pixels import Crop

                assert (width, height) == (120, 90)
                return Crop(36, 30, 48, 30, 16, 10)

        with open_source(tmp_path / "a.png").read(Middle()) as reading:
            (frame,) = reading
        assert (frame.size, frame.pixels.shape) == ((120, 90), (10, 16, 3))
        assert (frame.pixels == 200).all()


_PEAK = """
import resource, sys
from pathlib import Path
from firstsight.footage.images import read_picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = read_picture(Path(sys.argv[1]), name="large")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *picture.size, picture.pixels.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
@pytest.mark.parametrize(
    ("name", "mode", "size", "num_decoded"),
    [("a.jpg", "RGB", (10_000, 8_000), 20_000_000), ("a.png", "RGBA", (6_000, 5_000), 30_000_000)],
)
def test_memory_of_a_large_picture_is_that_of_decoding_it(tmp_path, name, mode, size, num_decoded):
    Image.new(mode, size, 90).save(tmp_path / name, compress_level=1)
    command = [sys.executable, "-c", _PEAK, str(tmp_path / name)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kilobytes, width, height, num_bytes = map(int, printed.split())
    assert (width, height) == size
    assert kilobytes * 1024 < 4 * num_decoded + num_bytes + 60e6


def test_levels_are_measured_again_when_the_pictures_have_changed(tmp_path):
    """As in a notebook or a server, which read a folder more than once."""
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    for factor in (1, 16):
        for name in "ab":
            Image.fromarray(ramp * factor).save(tmp_path / f"{name}.png")
        first, *_ = open_source(tmp_path)
        assert (first.pixels.min(), first.pixels.max(), len(np.unique(first.pixels))) == (0, 255, 256)


def test_levels_are_looked_up_once_in_a_reading(tmp_path, monkeypatch):
    for number in range(6):
        Image.fromarray(np.full((8, 8), 100 * number, np.uint16)).save(tmp_path / f"{number}.png")
    asked = []
    found = image_folders.levels_of_files
    monkeypatch.setattr(image_folders, "levels_of_files", lambda *given: asked.append(given) or found(*given))
    assert len(list(open_source(tmp_path))) == 6
    assert len(asked) == 1


@pytest.mark.parametrize(("dtype", "step"), [(np.uint8, 1), (np.uint16, 257), (np.float32, 1 / 255)])
def test_white_may_be_zero_in_a_tiff(tmp_path, dtype, step):
    """As of X-rays; Pillow turns 8 bits round itself."""
    path = white_is_zero(tmp_path / "x.tif", (np.arange(256) * step).astype(dtype)[None].repeat(8, 0))
    assert read_picture(path, name="x").pixels[0, :, 0].tolist() == list(range(255, -1, -1))


def test_values_that_are_no_numbers_are_black_where_white_is_zero_too(tmp_path):
    path = white_is_zero(tmp_path / "nan.tif", np.array([[0, np.nan, 1, np.inf]], np.float32))
    assert read_picture(path, name="nan").pixels.ravel().tolist() == [255, 0, 0, 0]


def white_is_zero(path, values):
    Image.fromarray(values).save(path)
    tag = struct.pack("<HHI", 262, 3, 1)
    content = path.read_bytes()
    assert content.count(tag + b"\1\0") == 1
    path.write_bytes(content.replace(tag + b"\1\0", tag + b"\0\0"))
    return path
