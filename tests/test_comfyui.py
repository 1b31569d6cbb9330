"""The ComfyUI node by ComfyUI's own calling convention: loaded from its folder, asked for its inputs, then called."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from segmentation import Picture, Session, Settings, SettingsError, segment
from segmentation.models.spec import own_file_spec
from tests import graphs

FOLDER = Path(__file__).resolve().parent.parent / "comfyui"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return graphs.brightness(tmp_path / "bright.onnx")


@pytest.fixture
def loaded(model: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder, loaded as ComfyUI's `load_custom_node` does, beside the one module of ComfyUI that it uses."""
    host = ModuleType("folder_paths")
    host.get_filename_list = lambda kind: [model.name] if kind == "onnx" else []  # type: ignore[attr-defined]
    host.get_full_path = lambda _kind, name: str(model.parent / name)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "folder_paths", host)
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    yield module
    monkeypatch.delitem(sys.modules, f"{name}.image_segmentation")


@pytest.fixture
def images() -> Any:
    """Two pictures with a bright disc, (2, 48, 64, 3)."""
    rows, columns = np.mgrid[:48, :64]
    far = [np.hypot(rows - 24, columns - x) for x in (20, 44)]
    return np.stack([np.repeat((each < 15)[..., None], 3, axis=2) for each in far]).astype(np.float32)


def test_it_has_the_inputs_of_its_namesake(loaded: Any, model: Path) -> None:
    inputs = loaded.NODE_CLASS_MAPPINGS["ImageSegmentationCustom"].INPUT_TYPES()
    assert inputs == {
        "required": {
            "images": ("IMAGE",),
            "model": ([model.name],),
            "alpha_matting": (["true", "false"],),
            "alpha_matting_foreground_threshold": ("INT", {"default": 240, "max": 250, "step": 5}),
            "alpha_matting_background_threshold": ("INT", {"default": 20, "max": 250, "step": 5}),
            "alpha_matting_erode_size": ("INT", {"default": 10, "step": 1}),
            "post_process_mask": (["false", "true"],),
            "mean": ("FLOAT", {"default": 0.485, "max": 1.0, "step": 0.01}),
            "std": ("FLOAT", {"default": 1.0, "max": 1.0, "step": 0.01}),
            "size": ("INT", {"default": 1024, "step": 8}),
        }
    }
    assert set(loaded.NODE_DISPLAY_NAME_MAPPINGS) == set(loaded.NODE_CLASS_MAPPINGS)


def test_a_batch_becomes_cutouts_as_the_library_makes_them(loaded: Any, model: Path, images: Any) -> None:
    session, settings = Session(own_file_spec(model), model), Settings(alpha_matting=False, size=64)
    module = sys.modules[f"{loaded.__name__}.image_segmentation"]
    results = module.cutouts(images, session, settings)
    assert (results.shape, results.dtype) == ((2, 48, 64, 4), np.float32)
    for image, result in zip(images, results, strict=True):
        expected = segment(Picture((image * 255).astype(np.uint8)), session, settings).cutout
        assert np.array_equal(np.rint(result * 255), expected)
        assert (result[..., 3] > 0.5).mean() == pytest.approx((image[..., 0] > 0.5).mean(), abs=0.03)
    half = np.concatenate([images, np.full((2, 48, 64, 1), 0.5, np.float32)], axis=-1)
    assert module.cutouts(half, session, settings)[..., 3].max() == pytest.approx(0.5, abs=0.01)


def test_comfyui_calls_it_with_tensors(loaded: Any, images: Any, model: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch takes 5 GB; without it, only the arrays are tested")
    node = loaded.NODE_CLASS_MAPPINGS["ImageSegmentationCustom"]()
    inputs = {
        "images": torch.from_numpy(images), "model": model.name, "alpha_matting": "true",
        "alpha_matting_foreground_threshold": 240, "alpha_matting_background_threshold": 20,
        "alpha_matting_erode_size": 2, "post_process_mask": "false", "mean": 0.485, "std": 1.0, "size": 64,
    }  # fmt: skip
    (results,) = getattr(node, node.FUNCTION)(**inputs)
    assert (tuple(results.shape), results.dtype) == ((2, 48, 64, 4), torch.float32)
    assert 0 <= results.min() < results.max() <= 1
    with pytest.raises(SettingsError, match="std must not be 0"):
        getattr(node, node.FUNCTION)(**inputs | {"std": 0.0})
