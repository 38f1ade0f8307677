"""Which method, and its options. Loads no PyTorch."""

from dataclasses import fields
from typing import Literal, get_args

from firstsight.article.settings import ArticleOptions, ArticleSettings, article_settings
from firstsight.closed_form.settings import ClosedFormSettings
from firstsight.errors import SettingsError, check_choice

Method = Literal["default", "random", "article"]


class Settings(ArticleOptions, total=False):
    """The keywords of `learn` that set up a method: the fields of the settings of both, all optional."""

    max_frames: int


def settings_of(method: str, given: Settings) -> ArticleSettings | ClosedFormSettings:
    """The settings of that method, with what is given in place of its defaults.

    Raises:
        SettingsError: no such method, a setting that it does not have, or a value outside its range.
    """
    check_choice("method", method, get_args(Method))
    kind = ArticleSettings if method == "article" else ClosedFormSettings
    valid = [field.name for field in fields(kind)]
    unknown = sorted(set(given) - set(valid))
    if unknown:
        raise SettingsError(f"method {method} has no setting {unknown[0]!r}; valid are {', '.join(valid)}")
    if method == "article":
        return article_settings(given)
    return ClosedFormSettings(**given)  # type: ignore[misc]  # the names were just checked


def method_for(given: Settings) -> Method:
    """The method meant when none is named: the article's if a setting is given that only it has, else the default."""
    only_the_articles = {field.name for field in fields(ArticleSettings)} - {
        field.name for field in fields(ClosedFormSettings)
    }
    return "article" if only_the_articles & set(given) else "default"
