"""What broke in an attack, kind by kind: no run that never ends, no open door, no answer without a word."""

import errno
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from segmentation.batch import run_batch
from segmentation.config import Config
from segmentation.cutout_files import write_zip
from segmentation.models.wheel import _SCRATCH, _sweep_scratch
from segmentation.network.machine import available_cores, available_memory
from segmentation.predictor import from_predictions, from_session
from segmentation.recipe import Recipe
from segmentation.settings import Settings
from segmentation.web.guard import readers
from segmentation.web.guard.doorman import _LOGINS, Doorman, LoginThrottle, _refusal_for, known_hosts
from segmentation.web.guard.logs import MOST_CHARACTERS, OneLine
from segmentation.web.guard.storage import Storage
from segmentation.web.guard.uploads import sweep
from segmentation.web.page.snippets import curl_code
from segmentation.web.runs.service import Service
from tests import graphs
from tests.waiting import until
from tests.web.conftest import Server
from tests.web.test_app import ROOT, free_port, start
from tests.web.test_guard import MARK, call, segment, upload
from tests.web.test_hosting import served

FILE = {"path": "x", "meta": MARK}


@contextmanager
def here(folder: Path, **values: Any) -> Iterator[str]:
    """The page in this process with one tiny model and a configuration of its own."""
    graphs.brightness(folder / "bright.onnx")
    config = Config(models_folder=folder, models="bright.onnx", device="cpu", **values)
    with served(Service(config), config) as url:
        yield url


def png(width: int = 40, height: int = 30) -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 255, np.uint8)).save(file, "PNG")
    return file.getvalue()


# ------------------------------------------------------------------------------------------------- runs that never end


@pytest.mark.parametrize("numbers", [[0.0], [False], [True], ["0"], [None], [0.5], [[0]], 0, "0"])
def test_a_picture_is_named_by_a_whole_number_only(server: Server, numbers: Any) -> None:
    _, text = segment(server, {"path": upload(server, "a.png", png()), "meta": MARK})
    run = json.loads(text.rpartition("data: ")[2])[1][0]["run"]
    begun = time.monotonic()
    status, text = call(server, "v2/refine", {"run": run, "pictures": numbers})
    assert time.monotonic() - begun < 20
    assert status != 200 or "event: error" in text
    assert "null}" not in text
    assert httpx.get(server.url, timeout=10).status_code == 200


async def no_app(*_: object) -> None:
    pass


class Broken:
    """Something shared that fails when it is entered."""

    def __enter__(self) -> None:
        raise RuntimeError("broken")

    def __exit__(self, *_: object) -> None:
        pass


def test_no_exception_of_a_worker_is_lost(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(RuntimeError, match="broken"):
        list(run_batch([tmp_path / "a.png"], from_session(tiny, Settings()), Settings(), tmp_path, slots=Broken()))
    missing = replace(from_predictions("m", {}), provider=lambda _: ("", ""))
    with pytest.raises(KeyError):  # a prediction that is not there
        list(run_batch([tmp_path / "a.png"], missing, Settings(), tmp_path))


def test_a_job_that_nobody_reads_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "PATIENCE_SECONDS", 0.5)
    files = [{"path": upload(server, f"{n}.png", png(1200, 900)), "meta": MARK} for n in range(5)]
    posted = httpx.post(
        f"{server.url}/gradio_api/call/v2/segment", json={"images": files, "model": "modnet", "size": 1024}, timeout=30
    )
    event = posted.json()["event_id"]
    turns = server.service.turns
    until(lambda: turns._busy)
    until(lambda: not (turns._busy or turns._waiting))
    with httpx.stream("GET", f"{server.url}/gradio_api/call/segment/{event}", timeout=30) as stream:
        assert "nobody was reading" in "".join(stream.iter_text())


def test_a_single_picture_is_not_kept_waiting_by_two_batches(server: Server) -> None:
    """With two runs under way, a single picture is done in under three pictures' time."""
    done: list[tuple[float, str]] = []

    def run(name: str, pictures: int) -> None:
        # names differ, so that each is an upload of its own
        files = [{"path": upload(server, f"{name}{n}.png", png(450, 350)), "meta": MARK} for n in range(pictures)]
        status, text = call(server, "v2/segment", {"images": files, "model": "u2netp"})
        assert status == 200
        assert "event: complete" in text
        done.append((time.monotonic(), name))

    begun = time.monotonic()
    threads = [threading.Thread(target=run, args=(name, 5)) for name in ("first", "second", "third", "fourth")]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    run("single", 1)
    for thread in threads:
        thread.join(120)
    assert done[0][1] == "single"
    assert time.monotonic() - begun < 120


