"""Sentences for people: written in English where they arise, and said in the visitor's language at the edge."""

from collections.abc import Mapping
from typing import Self


class Message(str):
    """An English sentence that remembers how it was made, so that it can be said in another language.

    It is a `str`: reports, the API and the command line use it as it is. The page looks its template up in the
    visitor's language. Values may be messages themselves.

    Attributes:
        template: The English sentence with names in braces, which is also its key in `locales/*.json`.
        values: What stands for the names.
    """

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        """The sentence of a template, as `str.format` makes it; without values it stays as it is, braces and all."""
        self = super().__new__(cls, template.format_map(values) if values else template)
        self.template, self.values = template, values
        return self

    def translated(self, catalogue: Mapping[str, str]) -> str:
        """The same in the language of a catalogue; English where that has none.

        Args:
            catalogue: Template -> template in that language; and setting -> its label, for the value called `setting`.
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
    """A text in the language of a catalogue, where it is a message; else as it is."""
    return text.translated(catalogue) if isinstance(text, Message) else text
