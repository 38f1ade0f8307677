"""JSON from a file, checked against the types that it must have."""

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import (
    Any,
    Literal,
    NoReturn,
    NotRequired,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from firstsight.errors import SettingsError, brief
from firstsight.files import read_regular

Made = TypeVar("Made")

_MAX_BYTES = 64 * 2**20  # of a file; a configuration has a few thousand
_MAX_NUMBER = 2**64  # PyTorch's seeds are below


def read_json(file: Path) -> Any:  # noqa: ANN401  # JSON
    """The content of the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, not JSON, nested too deeply, or far too large.
    """
    content = read_regular(file, max_bytes=_MAX_BYTES)
    try:
        return json.loads(content.decode(), parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def from_json(kind: type[Made], value: object, *, name: str) -> Made:
    """The value as a dataclass, a TypedDict or a plain type; lists become tuples where the type says so.

    A dataclass has no other keys than its fields; a TypedDict may have more, which are not checked.

    Args:
        kind: the type.
        value: as `json` returns it.
        name: of the value, for the error: "levels[0].maps".

    Raises:
        SettingsError: it is something else, or a number that is not finite.
    """
    made: Made = _made(kind, value, name)
    return made


def _made(kind: Any, value: Any, name: str) -> Any:  # noqa: ANN401, PLR0911  # any type, any value
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, name)
    if is_typeddict(kind):
        return _typed_dict(kind, value, name)
    if origin is NotRequired:
        return _made(arguments[0], value, name)
    if origin in {Union, types.UnionType}:
        return _one_of(arguments, value, name)
    if origin is Literal:
        return value if isinstance(value, str) and value in arguments else _refuse(arguments, value, name)
    if origin is dict:
        return _object(value, name)
    if origin in {list, tuple} and isinstance(value, list | tuple):
        return origin(_made(arguments[0], item, f"{name}[{index}]") for index, item in enumerate(value))
    return value if _is_plain(kind, value) else _refuse((kind,), value, name)


def _is_plain(kind: Any, value: object) -> bool:  # noqa: ANN401
    """Whether it is such a number, text, truth value or null. A truth value is no number; an integer is a float."""
    if kind in {int, float}:
        valid = (int,) if kind is int else (int, float)
        return type(value) in valid and abs(value) <= _MAX_NUMBER  # type: ignore[arg-type]  # which no NaN is
    return isinstance(kind, type) and isinstance(value, kind)


def _one_of(kinds: tuple[Any, ...], value: object, name: str) -> object:
    for kind in kinds:
        try:
            return _made(kind, value, name)
        except SettingsError:
            continue
    return _refuse(kinds, value, name)


def _dataclass(kind: Any, value: object, name: str) -> object:  # noqa: ANN401
    given = _object(value, name)
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(given.keys() - known.keys())
    missing = [
        field.name
        for field in known.values()
        if field.name not in given and field.default is MISSING and field.default_factory is MISSING
    ]
    if unknown or missing:
        raise SettingsError(f"{name} has {'a key ' + unknown[0] if unknown else 'no key ' + missing[0]}")
    hints = get_type_hints(kind)
    return kind(**{key: _made(hints[key], one, f"{name}.{key}") for key, one in given.items()})


def _typed_dict(kind: Any, value: object, name: str) -> dict[str, Any]:  # noqa: ANN401
    given, hints = _object(value, name), get_type_hints(kind, include_extras=True)
    missing = sorted(key for key in kind.__required_keys__ if key not in given)
    if missing:
        raise SettingsError(f"{name} has no key {missing[0]}")
    return given | {key: _made(hints[key], one, f"{name}.{key}") for key, one in given.items() if key in hints}


def _object(value: object, name: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse((dict,), value, name)


def _refuse(kinds: tuple[Any, ...], value: object, name: str) -> Any:  # noqa: ANN401
    valid = " or ".join(_name_of(kind) for kind in kinds)
    raise SettingsError(f"{name} is {json.dumps(value, default=brief)[:40]}; valid is {valid}")


def _name_of(kind: Any) -> str:  # noqa: ANN401
    if kind in {int, float}:
        return f"{'an integer' if kind is int else 'a number'} of at most {_MAX_NUMBER:.0e}"
    if kind is type(None):
        return "null"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