# ------------------------------------------------------------------------------------------------- doors


def routes_of(routes: Any) -> set[str]:
    """Method and path of each, those of routers within included."""
    found = set()
    for route in routes:
        if path := getattr(route, "path", None):
            found |= {f"{method} {path.rstrip('/') or '/'}" for method in getattr(route, "methods", None) or ()}
        if inner := getattr(getattr(route, "original_router", None), "routes", None):
            found |= routes_of(inner)
    return found


def test_every_route_of_gradio_is_known(server: Server) -> None:
    """A new one makes this fail: it is closed until somebody has looked at it and written it down here."""
    known = json.loads((Path(__file__).parent / "gradio_routes.json").read_text())
    assert sorted(routes_of(server.page.app.routes)) == known


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "stream/upload"), ("POST", "stream/upload/close"), ("GET", "stream/x/y/z/playlist.m3u8"),
        ("GET", "dev/reload"), ("GET", "custom_component/x/client/component/index.js"), ("GET", "token"),
        ("GET", "user"), ("POST", "component_server"), ("GET", "queue/status"), ("POST", "vibe-edit"),
        ("GET", "file/etc/passwd"), ("POST", "process_recording"), ("GET", "runs"), ("POST", "api/predict"),
    ],
)  # fmt: skip
def test_what_is_not_used_is_closed(server: Server, method: str, path: str) -> None:
    answer = httpx.request(method, f"{server.url}/gradio_api/{path}", content=b"{}", timeout=30)
    assert answer.status_code == 404
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize("path", ["/monitoring", "/monitoring/summary", "/pwa_icon", "/manifest.json", "/svelte/x"])
def test_pages_that_are_not_used_are_closed(server: Server, path: str) -> None:
    assert httpx.get(f"{server.url}{path}", timeout=30).status_code == 404


@pytest.mark.parametrize("prefix", ["", "/demo"])
def test_the_list_of_doors_holds_below_a_prefix(prefix: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = TestClient(Doorman(app, Config()), root_path=prefix)
    assert client.get(f"{prefix}/gradio_api/queue/data?session_hash=x").status_code == 200
    assert client.get(f"{prefix}/gradio_api/token").status_code == 404


def test_parts_of_an_upload_that_are_no_files_are_refused(server: Server) -> None:
    for data in ({"text": "x" * 2_000_000}, {"files": "x"}):
        answer = httpx.post(f"{server.url}/gradio_api/upload", data=data, files={"files": ("a.png", png())}, timeout=60)
        assert answer.status_code == 400
        assert "Only files are accepted" in answer.text
    answer = httpx.post(f"{server.url}/gradio_api/upload", files={"other": ("a.png", png())}, timeout=60)
    assert answer.status_code == 400


# ------------------------------------------------------------------------------------------------- answers with a word

LONG_BOUNDARY = f"multipart/form-data; boundary={'b' * 60_000}"
BAD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "missing parameter": ("POST", "call/v2/segment", {"json": {}}),
    "unknown parameter": ("POST", "call/v2/segment", {"json": {"images": [], "nonsense": 1}}),
    "unknown event": ("POST", "queue/join", {"json": {"data": [], "fn_index": 9999, "session_hash": "x"}}),
    "negative event": ("POST", "queue/join", {"json": {"data": [], "fn_index": -1, "session_hash": "x"}}),
    "no event": ("POST", "run/predict", {"json": {"data": []}}),
    "unknown event at once": ("POST", "run/predict", {"json": {"data": [], "fn_index": 9999}}),
    "infinite event": ("POST", "queue/join", {"content": b'{"data":[],"fn_index":1e400,"session_hash":"x"}'}),
    "too few values": ("POST", "queue/join", {"json": {"data": [], "fn_index": 0, "session_hash": "x"}}),
    "no JSON": ("POST", "queue/join", {"content": b"nonsense"}),
    "bad UTF-8": ("POST", "queue/join", {"content": b'{"data": "\xff"}'}),
    "a long boundary": ("POST", "upload", {"content": b"x", "headers": {"content-type": LONG_BOUNDARY}}),
    "a long name": ("GET", f"file={'x' * 5000}", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_gets_a_status_and_a_sentence(server: Server, name: str) -> None:
    method, path, options = BAD[name]
    options = {"headers": {"content-type": "application/json"}} | options
    try:
        answer = httpx.request(method, f"{server.url}/gradio_api/{path}", timeout=30, **options)
    except httpx.RemoteProtocolError:
        assert name == "a long boundary"  # more than a head may have: the connection is closed
        return
    assert 400 <= answer.status_code < 500, answer.text[:200]
    assert len(answer.text) < 6000
    assert "Internal Server Error" not in answer.text
    assert answer.text.strip('"{}: ') != ""


def test_a_mark_that_editors_leave_before_text_is_passed_over(server: Server) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"images": [], "model": "bright.onnx"}).encode()
    answer = httpx.post(
        f"{server.url}/gradio_api/call/v2/segment",
        content=body,
        headers={"content-type": "application/json"},
        timeout=30,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "ranges", ["bytes=0-1,3-4", "bytes=0-9-", "bytes=\u00b2-\u00b3", f"bytes={'9' * 4000}-", "bytes=0-3"]
)
def test_a_range_is_answered_with_all_and_repeats_no_cookie(server: Server, ranges: str) -> None:
    own = upload(server, "range.png", png())
    headers = [(b"range", ranges.encode("latin-1", "replace")), (b"cookie", b"secret=1"), (b"authorization", b"secret")]
    answer = httpx.get(f"{server.url}/gradio_api/file={own}", timeout=30, headers=headers)
    assert answer.status_code == 200
    assert answer.content == png()
    assert "secret" not in str(answer.headers)


