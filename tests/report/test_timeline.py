"""The plot of a timeline: right when it is short, bounded when it is long."""

import tracemalloc

import numpy as np
import pytest

from firstsight.report.timeline import COLUMNS, plot_timeline, read_curve


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
    is_new = np.array([index % 7 == 0 for index in range(num)])
    assert curve.has_new_anchor.tolist() == [bool(is_new[part == p].any()) for p in range(min(num, 10))]
    assert (curve.in_seconds, curve.end, curve.num_frames) == (True, (num - 1) / 25, num)


def test_it_counts_frames_where_times_do_not_rise(tmp_path):
    curve = read_curve(written(tmp_path / "t.csv", [0, 1, 2, 0, 1], [0.5, "", 0.4, 0.3, 0.2], [""] * 5))
    assert (curve.in_seconds, curve.end, curve.position.tolist()) == (False, 4, [0, 1, 2, 3, 4])
    assert np.isnan(curve.least[1])
    assert curve.has_new_anchor.tolist() == [True, False, False, False, False]


def test_plotting_a_long_one_takes_bounded_memory(tmp_path):
    num = 60_000  # forty minutes, a new anchor at every frame
    path = written(tmp_path / "t.csv", np.arange(num) / 25, np.full(num, "0.5"), range(num))
    plot_timeline(written(tmp_path / "short.csv", [0, 1], [0.5, 0.6], [0, 0]), title="fonts and such are loaded")
    tracemalloc.start()
    try:
        plot_timeline(path, title="long")
        assert tracemalloc.get_traced_memory()[1] < 20e6  # its lines as Python lists would take 30 MB
    finally:
        tracemalloc.stop()
