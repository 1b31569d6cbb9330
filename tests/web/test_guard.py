"""What strangers must not reach, tried by raw HTTP: no client library in between that would play by the rules."""

import asyncio
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.data_classes import PredictBodyInternal
from gradio.events import api

from segmentation.batch import Outcome
from segmentation.config import Config
from segmentation.cutout_files import Cutout
from segmentation.recipe import Recipe
from segmentation.report import Report
from segmentation.web.api import QUEUE_NAME
from segmentation.web.guard.doorman import PUBLIC, Doorman
from segmentation.web.guard.gradio_seams.queue import MAX_WAITING, separate_queues
from segmentation.web.guard.uploads import new_run_folder, sweep
from segmentation.web.page.comparison import Column, Comparison
from segmentation.web.runs.predictions import Predictions
from segmentation.web.runs.run import Run
from tests.web.conftest import Server

MARK = {"_type": "gradio.FileData"}
REFUSED = "not uploaded to this server"


def call(server: Server, endpoint: str, body: Any) -> tuple[int, str]:
    """Start a call and read its event stream to the end: (status, text)."""
    with httpx.Client(base_url=server.url, timeout=60) as http:
        started = http.post(f"/gradio_api/call/{endpoint}", json=body)
        if started.status_code != 200:
            return started.status_code, started.text
        name = endpoint.removeprefix("v2/")
        with http.stream("GET", f"/gradio_api/call/{name}/{started.json()['event_id']}") as stream:
            return 200, "".join(stream.iter_text())


def segment(server: Server, *files: Any) -> tuple[int, str]:
    return call(server, "v2/segment", {"images": list(files), "model": "bright.onnx"})


def upload(server: Server, name: str, content: bytes) -> str:
    answer = httpx.post(f"{server.url}/gradio_api/upload", files={"files": (name, content)}, timeout=60)
    answer.raise_for_status()
    path: str = answer.json()[0]
    return path


@pytest.fixture
def secret(tmp_path: Path, photos: dict[str, Path]) -> Path:
    """A picture on the server's disk that nobody uploaded."""
    path = tmp_path / "secret.png"
    path.write_bytes(photos["chelsea"].read_bytes())
    return path


@pytest.mark.parametrize("marked", [True, False])
def test_a_server_path_that_was_not_uploaded_is_refused(server: Server, secret: Path, marked: bool) -> None:
    status, text = segment(server, {"path": str(secret), **({"meta": MARK} if marked else {})})
    assert "event: complete" not in text
    assert status != 200 or "event: error" in text
    assert str(secret) not in text


@pytest.mark.parametrize("shape", [lambda path: path, lambda path: {"image": {"path": path}}, lambda path: [path]])
def test_paths_in_other_shapes_are_refused(server: Server, secret: Path, shape: Any) -> None:
    _, text = segment(server, shape(str(secret)))
    assert "event: error" in text
    assert REFUSED in text


def test_a_traversal_out_of_the_upload_folder_is_refused(server: Server, secret: Path, photos: dict[str, Path]) -> None:
    own = upload(server, "a.png", photos["chelsea"].read_bytes())
    for named in (f"{own}/../../../../{secret}", f"{server.uploads}/{'0' * 64}/../../{secret.name}"):
        _, text = segment(server, {"path": named})
        assert REFUSED in text


def test_results_of_others_are_no_uploads(server: Server, photos: dict[str, Path]) -> None:
    own = upload(server, "a.png", photos["chelsea"].read_bytes())
    _, text = segment(server, {"path": own, "meta": MARK})
    result = next(path for path in server.uploads.glob("segmatte-run-*/*.png"))
    assert "event: complete" in text
    _, text = segment(server, {"path": str(result)})
    assert REFUSED in text


def test_a_link_in_an_upload_folder_leads_nowhere(server: Server, secret: Path, photos: dict[str, Path]) -> None:
    own = Path(upload(server, "b.png", photos["chelsea"].read_bytes()))
    link = own.with_name("link.png")
    link.symlink_to(secret)
    _, text = segment(server, {"path": str(link)})
    link.unlink()
    assert REFUSED in text


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "https://example.org/x.png", "ftp://x/y", "//h/x.png"])
def test_a_web_address_is_not_fetched(server: Server, address: str, marked: bool) -> None:
    _, text = segment(server, {"path": address, "url": address, **({"meta": MARK} if marked else {})})
    assert "event: error" in text or "InvalidPathError" in text
    assert "event: complete" not in text


def test_only_the_public_endpoints_can_be_called_by_name(server: Server) -> None:
    handlers = {fn.api_name for fn in server.page.fns.values() if isinstance(fn.api_name, str)}
    private = handlers - set(PUBLIC)
    assert private  # the page has some
    with httpx.Client(base_url=f"{server.url}/gradio_api", timeout=30) as client:
        for name in private:
            for way in ("call", "call/v2", "run", "api"):
                assert client.post(f"/{way}/{name}", json={"data": []}).status_code == 404


