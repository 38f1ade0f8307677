import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.text import counted, json_line, printable, shortened


@pytest.mark.parametrize(("num", "words"), [(0, "0 sources"), (1, "1 source"), (1200, "1200 sources")])
def test_one_is_not_counted_as_many(num, words):
    assert counted(num, "source") == words


@pytest.mark.parametrize(
    ("width", "shown"),
    [(9, "abcdefghi"), (12, "abcdefghi"), (8, "ab...ghi"), (5, "a...i"), (4, "...i"), (3, "..."), (1, "."), (0, "")],
)
def test_what_does_not_fit_is_left_out_of_the_middle(width, shown):
    assert shortened("abcdefghi", width) == shown


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4",
        "ünï 影片.mp4",
        "नमस्ते.mp4",
        "می‌خواهم.mp4",
        "👩‍👩‍👧.jpg",
        "[x]*?.mp4",
        'it\'s "quoted"\\.mp4',
        "=1+1.csv",
        "\u00a0",
    ],
)
def test_what_can_be_shown_stays_as_it_is(name):
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"m\xe9.avi"), r"m\xe9.avi"),
        (b"m\xe9.avi", r"m\xe9.avi"),
        (Path(os.fsdecode(b"d\xff/m.avi")), r"d\xff/m.avi"),
        ("\ud800.avi", r"\ud800.avi"),
        ("two\nlines\r\t.mp4", r"two\nlines\r\t.mp4"),
        ("\x1b]0;title\x07\x1b[2J.mp4", r"\x1b]0;title\x07\x1b[2J.mp4"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("a\u2028b\u2029c\u2066d\ufeff", r"a\u2028b\u2029c\u2066d\ufeff"),
    ],
)
def test_what_cannot_is_escaped(name, shown):
    assert printable(name) == shown


@given(st.binary())
def test_any_name_of_a_file_is_one_line_of_utf8(name):
    shown = printable(name)
    assert len(shown.encode().decode().splitlines()) <= 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    assert printable(shown) == shown


def test_json_has_no_halves_of_characters_and_no_nan():
    content = {os.fsdecode(b"\xe9"): [os.fsdecode(b"m\xe9.avi"), ("\ud800", 1, None)], "two": "\U0001f600\n"}
    line = json_line(content)
    assert json.loads(line) == {r"\xe9": [r"m\xe9.avi", [r"\ud800", 1, None]], "two": "\U0001f600\n"}
    json.loads(line)["two"].encode()
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            json_line({"value": [value]})
