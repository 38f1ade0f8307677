import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.footage.orientation import Orientation
from firstsight.pixels import Crop

ONE = 1 << 16


@given(st.integers(0, 3), st.booleans(), st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_crop_of_the_upright_picture_is_the_same_pixels_as_of_the_stored_one(turns, mirrored, width, height, data):
    orientation = Orientation(turns, mirrored)
    stored = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    upright = orientation.upright(stored)
    upright_width, upright_height = orientation.size(width, height)
    assert upright.shape[:2] == (upright_height, upright_width)

    x, y = data.draw(st.integers(0, upright_width - 1)), data.draw(st.integers(0, upright_height - 1))
    wide, high = data.draw(st.integers(1, upright_width - x)), data.draw(st.integers(1, upright_height - y))
    there = orientation.stored(Crop(x, y, wide, high, 5, 7), upright_width, upright_height)
    cut = stored[there.y : there.y + there.height, there.x : there.x + there.width]
    np.testing.assert_array_equal(orientation.upright(cut), upright[y : y + high, x : x + wide])
    assert orientation.size(there.out_width, there.out_height) == (5, 7)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((ONE, 0, 0, 0, ONE), Orientation(0)),
        ((0, ONE, 0, -ONE, 0), Orientation(3)),  # the right-hand side goes down: a quarter clockwise
        ((-ONE, 0, 0, 0, -ONE), Orientation(2)),
        ((0, -ONE, 0, ONE, 0), Orientation(1)),
        ((-ONE, 0, 0, 0, ONE), Orientation(0, mirrored=True)),
        ((ONE, 0, 0, 0, -ONE), Orientation(2, mirrored=True)),
        ((ONE - 9, 300, 0, -300, ONE - 9), Orientation(0)),  # a little askew
        ((0, 0, 0, 0, 0), Orientation(0)),
    ],
)
def test_reads_a_display_matrix(matrix, expected):
    assert Orientation.from_display_matrix(np.array([*matrix, 0, 0, 0, 1 << 30], np.int32)) == expected


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_moves_each_point_where_the_matrix_says(turns, mirrored):
    stored = np.zeros((5, 5, 1), np.uint8)
    stored[2, 4] = 1  # right of the centre
    stored[4, 2] = 2  # below it
    upright = Orientation(turns, mirrored).upright(stored)
    places = [np.argwhere(upright[..., 0] == value)[0] - 2 for value in (1, 2)]
    a, b, c, d = places[0][1], places[0][0], places[1][1], places[1][0]
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1], np.int32) * (ONE // 2)
    assert Orientation.from_display_matrix(matrix) == Orientation(turns, mirrored)
