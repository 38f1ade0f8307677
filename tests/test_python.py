"""The product in Python: what a program does with it, and the errors that it gets."""

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import firstsight
from firstsight.comparison.compare import AtSeconds
from firstsight.errors import PixelsError, SettingsError, SourceError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.stream import Stream
from firstsight.monitoring.outlets import Destinations, open_outlets
from firstsight.progress import Cancelled, Progress


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 s of a still view, 64x48, 10 frames/s; something red stands in it from 8 to 12 s."""
    path = tmp_path_factory.mktemp("python") / "hall.mp4"
    ground = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
    with VideoWriter(path, size=(64, 48)) as writer:
        for index in range(160):
            frame = ground.copy()
            if 80 <= index < 120:
                frame[8:40, 16:56] = (250, 20, 20)
            writer.write(frame, seconds=index / 10)
    return path


@pytest.fixture(scope="module")
def encoder(hall: Path) -> firstsight.Encoder:
    return firstsight.learn(hall, seed=0, every=8)


@pytest.fixture(scope="module")
def picture(hall: Path) -> np.ndarray:
    return firstsight.frame_at(hall, 10.0).pixels


def one_frame(path: Path) -> Path:
    with VideoWriter(path, size=(64, 48)) as writer:
        writer.write(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), seconds=0.0)
    return path


def plain(result: object) -> dict:
    """A result in JSON, which has plain values only."""
    content = result.to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    return content


def test_a_frame_is_the_nearest_upright_in_full_size(bikes: Path) -> None:
    frame = firstsight.frame_at(bikes, 3.01)
    assert (frame.pixels.dtype, frame.pixels.shape, frame.seconds) == (np.uint8, (272, 640, 3), 3.0)
    assert frame.whole is frame.pixels


def test_compare_streams_every_frame_against_an_anchor(
    encoder: firstsight.Encoder, hall: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(picture).save(tmp_path / "red.png")
    given = [picture, tmp_path / "red.png", f"{hall}@10", AtSeconds(10.0)]
    curves = [[one.similarity for one in firstsight.compare(encoder, hall, anchor=one)] for one in given]
    for curve in curves:
        assert curve == pytest.approx(curves[0], abs=1e-5)
        assert len(curve) == 160
        assert 80 <= int(np.argmax(curve)) < 120
    first = next(iter(firstsight.compare(encoder, hall)))  # the article's rule: the first frame is the anchor
    assert plain(first) == {"source": "hall.mp4", "seconds": 0.1, "similarity": first.similarity}


def test_align_pairs_moments(encoder: firstsight.Encoder, hall: Path) -> None:
    reported: list[Progress] = []
    found = firstsight.align(hall, hall, encoder=encoder, progress=reported.append)
    content = plain(found)
    assert (content["first"], content["num_frames"]) == (str(hall), [32, 32])
    assert content["pairs"] == found.to_arrow().to_pylist()
    assert {one.what for one in reported} == {"embedding", "aligning"}
    assert reported[-1].done == reported[-1].total == 32


def test_detect_scenes_learns_its_own_encoder(hall: Path) -> None:
    reported: list[Progress] = []
    scenes = firstsight.detect_scenes(hall, progress=reported.append)
    assert [scene.first_frame for scene in scenes] == [scenes[number].first_frame for number in range(len(scenes))]
    assert scenes[0].first_frame == 0
    assert scenes[-1].last_frame == 159
    assert plain(scenes)["scenes"] == [plain(scene) for scene in scenes]
    assert scenes.to_arrow().num_rows == len(scenes)
    assert reported[-1].done == 160


def test_evaluate_has_verdicts(encoder: firstsight.Encoder, bikes: Path) -> None:
    judged = firstsight.evaluate(encoder, firstsight.open_source(bikes, every=10), max_frames=20)
    content = plain(judged)
    assert (content["source"], content["num_frames"]) == ("bikes.mp4", 20)
    assert len(content["verdicts"]) == len(content["uses"]) == 4
    assert judged.to_arrow().column("method").to_pylist() == list(content["scores"])


def test_watch_yields_events_with_their_picture(
    encoder: firstsight.Encoder, hall: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(picture).save(tmp_path / "red.png")
    anchors = [picture, tmp_path / "red.png", f"{hall}@10"]
    events = list(firstsight.watch(encoder, hall, anchors=anchors, novel=True, speed=0))
    begun = [event for event in events if event.kind.endswith("begins")]
    assert [event.anchor for event in begun] == ["picture", "red.png", "hall.mp4@10", None]
    for event in begun:
        assert event.start_seconds == 8.0
        assert event.frame.whole.shape == (48, 64, 3)
        assert "frame" not in plain(event)
        assert "data:image/jpeg" in event._repr_html_()
    with pytest.raises(FrozenInstanceError):
        begun[0].seconds = 0.0


def test_an_open_source_keeps_its_own_rate(encoder: firstsight.Encoder, hall: Path) -> None:
    source = firstsight.open_source(hall, frames_per_second=2)
    starts = [
        [event.start_seconds for event in firstsight.watch(encoder, one, novel=True, speed=0)] for one in (source, hall)
    ]
    assert starts == [[8.0, 8.0]] * 2
    found = [firstsight.align(one, one, encoder=encoder).path.score for one in (source, hall)]
    assert found[0] == found[1]


def test_events_are_sent_on_with_their_picture(encoder: firstsight.Encoder, hall: Path, tmp_path: Path) -> None:
    destinations = Destinations(events_file=tmp_path / "events.jsonl", snapshots=tmp_path / "snapshots")
    with open_outlets(destinations) as outlets:
        events = []
        for event in firstsight.watch(encoder, hall, novel=True, speed=0):
            outlets.send(event)
            events.append(event)
    kept = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [one.pop("snapshot") for one in kept] == [str(one) for one in sorted((tmp_path / "snapshots").iterdir())]
    assert kept == [event.to_json() for event in events]
    assert len(kept) == 2


def test_a_watch_that_is_closed_closes_its_stream(
    encoder: firstsight.Encoder, hall: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    close = Stream.close
    monkeypatch.setattr(Stream, "close", lambda stream: (closed.append(stream.name), close(stream)))
    events = firstsight.watch(encoder, hall, novel=True, speed=0)
    assert next(events).kind == "novel begins"
    assert closed == []
    events.close()
    assert closed == ["hall.mp4"]


def test_what_ends_a_watch_ends_what_has_begun_first(
    encoder: firstsight.Encoder, hall: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the next frame is waited for."""
    following = Stream.__next__

    def interrupted(stream: object) -> object:
        arrival = following(stream)
        if arrival.seconds > 10:
            raise KeyboardInterrupt
        return arrival

    monkeypatch.setattr(Stream, "__next__", interrupted)
    kinds: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        kinds.extend(event.kind for event in firstsight.watch(encoder, hall, novel=True, speed=0))
    assert kinds == ["novel begins", "novel ends"]


