"""The sliders and presets of the page write settings that are valid, and defaults in the middle."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from segmentation.recipe import Recipe
from segmentation.settings import Settings
from segmentation.web.page.edges import MIDDLE, MOST, PARAMETERS, parameters, tables, trust
from segmentation.web.page.presets import CONTROLS, PRESETS, values_of

DOCS = Path(__file__).parents[2] / "docs" / "page.md"


def written(softness: int, follow: int) -> Settings:
    values: dict[str, Any] = {**parameters(softness), "trust_mask": trust(follow)}
    return Settings(**values)


def test_the_middle_of_both_sliders_is_the_default() -> None:
    assert written(MIDDLE, MIDDLE) == Settings()


def test_every_position_is_valid_and_softer_than_the_one_before() -> None:
    for position in range(MOST + 1):
        written(position, position)
    rows = tables()["softness"]
    for (high, low, erode), (higher, lower, larger) in pairwise(rows):
        assert higher >= high
        assert lower <= low
        assert larger >= erode
    assert tables()["follow"] == sorted(tables()["follow"])
    assert (trust(0), trust(MOST)) == (0.0, 0.1)


def test_the_documented_table_is_the_mapping() -> None:
    rows = [line.strip("| ").split(" | ") for line in DOCS.read_text(encoding="utf-8").splitlines() if "| " in line]
    table = {int(cells[0]): [float(cell) for cell in cells[1:5]] for cells in rows if cells[0].isdigit()}
    assert set(table) == {0, 25, 50, 75, 100}
    for position, values in table.items():
        assert values == [*parameters(position).values(), trust(position)], position


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_recipe_that_changes_something(name: str) -> None:
    settings = dict(PRESETS[name].settings)
    assert set(Recipe.of("u2netp", settings).changed) == set(settings)
    values = values_of(settings)
    assert set(values) <= set(CONTROLS)
    assert set(values_of({})) <= set(values)  # what another preset changed is taken back


def test_softness_writes_what_the_node_calls_thresholds_and_erode_size() -> None:
    assert [name.removeprefix("alpha_matting_") for name in PARAMETERS] == [
        "foreground_threshold", "background_threshold", "erode_size",
    ]  # fmt: skip
