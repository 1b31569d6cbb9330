"""Models beyond the registry through the API: on the Hub by name, uploaded, or dropped into the models folder."""

import contextlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
import yaml
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from segmentation.__main__ import main
from segmentation.config import Config
from segmentation.recipe import Recipe
from segmentation.settings import with_values
from segmentation.web.api import add_api
from segmentation.web.mcp import add_mcp
from segmentation.web.model_api import add_model_api
from segmentation.web.page.controls import Controls
from segmentation.web.runs.archive import write_archive
from segmentation.web.runs.service import Service
from segmentation.web.server import launch
from tests import graphs
from tests.hub import LoopbackHub
from tests.models.hub_shapes import add_all
from tests.repositories import scene, write_repository
from tests.waiting import until
from tests.web.conftest import Server, served
from tests.web.test_mcp import ask, data_url, texts

LISTED = "Xenova,briaai,onnx-community,ZhengPeng7,opencv,mattmdjaga,someone"
MASK = "someone/half_half"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    hub, folder = LoopbackHub(), tmp_path_factory.mktemp("shapes")
    add_all(hub, folder)
    for name in ("half_half", "labels"):
        hub.add(f"someone/{name}", write_repository(name, folder / name), tags=["onnx", "image-segmentation"])
    hub.add("someone/bare", write_repository("half_half", folder / "bare", declared=False))
    hub.add("someone/scores", {"model.onnx": graphs.scores(folder / "scores.onnx").read_bytes()})
    hub.add("stranger/model", write_repository("half_half", folder / "stranger"))
    big = graphs.with_external_data(folder / "big.onnx", 600_000)
    hub.add("onnx-community/big", {big.name: big.read_bytes(), "big.onnx.data": Path(f"{big}.data").read_bytes()})
    with hub.serving(), pytest.MonkeyPatch.context() as patch:
        hub.use(patch, tmp_path_factory.mktemp("home"))
        yield hub


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    graphs.brightness(folder / "bright.onnx")
    return folder


