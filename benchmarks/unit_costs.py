"""What an hour of video costs: core-seconds and bytes, measured; `benchmarks/year.py` reckons with them.

    python benchmarks/unit_costs.py hall.mp4 cars.mp4 --width 1280 --height 720

Each clip is scaled to that size and encoded anew as H.264, repeated to `--minutes`, and indexed by `firstsight.Library`
at `--fps` with an encoder learned from it: a library on disk, as `firstsight index` makes it. Core-seconds are those of
the process, whatever else the machine does. A frame has changed if it is less like the last one kept than 95 % of all
frames are like the one before them: what a library would keep of a camera if it kept changes alone.
"""

import argparse
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from machine import machine

import firstsight
from firstsight.library.store import Store

RESULTS = Path(__file__).parent / "results" / "unit_costs.json"
_USUAL = 0.05  # of neighbours are less alike


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--fps", type=float, default=2)
    arguments = parser.parse_args()
    size = (arguments.width, arguments.height)
    rows = []
    for clip in arguments.clips:
        with tempfile.TemporaryDirectory() as folder:
            video = repeated(clip, Path(folder) / "clip.mp4", size=size, seconds=60 * arguments.minutes)
            rows.append({"clip": clip.name, "width": size[0], "height": size[1], **costs(video, rate=arguments.fps)})
            print(json.dumps(rows[-1]))
    RESULTS.write_text(json.dumps({"machine": machine(), "fps": arguments.fps, "rows": rows}, indent=1) + "\n")


def repeated(clip: Path, path: Path, *, size: tuple[int, int], seconds: float) -> Path:
    """The clip again and again, in H.264 at that size."""
    with av.open(str(path), "w") as written:
        stream = written.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        num, most = 0, round(25 * seconds)
        while num < most:
            with av.open(str(clip)) as read:
                for frame in read.decode(video=0):
                    scaled = frame.reformat(*size, format="yuv420p")
                    scaled.pts, scaled.time_base = num, Fraction(1, 25)
                    written.mux(stream.encode(scaled))
                    num += 1
                    if num == most:
                        break
        written.mux(stream.encode())
    return path


def costs(video: Path, *, rate: float) -> dict[str, float]:
    """Of an hour of such video."""
    hours = firstsight.open_source(str(video)).num_frames() / 25 / 3600
    begin = time.process_time()
    with av.open(str(video)) as opened:
        for _ in opened.decode(video=0):
            pass
    decoding = time.process_time() - begin
    encoder = firstsight.learn(str(video), every=10, seed=0)
    begin = time.process_time()
    folder = video.parent / "clip.library"
    firstsight.Library.create(folder, str(video), encoder=encoder, frames_per_second=rate).close()
    indexing = time.process_time() - begin
    library_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    fixed = sum(path.stat().st_size for path in folder.glob("model*/*"))
    with Store.open(folder) as library:
        num_frames = library.num_frames
        changed = changed_share(library)
    return {
        "hours": round(hours, 4),
        "decoding_core_seconds_an_hour": round(decoding / hours, 1),
        "indexing_core_seconds_an_hour": round(indexing / hours, 1),
        "bytes_a_frame": round((library_bytes - fixed) / num_frames),
        "video_bytes_an_hour": round(video.stat().st_size / hours),
        "share_changed": round(changed, 3),
    }


def changed_share(library: Store) -> float:
    """The share of frames that have changed since the last one kept."""
    vectors = library.embeddings().vectors
    threshold = np.quantile((vectors[1:] * vectors[:-1]).sum(axis=1), _USUAL)
    kept = [vectors[0]]
    for vector in vectors[1:]:
        if vector @ kept[-1] < threshold:
            kept.append(vector)
    return len(kept) / len(vectors)


if __name__ == "__main__":
    main()
