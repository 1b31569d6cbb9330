"""The public endpoints through gradio_client, as a script uses them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from segmentation import Settings, load_image, save_png, segment
from segmentation.network.session import Session
from tests.waiting import until
from tests.web.conftest import Server

BRIGHT = "bright.onnx"  # an own file in the models folder: brightness is foreground


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A white disc on black, 90 x 120."""
    rows, columns = np.mgrid[:90, :120]
    inside = (rows - 45) ** 2 + (columns - 60) ** 2 < 30**2
    path = tmp_path / "disc.png"
    Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(path)
    return path


def test_three_photos_become_cutouts_of_their_size_with_the_subject_kept(
    client: Client, photos: dict[str, Path]
) -> None:
    files, report = client.predict(
        images=[handle_file(path) for path in photos.values()], alpha_matting=False, api_name="/segment"
    )
    assert [Path(file).name for file in files] == [f"{path.stem}-cutout.png" for path in photos.values()]
    for path, file, entry in zip(photos.values(), files, report, strict=True):
        with Image.open(path) as photo, Image.open(file) as cutout:
            assert cutout.mode == "RGBA"
            assert cutout.size == photo.size == (entry["width"], entry["height"])
            alpha = np.asarray(cutout.getchannel("A"))
        assert 0.05 < (alpha > 127).mean() < 0.9
        assert entry["name"] == path.name
        assert entry["model"] == "u2netp"
        assert entry["provider"] == "CPUExecutionProvider"
        assert entry["error"] is None
        assert entry["files"] == [Path(file).name]
        assert {"decode", "network", "mask", "encode"} <= set(entry["seconds"])


def test_api_and_library_give_the_same_pixels(client: Client, photos: dict[str, Path], u2netp: Session) -> None:
    exact: dict[str, Any] = {"alpha_matting_erode_size": "auto", "matting_method": "closed-form", "trust_mask": 0.0}
    for chosen in ({}, exact):
        files, report = client.predict(images=[handle_file(photos["cheetah"])], **chosen, api_name="/segment")
        result = segment(load_image(photos["cheetah"]), u2netp, Settings(**chosen))
        with Image.open(files[0]) as cutout:
            assert np.array_equal(np.asarray(cutout), result.cutout)
        assert report[0]["warnings"] == list(result.warnings)


