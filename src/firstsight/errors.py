"""Errors for users. Each message is one line: what was given, what is valid, what to do."""

from numbers import Integral, Real

_MAX_SHOWN = 240  # characters of a value in a message: paths are long, and their ends count


class FirstsightError(Exception):
    """Base of every error that firstsight raises on purpose; the command line prints it and exits with 2."""


class SourceError(FirstsightError):
    """The footage cannot be read, or has nothing to learn from."""


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
    whole: object = None if isinstance(value, bool) else value
    is_inside = (
        isinstance(whole, Integral)
        and (at_least is None or int(whole) >= at_least)
        and (at_most is None or int(whole) <= at_most)
    )
    if isinstance(whole, Integral) and is_inside:
        return int(whole)
    lowest = "" if at_least is None else f" from {at_least}"
    highest = "" if at_most is None else f" to {at_most}"
    raise SettingsError(f"{what.format(brief(value))}; valid is an integer{lowest}{highest}")


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
