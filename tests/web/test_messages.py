"""Every sentence is there in every language, with its values, and without what is for scripts and operators alone."""

import re
import string
from types import SimpleNamespace

import pytest

from segmentation import Settings, SettingsError
from segmentation.messages import Message, translated
from segmentation.recipe import DEFAULTS
from segmentation.web.texts import messages, speaker, texts
from tests.web.templates import templates

LANGUAGES = [language for language in texts() if language != "en"]
INTERNAL = re.compile(r"\b(?:alpha_matting_\w+|matting_method|trust_mask|post_process_mask|SEGMATTE_\w+|HF_\w+)\b")


def fields(template: str) -> set[tuple[str, str]]:
    return {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(template) if name is not None}


def test_there_are_sentences_to_say() -> None:
    assert len(templates()) > 200
    assert set(messages()) == set(texts())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_with_its_values(language: str) -> None:
    catalogue = messages()[language]
    assert templates() - set(catalogue) == set()
    for template, text in catalogue.items():
        assert fields(text) <= fields(template), template
        assert text.strip()


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_visitors_read_no_names_of_parameters_or_variables(language: str) -> None:
    catalogue = messages()["en"] | messages()[language]
    said = [catalogue.get(template, template) for template in templates()]
    assert [text for text in said if INTERNAL.search(re.sub(r"\{\w+\}", "", text))] == []
    assert [text for name, text in texts()[language].items() if INTERNAL.search(text)] == []


@pytest.mark.parametrize(
    ("accepted", "word"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "fertig"),
        ("zh-TW,zh;q=0.9", "完成"),
        ("xx,fr;q=0.5", "terminée"),
        ("", "done"),
        ("en-GB", "done"),
        ("tlh", "done"),
    ],
)
def test_the_browsers_language_is_spoken(accepted: str, word: str) -> None:
    request = SimpleNamespace(headers={"accept-language": accepted})
    assert word in speaker(request)(Message("All {total} pictures are done.", total=3)).lower()  # type: ignore[arg-type]


def test_a_message_is_its_english_sentence_everywhere_else() -> None:
    said = Message("{name} is {what}", name="a {brace}", what=Message("empty ({size})", size=0))
    assert said == "a {brace} is empty (0)"
    assert (
        translated(said, {"{name} is {what}": "{what}: {name}", "empty ({size})": "leer ({size})"})
        == "leer (0): a {brace}"
    )
    assert translated("plain", {"plain": "other"}) == "plain"
    assert Message("100 % {of} it") == "100 % {of} it"  # without values braces are text


@pytest.mark.parametrize(
    "values", [{"mean": "x"}, {"std": 0}, {"alpha_matting_erode_size": 9999}, {"size": 3}, {"matting_method": "no"}]
)
def test_a_setting_is_called_by_its_label(values: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    (name,) = values
    assert name in str(caught.value)  # to scripts by its name
    said = speaker(SimpleNamespace(headers={"accept-language": "de"}))(caught.value.message)  # type: ignore[arg-type]
    assert not INTERNAL.search(said)
    assert name in DEFAULTS