def test_api_command_line_and_library_write_the_same_bytes(
    server: Server, client: Client, photos: dict[str, Path], u2netp: Session, tmp_path: Path
) -> None:
    files, _ = client.predict(images=[handle_file(photos["chelsea"])], alpha_matting_erode_size=7, api_name="/segment")
    command = [sys.executable, "-m", "segmentation", "cut", str(photos["chelsea"]), "-o", str(tmp_path / "out")]
    folder = {"SEGMATTE_MODELS_DIR": str(server.service.config.models_folder)}
    done = subprocess.run(
        [*command, "--device", "cpu", "--alpha-matting-erode-size", "7"],
        env=os.environ | folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    picture = load_image(photos["chelsea"])
    result = segment(picture, u2netp, Settings(alpha_matting_erode_size=7))
    save_png(result.cutout, tmp_path / "library.png", picture.icc_profile)
    written = Path(files[0]).read_bytes()
    assert written == (tmp_path / "out" / "chelsea-cutout.png").read_bytes()
    assert written == (tmp_path / "library.png").read_bytes()


def test_every_setting_of_the_mission_is_a_parameter_with_its_default(client: Client) -> None:
    endpoints: Any = client.view_api(return_format="dict", print_info=False)
    assert set(endpoints["named_endpoints"]) == {"/segment", "/refine", "/score", "/models", "/inspect", "/find_models"}
    assert endpoints["unnamed_endpoints"] == {}
    parameters = endpoints["named_endpoints"]["/segment"]["parameters"]
    assert {p["parameter_name"]: p["parameter_default"] for p in parameters} == {
        "images": None,
        "model": "u2netp",
        "alpha_matting": True,
        "alpha_matting_foreground_threshold": 240,
        "alpha_matting_background_threshold": 20,
        "alpha_matting_erode_size": 10,
        "matting_method": "fast",
        "trust_mask": 0.003,
        "post_process_mask": False,
        "decontaminate": False,
        "invert": False,
        "mask_mode": "replace",
        "subjects": "all",
        "prompt_model": "",
        "classes": "each",
        "mean": None,
        "std": None,
        "size": None,
        "contract": "",
        "background": "transparent",
        "background_fit": "fill",
        "background_blur": 2.0,
        "crop": False,
        "crop_margin": 5.0,
        "canvas": "none",
        "canvas_fill": 85.0,
        "canvas_align": "box",
        "canvas_margin": 0.0,
        "outline_width": 0.0,
        "outline_colour": "#ffffff",
        "shadow": "none",
        "shadow_angle": 60.0,
        "shadow_distance": 3.0,
        "shadow_blur": 2.5,
        "shadow_opacity": 50.0,
        "format": "png",
        "max_edge": 0,
        "max_kb": 0,
        "backdrop": None,
        "strokes": None,
        "points": None,
        "box": None,
        "candidate": None,
        "mask": None,
        "trimap": None,
    }
    refining = endpoints["named_endpoints"]["/refine"]["parameters"]
    assert [p["parameter_name"] for p in refining[:3]] == ["run", "pictures", "alpha_matting"]
    assert {p["parameter_name"] for p in refining} == {p["parameter_name"] for p in parameters} - {
        "images",
        "model",
    } | {
        "run",
        "pictures",
    }
    assert len(endpoints["named_endpoints"]["/segment"]["returns"]) == 2


def test_models_lists_the_registry_and_own_files(client: Client) -> None:
    models = {model["id"]: model for model in client.predict(api_name="/models")}
    assert next(iter(models)) == "u2netp"
    assert models["u2netp"]["on_disk"] is True
    assert models["u2net"]["on_disk"] is False
    assert {model["provider_note"] for model in models.values()} == {""}  # nobody asked for a GPU here
    assert models["rmbg-1.4"]["usable"] is False
    assert models["rmbg-1.4"]["commercial_use"] == "no"
    assert models[BRIGHT]["licence"] == "your own file"
    assert json.loads(json.dumps(models)) == models


def test_a_bad_picture_is_named_while_the_others_finish(client: Client, disc: Path, tmp_path: Path) -> None:
    text, empty = tmp_path / "notes.png", tmp_path / "empty.jpg"
    text.write_text("not a picture")
    empty.write_bytes(b"")
    files, report = client.predict(
        images=[handle_file(path) for path in (text, disc, empty)],
        model=BRIGHT,
        alpha_matting=False,
        api_name="/segment",
    )
    assert [Path(file).name for file in files] == ["disc-cutout.png"]
    assert [entry["name"] for entry in report] == ["notes.png", "disc.png", "empty.jpg"]
    assert "notes.png is not a picture" in report[0]["error"]
    assert report[1]["error"] is None
    assert "empty.jpg is empty" in report[2]["error"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"alpha_matting_erode_size": 100000}, "alpha_matting_erode_size must lie between 0 and"),
        ({"alpha_matting_erode_size": 2.5}, "alpha_matting_erode_size must be a whole number"),
        ({"alpha_matting_foreground_threshold": 300}, "must lie between 0 and 255, not 300"),
        ({"alpha_matting_foreground_threshold": 10}, "must be below alpha_matting_foreground_threshold"),
        ({"alpha_matting_erode_size": "much"}, "alpha_matting_erode_size must be a whole number from 0 to 500 or auto"),
        ({"matting_method": "slow"}, "matting_method must be fast, closed-form, knn, lbdm, rw or lkm, not 'slow'"),
        ({"trust_mask": 2}, "trust_mask must be a number from 0 to 1, not 2"),
        ({"alpha_matting": "yes"}, "alpha_matting must be true or false"),
        ({"mean": [0.1, 0.2]}, "mean must be one number or three"),
        ({"mean": "a lot"}, "mean must be one number or three"),
        ({"std": 0}, "std must not be 0"),
        ({"size": 0}, "size must lie between"),
        ({"size": 7}, "size must lie between"),
        ({"size": 1000000}, "size must lie between"),
        ({"size": 512}, "works at 64 x 64 only"),
        ({"model": "modnet", "size": 500}, "multiple of 32 for this model, not 500; nearest: 480 or 512"),
        ({"model": "no-such-model"}, "There is no model 'no-such-model'"),
        ({"model": "../../u2netp"}, "There is no model"),
        ({"model": ["u2netp"]}, "There is no model"),
        ({"model": "rmbg-1.4"}, "SEGMATTE_ACCEPT_LICENCES=bria-rmbg-1.4"),
        ({"background": "chequered"}, "background must be transparent, picture, blur, mask or a colour"),
        ({"background": "picture"}, "there is none: add a backdrop"),
        ({"format": "gif"}, "format must be png, webp or jpeg, not 'gif'"),
        ({"crop_margin": 1000}, "crop_margin must be a number from 0 to 100"),
        ({"images": []}, "Add at least one picture"),
        ({"images": None}, "Add at least one picture"),
    ],
)
def test_a_wrong_value_gives_its_sentence(client: Client, disc: Path, wrong: dict[str, Any], sentence: str) -> None:
    call = {"images": [handle_file(disc)], "model": BRIGHT, "alpha_matting": False} | wrong
    with pytest.raises(AppError) as caught:
        client.predict(**call, api_name="/segment")
    # an error of one picture would stand in the report; these stop the run
    assert sentence in str(caught.value)