@pytest.mark.parametrize(
    "named",
    [
        {"path": "/etc/passwd", "meta": MARK},
        {"path": "a\0b", "meta": MARK},
        {"path": "x" * 3000, "meta": MARK},
        {"path": "y", "meta": {"_type": "other"}},
    ],
)
def test_a_forged_mark_gets_a_sentence(server: Server, named: Any) -> None:
    _, text = segment(server, named)
    assert "event: error" in text
    assert '"error": null' not in text
    assert "/etc" not in text


# ------------------------------------------------------------------------------------------------- size and time


@pytest.mark.parametrize("part", [b"[],", b'{"a":{}},', b"[[[["])
def test_json_of_too_many_parts_never_reaches_the_parser(server: Server, part: bytes) -> None:
    body = b'{"images":[' + part * (60_000 // len(part))
    begun = time.monotonic()
    assert httpx.post(f"{server.url}/gradio_api/call/v2/segment", content=body, timeout=30).status_code == 413
    assert time.monotonic() - begun < 5


STROKES = json.dumps([{"kind": "keep", "radius": 4, "points": [[n * 0.37, n * 0.73] for n in range(19_000)]}])


def test_long_strokes_pass_as_text_and_only_so() -> None:
    doorman = Doorman(no_app, Config())
    as_text = json.dumps({"images": [], "strokes": STROKES}).encode()
    assert len(as_text) <= doorman._limit("/gradio_api/call/v2/segment")
    assert doorman._too_many_parts(as_text) is None
    assert doorman._too_many_parts(json.dumps({"images": [], "strokes": json.loads(STROKES)}).encode()) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * 100_000,
        b'{"a":"' + b'\\"' * 10 + b'",' + b"[" * 2000,
        ('{"a":"\\"",' + "[" * 2000 + '"').encode("utf-16"),
        b'{"a":"\\' + b"[" * 2000 + b'"' + b"[" * 2000,
    ],
)
def test_parts_cannot_hide_behind_strings(body: bytes) -> None:
    assert Doorman(no_app, Config())._too_many_parts(body) is not None


def test_strings_that_never_end_are_searched_once() -> None:
    begun = time.monotonic()
    Doorman(no_app, Config())._too_many_parts(b'"' + b'\\"' * 300_000)
    Doorman(no_app, Config())._too_many_parts(b'"' * 600_000)
    assert time.monotonic() - begun < 5


def test_one_upload_named_a_thousand_times_is_refused(server: Server) -> None:
    own = upload(server, "a.png", png())
    many = {"images": [{"path": own, "meta": MARK}] * 1000, "model": "bright.onnx"}
    assert httpx.post(f"{server.url}/gradio_api/call/v2/segment", json=many, timeout=30).status_code == 413


