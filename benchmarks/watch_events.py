"""Events of the view: light that changes is none, a moved, covered, dark or frozen camera is one.

    python benchmarks/watch_events.py light     # made changes of light over real clips, and a real thing a minute later
    python benchmarks/watch_events.py light --memory   # the same by a memory of the empty view, 12.5 frames a second
    python benchmarks/watch_events.py camera    # made covers, turns, bumps and frozen streams over real views
    python benchmarks/watch_events.py objects   # real objects pasted into real empty views, shadows, and real bottles
    python benchmarks/watch_events.py real      # all events of real clips
    python benchmarks/watch_events.py cost --minutes 60   # processor time and memory of watching 720p with all parts on

Each prints a table. Everything drawn follows from --seed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import av
import numpy as np
from PIL import Image
from scipy import ndimage

import firstsight
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import Frame, PixelByPixel
from firstsight.footage.stream import Stream
from firstsight.monitoring.event import Event
from firstsight.monitoring.view_watch import ViewWatch
from firstsight.monitoring.watch import Watcher
from firstsight.normality.learning import Learner
from firstsight.normality.memory import Memory
from firstsight.normality.motion import MotionView
from firstsight.pixels import crop_and_resize

sys.path.insert(0, str(Path(__file__).parent))
from peak_memory import peak_megabytes
from view_cases import COVERED, DARK, FRAMES_PER_SECOND, MOVED, NO_ALARM, Drawn, Ground, case, noisy

DATA = Path(__file__).parents[2] / "shared" / "data"
CLIPS = ("one-by-one-person-detection", "bottle-detection", "car-detection")
# Empty, and with a thing in view: seconds of the clip. A hand takes bottles between the two, so that most of the view
# changes at once; so the second begins three seconds before the next hand.
EMPTY_AND_THING = {CLIPS[0]: ((0, 5.5), (7, 19)), CLIPS[1]: ((0, 5), (19.5, 24.5)), CLIPS[2]: ((0, 4), (14.9, 18.9))}
STILLS = (
    *("f22_central_main", "f17_studyroom_main", "b4_pianolounge_ceiling_c021", "b2_lift_buttons_c026"),
    *("f13_open_area", "b3_food_corner_c023", "b0_main_lifthallway_c032", "f10_classrom_main"),
)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("light", "camera", "objects", "real", "cost"))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--memory", action="store_true", help="of light: by a memory of the empty view")
    parser.add_argument("--minutes", type=int, default=60, help="of cost: how much footage, an even number")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    lit = partial(light, by_memory=arguments.memory)
    costs = partial(cost, minutes=arguments.minutes)
    {"light": lit, "camera": camera, "objects": objects, "real": real, "cost": costs}[arguments.part](
        arguments.data, random
    )


def pictures(
    path: Path, span: tuple[float, float], width: int = 640, fps: float = FRAMES_PER_SECOND
) -> tuple[np.ndarray, ...]:
    """Of a span of a clip."""
    source = firstsight.open_source(path, frames_per_second=fps, start_seconds=span[0] or None, end_seconds=span[1])
    with source.read(PixelByPixel()) as reading:
        return tuple(resized(frame.pixels, width) for frame in reading)


def resized(picture: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """The picture at another size."""
    image = Image.fromarray(picture)
    return np.asarray(image.resize((width, height or round(image.height * width / image.width))))


def draw(random: np.random.Generator, other: np.ndarray, like: np.ndarray) -> Drawn:
    """What a case draws."""
    return Drawn(random.random(), random.random(), random.random(), resized(other, like.shape[1], like.shape[0]))


def light(data: Path, random: np.random.Generator, *, by_memory: bool = False) -> None:
    """Every change of light, and bumps, before three cameras; some time later something real comes."""
    fps, during = (12.5, 30.0) if by_memory else (FRAMES_PER_SECOND, 60.0)
    print("| camera | change | events | thing afterwards |\n|---|---|---|---|")
    told, false, num = 0, 0, 0
    for name, (empty, thing) in EMPTY_AND_THING.items():
        clip = data / "clips" / f"{name}.mp4"
        ground, things = Ground(name, pictures(clip, empty, fps=fps), 1.0), pictures(clip, thing, fps=fps)
        encoder = firstsight.learn(clip, method="random", seed=0)
        memory = memory_of(encoder, ground, random, fps=fps) if by_memory else None
        for change_name, change in {**NO_ALARM, "bump": MOVED["bump"]}.items():
            drawn, events = draw(random, things[0], things[0]), []
            watcher = Watcher(encoder, novel=True, memory=memory)
            footage = list(case(ground, change, drawn=drawn, before=20, during=during, random=random, fps=fps))
            for index, one in enumerate(things):
                shown = change(noisy(one, random, 1.0), during + index / fps, random, drawn)
                footage.append((20 + during + index / fps, shown))
            for seconds, picture in footage:
                events += watcher.update(as_frame(encoder, picture, seconds))
            comes = 20 + during
            begun = [one for one in events if not one.kind.endswith("ends")]
            before = [in_words(one) for one in begun if one.seconds < comes]
            after = [in_words(one) for one in begun if one.seconds >= comes]
            is_told = any(one.kind in ("novel begins", "left", "taken") for one in begun if one.seconds >= comes)
            wrong = [kind for kind in before if kind != "moved"]
            num, told, false = num + 1, told + is_told, false + bool(wrong)
            print(
                f"| {name} | {change_name} | {words(before)} | {'told' if is_told else 'NOT'}: {words(after)} |",
                flush=True,
            )
    print(f"\n{num} cases: {false} with an event that is not `moved`; the thing told in {told}")


def memory_of(encoder: firstsight.Encoder, ground: Ground, random: np.random.Generator, *, fps: float) -> Memory | None:
    """Of half a minute of the empty view."""
    learner = Learner(view_index=1, looks_index=0)
    for index in range(round(30 * fps)):
        learner.add(as_frame(encoder, ground.at(index, random), index / fps))
    return learner.finish(encoder)


def in_words(event: Event) -> str:
    """Its kind and, by a memory, which part spoke."""
    return f"{event.kind} ({event.part})" if event.part else event.kind


def words(kinds: list[str]) -> str:
    """How many of each kind."""
    return ", ".join(f"{kind} x{num}" if num > 1 else kind for kind, num in Counter(kinds).items()) or "-"


def as_frame(encoder: firstsight.Encoder, picture: np.ndarray, seconds: float) -> Frame:
    """As a stream would give it."""
    size, motion = (picture.shape[1], picture.shape[0]), MotionView()
    grey = crop_and_resize(picture[None], motion.crop(*size), motion.channels)[0]
    pictures = encoder.view.apply(picture[None])[0], grey, picture
    return Frame(pictures, seconds, round(seconds * FRAMES_PER_SECOND), "made", size)


def grounds(data: Path) -> list[Ground]:
    """Three real empty views as filmed, a room with a walker, and pictures of indoor places with noise."""
    found = [Ground(name, pictures(data / "clips" / f"{name}.mp4", EMPTY_AND_THING[name][0]), 1.0) for name in CLIPS]
    found.append(Ground("room with a walker", pictures(data / "novelty" / "normal-36.mp4", (0, 20)), 0.7))
    stills = {name: pictures(data / "ie_tower" / f"{name}.mp4", (2, 2.6))[:1] for name in STILLS}
    return found + [Ground(name, pictures_of, 1.5) for name, pictures_of in stills.items()]


def camera(data: Path, random: np.random.Generator) -> None:
    """Each thing that may happen to a camera, before each view."""
    views = grounds(data)
    expected = {**dict.fromkeys(MOVED, "moved"), **dict.fromkeys(COVERED, "covered begins"), "dark": "dark begins"}
    print("| what | cases | told as such within 2 s | latest | other events |\n|---|---|---|---|---|")
    for name, change in {**MOVED, **COVERED, **DARK, "frozen": None, "nothing": None}.items():
        kind, delays, others = expected.get(name, "frozen begins"), [], Counter()
        for number, ground in enumerate(views):
            other = views[(number + 1 + int(random.integers(len(views) - 1))) % len(views)].frames[0]
            drawn, watch, first = draw(random, other, ground.frames[0]), ViewWatch(), None
            frozen = name == "frozen"
            for seconds, picture in case(
                ground, change, drawn=drawn, before=12, during=12, random=random, is_frozen=frozen
            ):
                for event in watch.update(picture, seconds)[1]:
                    if event.kind == kind and first is None and seconds >= 12:
                        first = seconds - 12
                    else:
                        others[event.kind] += 1
            delays += [first] if first is not None else []
        soon = sum(delay <= 2 for delay in delays)
        latest = f"{max(delays):.1f} s" if delays else "-"
        print(f"| {name} | {len(views)} | {soon} | {latest} | {words(list(others.elements()))} |", flush=True)


def objects(data: Path, random: np.random.Generator) -> None:
    """Pasted things with a shadow, left and taken; shadows and lamps alone; the bottles."""
    views = [one for one in grounds(data) if one.name != "room with a walker"]
    right, missed, wrong_kind, others, of_light = 0, 0, 0, 0, 0
    for number in range(60):
        ground = views[number % len(views)]
        empty = ground.frames[0]
        source = views[int(random.integers(len(views)))].frames[0]
        full, box = pasted(empty, source, random)
        kind = ("left", "taken")[number % 2]
        first, second = (empty, full) if kind == "left" else (full, empty)
        found = stays(first, second, random)
        hits = [one for one in found if overlaps(one.box, box)]
        right += any(one.kind == kind for one in hits)
        missed += not hits
        wrong_kind += bool(hits) and all(one.kind != kind for one in hits)
        others += len(found) - len(hits)
    for number in range(40):
        empty = views[number % len(views)].frames[0]
        of_light += len(stays(empty, shaded(empty, random, is_shadow=number % 2 == 0), random))
    reported = right + wrong_kind + others
    print(f"60 pasted: {right} right, {wrong_kind} as the other kind, {missed} missed, {others} elsewhere")
    print(f"recall {right / 60:.2f}, precision {right / max(1, reported):.2f}; 40 shadows and lamps: {of_light} events")
    watch = ViewWatch(stays=True)
    with firstsight.open_source(data / "clips" / "bottle-detection.mp4", frames_per_second=5).read(
        PixelByPixel()
    ) as reading:
        for frame in reading:
            for event in watch.update(frame.pixels, frame.seconds)[1]:
                print(f"bottles, {frame.seconds:5.1f} s: {event.kind} since {event.start_seconds:.1f} s, {event.box}")


def pasted(empty: np.ndarray, source: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, tuple]:
    """A round part of another picture in the light of the place, and its shadow; and its box as shares."""
    height, width = empty.shape[:2]
    wide, high = int(width * random.uniform(0.06, 0.16)), int(height * random.uniform(0.1, 0.25))
    left, top = int(random.uniform(0.05, 0.8) * (width - wide)), int(random.uniform(0.2, 0.9) * (height - high))
    row, column = (
        (int(random.integers(side - part)) for side, part in zip(source.shape[:2], (high, wide), strict=True))
        if source.shape[0] > high and source.shape[1] > wide
        else (0, 0)
    )
    part = resized(source[row : row + high, column : column + wide], wide, high).astype(float)
    part *= random.uniform(0.6, 1.3)
    rows, columns = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j]
    mask = np.zeros((height, width))
    mask[top : top + high, left : left + wide] = (rows**4 + columns**4) < 1
    shadow = ndimage.gaussian_filter(np.roll(mask, (high // 6, wide // 3), axis=(0, 1)), 4)
    full = empty * (1 - 0.35 * shadow * (1 - mask))[..., None]
    soft = ndimage.gaussian_filter(mask, 0.8)[..., None]
    whole = np.zeros_like(full)
    whole[top : top + high, left : left + wide] = part
    result = np.clip(full * (1 - soft) + whole * soft, 0, 255).astype(np.uint8)
    return result, (left / width, top / height, wide / width, high / height)


def shaded(empty: np.ndarray, random: np.random.Generator, *, is_shadow: bool) -> np.ndarray:
    """A shadow or a patch of light that stays, its edge 1 to 6 pixels soft."""
    height, width = empty.shape[:2]
    mask = np.zeros((height, width))
    rows, columns = np.mgrid[0:height, 0:width]
    middle = random.uniform(0.2, 0.8, 2) * (height, width)
    far = ((rows - middle[0]) / (0.2 * height)) ** 2 + ((columns - middle[1]) / (0.15 * width)) ** 2
    mask[far < 1] = 1
    soft = ndimage.gaussian_filter(mask, random.uniform(1, 6))
    gain = 1 - 0.45 * soft if is_shadow else 1 + 0.5 * soft
    return np.clip(empty * gain[..., None], 0, 255).astype(np.uint8)


def stays(first: np.ndarray, second: np.ndarray, random: np.random.Generator) -> list:
    """Events of ten seconds of the one and fifteen of the other."""
    watch, found = ViewWatch(stays=True), []
    for index in range(50):
        picture = noisy(first if index < 20 else second, random, 1.5)
        found += watch.update(picture, index / 2)[1]
    return found


def overlaps(box: tuple | None, other: tuple) -> bool:
    """Whether two boxes share a point."""
    if box is None:
        return False
    across = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    down = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    return across > 0 and down > 0


def real(data: Path, _: np.random.Generator) -> None:
    """All events of the real clips, of which those of the view should be few."""
    for name in CLIPS:
        clip = data / "clips" / f"{name}.mp4"
        watcher = Watcher(firstsight.learn(clip, method="random", seed=0), novel=True)
        with Stream(clip, views=watcher.views, frames_per_second=FRAMES_PER_SECOND, speed=0.0) as stream:
            events = [*(event for arrival in stream for event in watcher.update(arrival)), *watcher.finish()]
        for event in events:
            print(f"{name}: {event.words()}")
    kinds: Counter = Counter()
    for clip in sorted((data / "novelty").glob("*.mp4")):
        watch = ViewWatch(stays=True)
        with firstsight.open_source(clip, frames_per_second=5).read(PixelByPixel()) as reading:
            for frame in reading:
                kinds.update(event.kind for event in watch.update(frame.pixels, frame.seconds)[1])
    print(f"28 clips of a room with one person: {dict(kinds)}")


def cost(data: Path, _: np.random.Generator, *, minutes: int) -> None:
    """Footage of 720p at 25 frames a second, of which `firstsight watch` judges 5 a second by all that it has."""
    program = [sys.executable, "-c", "from firstsight.cli.main import main; main()"]
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        part = again_and_again(data / "clips" / f"{CLIPS[0]}.mp4", folder / "part.mp4", seconds=120)
        video = joined(part, folder / "video.mp4", times=minutes // 2)
        subprocess.run([*program, "learn", str(part), "--out", str(folder / "run")], check=True, capture_output=True)
        command = [
            *program,
            "watch",
            str(folder / "run"),
            str(video),
            "--novel",
            "--stays",
            "--fps",
            "5",
            "--speed",
            "0",
        ]
        begun, most = os.times(), 0.0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            number = 0
            while process.poll() is None:
                with suppress(OSError, StopIteration):  # it has just ended
                    most = peak_megabytes(process.pid)
                time.sleep(5)
                number += 1
                if number % 12 == 0:
                    print(f"after {number // 12} min of watching: {most:.0f} MiB at most", flush=True)
            assert process.stderr is not None
            print(process.stderr.read().splitlines()[-2:])
        ended = os.times()
        used = sum(ended[2:4]) - sum(begun[2:4])  # of children
        print(f"{minutes} min: {used:.0f} s of processor time in {ended.elapsed - begun.elapsed:.0f} s, {most:.0f} MiB")


def again_and_again(clip: Path, path: Path, *, seconds: int) -> Path:
    """The clip's frames, forwards and backwards, as 720p at 25 frames a second, with the noise of a sensor."""
    frames = [resized(one, 1280, 720) for one in pictures(clip, (0, 20), 1280, fps=12.5)]
    noise = [np.random.default_rng(number).normal(0, 1, (720, 1280, 1)).astype(np.float32) for number in range(8)]
    with VideoWriter(path, size=(1280, 720)) as writer:
        for index in range(seconds * 25):
            place = index // 2 % (2 * len(frames) - 2)
            picture = frames[min(place, 2 * len(frames) - 2 - place)] + noise[index % 8]
            writer.write(np.clip(picture, 0, 255).astype(np.uint8), seconds=index / 25)
    return path


def joined(part: Path, path: Path, *, times: int) -> Path:
    """A video so many times after itself, copied without decoding."""
    with av.open(str(path), "w") as output:
        stream, offset = None, 0
        for _ in range(times):
            with av.open(str(part)) as given:
                source = given.streams.video[0]
                stream = stream or output.add_stream_from_template(source)
                last = 0
                for packet in given.demux(source):
                    if packet.dts is None:
                        continue
                    last = max(last, packet.pts + packet.duration)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    output.mux(packet)
                offset += last
    return path


if __name__ == "__main__":
    main()
