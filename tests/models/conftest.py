"""A loopback Hub for the tests of models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import LoopbackHub
from tests.models.hub_shapes import add_all


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    hub = LoopbackHub()
    add_all(hub, tmp_path_factory.mktemp("shapes"))
    with hub.serving():
        yield hub


@pytest.fixture
def hub(served: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopbackHub:
    """The Hub in this process, with an empty cache."""
    served.use(monkeypatch, tmp_path / "home")
    served.asked.clear()
    served.tokens.clear()
    return served
