"""Videos made on the spot, whose frames carry their own number so that a test can read it back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from firstsight.footage.encoding import x264_options

BITS = 10  # patches a frame number is written in: up to 1024 frames
CLOCK = Fraction(1, 90_000)  # the clock of MPEG, fine enough for every rate


def numbered(number: int, *, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A grey frame whose upper half holds the number as dark and bright patches, highest bit first."""
    frame = np.full((height, width, 3), 96, np.uint8)
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    for bit in range(BITS):
        bright = number >> (BITS - 1 - bit) & 1
        frame[: height // 2, edges[bit] : edges[bit + 1]] = 208 if bright else 32
    return frame


def number_in(pixels: NDArray[np.uint8]) -> int:
    """The number written in a frame, whatever its size."""
    height, width = pixels.shape[:2]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bright = pixels[height // 4, centres].mean(axis=-1) > 120
    return int("".join("1" if bit else "0" for bit in bright), 2)


def numbers(count: int, *, width: int = 96, height: int = 64) -> Iterator[NDArray[np.uint8]]:
    """The frames 0 to count - 1."""
    return (numbered(number, width=width, height=height) for number in range(count))


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    rate: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    seconds: Sequence[float] | None = None,
    rotation: float | None = None,
    mirrored: bool = False,
    sar: Fraction | None = None,
    colorspace: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
    audio: str | None = None,
    restamp: Callable[[av.Packet], None] | None = None,
) -> Path:
    """Write frames, uint8 (H, W, 3) RGB or (H, W, 4) RGBA, at a fixed rate or at the times given.

    Args:
        path: its suffix chooses the container unless `container_format` does.
        frames: one size.
        rate: frames per second.
        codec: an FFmpeg encoder.
        pix_fmt: the pixel format to encode.
        seconds: presentation time of each frame.
        rotation: degrees counter-clockwise by which players turn the frame, as the display matrix states it.
        mirrored: the display matrix mirrors as well.
        sar: sample aspect ratio.
        colorspace: FFmpeg number of the colour matrix, 1 for BT.709, 6 for BT.601.
        options: for the encoder.
        container_options: for the muxer.
        container_format: an FFmpeg muxer.
        audio: an encoder for half a second of silence, in a stream before the video.
        restamp: may change the stamps of each packet, in order of decoding.
    """
    pictures = iter(frames)
    first = next(pictures)
    with av.open(
        str(path) if isinstance(path, str | Path) else path,
        "w",
        format=container_format,
        options=container_options or {},
    ) as container:
        sound = container.add_stream(audio, rate=48_000) if audio else None
        given = options or {}
        stream = container.add_stream(codec, rate=rate, options=x264_options(given) if codec == "libx264" else given)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = CLOCK if seconds else Fraction(1, rate)
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        if colorspace:
            stream.codec_context.colorspace = colorspace
        if rotation is not None or mirrored:
            stream.set_display_rotation(rotation or 0, hflip=mirrored)
        if sound:
            write_silence(container, sound)
        for position, picture in enumerate([first, *pictures]):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[-1] == 4 else "rgb24")
            if colorspace:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=colorspace, dst_color_range=1)
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(seconds[position] / CLOCK) if seconds else position
            _mux(container, stream.encode(frame), restamp)
        _mux(container, stream.encode(None), restamp)
    return path


def _mux(
    container: av.container.OutputContainer, packets: list[av.Packet], restamp: Callable[[av.Packet], None] | None
) -> None:
    for packet in packets:
        if restamp:
            restamp(packet)
        container.mux(packet)


def write_silence(container: av.container.OutputContainer, stream: av.AudioStream) -> None:
    """Half a second of silence."""
    for position in range(24):
        layout = stream.codec_context.layout.name
        samples = stream.codec_context.frame_size or 1000
        silence = av.AudioFrame(format=stream.codec_context.format.name, layout=layout, samples=samples)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate, silence.pts, silence.time_base = 48_000, position * samples, Fraction(1, 48_000)
        container.mux(stream.encode(silence))
    container.mux(stream.encode(None))