def test_too_many_pictures_are_refused(client: Client, disc: Path) -> None:
    with pytest.raises(AppError, match="6 pictures are too many for one run; the limit is 5"):
        client.predict(images=[handle_file(disc)] * 6, model=BRIGHT, api_name="/segment")


def test_mean_std_and_size_reach_the_network(client: Client, disc: Path) -> None:
    def cutout(**settings: Any) -> bytes:
        files, _ = client.predict(
            images=[handle_file(disc)], model="modnet", alpha_matting=False, api_name="/segment", **settings
        )
        return Path(files[0]).read_bytes()

    own = cutout()
    assert cutout(mean=0.5, std=[0.5, 0.5, 0.5]) == own  # MODNet's own values
    assert cutout(mean=0.3) != own
    assert cutout(size=256) != own


def test_the_job_reports_stages_and_a_cancelled_job_stops(
    server: Server, client: Client, photos: dict[str, Path]
) -> None:
    job = client.submit(
        images=[handle_file(photos["astronaut"])] * 5, model="modnet", alpha_matting=False, api_name="/segment"
    )
    said: set[str] = set()

    def begins() -> bool:
        said.update(unit.desc for unit in job.status().progress_data or [] if unit.desc)
        return any("astronaut.png: " in text for text in said)

    until(begins)
    runs = {path for path in server.uploads.glob("segmatte-run-*") if not any(path.iterdir())}
    assert job.cancel()
    turns = server.service.turns
    until(lambda: not (turns._busy or turns._waiting))
    time.sleep(1)  # had they gone on, the next would be at work
    assert not turns._busy
    written = [sum(1 for _ in run.glob("*.png")) for run in runs]
    assert max(written) < 5


def test_two_clients_at_once_get_their_own_pictures(server: Server, photos: dict[str, Path], tmp_path: Path) -> None:
    clients = [
        Client(server.url, analytics_enabled=False, verbose=False, download_files=tmp_path / str(i)) for i in range(2)
    ]
    names = ("cheetah", "chelsea")
    jobs = [
        client.submit(images=[handle_file(photos[name])], alpha_matting=False, api_name="/segment")
        for client, name in zip(clients, names, strict=True)
    ]
    for job, name in zip(jobs, names, strict=True):
        files, report = job.result(timeout=120)
        assert [entry["name"] for entry in report] == [photos[name].name]
        assert len(files) == 1
    for client in clients:
        client.close()