def test_fifty_pictures_with_long_names_are_no_flood() -> None:
    path = f"/tmp/segmatte/{'0' * 64}/{'name ' * 40}.jpg"
    file = {
        "path": path,
        "url": f"http://localhost/gradio_api/file={path}",
        "orig_name": path[-200:],
        "size": 1,
        "mime_type": "image/jpeg",
        "is_stream": False,
        "meta": MARK,
    }
    body = json.dumps({"data": [[{"image": file, "caption": None}] * 50, *[None] * 25], "fn_index": 1}).encode()
    config = Config()
    doorman = Doorman(no_app, config)
    assert len(body) <= doorman._limit("/gradio_api/queue/join")
    assert doorman._too_many_parts(body) is None


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_silent_connections_are_closed_and_do_not_shut_others_out(tmp_path: Path) -> None:
    with here(tmp_path, connections=40) as url:
        host, port = url.removeprefix("http://").split(":")
        silent = [socket.create_connection((host, int(port)), timeout=5) for _ in range(80)]
        try:
            until(lambda: sum(map(is_closed, silent)) >= 30)
        finally:
            for connection in silent:
                connection.close()
        time.sleep(0.5)
        assert httpx.get(f"{url}/healthz", timeout=5).status_code == 200


# ------------------------------------------------------------------------------------------------- storage


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def stored(folder: Path, number: int, size: int, age: float) -> Path:
    path = folder / f"{number:064x}"
    path.mkdir()
    (path / "a.png").write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_the_longest_unused_go_first_beyond_the_budget(uploads: Path) -> None:
    places = [stored(uploads, number, 400_000, age=1000 - number) for number in range(5)]
    Storage(Config(stored_mb=1)).make_room()
    assert [place.exists() for place in places] == [False, False, False, True, True]


def test_too_many_files_go_too_but_not_what_was_just_used(uploads: Path) -> None:
    old = [stored(uploads, number, 10, age=1000) for number in range(3)]
    young = [stored(uploads, 10 + number, 10, age=5) for number in range(3)]
    storage = Storage(Config(stored_files=2))
    storage.make_room()
    assert not any(place.exists() for place in old)
    assert all(place.exists() for place in young)
    status, sentence = storage.begin("1.2.3.4", 0) or (0, "")
    assert status == 507
    assert "no room" in sentence


def test_one_address_may_not_upload_without_end(uploads: Path) -> None:
    storage = Storage(Config(client_files=3, client_mb=1))
    for _ in range(3):
        assert storage.begin("1.2.3.4", 0) is None
        storage.record("1.2.3.4", 1, 10)
    assert (storage.begin("1.2.3.4", 0) or (0,))[0] == 429
    assert storage.begin("5.6.7.8", 0) is None
    storage.record("5.6.7.8", 1, 2 << 20)
    assert (storage.begin("5.6.7.8", 0) or (0,))[0] == 429


def test_emptied_folders_go(uploads: Path) -> None:
    empty, young, full = (stored(uploads, number, 10, age=1000) for number in range(3))
    for place in (empty, young):
        (place / "a.png").unlink()
        os.utime(place, (time.time() - (1000 if place is empty else 5),) * 2)
    sweep(3600)
    assert [place.exists() for place in (empty, young, full)] == [False, True, True]


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.ENAMETOOLONG, 404), (errno.EIO, 500)])
def test_a_full_disk_is_told_as_one(number: int, status: int) -> None:
    refusal = _refusal_for(OSError(number, os.strerror(number)), "POST", "/gradio_api/upload")
    assert refusal.status == status
    assert refusal.sentence.endswith(".")


# ------------------------------------------------------------------------------------------------- names and logins


@pytest.mark.parametrize(
    ("host", "forwarded", "status"),
    [
        ("127.0.0.1:7860", "", 200), ("localhost", "", 200), ("[::1]:7860", "", 200), ("192.168.1.5:80", "", 200),
        ("studio:7860", "", 200), ("studio.local", "", 200), ("evil.example", "", 421),
        ("127.0.0.1.evil.example", "", 421), ("own.example", "", 200), ("evil.example", "other.example", 421),
        ("evil.example", "evil.example", 421),  # whoever names the hosts believes nobody else
    ],
)  # fmt: skip
def test_only_known_names_are_answered(host: str, forwarded: str, status: int) -> None:
    doorman = Doorman(no_app, Config(hosts="own.example"))
    headers = {b"host": host.encode()} | ({b"x-forwarded-host": forwarded.encode()} if forwarded else {})
    refusal = doorman.refusal("GET", "/", headers)
    assert (refusal.status if refusal else 200) == status
    assert "own.example" in known_hosts(Config(hosts="own.example"))


