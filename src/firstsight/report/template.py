"""The pages' templates, which lie beside the code that fills them."""

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import jinja2


def load_template(name: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> jinja2.Template:
    """The template in that file; what is put into it is escaped, and what it asks for and does not get is an error."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= filters or {}
    return environment.from_string((resources.files(__package__) / name).read_text(encoding="utf-8"))