def test_the_queue_cannot_be_gone_round(server: Server) -> None:
    answer = httpx.post(f"{server.url}/gradio_api/run/segment", json={"data": []}, timeout=30)
    assert answer.status_code == 404
    number = next(i for i, fn in server.page.fns.items() if fn.api_name == "segment")
    answer = httpx.post(f"{server.url}/gradio_api/run/predict", json={"data": [], "fn_index": number}, timeout=30)
    assert answer.status_code == 404


def test_the_pages_own_handler_called_by_hand_meets_the_same_guard(server: Server, secret: Path) -> None:
    named = [{"image": {"path": str(secret)}, "caption": None}]
    for handler in ("run", "compare", "_add_address"):
        finished = by_hand(server, handler, {"pictures": named, "address": "https://example.com/a.jpg"})
        assert finished["success"] is False
        assert REFUSED in finished["output"]["error"]


def test_a_backdrop_meets_the_same_guard(server: Server, secret: Path, photos: dict[str, Path]) -> None:
    own = upload(server, "a.png", photos["chelsea"].read_bytes())
    body = {
        "images": [{"path": own}],
        "model": "bright.onnx",
        "background": "picture",
        "backdrop": {"path": str(secret)},
    }
    _, text = call(server, "v2/segment", body)
    assert REFUSED in text
    shown = {"pictures": [{"image": {"path": own}, "caption": None}], "background": "picture"}
    shown |= {"backdrop": [{"image": {"path": str(secret)}, "caption": None}]}
    finished = by_hand(server, "run", shown)
    assert finished["success"] is False
    assert REFUSED in finished["output"]["error"]


@pytest.mark.parametrize("number", [-1, 99, "0", None, 1.5, [0], "../../etc/passwd"])
def test_numbers_of_a_clients_making_reach_nothing(server: Server, number: Any) -> None:
    for handler in ("_show_example", "continue_with", "choose"):
        finished = by_hand(server, handler, {}, event={"index": number})
        assert finished["success"] is False
        assert re.search("has expired|no such example|is no model", finished["output"]["error"])


def test_a_compared_model_whose_run_was_replaced_is_not_gone_on_with(tmp_path: Path) -> None:
    run = Run(tmp_path, Predictions([Path("a.jpg")], Recipe("m")), Recipe("m"))
    columns, event = [Column("m", run=run)], gr.EventData(None, {"index": 0})
    assert Comparison.choose(columns, event) == (columns[0], run)
    run.abandon()
    with pytest.raises(gr.Error, match="Compare again"):
        Comparison.choose(columns, event)


@pytest.mark.parametrize("key", ["1 ", "0 skirt", "", None, 0, ["0 "], "../../etc/passwd"])
def test_only_what_a_run_has_can_be_looked_at(key: Any) -> None:
    cutout = Cutout("", Path("a.png"), (0, 0, 1, 1))
    run = Run(Path(), Predictions([Path("a.jpg")], Recipe("m")), Recipe("m"))
    assert run.outcomes.selected(key) is None
    run.outcomes.add(Outcome(0, "a.jpg", (cutout,), Report("a.jpg", "m", "")))
    assert run.outcomes.selected(key) == (0, cutout)


def by_hand(server: Server, handler: str, values: dict[str, Any], event: Any = None) -> dict[str, Any]:
    """What comes of calling one of the page's own events as no page would; controls left out have their first value."""
    number, function = next((i, fn) for i, fn in server.page.fns.items() if fn.api_name == handler)
    first = [None if isinstance(block, gr.State) else getattr(block, "value", None) for block in function.inputs]
    data = [values.get(block.elem_id or "", value) for block, value in zip(function.inputs, first, strict=True)]
    visitor = f"byhand-{handler}-{time.monotonic_ns()}"
    body = {"session_hash": visitor, "fn_index": number, "data": data, "event_data": event}
    with httpx.Client(base_url=server.url, timeout=60) as http:
        if not function.queue:
            answer = http.post("/gradio_api/run/predict", json=body)
            return {"success": answer.status_code == 200, "output": answer.json()}
        assert http.post("/gradio_api/queue/join", json=body).status_code == 200
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": visitor}) as stream:
            events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    return next(event for event in events if event["msg"] == "process_completed")


def test_the_server_is_no_proxy(server: Server) -> None:
    for path in ("/gradio_api/file=http://127.0.0.1:9/", "/gradio_api/proxy=http://127.0.0.1:9/", "/proxy=https://x"):
        assert httpx.get(f"{server.url}{path}", timeout=30).status_code == 403


