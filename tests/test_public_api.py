"""The package's face: `__all__` is all of it, its example runs, and importing it has no effect on anything."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import segmentation

ROOT = Path(__file__).resolve().parent.parent


def test_all_is_sorted_and_names_the_whole_public_api() -> None:
    public = {
        name
        for name, value in vars(segmentation).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert segmentation.__all__ == sorted(public)


def test_the_public_api_is_this() -> None:
    assert segmentation.__all__ == [
        "Correction",
        "Export",
        "ImageError",
        "Inspection",
        "MattingError",
        "ModelSpec",
        "Picture",
        "Point",
        "Prediction",
        "Registry",
        "RegistryError",
        "Result",
        "SegmentationError",
        "Session",
        "SessionError",
        "SessionPool",
        "Settings",
        "SettingsError",
        "Stroke",
        "WeightsError",
        "check_inside",
        "inspect_model",
        "load_image",
        "load_mask",
        "load_registry",
        "load_session",
        "load_trimap",
        "new_session",
        "predict",
        "read_box",
        "read_correction",
        "read_points",
        "read_strokes",
        "refine",
        "remove",
        "save_export",
        "save_png",
        "segment",
        "subjects_of",
    ]


def test_every_public_name_is_documented() -> None:
    for name in segmentation.__all__:
        assert (getattr(segmentation, name).__doc__ or "").strip(), name


def test_every_error_is_a_segmentation_error() -> None:
    errors = [getattr(segmentation, name) for name in segmentation.__all__ if name.endswith("Error")]
    assert len(errors) == 7
    assert all(issubclass(error, segmentation.SegmentationError) for error in errors)


def test_the_example_of_the_package_runs(
    fetched: Callable[[str], Path], photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched("u2netp")
    with Image.open(photos["chelsea"]) as photo:
        photo.resize((226, 150)).save(tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)
    summary, _, example = (segmentation.__doc__ or "").partition("\n\n")
    assert summary
    exec(compile(textwrap.dedent(example), "example", "exec"), {})
    with Image.open("cat-cutout.png") as cutout:
        alpha = np.asarray(cutout)[..., 3]
    assert alpha.shape == (150, 226)
    assert alpha[60, 100] > 250
    assert alpha[0, -1] < 5


IMPORT = """
    import json, sys

    seen = []

    def watch(event, arguments):
        if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.", "os.system")):
            seen.append(event)
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            if "__pycache__" not in str(arguments[0]):  # Python's own
                seen.append(f"{event} {arguments[0]}")
        elif event in ("os.mkdir", "os.remove", "os.rename"):
            if "__pycache__" not in str(arguments[0]):
                seen.append(f"{event} {arguments[0]}")

    sys.addaudithook(watch)
    import segmentation

    unwanted = {"gradio", "fastapi", "numba", "pymatting", "skimage", "torch"} & set(sys.modules)
    sys.__stdout__.write("RESULT" + json.dumps([seen, sorted(unwanted)]))
"""


def test_importing_it_opens_compiles_and_prints_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IMPORT)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    before, _, result = done.stdout.partition("RESULT")
    assert before == ""
    assert done.stderr == ""
    assert json.loads(result) == [[], []]
