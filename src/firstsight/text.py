"""Names made printable for a terminal, a page or a table; and JSON that every reader accepts."""

import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# Invisible marks hide or reverse text ("exe.jpg" as "gpj.exe"); these two are part of words and emoji.
_JOINERS = "\u200c\u200d"

# Bytes that are not UTF-8 come into Python as surrogates from here on.
_UNDECODED = 0xDC00

_ONE_BYTE = re.compile("[\udc80-\udcff]")


def printable(name: str | bytes | os.PathLike[str]) -> str:
    r"""The name in one line, without anything that a terminal would obey or an encoding refuse.

    Control characters, line and paragraph separators, marks that reverse text, and bytes that are not UTF-8 become
    escapes: "m\xe9.avi", "\x1b[2J", "two\nlines".

    >>> printable("walks/café 1.mp4")
    'walks/café 1.mp4'
    """
    return "".join(char if _is_shown(char) else _escaped(char) for char in os.fsdecode(name))


def counted(num: int, one: str) -> str:
    """How many: "1 source", "2 sources"; the plural ends in s."""
    return f"{num} {one}" if num == 1 else f"{num} {one}s"


def shortened(name: str, width: int) -> str:
    """The name in at most so many letters; what does not fit is left out of its middle, where names differ least.

    >>> shortened("2024-05-17-entrance-north.mp4", 20)
    '2024-05-...north.mp4'
    """
    if len(name) <= width:
        return name
    kept = max(0, width - len(_LEFT_OUT))
    return name[: kept // 2] + _LEFT_OUT[:width] + name[len(name) - (kept - kept // 2) :]


_LEFT_OUT = "..."


def _is_shown(char: str) -> bool:
    """Whether it is neither a control, a mark without a picture, a lone surrogate nor a line's end."""
    return char in _JOINERS or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escaped(char: str) -> str:
    if _ONE_BYTE.match(char):
        return f"\\x{ord(char) - _UNDECODED:02x}"
    return char.encode("unicode_escape").decode("ascii")


def json_line(content: Mapping[str, Any] | Sequence[Any]) -> str:
    """The content as one line of standard JSON: no NaN, no lone surrogates from odd file names.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    return json.dumps(_readable(content), allow_nan=False)


def _readable(value: Any) -> Any:  # noqa: ANN401, any JSON
    if isinstance(value, str):
        return "".join(_escaped(char) if unicodedata.category(char) == "Cs" else char for char in value)
    if isinstance(value, Mapping):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return value


# A spreadsheet computes cells that begin so, unless they are numbers.
_COMPUTED = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def safe_cell(text: str) -> str:
    """The text in one line, with an apostrophe in front where a spreadsheet would compute it.

    >>> safe_cell("=1+1.mp4"), safe_cell("-0.5")
    ("'=1+1.mp4", '-0.5')
    """
    is_formula = text.startswith(_COMPUTED) and not _NUMBER.fullmatch(text)
    return printable(f"'{text}" if is_formula else text)
