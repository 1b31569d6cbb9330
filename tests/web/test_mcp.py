"""The tool for language models, called by the protocol's own client."""

import asyncio
import base64
import importlib.util
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from segmentation.config import Config
from segmentation.errors import SettingsError
from segmentation.settings import with_values
from segmentation.web.api import add_api
from segmentation.web.mcp import add_mcp
from segmentation.web.model_api import add_model_api
from segmentation.web.runs.service import Service
from segmentation.web.server import launch
from tests.web.conftest import Server
from tests.web.test_app import answers, free_port, start


@pytest.fixture(scope="module")
def url(server: Server) -> Iterator[str]:
    service = Service(with_values(server.service.config, mcp=True))
    with gr.Blocks() as page:
        add_api(page, service)
        add_model_api(page, service)
        add_mcp(page, service)
    _, url, _ = launch(page, service.config, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url.rstrip("/")
    page.close(verbose=False)


def ask(url: str, tool: str | None = None, **arguments: Any) -> Any:
    """The result of a tool, or the list of them."""

    async def talk() -> Any:
        async with (
            streamable_http_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await (session.call_tool(tool, arguments) if tool else session.list_tools())

    return asyncio.run(talk())


def data_url(path: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


def texts(answer: Any) -> str:
    return "\n".join(part.text for part in answer.content if part.type == "text")


def test_the_tools_are_the_cutout_and_the_models(url: str) -> None:
    tools = {tool.name: tool for tool in ask(url).tools}
    assert set(tools) == {"cut_out", "models"}
    properties = tools["cut_out"].inputSchema["properties"]
    assert set(properties) == {
        "image", "model", "alpha_matting", "classes", "subjects", "invert", "strokes", "points", "box",
    }  # fmt: skip
    assert properties["image"]["type"] == "string"
    assert "/gradio_api/upload" in properties["image"]["description"]
    assert tools["cut_out"].inputSchema["required"] == ["image"]
    assert "u2netp" in texts(ask(url, "models"))


@pytest.mark.parametrize("way", ["data URL", "upload", "address of the upload"])
def test_a_picture_comes_back_as_its_cutout(url: str, photos: dict[str, Path], way: str) -> None:
    picture = data_url(photos["chelsea"])
    if way != "data URL":
        content = photos["chelsea"].read_bytes()
        picture = httpx.post(f"{url}/gradio_api/upload", files={"files": ("cat.png", content)}, timeout=60).json()[0]
    if way == "address of the upload":
        picture = f"{url}/gradio_api/file={picture}"
    answer = ask(url, "cut_out", image=picture, alpha_matting=False)
    assert not answer.isError, texts(answer)
    (image,) = [part for part in answer.content if part.type == "image"]
    assert image.mimeType == "image/png"
    with Image.open(io.BytesIO(base64.b64decode(image.data))) as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", (451, 300))
    assert "'error': None" in texts(answer)


@pytest.mark.parametrize(
    "said",
    [
        {"points": json.dumps([{"x": 65, "y": 35}])},
        {"strokes": json.dumps([{"kind": "remove", "radius": 8, "points": [[12, 18], [28, 42]]}])},
        {"box": "[45, 10, 90, 50]", "subjects": "largest"},
    ],
    ids=lambda said: next(iter(said)),
)
def test_a_language_model_points_at_the_subject_and_corrects_it(url: str, tmp_path: Path, said: dict[str, str]) -> None:
    pixels = np.full((60, 90, 3), 20, np.uint8)
    pixels[10:50, 5:35] = pixels[20:40, 50:80] = 235
    Image.fromarray(pixels).save(tmp_path / "two.png")
    answer = ask(url, "cut_out", image=data_url(tmp_path / "two.png"), model="bright.onnx", alpha_matting=False, **said)
    assert not answer.isError, texts(answer)
    (image,) = [part for part in answer.content if part.type == "image"]
    with Image.open(io.BytesIO(base64.b64decode(image.data))) as cutout:
        alpha = np.asarray(cutout)[..., 3]
    assert [alpha[y, x] for y, x in ((30, 20), (36, 65))] == [0, 255]


def test_a_wrong_box_of_a_language_model_is_told(url: str, photos: dict[str, Path]) -> None:
    wrong = ask(url, "cut_out", image=data_url(photos["chelsea"]), model="bright.onnx", box="[1]")
    assert wrong.isError
    assert "box must be" in texts(wrong)


def test_a_large_data_url_passes_as_an_upload_does(url: str, tmp_path: Path) -> None:
    path = tmp_path / "noise.bmp"
    Image.effect_noise((1000, 700), 90).convert("RGB").save(path)
    answer = ask(url, "cut_out", image=data_url(path), model="bright.onnx", alpha_matting=False)
    assert path.stat().st_size > 2_000_000
    assert not answer.isError, texts(answer)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"image": "/etc/passwd"}, "not uploaded to this server"),
        ({"image": "https://example.org/cat.jpg"}, "not uploaded to this server"),
        ({"image": "http://127.0.0.1/gradio_api/file=/etc/passwd"}, "not uploaded to this server"),
        ({"image": "data:image/png;base64,?"}, "is not base64"),
        ({"image": "data:image/png;base64,AAAA"}, "picture"),
        ({"image": "data:image/png;base64,AAAA", "model": "nothing"}, "There is no model 'nothing'"),
    ],
    ids=["path", "web address", "file address", "damaged", "no picture", "model"],
)
def test_what_cannot_be_done_is_told_in_a_sentence(url: str, arguments: dict[str, str], sentence: str) -> None:
    answer = ask(url, "cut_out", **arguments)
    assert answer.isError
    assert sentence in texts(answer)


def test_the_app_serves_it_where_it_is_switched_on(tmp_path: Path, fetched: Callable[[str], Path]) -> None:
    address = f"http://127.0.0.1:{(port := free_port())}"
    own = {"SEGMATTE_MCP": "1", "SEGMATTE_MODELS_DIR": str(fetched("u2netp").parent), "GRADIO_TEMP_DIR": str(tmp_path)}
    process = start("--port", str(port), **own)
    try:
        assert answers(process, address)
        assert {tool.name for tool in ask(address).tools} == {"cut_out", "models"}
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output


def test_it_is_off_by_default(server: Server) -> None:
    assert httpx.post(f"{server.url}/gradio_api/mcp/", json={}, timeout=30).status_code in (404, 405)
    with gr.Blocks() as page:
        add_mcp(page, server.service)
    assert [fn.api_name for fn in page.fns.values()] == []


def test_it_is_refused_beside_a_login_and_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SEGMATTE_MCP would bypass the login"):
        Config.from_environment({"SEGMATTE_MCP": "1", "SEGMATTE_AUTH": "ann:secret"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with gr.Blocks() as page, pytest.raises(SettingsError, match=r"pip install 'gradio\[mcp\]==6"):
        launch(page, Config(mcp=True))
