"""The public endpoints from elsewhere than Python: Gradio's client for JavaScript, and what describes them."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from segmentation.settings import Settings
from tests.web import node as packages
from tests.web.conftest import Server

CLIENT = Path(__file__).with_name("client.mjs")


@pytest.fixture
def node(server: Server) -> Any:
    if problem := packages.missing(packages.CLIENT):
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)

    def run(task: str, *pictures: Path) -> Any:
        package = packages.package(packages.CLIENT)
        entry = json.loads((package / "package.json").read_text())["main"]
        done = subprocess.run(
            [shutil.which("node") or "node", CLIENT, package / entry, server.url, task, *pictures],
            capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"NO_PROXY": "127.0.0.1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


# ------------------------------------------------------------------------------------------------- JavaScript


def test_javascript_sees_the_public_endpoints_and_the_models(node: Any, server: Server) -> None:
    public = {f"/{fn.api_name}" for fn in server.page.fns.values() if fn.api_visibility == "public"}
    assert set(node("endpoints")) == public
    (models,) = node("models")
    assert models[0]["id"] == "u2netp"


def test_javascript_gets_cutouts_and_report(node: Any, photos: dict[str, Path]) -> None:
    answer = node("segment", photos["chelsea"], photos["cheetah"])
    assert answer["names"] == ["chelsea-cutout.png", "cheetah-cutout.png"]
    assert bytes(answer["signature"]) == b"PNG"
    assert [entry["error"] for entry in answer["report"]] == [None, None]


def test_javascript_gets_the_sentence_of_an_error(node: Any, photos: dict[str, Path]) -> None:
    assert "There is no model 'nothing'" in node("error", photos["chelsea"])
    assert "Add at least one picture" in node("error")


def test_javascript_hears_which_picture_is_in_which_stage(node: Any, photos: dict[str, Path]) -> None:
    said = node("progress", photos["chelsea"])
    assert "chelsea.png: finding the subject" in said


def test_javascript_may_cancel(node: Any, server: Server, photos: dict[str, Path]) -> None:
    before = set(server.uploads.glob("segmatte-run-*"))
    assert node("cancel", *[photos["cheetah"]] * 5) >= 1
    (folder,) = set(server.uploads.glob("segmatte-run-*")) - before
    count = -1
    while count != (count := len(list(folder.glob("*.png")))):  # until those at work have come to their next stage
        time.sleep(1)
    assert count < 5


# ------------------------------------------------------------------------------------------------- description


@pytest.fixture(scope="module")
def openapi(server: Server) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/gradio_api/openapi.json", timeout=30)
    assert answer.status_code == 200
    content: dict[str, Any] = answer.json()
    return content


def test_openapi_describes_upload_and_the_public_calls_and_no_others(openapi: dict[str, Any], server: Server) -> None:
    assert openapi["openapi"].startswith("3.")
    public = {fn.api_name for fn in server.page.fns.values() if fn.api_visibility == "public"}
    assert {"segment", "models"} <= public
    calls = {f"/gradio_api/call/v2/{name}" for name in public}
    answers = {f"/gradio_api/call/{name}/{{event_id}}" for name in public}
    assert set(openapi["paths"]) == {"/gradio_api/upload", *calls, *answers}
    assert httpx.get(f"{server.url}/openapi.json", timeout=30).status_code == 404  # the one with all inner routes


def test_calls_made_as_openapi_describes_them_work(
    openapi: dict[str, Any], server: Server, photos: dict[str, Path]
) -> None:
    def body_of(path: str) -> dict[str, Any]:
        (content,) = openapi["paths"][path]["post"]["requestBody"]["content"].values()
        properties: dict[str, Any] = content["schema"]["properties"]
        return properties

    settings = body_of("/gradio_api/call/v2/segment")
    assert {"images", "model", *Settings.model_fields} <= set(settings)
    (field,) = body_of("/gradio_api/upload")
    with httpx.Client(base_url=server.url, timeout=60) as http:
        uploaded = http.post(
            "/gradio_api/upload", files={field: ("chelsea.png", photos["chelsea"].read_bytes())}
        ).json()
        images = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in uploaded]
        arguments = {"images": images, "model": "bright.onnx", "alpha_matting": False}
        event = http.post("/gradio_api/call/v2/segment", json=arguments).json()["event_id"]
        stream = http.get(f"/gradio_api/call/segment/{event}").text
    files, report = json.loads(stream.rpartition("event: complete\ndata: ")[2])
    assert [file["orig_name"] for file in files] == ["chelsea-cutout.png"]
    assert report[0]["error"] is None
