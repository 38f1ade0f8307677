"""What --help prints: commands and options in their groups, examples on lines of their own, in plain text.

typer's own help goes through rich, which takes three times as long to load as typer itself.
"""

import inspect
from typing import Any

import typer

_EXAMPLE = "Example: "
_MAX_WIDTH = 100  # columns, on a terminal that has them

# typer keeps the types of commands, parameters and formatters to itself.
Command = Any


def asked_for(group: Command, context: typer.Context, arguments: list[str]) -> typer.Context | None:
    """The context of the command whose help the arguments ask for; None if they ask for none.

    Found from the words alone: to check the options beside --help takes longer than to print it.
    """
    command = group
    for word in arguments:
        if word == "--help":
            return context
        inner = getattr(command, "commands", {}).get(word)
        if word == "--" or (inner is None and _is_command(word, command)):
            return None
        if inner is not None:
            command, context = inner, typer.Context(inner, info_name=word, parent=context)
    return context if command is not group and hasattr(command, "commands") else None


def _is_command(word: str, command: Command) -> bool:
    """Whether the word has to name a command, as it stands where a command is expected."""
    return hasattr(command, "commands") and not word.startswith("-")


def help_text(context: typer.Context) -> str:
    """The help of the context's command."""
    command: Command = context.command
    context.max_content_width = _MAX_WIDTH
    formatter = context.make_formatter()
    command.format_usage(context, formatter)
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        formatter.write_paragraph()
        with formatter.indentation():
            _write_paragraph(formatter, paragraph)
    for title, rows in (*_commands(command), *_parameters(command, context)):
        with formatter.section(title):
            formatter.write_dl(rows)
    text: str = formatter.getvalue()
    return text.rstrip("\n")


def _write_paragraph(formatter: Any, paragraph: str) -> None:  # noqa: ANN401
    """Wrapped; an example on one line whatever its length, to be copied."""
    text = " ".join(paragraph.split())
    if not text.startswith(_EXAMPLE):
        formatter.write_text(text)
        return
    formatter.write(f"{'':{formatter.current_indent}}{_EXAMPLE}{text.removeprefix(_EXAMPLE).strip('`')}\n")


def _commands(command: Command) -> list[tuple[str, list[tuple[str, str]]]]:
    """By group, each command with the first sentence of its help."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, inner in getattr(command, "commands", {}).items():
        groups.setdefault(inner.rich_help_panel or "Commands", []).append((name, summary(inner)))
    return list(groups.items())


def summary(command: Command) -> str:
    """The first sentence of a command's help."""
    return " ".join((command.help or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def _parameters(command: Command, context: typer.Context) -> list[tuple[str, list[tuple[str, str]]]]:
    """By group: arguments, options, and options with a group of their own."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
        record = parameter.get_help_record(context)
        if record is not None:
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
    return list(groups.items())
