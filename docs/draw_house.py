"""Draws the house: every room of the package, its layer, and what it imports, from the code itself.

    python docs/draw_house.py [OUT.svg]

Rows are the layers of the import contract in pyproject.toml, top to bottom: a room imports only from rows below. Of two
ways to a room the direct line is left out where another way leads there.
"""

import ast
import sys
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "firstsight"
_STYLE = (
    "text{font-family:system-ui,sans-serif;fill:#1c2733}.n{font-size:15px;font-weight:600}"
    ".p{font-size:11px;fill:#4a5a6a}rect{fill:#f4f8fb;stroke:#8aa5bd}path{fill:none;stroke:#9db4c8;stroke-width:1.2}"
)
_WIDTH, _MARGIN, _HEIGHT, _GAP = 1180, 16, 72, 30
_MAX_LINES = 3  # of a room's purpose


def layers() -> list[list[str]]:
    """Rooms of each layer, the highest first, as the import contract states them."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]


def purpose(room: str) -> str:
    """The first line of the room's docstring."""
    path = PACKAGE / room / "__init__.py"
    tree = ast.parse((path if path.exists() else PACKAGE / f"{room}.py").read_text())
    return (ast.get_docstring(tree) or "").splitlines()[0]


def imports(room: str, rooms: set[str]) -> set[str]:
    """The rooms that it imports from."""
    files = (PACKAGE / room).glob("*.py") if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("firstsight"):
                parts = (node.module or "").split(".")
                found |= {parts[1]} if len(parts) > 1 else {name.name for name in node.names}
    return found & rooms - {room}


def direct(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without what another way leads to."""

    def reach(room: str) -> set[str]:
        return uses[room].union(*(reach(one) for one in uses[room]))

    return {
        room: {one for one in below if all(one not in reach(other) for other in below)} for room, below in uses.items()
    }


def draw() -> str:
    """The picture, as SVG text."""
    rows = layers()
    uses = direct({room: imports(room, {one for row in rows for one in row}) for row in rows for room in row})
    boxes = {room: box for number, row in enumerate(rows) for room, box in _placed(row, number)}
    folders = [room for room in uses if (PACKAGE / room).is_dir()]  # the single files below are used by all
    lines = [_line(boxes[room], boxes[below]) for room in folders for below in sorted(uses[room]) if below in folders]
    rooms = [_room(room, box) for room, box in boxes.items()]
    height = len(rows) * (_HEIGHT + _GAP) + _MARGIN
    title = '<title>The rooms of firstsight</title><rect width="100%" height="100%" style="fill:#fff;stroke:none"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
    return "\n".join([head, f"<style>{_STYLE}</style>", title, *lines, *rooms, "</svg>\n"])


Box = tuple[float, float, float]  # left, top, width


def _placed(row: list[str], number: int) -> list[tuple[str, Box]]:
    width = (_WIDTH - _MARGIN * (len(row) + 1)) / len(row)
    narrow = min(width, 420.0)
    left = (_WIDTH - len(row) * narrow - (len(row) - 1) * _MARGIN) / 2
    top = _MARGIN + number * (_HEIGHT + _GAP)
    return [(room, (left + place * (narrow + _MARGIN), top, narrow)) for place, room in enumerate(row)]


def _line(upper: Box, lower: Box) -> str:
    x, y = upper[0] + upper[2] / 2, upper[1] + _HEIGHT
    to_x, to_y = lower[0] + lower[2] / 2, lower[1]
    bend = (to_y - y) / 2
    return f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}"/>'


def _room(room: str, box: Box) -> str:
    left, top, width = box
    shown = _wrapped(purpose(room), width)
    texts = "".join(
        f'<text class="p" x="{left + 10:.0f}" y="{top + 36 + 14 * line:.0f}">{escape(text)}</text>'
        for line, text in enumerate(shown)
    )
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{_HEIGHT}" rx="6"/>'
        f'<text class="n" x="{left + 10:.0f}" y="{top + 20:.0f}">{room}</text>{texts}'
    )


def _wrapped(text: str, width: float) -> list[str]:
    """Lines of about that width, as many as fit below a name."""
    room, lines = int((width - 20) / 6.0), [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= room and len(lines) < _MAX_LINES:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line if len(line) <= room else line[: room - 1].rstrip() + "…" for line in lines]


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "house.svg"
    out.write_text(draw())
