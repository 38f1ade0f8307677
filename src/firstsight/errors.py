"""Errors for users. Each message is one line: what was given, what is valid, what to do."""

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from os import PathLike

_MAX_SHOWN = 240  # characters of a value in a message: paths are long, and their ends count


class FirstsightError(Exception):
    """Base of every error that firstsight raises on purpose; the command line prints it and exits with 2."""


class SourceError(FirstsightError):
    """The footage cannot be read, or has nothing to learn from."""


class UnreachableError(SourceError):
    """The footage cannot be read now, for a reason that is not its own: it is worth another try."""


class PixelsError(FirstsightError):
    """An array of pictures has the wrong shape, dtype or size."""


class SettingsError(FirstsightError):
    """An option has a value outside its range, or two options contradict each other."""


class RunError(FirstsightError):
    """A run folder or weights file is missing, already there, damaged, or of another version."""


class LibraryError(FirstsightError):
    """A library of footage is missing, damaged, in use, of another version or of another encoder."""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Checks that the value is one of the choices.

    Raises:
        SettingsError: it is none of them.
    """
    if value not in choices:
        raise SettingsError(f"{name} {value!r}; valid are {', '.join(choices)}")


def check_count(what: str, value: object, *, at_least: int | None = 1, at_most: int | None = None) -> int:
    """The value as an int, if it is an integer in the range; one of NumPy is, True and False are not.

    Args:
        what: with the value in it, for the message: "{} keyframes".
        value: whatever was given.
        at_least: the lowest that is valid; None is any.
        at_most: the highest; None is any.

    Raises:
        SettingsError: it is not.
    """
    number = int(value) if not isinstance(value, bool) and isinstance(value, Integral) else None
    if number is not None and (at_least is None or number >= at_least) and (at_most is None or number <= at_most):
        return number
    lowest = "" if at_least is None else f" from {at_least}"
    highest = "" if at_most is None else f" to {at_most}"
    raise SettingsError(f"{what.format(brief(value))}; valid is an integer{lowest}{highest}")


def number_of(value: object) -> float:
    """The value as a float, if it is a finite number, one of NumPy too; of all else, as of True and False, NaN."""
    try:
        number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        return math.nan
    return number if math.isfinite(number) else math.nan


def check_number(what: str, value: object, valid: str, is_valid: Callable[[float], bool]) -> float:
    """The value as a float, if it is a finite number and valid; one of NumPy is a number, True and False are not.

    Args:
        what: with the value in it, for the message: "speed {}".
        value: whatever was given.
        valid: in words, for the message: "a number above 0".
        is_valid: the same as a function of a finite number, or of NaN, which is never valid.

    Raises:
        SettingsError: it is not.
    """
    number = number_of(value)
    if is_valid(number):
        return number
    raise SettingsError(f"{what.format(brief(value))}; valid is {valid}")


def check_seconds(what: str, value: object) -> float:
    """The value as a float, if it is a number of seconds from 0; `what` has it in it, as in "start {} s".

    Raises:
        SettingsError: it is not.
    """
    return check_number(what, value, "a number of seconds from 0", lambda seconds: seconds >= 0)


def check_used(options: Mapping[str, object], purpose: str, *, is_used: bool) -> None:
    """Raises a SettingsError if an option is given, neither None nor False, and what it is for is not used.

    Args:
        options: values by name.
        purpose: what they are for and how that is asked for, in words: "what is new; give novel=True as well".
        is_used: whether that is asked for.
    """
    for name, value in options.items():
        if value is not None and value is not False and not is_used:
            shown = "" if value is True else f" {value if isinstance(value, PathLike) else brief(value)}"
            raise SettingsError(f"{name}{shown} is for {purpose}, or leave it out")


def brief(value: object) -> str:
    """The value for a message, short and in one line: of an array its shape, of a number its digits.

    >>> brief(3.5), brief("3"), brief(None)
    ('3.5', "'3'", 'None')
    """
    if shape := getattr(value, "shape", ()):
        return f"an array {shape}"
    text = str(value) if isinstance(value, Real) else repr(value)
    text = text.replace("\n", " ")
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]}...{text[-_MAX_SHOWN // 2 :]}"


# The largest that scikit-learn takes. NumPy and PyTorch take it too; the former, like scikit-learn, none below 0.
MAX_SEED = 2**32 - 1


def check_seed(seed: object) -> int:
    """The seed as an int, if it is an integer from 0 to `MAX_SEED`, which every use of a seed takes.

    Raises:
        SettingsError: it is not.
    """
    return check_count("seed {}", seed, at_least=0, at_most=MAX_SEED)
