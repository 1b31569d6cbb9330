"""Sentences for people: written in English where they arise, translated into the visitor's language at the edge."""

from collections.abc import Mapping
from typing import Self


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
