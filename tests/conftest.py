"""Real weights, real photographs and a tiny network, shared by all tests."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported: the tests' own Hubs switch it on again

import pytest

from segmentation import Registry, Session, load_registry
from segmentation.errors import WeightsError
from segmentation.models.spec import WheelSource
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights
from tests import graphs


def package_file(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)  # located, not imported
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / path


PHOTOS = {
    "cheetah": package_file("gradio", "media_assets/images/cheetah.jpg"),
    "chelsea": package_file("skimage", "data/chelsea.png"),
    "astronaut": package_file("skimage", "data/astronaut.png"),
}
"""Photographs that come with packages the tests need anyway: a cheetah, a cat, a woman."""


LONGEST = (
    "test_page_truth.py", "test_tuning.py", "test_docs.py", "test_correcting.py", "test_feel.py", "test_attack.py",
    "test_other_model.py", "test_states.py", "test_hostile_models.py", "test_model_choice.py", "test_chips.py",
    "test_browser.py", "test_app.py", "test_finder.py", "test_proof.py", "test_named_models.py", "test_estimators.py",
    "test_weights.py", "test_truth.py", "test_transformers_oracle.py", "test_ways_in.py", "test_api.py",
    "test_command_line.py", "test_own_planes.py", "test_first_screen.py", "test_matting.py", "test_private.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: each goes to one worker, and the other would wait for a long one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    return PHOTOS


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="session")
def fetched(registry: Registry) -> Callable[[str], Path]:
    """Real weights by model id, through the wheel source alone: a test machine need not reach the Hub."""

    def fetch(model_id: str) -> Path:
        spec = registry[model_id]
        wheels = tuple(source for source in spec.weights.sources if isinstance(source, WheelSource))
        spec = spec.model_copy(update={"weights": spec.weights.model_copy(update={"sources": wheels})})
        try:
            return fetch_weights(spec, DEFAULT_FOLDER)
        except WeightsError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no weights on this machine: {error}")

    return fetch


@pytest.fixture(scope="session")
def u2netp(registry: Registry, fetched: Callable[[str], Path]) -> Session:
    return Session(registry["u2netp"], fetched("u2netp"), "cpu")


@pytest.fixture(scope="session")
def modnet(registry: Registry, fetched: Callable[[str], Path]) -> Session:
    return Session(registry["modnet"], fetched("modnet"), "cpu")


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a 64 x 64 network for which brightness is foreground."""
    return graphs.brightness(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Session:
    """That network, loaded."""
    return Session(graphs.make_spec(tiny_path), tiny_path, "cpu")


@pytest.fixture(scope="session")
def weights(fetched: Callable[[str], Path]) -> dict[str, Path]:
    """The files of the two real networks."""
    return {name: fetched(name) for name in ("u2netp", "modnet")}