def test_what_a_proxy_says_is_believed_where_no_hosts_are_named_but_not_for_language_models() -> None:
    doorman = Doorman(no_app, Config(mcp=True))
    said = {b"host": b"app.example", b"x-forwarded-host": b"app.example"}
    assert doorman.refusal("GET", "/", said) is None
    assert doorman.refusal("GET", "/", {b"host": b"app.example"}) is not None
    assert doorman.refusal("POST", "/gradio_api/mcp/", said) is not None


def test_no_other_site_may_read(server: Server) -> None:
    for origin in ("https://evil.example", "http://localhost:1", "null"):
        answer = httpx.get(f"{server.url}/config", headers={"origin": origin}, timeout=30)
        assert "access-control-allow-origin" not in answer.headers
    own = httpx.get(f"{server.url}/config", headers={"origin": server.url}, timeout=30)
    assert own.headers.get("access-control-allow-origin") in (None, server.url)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_behind_a_login_no_neighbour_acts_for_a_visitor(site: str) -> None:
    doorman = Doorman(no_app, Config(auth="ann:secret"))
    headers = {b"host": b"app.local", b"sec-fetch-site": site.encode(), b"sec-fetch-mode": b"cors"}
    refusal = doorman.refusal("POST", "/gradio_api/queue/join", headers)
    assert refusal
    assert refusal.status == 403
    foreign = doorman.refusal("POST", "/gradio_api/queue/join", {b"host": b"app.local", b"origin": b"https://x.local"})
    assert foreign
    assert (
        doorman.refusal("POST", "/gradio_api/queue/join", {b"host": b"app.local", b"origin": b"https://app.local"})
        is None
    )


def test_who_guesses_passwords_is_slowed_down() -> None:
    throttle = LoginThrottle()
    throttle.add_failure("9.9.9.9")
    throttle.remove_failure("9.9.9.9")
    for _ in range(_LOGINS):
        assert throttle.wait("1.2.3.4") == 0
        throttle.add_failure("1.2.3.4")
    assert 0 < throttle.wait("1.2.3.4") <= 61
    assert throttle.wait("5.6.7.8") == 0
    for number in range(100):
        throttle.add_failure(f"10.0.0.{number}")
    assert throttle.wait("5.6.7.8") > 0  # from everywhere at once is guessing too


def test_the_eleventh_wrong_password_is_told_to_wait(tmp_path: Path) -> None:
    with here(tmp_path, auth="ann:secret") as url:
        answers = [
            httpx.post(f"{url}/login", data={"username": "ann", "password": f"{n}"}, timeout=30)
            for n in range(_LOGINS + 1)
        ]
        assert {answer.status_code for answer in answers[:-1]} == {400}
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert httpx.get(f"{url}/preview", params={"file": "x"}, timeout=30).status_code == 401


# ------------------------------------------------------------------------------------------------- the log, the end


