"""Errors for users. Each message is one line: what was given, what is valid, what to do."""


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