@pytest.fixture(scope="module")
def config(models: Path) -> Config:
    return Config(
        models_folder=models, hub_listed=LISTED, model_uploads=True, max_upload_mb=1, device="cpu"
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(hub: LoopbackHub, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from served(config, tmp_path_factory.mktemp("uploads"))


@contextlib.contextmanager
def served_api(config: Config) -> Iterator[str]:
    """The address of a server without the page."""
    service = Service(config)
    with gr.Blocks() as page:
        add_api(page, service)
        add_model_api(page, service)
        add_mcp(page, service)
    _, url, _ = launch(page, config, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url.rstrip("/")
    page.close(verbose=False)


@contextlib.contextmanager
def client_of(url: str) -> Iterator[Client]:
    client = Client(url, analytics_enabled=False, verbose=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels, _ = scene(3)
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, mask = scene(3)
    path = tmp_path_factory.mktemp("truths") / "scene.png"
    Image.fromarray(mask).save(path)
    return path


def pinned(hub: LoopbackHub, name: str, file: str = "onnx/model.onnx") -> str:
    return f"{name}@{hub.repositories[name].main.id}:{file}"


def segment(client: Client, picture: Path, model: str, **settings: Any) -> tuple[list[str], dict[str, Any]]:
    files, (report,) = client.predict(
        images=[handle_file(picture)], model=model, alpha_matting=False, **settings, api_name="/segment"
    )
    return files, report


def subject(path: str | Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)[..., 3] > 127


# ------------------------------------------------------------------------------------------------- by name


def test_a_name_on_the_hub_cuts_out_what_the_command_line_cuts_out(
    hub: LoopbackHub, server: Server, client: Client, picture: Path, truth: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files, report = segment(client, picture, MASK)
    assert report["model"] == pinned(hub, MASK)
    assert report["error"] is None
    assert report["warnings"] == []
    with Image.open(truth) as mask:
        true = np.asarray(mask) > 127
    assert (subject(files[0]) == true).mean() > 0.97
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(server.service.config.models_folder))
    monkeypatch.setenv("SEGMATTE_DEVICE", "cpu")
    assert main(["cut", str(picture), "-m", MASK, "--no-alpha-matting", "-o", str(tmp_path)]) == 0
    assert (tmp_path / "scene-cutout.png").read_bytes() == Path(files[0]).read_bytes()


def test_its_predictions_can_be_refined(hub: LoopbackHub, client: Client, picture: Path) -> None:
    _, report = segment(client, picture, MASK)
    files, (again,) = client.predict(run=report["run"], background="#ff0000", alpha_matting=False, api_name="/refine")
    assert again["model"] == pinned(hub, MASK)
    assert "network" not in again["seconds"]
    with Image.open(files[0]) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_what_a_report_records_can_be_run_again(hub: LoopbackHub, client: Client, picture: Path) -> None:
    files, report = segment(client, picture, "someone/half_half")
    hub.asked.clear()
    again, other = segment(client, picture, report["model"])
    assert not hub.asked
    assert other["model"] == report["model"]
    assert Path(again[0]).read_bytes() == Path(files[0]).read_bytes()


def test_a_guessed_contract_is_a_warning_and_a_given_one_is_not(client: Client, picture: Path) -> None:
    _, report = segment(client, picture, "someone/bare")
    assert "How to use bare was guessed. Check the mask." in report["warnings"]
    _, report = segment(client, picture, "someone/bare", contract="mean=0.5,0.5,0.5 std=0.5,0.5,0.5")
    assert not any("guessed" in warning for warning in report["warnings"])


def test_classes_of_a_hub_model_are_joined(client: Client, picture: Path) -> None:
    files, _ = segment(client, picture, "someone/labels")
    assert [Path(file).name for file in files] == ["scene-hair-cutout.png", "scene-skin-cutout.png"]
    joined, _ = segment(client, picture, "someone/labels", classes="hair,skin")
    assert len(joined) == 1
    assert (subject(joined[0]) >= (subject(files[0]) | subject(files[1]))).mean() > 0.99
    with pytest.raises(AppError, match="hair"):
        segment(client, picture, "someone/labels", classes="wheel")


def test_by_raw_http(server: Server, hub: LoopbackHub, picture: Path) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        (path,) = http.post("/gradio_api/upload", files={"files": ("a.png", picture.read_bytes())}).json()
        arguments = {"images": [{"path": path, "meta": {"_type": "gradio.FileData"}}], "model": MASK}
        event = http.post("/gradio_api/call/v2/segment", json=arguments).json()["event_id"]
        stream = http.get(f"/gradio_api/call/segment/{event}").text
        _, (report,) = json.loads(stream.rpartition("event: complete\ndata: ")[2])
        assert report["model"] == pinned(hub, MASK)
        event = http.post("/gradio_api/call/v2/inspect", json={"model": MASK}).json()["event_id"]
        stream = http.get(f"/gradio_api/call/inspect/{event}").text
        (found,) = json.loads(stream.rpartition("event: complete\ndata: ")[2])
        assert found["confidence"] == "declared"


def test_hub_models_are_scored_beside_registered_ones(
    hub: LoopbackHub, client: Client, picture: Path, truth: Path
) -> None:
    answer = client.predict(
        images=[handle_file(picture)], truths=[handle_file(truth)], models=[MASK, "bright.onnx"], api_name="/score"
    )
    text = json.dumps(answer)
    assert pinned(hub, MASK) in text
    assert "bright.onnx" in text


def test_the_tool_for_language_models_takes_names_and_classes(config: Config, hub: LoopbackHub, picture: Path) -> None:
    arguments = {"image": data_url(picture), "model": "someone/labels", "alpha_matting": False}
    with served_api(with_values(config, mcp=True)) as url:
        each = ask(url, "cut_out", **arguments)
        joined = ask(url, "cut_out", **arguments, classes="hair,skin")
        refused = ask(url, "cut_out", **arguments | {"model": "stranger/model"})
        (further,) = re.findall(r"'url': '(\S+?-skin-cutout\.png)'", texts(each))
        assert httpx.get(further, timeout=30).headers["content-type"] == "image/png"
    assert not each.isError, texts(each)
    assert len([part for part in each.content if part.type == "image"]) == 1
    assert pinned(hub, "someone/labels") in texts(each)
    assert not joined.isError, texts(joined)
    assert len([part for part in joined.content if part.type == "image"]) == 1
    assert "-hair-skin-cutout.png" in texts(joined)
    assert "-skin-cutout.png'" not in texts(joined).replace("-hair-skin-cutout.png", "")
    assert refused.isError
    assert "not among the Hub models that this server allows" in texts(refused)


def test_the_zip_names_commit_and_file_and_the_command_line_repeats_it(
    hub: LoopbackHub, server: Server, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with picture.open("rb") as file:
        (path,) = httpx.post(f"{server.url}/gradio_api/upload", files={"files": file}, timeout=60).json()
    run = server.service.new_run([path], Recipe.of(MASK, {"alpha_matting": False}))
    for _ in server.service.work.process(run):
        pass
    with zipfile.ZipFile(write_archive(run)) as archive:
        archive.extractall(tmp_path)
    settings = yaml.safe_load((tmp_path / "settings.yaml").read_text())
    assert settings["model"] == pinned(hub, MASK)
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(server.service.config.models_folder))
    monkeypatch.setenv("SEGMATTE_DEVICE", "cpu")
    again = ["cut", str(picture), "--settings", str(tmp_path / "settings.yaml"), "-o", str(tmp_path / "again")]
    assert main(again) == 0
    assert (tmp_path / "again/scene-cutout.png").read_bytes() == (tmp_path / "scene-cutout.png").read_bytes()


def test_links_name_hub_models_within_the_policy(hub: LoopbackHub, server: Server) -> None:
    named = server.service.offered.named
    with gr.Blocks():
        controls = Controls(server.service.offered.registry, named.known, named.may_be_named)
    for name in (MASK, pinned(hub, MASK), "Xenova/modnet@v2:onnx/model.onnx"):
        recipe, problem = controls.from_link({"model": name, "alpha_matting": "false"})
        assert recipe is not None
        assert (recipe.model, problem) == (name, "")
    for name in ("stranger/model", "upload:guess", "https://huggingface.co/datasets/a/b"):
        _, problem = controls.from_link({"model": name})
        assert "which is not available here" in problem


# ------------------------------------------------------------------------------------------------- inspect, find


def test_a_model_is_inspected_without_a_picture(hub: LoopbackHub, client: Client) -> None:
    found = client.predict(model="Xenova/modnet", api_name="/inspect")
    commit = hub.repositories["Xenova/modnet"].main.id
    assert found["model"] == pinned(hub, "Xenova/modnet")
    assert found["source"] == {"repository": "Xenova/modnet", "revision": commit, "file": "onnx/model.onnx"}
    assert {file["variant"] for file in found["files"]} == {"fp32", "fp16", "int8"}
    assert found["sources"]["input.mean"] == "registry"  # our entry comes from this repository
    assert found["licence"]["commercial"] == "yes"
    assert (found["readings"], found["proof"], found["problem"]) == ([], "", "")


def test_with_a_picture_the_ways_to_use_it_are_ranked_and_can_be_used(
    client: Client, picture: Path, truth: Path
) -> None:
    found = client.predict(model="someone/bare", picture=handle_file(picture), api_name="/inspect")
    readings = found["readings"]
    assert 2 <= len(readings) <= 6
    assert sum(reading["proposed"] for reading in readings) == 1
    assert found["proof"]
    assert sum(reading["share"] for reading in readings) == pytest.approx(1, abs=0.01)
    true = next(reading for reading in readings if "mean=0.5,0.5,0.5 std=0.5,0.5,0.5" in reading["contract"])
    files, report = segment(client, picture, found["model"], contract=true["contract"])
    with Image.open(truth) as mask:
        assert (subject(files[0]) == (np.asarray(mask) > 127)).mean() > 0.97
    assert report["warnings"] == []


def test_what_is_no_segmentation_model_is_inspected_but_not_run(client: Client, picture: Path) -> None:
    found = client.predict(model="someone/scores", picture=handle_file(picture), api_name="/inspect")
    assert "it is not a segmentation model" in found["problem"]
    assert found["contract"] is None
    assert found["readings"] == []
    with pytest.raises(AppError, match="it is not a segmentation model"):
        segment(client, picture, "someone/scores")


def test_models_are_found_by_words_within_the_policy(client: Client) -> None:
    assert client.predict(words="modnet", api_name="/find_models") == [
        {"model": "Xenova/modnet", "downloads": 5000, "licence": "apache-2.0"}
    ]
    found = {hit["model"] for hit in client.predict(words="", api_name="/find_models")}
    assert MASK in found
    assert not any(name.startswith("stranger/") for name in found)


def test_named_models_are_not_on_everyones_list(client: Client, picture: Path) -> None:
    segment(client, picture, MASK)
    ids = {entry["id"] for entry in client.predict(api_name="/models")}
    assert "bright.onnx" in ids
    assert not any("/" in id_ or id_.startswith("upload:") for id_ in ids)


# ------------------------------------------------------------------------------------------------- refused

REFUSED = {
    "not listed": ("stranger/model", "stranger/model is not among the Hub models that this server allows"),
    "missing": ("someone/nothing", "There is no model someone/nothing on the Hub, or it is private"),
    "private": ("someone/secret", "There is no model someone/secret on the Hub, or it is private"),
    "gated": ("briaai/RMBG-2.0", "RMBG-2.0"),
    "wrong hash": ("someone/spoilt", "the file that came from someone/spoilt is damaged"),
    "safetensors only": ("ZhengPeng7/BiRefNet", "has no .onnx file"),
    "too large": ("onnx-community/huge-ONNX:onnx/model.onnx", "at most 1024 MB"),
    "works together": ("Xenova/slimsam-77-uniform", "work together"),
    "two models": ("someone/rembg", "u2net.onnx"),
    "revision": ("Xenova/modnet@v9", "v9"),
    "file": ("Xenova/modnet:onnx/none.onnx", "none.onnx"),
    "link": ("https://huggingface.co/datasets/a/b", "is not a model on the Hub"),
    "nothing": ("", "There is no model ''"),
    "path": ("/etc/passwd", "There is no model '/etc/passwd'"),
    "upward": ("../bright.onnx", "There is no model '../bright.onnx'"),
    "registered data": ("x" * 5000, "There is no model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_gets_the_same_sentence_from_segment_and_inspect(
    client: Client, picture: Path, case: str
) -> None:
    name, sentence = REFUSED[case]
    for ask_for in (
        lambda: segment(client, picture, name),
        lambda: client.predict(model=name or " ", api_name="/inspect"),
    ):
        with pytest.raises(AppError) as caught:
            ask_for()
        assert sentence.rstrip("'") in str(caught.value)
        assert "Traceback" not in str(caught.value)
        assert "/home" not in str(caught.value)


def test_without_a_name_inspect_asks_for_one(client: Client) -> None:
    with pytest.raises(AppError, match="Name a model: owner/name on the Hub"):
        client.predict(api_name="/inspect")


def test_a_hub_that_does_not_answer_is_a_sentence(
    hub: LoopbackHub, client: Client, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "down", True)
    with pytest.raises(AppError, match="the Hub answered 503"):
        segment(client, picture, "someone/never-asked")
    _, report = segment(client, picture, "bright.onnx")
    assert report["error"] is None


def test_a_visitor_downloads_one_model_at_a_time(hub: LoopbackHub, server: Server, client: Client) -> None:
    content = graphs.two_sigmoids(server.uploads / "a.onnx").read_bytes()
    for name in ("slow", "other"):
        hub.add(f"someone/{name}", {"model.onnx": content + name.encode()})
    hub.slow.set()
    try:
        first = client.submit(model="someone/slow", api_name="/inspect")
        until(lambda: "someone/slow" in hub.held)
        with pytest.raises(AppError, match="already downloading a model"):
            client.predict(model="someone/other", api_name="/inspect")
    finally:
        hub.slow.clear()
        with contextlib.suppress(AppError):  # the bytes at its end are no network
            first.result(60)


@pytest.mark.parametrize(
    ("policy", "sentences"),
    [
        ({"hub_models": "off"}, {"Xenova/modnet": "the operator has switched that off"}),
        ({"models": "bright.onnx"}, {"Xenova/modnet": "the operator has switched that off"}),
        ({"hub_models": "any"}, {"stranger/model": "", "someone/secret": "or it is private"}),
        ({"hub_listed": "stranger"}, {"stranger/model": "", "Xenova/modnet": "Ask its operator to allow Xenova"}),
        ({"hub_models": "any", "hub_file_mb": 1}, {"onnx-community/big": "at most 1 MB are allowed here"}),
        ({"hub_models": "any", "hub_disk_mb": 1}, {"onnx-community/big": "There is no room for big"}),
    ],
    ids=["off", "models", "any", "listed", "size", "disk"],
)
def test_the_operator_decides_what_may_be_named(
    hub: LoopbackHub, models: Path, picture: Path, policy: dict[str, Any], sentences: dict[str, str]
) -> None:
    with served_api(Config(models_folder=models, device="cpu", **policy)) as url, client_of(url) as client:
        for name, sentence in sentences.items():
            if sentence:
                with pytest.raises(AppError, match=sentence):
                    segment(client, picture, name)
            else:
                assert segment(client, picture, name)[1]["error"] is None
        if policy.get("hub_models") == "off" or "models" in policy:
            with pytest.raises(AppError, match="the operator has switched that off"):
                client.predict(words="modnet", api_name="/find_models")
        with pytest.raises(AppError, match="Models cannot be uploaded here: the operator has not allowed it"):
            client.predict(onnx_file=handle_file(picture), api_name="/inspect")


def test_what_only_the_operators_token_opens_is_not_for_visitors(
    hub: LoopbackHub, client: Client, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("unlisted/secret", {"model.onnx": b"x"}, private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_operator")
    with pytest.raises(AppError, match="not among the Hub models"):
        segment(client, picture, "unlisted/secret")


# ------------------------------------------------------------------------------------------------- uploads


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "My net.onnx"
    path.write_bytes((write_repository("half_half", tmp_path / "r") / "onnx" / "model.onnx").read_bytes())
    return path


def test_an_upload_is_inspected_and_used_by_its_token(client: Client, picture: Path, mine: Path) -> None:
    found = client.predict(onnx_file=handle_file(mine), picture=handle_file(picture), api_name="/inspect")
    assert re.fullmatch(r"upload:[\w-]{32}", found["model"])
    assert found["title"] == "My net"
    assert found["licence"]["name"] == "your own upload"
    assert len(found["readings"]) > 1
    files, report = segment(client, picture, found["model"], contract="mean=0.5,0.5,0.5 std=0.5,0.5,0.5")
    assert report["model"] == found["model"]
    assert report["error"] is None
    assert subject(files[0]).any()
    assert found["model"] not in json.dumps(client.predict(api_name="/models"))


def test_a_guessed_token_opens_nothing(client: Client, picture: Path, mine: Path) -> None:
    token = client.predict(onnx_file=handle_file(mine), api_name="/inspect")["model"]
    for guess in ("upload:", "upload:" + "A" * 32, token[:-1], token + "A", token.replace("upload:", "upload:../")):
        for ask_for in (
            lambda guess=guess: segment(client, picture, guess),
            lambda guess=guess: client.predict(model=guess, api_name="/inspect"),
        ):
            with pytest.raises(AppError, match="This uploaded model has expired or does not exist"):
                ask_for()


def test_an_upload_is_gone_after_the_keep_time(
    server: Server, client: Client, picture: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = client.predict(onnx_file=handle_file(mine), api_name="/inspect")["model"]
    assert segment(client, picture, model)[1]["error"] is None
    path = server.service.offered.named.uploaded_path(model)
    assert path is not None
    uploads = server.service.offered.named._uploads
    kept, now = server.service.config.keep_minutes * 60, uploads._clock
    monkeypatch.setattr(uploads, "_clock", lambda: now() + kept + 1)
    with pytest.raises(AppError, match="This uploaded model has expired or does not exist"):
        segment(client, picture, model)
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!doctype html>", "it is a web page, not a network"),
        (b"", "empty|no longer|not uploaded"),
        (b"\x08\x07" * 40, "cannot"),
    ],
    ids=["page", "nothing", "noise"],
)
def test_an_upload_that_is_no_network_gets_a_sentence(
    client: Client, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "own.onnx").write_bytes(content)
    with pytest.raises(AppError, match=sentence):
        client.predict(onnx_file=handle_file(tmp_path / "own.onnx"), api_name="/inspect")


def test_an_upload_beyond_the_limit_is_refused(server: Server) -> None:
    large = {"files": ("own.onnx", bytes(2 << 20))}
    assert httpx.post(f"{server.url}/gradio_api/upload", files=large, timeout=60).status_code == 413


def test_a_file_that_is_no_upload_is_no_model(server: Server) -> None:
    inside = {"path": str(server.service.config.models_folder / "bright.onnx"), "meta": {"_type": "gradio.FileData"}}
    with httpx.Client(base_url=server.url, timeout=60) as http:
        event = http.post("/gradio_api/call/v2/inspect", json={"onnx_file": inside}).json()["event_id"]
        stream = http.get(f"/gradio_api/call/inspect/{event}").text
    assert "event: error" in stream
    assert "upload:" not in stream


# ------------------------------------------------------------------------------------------------- the models folder


def test_a_file_that_appears_is_offered_and_used_without_a_restart(client: Client, models: Path, picture: Path) -> None:
    assert "new.onnx" not in {entry["id"] for entry in client.predict(api_name="/models")}
    graphs.brightness(models / "new.onnx")
    write_repository("half_half", models / "mine")
    listed = {entry["id"]: entry for entry in client.predict(api_name="/models")}
    assert listed["mine/onnx/model.onnx"]["title"] == "mine"
    for name in ("new.onnx", "mine/onnx/model.onnx"):
        assert segment(client, picture, name)[1]["error"] is None
    assert client.predict(model="mine/onnx/model.onnx", api_name="/inspect")["confidence"] == "declared"
    (models / "new.onnx").unlink()
    assert "new.onnx" not in {entry["id"] for entry in client.predict(api_name="/models")}
    with pytest.raises(AppError, match=r"There is no model 'new\.onnx'"):
        segment(client, picture, "new.onnx")
