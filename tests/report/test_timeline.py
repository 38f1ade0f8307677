"""The plot of a timeline: right when it is short, bounded when it is long."""

import tracemalloc

import numpy as np
import pytest

from firstsight.report.timeline import COLUMNS, TimelineWriter, _edges, plot_timeline, read_curve


def written(path, seconds, similarity, anchors):
    rows = (f"{s:.6f},{i},{a},{v}" for i, (s, v, a) in enumerate(zip(seconds, similarity, anchors, strict=True)))
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return path


@pytest.mark.parametrize("num", [1, 2, 9, 10, 11, 95])
def test_the_parts_span_what_a_slow_reading_would(tmp_path, num):
    random = np.random.default_rng(num)
    similarity = random.random(num).round(3)
    anchors = [index // 7 for index in range(num)]
    curve = read_curve(written(tmp_path / "t.csv", np.arange(num) / 25, similarity, anchors), max_parts=10)
    part = np.arange(num) * min(num, 10) // num
    expected = [similarity[part == p] for p in range(min(num, 10))]
    np.testing.assert_allclose(curve.least, [values.min() for values in expected])
    np.testing.assert_allclose(curve.largest, [values.max() for values in expected])
    np.testing.assert_allclose(curve.position, [np.argmax(part == p) / 25 for p in range(min(num, 10))])
    new = np.array([index // 7 if index % 7 == 0 else np.nan for index in range(num)])
    first_new = [(of_part := new[part == p])[~np.isnan(of_part)][:1] for p in range(min(num, 10))]
    np.testing.assert_allclose(curve.anchor, [one[0] if len(one) else np.nan for one in first_new])
    assert (curve.in_seconds, curve.end, curve.num_frames) == (True, (num - 1) / 25, num)


def test_it_counts_frames_where_times_do_not_rise(tmp_path):
    curve = read_curve(written(tmp_path / "t.csv", [0, 1, 2, 0, 1], [0.5, "", 0.4, 0.3, 0.2], [""] * 5))
    assert (curve.in_seconds, curve.end, curve.position.tolist()) == (False, 4, [0, 1, 2, 3, 4])
    assert np.isnan(curve.least[1])
    assert np.isnan(curve.anchor).all()


def test_anchors_lie_at_their_own_times_or_between_the_compared_frames(tmp_path):
    at = read_curve(written(tmp_path / "t.csv", [0, 1, 2], [0.1, 0.2, 0.9], [33.8] * 3))
    assert at.anchor[:1] == [33.8]
    assert np.isnan(at.anchor[1:]).all()
    every = read_curve(written(tmp_path / "t.csv", [1, 2, 4, 5], [0.1, 0.2, 0.9, 0.9], [0, 0, 3, 3]))
    assert every.anchor[[0, 2]].tolist() == [0, 3]
    restarting = read_curve(written(tmp_path / "t.csv", [1, 2, 1, 2], [0.1, 0.2, 0.9, 0.9], [0, 0, 3, 3]))
    assert (np.isnan(restarting.anchor[0]), restarting.anchor[2]) == (True, 1.5)


@pytest.mark.parametrize(
    ("positions", "starts", "edges"),
    [
        ([0.0, 1, 2], [0, 1, 2], [-0.5, 0.5, 1.5, 2.5]),
        ([0.0, 2, 3], [0, 1, 2], [-1, 1, 2.5, 3.5]),
        ([0.0, 1, 2, 3], [0, 2], [-0.5, 1.5, 3.5]),
        ([5.0], [0], [4.5, 5.5]),
    ],
)
def test_cells_of_an_alignment_lie_around_their_frames(positions, starts, edges):
    assert _edges(np.array(positions), np.array(starts)).tolist() == edges


def test_plotting_a_long_one_takes_bounded_memory(tmp_path):
    num = 30_000  # twenty minutes, a new anchor at every frame
    path = written(tmp_path / "t.csv", np.arange(num) / 25, np.full(num, "0.5"), range(num))
    plot_timeline(written(tmp_path / "short.csv", [0, 1], [0.5, 0.6], [0, 0]), title="fonts and such are loaded")
    tracemalloc.start()
    try:
        plot_timeline(path, title="long")
        assert tracemalloc.get_traced_memory()[1] < 10e6  # its lines as Python lists would take 15 MB
    finally:
        tracemalloc.stop()


def test_without_a_comparison_what_was_there_stays(tmp_path):
    path = tmp_path / "timeline.csv"
    path.write_text("before")
    with pytest.raises(KeyError), TimelineWriter(path):
        raise KeyError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