def test_a_log_line_can_neither_be_forged_nor_be_endless() -> None:
    text = "a\nINFO forged: b\r\x1b[31m" + "x" * 1_000_000
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "p", 1, "%s", (text,), sys.exc_info())
    written = OneLine("%(levelname)s %(name)s: %(message)s").format(record)
    lines = written.splitlines()
    assert lines[0].startswith("ERROR n: a\\nINFO forged")
    assert all(line.startswith("    | ") for line in lines[1:])
    assert len(written) < 3 * MOST_CHARACTERS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_is_under_way_and_ends_well(
    tmp_path: Path, fetched: Callable[[str], Path], number: int
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(fetched("u2netp"), models)
    own = {
        "SEGMATTE_MODELS_DIR": str(models),
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
        "SEGMATTE_GRACE_SECONDS": "60",  # it ends as soon as it is done
    }
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = start("--port", str(port), **own)
    try:
        begun = time.monotonic()
        while True:
            try:
                if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() - begun < 120
            time.sleep(0.3)
        place = httpx.post(f"{url}/gradio_api/upload", files={"files": ("a.png", png(600, 400))}, timeout=30).json()[0]
        event = httpx.post(
            f"{url}/gradio_api/call/v2/segment", json={"images": [{"path": place, "meta": MARK}] * 3}, timeout=30
        ).json()["event_id"]
        with httpx.stream("GET", f"{url}/gradio_api/call/segment/{event}", timeout=60) as stream:
            process.send_signal(number)
            text = "".join(stream.iter_text())
        assert "event: complete" in text
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("case", ["unwritable", "a file"])
def test_a_folder_for_uploads_that_cannot_be_used_is_one_sentence(tmp_path: Path, case: str) -> None:
    place = tmp_path / "place"
    if case == "a file":
        place.write_text("no folder")
    else:
        place = Path("/proc/nowhere")
    process = start("--port", "1", GRADIO_TEMP_DIR=str(place))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in output
    assert f"The folder for uploads, {place}, cannot be used" in output
    assert "Set GRADIO_TEMP_DIR" in output


def test_a_user_without_a_name_can_run_it_and_its_folder_is_private(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "os.setuid(12345) if os.geteuid() == 0 else None\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from segmentation.web.guard.folder import prepare_folder\n"
        "folder = prepare_folder()\n"
        "print(folder, oct(folder.stat().st_mode & 0o777))\n"
    )
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent != parent.parent and parent.parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("this user cannot read the packages of this environment")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "0o700"


# ------------------------------------------------------------------------------------------------- this machine


def test_quotas_of_the_own_cgroup_and_of_those_above_it_count(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert available_cores(tmp_path, own) >= 1
    (tmp_path / "a" / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert available_cores(tmp_path, own) == 1
    (tmp_path / "a" / "b" / "memory.max").write_text("1000000\n")
    (tmp_path / "a" / "memory.max").write_text("max\n")
    assert available_memory(tmp_path, own) == 1_000_000
    own.write_text("nonsense")
    assert available_memory(tmp_path, own) > 1_000_000


# ------------------------------------------------------------------------------------------------- the command line


def test_what_a_killed_fetch_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, old, mine = (tmp_path / f"{_SCRATCH}{name}" for name in (f"{dead.pid}-x", "abcdef", f"{os.getpid()}-y"))
    for folder in (left, old, mine):
        folder.mkdir()
        (folder / "part").write_bytes(b"x")
    _sweep_scratch(tmp_path)
    assert [folder.exists() for folder in (left, old, mine)] == [False, False, True]


def test_files_from_before_1980_can_be_packed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    os.utime(tmp_path / "a.png", (0, 0))
    assert write_zip([tmp_path / "a.png"], tmp_path / "all.zip").is_file()


NASTY = [
    "'''; touch {}; '''",
    "$(touch {})",
    "`touch {}`",
    '"; touch {}; "',
    "a'b\"c\\d",
    "\nEND\ntouch {}",
    "-rf",
    "--help",
    "é 猫.jpg",
    "%s%n",
]


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("login", [False, True])
def test_code_for_a_terminal_runs_nothing_that_a_name_hides(tmp_path: Path, nasty: str, login: bool) -> None:
    nasty = nasty.format(tmp_path / "pwned")
    fake = tmp_path / "bin"
    fake.mkdir()
    curl = fake / "curl"
    curl.write_text(
        "#!/usr/bin/env python3\nimport json, sys\nargs = sys.argv[1:]\n"
        f'open({str(tmp_path / "calls")!r}, "a").write(json.dumps(args) + chr(10))\n'
        'joined = " ".join(args)\n'
        'print(json.dumps(["/up"]) if "upload" in joined else json.dumps({"event_id": "e"}))\n'
    )
    curl.chmod(0o755)
    code = curl_code("http://localhost:1", [nasty], Recipe(nasty), None, login)
    done = subprocess.run(
        ["bash", "-c", code], env={"PATH": f"{fake}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "pwned").exists()
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    bodies = [json.loads(arg) for args in calls for arg in args if arg.startswith("{")]
    assert bodies[0]["model"] == nasty
    uploads = [arg for args in calls for arg in args if arg.startswith("files=@")]
    assert uploads == ['files=@"' + nasty.replace("\\", "\\\\").replace('"', '\\"') + '"']
    assert any("cookies" in arg or "-b" in arg for args in calls for arg in args) == login


def test_graphs_that_hurt_end_as_a_sentence_and_others_go_on(server: Server) -> None:
    folder = server.service.config.models_folder
    made = {"greedy.onnx": graphs.greedy, "words.onnx": graphs.words, "scores.onnx": graphs.scores}
    try:
        for name, make in made.items():
            make(folder / name)
        own = {"path": upload(server, "a.png", png()), "meta": MARK}
        for name in made:
            _, text = call(server, "v2/segment", {"images": [own], "model": name})
            report = json.loads(text.rpartition("data: ")[2])
            said = json.dumps(report)
            assert "null}" not in said.replace('"error": null, "run"', "")
            assert str(folder) not in said
            assert '"error": "' in said or "error" in text
        _, text = call(server, "v2/segment", {"images": [own], "model": "bright.onnx"})
        assert "event: complete" in text
    finally:
        for name in made:
            (folder / name).unlink()