def test_files_outside_the_upload_folder_are_not_served(server: Server, secret: Path) -> None:
    for path in (secret, Path("pyproject.toml").resolve(), Path("/etc/passwd")):
        assert httpx.get(f"{server.url}/gradio_api/file={path}", timeout=30).status_code in (403, 404)


def test_too_large_uploads_and_requests_are_refused(server: Server) -> None:
    one = httpx.post(f"{server.url}/gradio_api/upload", files={"files": ("big.png", b"0" * (21 << 20))}, timeout=60)
    assert one.status_code == 413
    three = [("files", (f"{i}.png", b"0" * (15 << 20))) for i in range(3)]
    all_ = httpx.post(f"{server.url}/gradio_api/upload", files=three, timeout=60)
    assert all_.status_code == 413
    assert "the limit is 40 MB" in all_.text

    def endless() -> Any:
        for _ in range(60):
            yield b"0" * (1 << 20)

    # the server may answer, or hang up while we still send; in neither case it swallows all of it
    try:
        status = httpx.post(f"{server.url}/gradio_api/upload", content=endless(), timeout=60).status_code
    except httpx.TransportError:
        status = 413
    assert status in (400, 413)


def test_bugs_do_not_leak_internals(server: Server) -> None:
    _, text = call(server, "segment", {"data": [1]})
    assert "Traceback" not in text
    assert str(Path.cwd()) not in text


def test_answers_carry_nosniff(server: Server) -> None:
    assert httpx.get(server.url, timeout=30).headers["x-content-type-options"] == "nosniff"


def test_gallery_files_are_our_own_bytes(server: Server, photos: dict[str, Path]) -> None:
    own = upload(server, "c.png", photos["chelsea"].read_bytes())
    _, text = segment(server, {"path": own, "meta": MARK, "orig_name": "c.png"})
    data = json.loads(text.rpartition("data: ")[2])
    served = httpx.get(data[0][0]["url"], timeout=30)
    assert served.content == Path(data[0][0]["path"]).read_bytes()
    assert served.headers["content-type"] == "image/png"
    assert Path(data[0][0]["path"]).parent.name.startswith("segmatte-run-")


def test_what_is_old_is_swept_and_what_is_young_kept(server: Server) -> None:
    broken_off, stranger = server.uploads / "tmpabc123", server.uploads / "somebody-elses"
    broken_off.write_bytes(b"half an upload")
    upload_folder = server.uploads / secrets.token_hex(32)
    upload_folder.mkdir()
    stranger.mkdir()
    old, young = new_run_folder(), new_run_folder()
    long_ago = time.time() - 3700
    for path in (old, broken_off, upload_folder, stranger):
        os.utime(path, (long_ago, long_ago))
    sweep(3600)
    assert [path.exists() for path in (old, broken_off, upload_folder)] == [False] * 3
    assert young.exists()
    assert stranger.exists()


def test_large_json_is_refused(server: Server) -> None:
    body = b"[" + b"[]," * 700_000 + b"[]]"
    for path in ("queue/join", "call/v2/segment", "run/predict"):
        assert httpx.post(f"{server.url}/gradio_api/{path}", content=body, timeout=30).status_code == 413


def test_a_visitors_page_cannot_be_stored(server: Server) -> None:
    answer = httpx.get(f"{server.url}/gradio_api/deep_link", params={"session_hash": "x"}, timeout=30)
    assert answer.status_code == 403


async def no_app(*_: object) -> None:
    pass


@pytest.mark.parametrize("folder", ["/run/user/1000/segmatte", "/srv/api/call/x"])
def test_files_below_any_folder_name_pass_the_doorman(folder: str) -> None:
    assert Doorman(no_app, Config()).refusal("GET", f"/gradio_api/file={folder}/a.png", {}) is None


def test_a_line_of_previews_turns_no_run_away_and_the_other_way_round() -> None:
    with gr.Blocks() as page:
        for name in (QUEUE_NAME, "preview"):
            api(lambda: 1, api_name=name, concurrency_id=name)
    page.queue(max_size=None)
    separate_queues(page, 2, QUEUE_NAME)
    queue = page._queue
    runs, previews = page.fns.values()

    def answer(function: Any) -> str:
        body = PredictBodyInternal(data=[], fn_index=function._id, session_hash="x")
        word: str = asyncio.run(queue.push(body, None, None))[2]
        return word

    for function in (runs, previews):
        queue.create_event_queue_for_fn(function)
    previews_waiting = queue.event_queue_per_concurrency_id["preview"].queue
    previews_waiting += [None] * MAX_WAITING
    assert answer(previews) == "queue_full"
    assert [answer(runs) for _ in range(3)] == ["success", "success", "queue_full"]
    previews_waiting.clear()
    assert answer(previews) == "success"