@pytest.mark.parametrize(
    "work",
    [
        lambda encoder, hall, progress: firstsight.align(hall, hall, encoder=encoder, progress=progress),
        lambda encoder, hall, progress: firstsight.detect_scenes(hall, encoder=encoder, progress=progress),
        lambda encoder, hall, progress: firstsight.evaluate(encoder, hall, progress=progress),
        lambda encoder, hall, progress: firstsight.learn(hall, progress=progress),
    ],
)
def test_a_report_cancels(encoder: firstsight.Encoder, hall: Path, work: Callable[..., object]) -> None:
    reported: list[Progress] = []

    def cancel(progress: Progress) -> None:
        reported.append(progress)
        raise Cancelled

    with pytest.raises(Cancelled):
        work(encoder, hall, cancel)
    assert len(reported) == 1


@pytest.mark.parametrize(
    "anchor", [np.zeros((4, 4, 4), np.uint8), np.zeros((48, 64, 3)), np.zeros((1, 48, 64, 3), np.uint8), np.uint8([1])]
)
def test_pixels_of_another_shape_or_kind_are_refused_at_once(
    encoder: firstsight.Encoder, hall: Path, anchor: np.ndarray
) -> None:
    with pytest.raises(PixelsError, match="uint8"):
        firstsight.watch(encoder, hall, anchors=[anchor])
    with pytest.raises(PixelsError, match="uint8"):
        list(firstsight.compare(encoder, hall, anchor=anchor))


def test_no_frames_are_refused(encoder: firstsight.Encoder, tmp_path: Path) -> None:
    none = np.zeros((0, 48, 64, 3), np.uint8)
    for work in (
        lambda: firstsight.learn(none),
        lambda: firstsight.detect_scenes(none),
        lambda: firstsight.align(none, none, encoder=encoder),
        lambda: firstsight.evaluate(encoder, none),
        lambda: list(firstsight.compare(encoder, none)),
        lambda: list(firstsight.watch(encoder, none, novel=True)),
        lambda: firstsight.frame_at(none, 0),
        lambda: firstsight.detect_scenes(tmp_path / "missing.mp4"),
    ):
        with pytest.raises(firstsight.FirstsightError):
            work()


def test_one_frame_is_little_but_no_accident(encoder: firstsight.Encoder, tmp_path: Path) -> None:
    path = one_frame(tmp_path / "one.mp4")
    assert [(scene.first_frame, scene.last_frame) for scene in firstsight.detect_scenes(path, encoder=encoder)] == [
        (0, 0)
    ]
    assert len(firstsight.align(path, path, encoder=encoder).to_arrow()) == 1
    assert list(firstsight.watch(encoder, path, novel=True, speed=0)) == []
    with pytest.raises(SourceError, match="no frame to compare"):
        list(firstsight.compare(encoder, path))
    with pytest.raises(SourceError, match="at least 20"):
        firstsight.evaluate(encoder, path)


def test_what_is_asked_for_wrongly_is_one_clear_line(encoder: firstsight.Encoder, hall: Path) -> None:
    for work, words in (
        (lambda: firstsight.watch(encoder, hall), "nothing to watch for"),
        (lambda: firstsight.watch(encoder, hall, novel=True, novel_from=0), "valid is above 0"),
        (lambda: firstsight.watch(encoder, hall, anchors=[f"{hall}@1", f"{hall}@1"]), "given twice"),
        (lambda: firstsight.align(hall, hall), "in Python encoder="),
        (lambda: firstsight.compare(encoder, hall, box=(0, 0, 9, 9)), "anchor that changes"),
        (lambda: firstsight.compare(encoder, hall, level=99), "level 99"),
    ):
        with pytest.raises(SettingsError, match=words):
            work()


def test_results_are_frozen() -> None:
    from firstsight.comparison.align import Alignment
    from firstsight.comparison.compare import Comparison
    from firstsight.evaluation.evaluate import Evaluation
    from firstsight.monitoring.event import Event
    from firstsight.monitoring.novelty import NoveltyScores
    from firstsight.scene_detection.scenes import Scene, Scenes

    for result in (Alignment, Comparison, Evaluation, Event, NoveltyScores, Scene, Scenes):
        assert is_dataclass(result)
        assert result.__dataclass_params__.frozen
        assert callable(result.to_json)
