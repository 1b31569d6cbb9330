"""The same strokes, clicks and own masks through library, command line, API and settings file: the same bytes."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import segmentation
from segmentation import Correction, Point, Session, Settings, Stroke, read_strokes
from segmentation.__main__ import main
from segmentation.errors import SettingsError
from segmentation.recipe import Recipe
from segmentation.web.runs.archive import write_archive
from segmentation.web.runs.said import said_about
from tests.web.conftest import Server

MODEL = "bright.onnx"
STROKES = (Stroke("keep", 4.0, ((12.0, 12.0), (14.5, 40.0))), Stroke("remove", 3.0, ((70.0, 30.0),)))
SAID = [stroke.as_json() for stroke in STROKES]
FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of two bright subjects before a dark wall, a mask and a trimap."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        pixels = np.full((60, 90, 3), 30, np.uint8)
        pixels[15:45, 10:30] = pixels[20:55, 50:85] = 235
        Image.fromarray(pixels + rng.integers(0, 20, pixels.shape, np.uint8)).save(folder / name)
    for kind in ("masks", "trimaps"):
        (folder / kind).mkdir()
    mask = np.zeros((60, 90), np.uint8)
    mask[10:50, 5:40] = 255
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    trimap = np.full((60, 90), 128, np.uint8)
    trimap[22:38, 16:24], trimap[:8], trimap[:, 40:] = 255, 0, 0
    Image.fromarray(trimap).save(folder / "trimaps" / "a.png")
    return folder


@pytest.fixture(scope="module")
def session(server: Server) -> Session:
    return server.service.offered.session(MODEL)


@pytest.fixture
def command(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(server.service.config.models_folder))

    def run(*arguments: object) -> None:
        assert main(["cut", *map(str, arguments)]) == 0

    return run


def segment(client: Client, folder: Path, names: list[str], **given: Any) -> tuple[list[bytes], list[dict[str, Any]]]:
    files, report = client.predict(
        images=[handle_file(folder / name) for name in names], model=MODEL, **given, api_name="/segment"
    )
    return [Path(file).read_bytes() for file in files], report


def by_command(command: Any, folder: Path, out: Path, *options: object) -> bytes:
    command(folder / "a.png", "-o", out / "a.png", "-m", MODEL, "--overwrite", *options)
    return (out / "a.png").read_bytes()


def test_strokes_give_the_same_bytes_everywhere(
    client: Client, session: Session, folder: Path, command: Any, tmp_path: Path
) -> None:
    (expected,), report = segment(client, folder, ["a.png"], strokes=[SAID])
    assert [entry["error"] for entry in report] == [None]
    (plain,), _ = segment(client, folder, ["a.png"])
    assert expected != plain
    assert segment(client, folder, ["a.png"], strokes=SAID)[0] == [expected]  # of a single picture
    assert segment(client, folder, ["a.png"], strokes=json.dumps(SAID))[0] == [expected]  # as text
    both, report = segment(client, folder, ["b.png", "a.png"], strokes=[None, SAID])
    assert both[1] == expected
    files, _ = client.predict(run=report[0]["run"], pictures=[1, 0], strokes=[SAID, None], api_name="/refine")
    assert [Path(file).read_bytes() for file in files] == both

    (tmp_path / "strokes.json").write_text(json.dumps({"a.png": SAID}), encoding="utf-8")
    (tmp_path / "bare.json").write_text(json.dumps(SAID), encoding="utf-8")
    for name in ("strokes.json", "bare.json"):
        assert by_command(command, folder, tmp_path, "--strokes", tmp_path / name) == expected

    picture = segmentation.load_image(folder / "a.png")
    result = segmentation.segment(picture, session, strokes=read_strokes(SAID))
    segmentation.save_png(result.cutout, tmp_path / "library.png", picture.icc_profile)
    again = segmentation.refine(picture, result.probability, strokes=STROKES)
    assert np.array_equal(again.cutout, result.cutout)
    with Image.open(tmp_path / "library.png") as ours, Image.open(tmp_path / "a.png") as theirs:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert (tmp_path / "library.png").read_bytes() == expected


def test_the_settings_of_a_run_hold_its_corrections(
    server: Server, folder: Path, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(server.uploads))
    uploads = []
    for letter, file in zip("456", ("a.png", "b.png", "masks/a.png"), strict=True):
        path = server.uploads / (letter * 64) / Path(file).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((folder / file).read_bytes())
        uploads.append(path)
    said = {
        0: Correction(STROKES, (Point(60.0, 30.0),), (40.0, 10.5, 89.0, 60.0)),
        1: Correction(STROKES[:1], mask=uploads[2]),
    }
    recipe = Recipe.of(MODEL, {"mask_mode": "add"})
    run = server.service.new_run([str(path) for path in uploads[:2]], recipe, corrections=said)
    for _ in server.service.work.process(run):
        pass
    with zipfile.ZipFile(write_archive(run)) as archive:
        archive.extractall(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a-cutout.png", "b-cutout.png", "b-mask.png", "settings.yaml",
    ]  # fmt: skip
    command(folder / "a.png", folder / "b.png", "--settings", tmp_path / "settings.yaml", "-o", tmp_path / "again")
    for name in ("a-cutout.png", "b-cutout.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
    strokes = ("--mask-mode", "add", "--strokes", tmp_path / "settings.yaml")
    assert by_command(command, folder, tmp_path, *strokes) == (tmp_path / "a-cutout.png").read_bytes()


@pytest.mark.parametrize("kind", ["mask", "trimap"])
def test_an_own_plane_needs_no_model(
    client: Client, folder: Path, command: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {kind: handle_file(folder / f"{kind}s" / "a.png")}
    files, report = client.predict(
        images=[handle_file(folder / "a.png")], model="no/such-model-anywhere", **given, api_name="/segment"
    )
    assert (report[0]["model"], report[0]["provider"], report[0]["error"]) == ("none", "none", None)
    assert "network" not in report[0]["seconds"]
    expected = Path(files[0]).read_bytes()
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(tmp_path))
    assert by_command(command, folder, tmp_path, f"--{kind}-dir", folder / f"{kind}s") == expected
    again, _ = client.predict(run=report[0]["run"], **given, api_name="/refine")
    assert Path(again[0]).read_bytes() == expected
    _, without = client.predict(run=report[0]["run"], api_name="/refine")
    assert without[0]["error"] == "a.png has been cut out without a model. Cut out again."


def test_an_own_mask_is_the_result_without_matting(client: Client, folder: Path) -> None:
    mask = handle_file(folder / "masks" / "a.png")
    own = np.asarray(Image.open(folder / "masks" / "a.png"))
    for invert in (False, True):
        files, _ = client.predict(
            images=[handle_file(folder / "a.png")], model=MODEL, mask=[mask], alpha_matting=False, invert=invert,
            api_name="/segment",
        )  # fmt: skip
        with Image.open(files[0]) as cutout:
            assert np.array_equal(np.asarray(cutout)[..., 3], 255 - own if invert else own)


def test_clicks_and_subjects_choose_the_same_everywhere(
    client: Client, folder: Path, command: Any, tmp_path: Path
) -> None:
    (clicked,), _ = segment(client, folder, ["a.png"], points=[{"x": 20, "y": 30}])
    assert segment(client, folder, ["a.png"], box=[0, 0, 40, 60])[0] == [clicked]
    assert segment(client, folder, ["a.png"], points=[[{"x": 60, "y": 30, "keep": False}]])[0] == [clicked]
    assert by_command(command, folder, tmp_path, "--points", "20,30") == clicked
    assert by_command(command, folder, tmp_path, "--box", "0,0,40,60") == clicked
    (largest, smaller), report = segment(client, folder, ["a.png"], subjects="each")
    assert report[0]["files"] == ["a-cutout-1.png", "a-cutout-2.png"]
    assert smaller == clicked
    assert segment(client, folder, ["a.png"], subjects="largest")[0] == [largest]
    _, report = segment(client, folder, ["a.png"], points=[{"x": 40, "y": 5}])
    assert report[0]["error"] == "There is no subject under the click. Click on one, or on none."


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"strokes": [SAID, SAID]}, "strokes must have one entry for each picture, null for none: 1, not 2."),
        ({"strokes": "nonsense["}, "strokes must be a JSON list"),
        ({"strokes": [[{"kind": "paint"}]]}, "Stroke 1 must"),
        ({"points": [[{"x": 1}]]}, "points must be a list such as"),
        ({"points": {"x": 1}}, "points must be a JSON list"),
        ({"box": [5, 5, 5, 9]}, "box must be"),
        ({"box": [[1, 2, 3, 4], None]}, "box must have one entry for each picture"),
        ({"candidate": 2.0}, "candidate must be a whole number from 1 to 1000."),
        ({"mask": [None, None]}, "mask must have one entry for each picture"),
        ({"mask": "a.png"}, "mask must be a JSON list"),
        ({"mask": [7]}, "mask must be files uploaded to this server, or null."),
        ({"trimap": [["x"]]}, "trimap must be files uploaded to this server, or null."),
        ({"mask_mode": "xor"}, "mask_mode must be replace, add, subtract or intersect"),
        ({"subjects": "both"}, "subjects must be all, each or largest"),
    ],
)
def test_what_is_wrong_is_told(client: Client, folder: Path, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises((AppError, ValueError)) as caught:
        segment(client, folder, ["a.png"], **wrong)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "one"), [("box", [1, 2, 3, 4]), ("candidate", 2), ("points", [{"x": 1, "y": 2}] * 4), ("mask", FILE)]
)
def test_what_is_said_about_one_of_several_pictures_is_not_guessed(name: str, one: Any) -> None:
    with pytest.raises(SettingsError, match=f"{name} must have one entry for each picture, null for none: 4, not 1"):
        said_about(range(4), {name: one})


@pytest.mark.parametrize("name", ["mask", "trimap"])
@pytest.mark.parametrize("mark", [FILE, {}])
def test_an_own_plane_must_be_an_upload(server: Server, folder: Path, name: str, mark: dict[str, Any]) -> None:
    with (folder / "a.png").open("rb") as file:
        (path,) = httpx.post(f"{server.url}/gradio_api/upload", files={"files": file}).json()
    for other in ("/etc/passwd", str(folder / "a.png"), f"{path}/../../x", "https://example.com/a.png"):
        body = {"images": [{"path": path, **FILE}], "model": MODEL, name: [{"path": other, **mark}]}
        call = f"{server.url}/gradio_api/call"
        event = httpx.post(f"{call}/v2/segment", json=body, timeout=30).json()["event_id"]
        answer = httpx.get(f"{call}/segment/{event}", timeout=30).text
        assert "event: error" in answer
        assert "passwd" not in answer


@pytest.mark.parametrize(
    ("outside", "sentence"),
    [
        ({"points": [{"x": 500, "y": 1}]}, "Point 1 lies outside the picture, which is 90 x 60 pixels."),
        ({"strokes": [{"kind": "keep", "radius": 2, "points": [[-9, 4]]}]}, "Stroke 1 lies outside the picture"),
    ],
)
def test_what_lies_outside_one_picture_fails_it_alone(
    client: Client, folder: Path, outside: dict[str, Any], sentence: str
) -> None:
    given = {name: [None, value] for name, value in outside.items()}
    files, report = segment(client, folder, ["a.png", "b.png"], **given)
    assert len(files) == 1
    assert report[0]["error"] is None
    assert sentence in report[1]["error"]


def test_the_settings_are_ones_the_library_takes(session: Session, folder: Path) -> None:
    picture = segmentation.load_image(folder / "a.png")
    whole = segmentation.segment(picture, session, Settings(subjects="each"))
    first, second = segmentation.subjects_of(whole, Settings(subjects="each"))
    assert (first.label, second.label) == ("1", "2")
    assert np.array_equal(np.maximum(first.alpha, second.alpha), whole.alpha)
    chosen = segmentation.refine(picture, whole.probability, points=(Point(20.0, 30.0),))
    assert np.array_equal(chosen.alpha, second.alpha)
