"""The pages' templates, which lie beside the code that fills them."""

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import jinja2

from firstsight.text import printable


def load_template(name: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> jinja2.Template:
    """The template in that file; what is put into it is escaped, and what it asks for and does not get is an error.

    A name that holds what cannot be shown is shown with escapes, in every page.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_shown)
    environment.filters |= filters or {}
    return environment.from_string((resources.files(__package__) / name).read_text(encoding="utf-8"))


def _shown(value: Any) -> Any:  # noqa: ANN401, whatever a template puts out
    if isinstance(value, str) and not hasattr(value, "__html__") and not value.isprintable():
        return printable(value)
    return value
