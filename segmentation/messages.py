"""Sentences for people: written in English where they arise, translated into the visitor's language at the edge."""

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, Self

_FORMAT = re.compile(r",?(\.\d)?[a-z%]?")  # no width, which could fill the memory
_MOST_CHARACTERS = 500


class Message(str):
    """An English sentence that keeps its template and values, so that it can be translated.

    It is a `str`: reports, the API and the command line use it as it is. The page looks up its template in the
    visitor's language. Values may be messages themselves.

    Attributes:
        template: The English sentence with names in braces, which is also its key in `locales/messages/*.json`.
        values: The values for the names.
    """

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        """The template filled in as by `str.format`; without values it is left as it is, braces included."""
        self = super().__new__(cls, template.format_map(values) if values else template)
        self.template, self.values = template, values
        return self

    def translated(self, catalogue: Mapping[str, str]) -> str:
        """The sentence in the catalogue's language; English if the catalogue lacks it.

        Args:
            catalogue: Template -> template in that language; and setting -> its label, for the value named `setting`.
        """
        values = {
            name: value.translated(catalogue)
            if isinstance(value, Message)
            else catalogue.get(str(value), value)
            if name == "setting"
            else value
            for name, value in self.values.items()
        }
        template = catalogue.get(self.template, self.template)
        return template.format_map(values) if values else template


def translated(text: str, catalogue: Mapping[str, str]) -> str:
    """A message in the catalogue's language; any other text unchanged."""
    return text.translated(catalogue) if isinstance(text, Message) else text


def to_json(text: str) -> list[Any]:
    """A message as JSON, for another process; any other text without values."""
    if not isinstance(text, Message):
        return [text, {}]
    plain = (int, float, str)
    return [
        text.template,
        {
            name: to_json(value) if isinstance(value, Message) else value if isinstance(value, plain) else str(value)
            for name, value in text.values.items()
        },
    ]


def from_json(parts: Any) -> Message:
    """The message that another process sent, which may have been taken over.

    Raises:
        ValueError: It is no message, or its template does more than fill in names.
    """
    try:
        template, values = str(parts[0])[:_MOST_CHARACTERS], dict(parts[1])
        for _, name, form, conversion in Formatter().parse(template) if values else ():
            if name is not None and (not name.isidentifier() or conversion or not _FORMAT.fullmatch(form or "")):
                raise ValueError(template)
        return Message(template, **{str(name): _value(value) for name, value in values.items()})
    except (TypeError, LookupError, RecursionError) as error:
        raise ValueError("not a message") from error


def _value(value: Any) -> object:
    if isinstance(value, list):
        return from_json(value)
    return value if isinstance(value, (int, float)) else str(value)[:_MOST_CHARACTERS]
