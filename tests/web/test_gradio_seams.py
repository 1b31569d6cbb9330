"""What the guard knows of Gradio's inside: each of its seams with the test that fails when Gradio changes it."""

import ast
import asyncio
import inspect
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.data_classes import PredictBodyInternal

from segmentation.web.guard.gradio_seams import endpoints, files, queue, server
from segmentation.web.page.examples import NAMES, examples
from tests.waiting import until
from tests.web import test_attack, test_guard, test_mcp
from tests.web.browser import test_page_truth
from tests.web.conftest import Server
from tests.web.test_attack import here, png
from tests.web.test_guard import MARK, by_hand, call, segment, upload

WEB = Path(inspect.getfile(files)).parents[2]


# ------------------------------------------------------------------------------------------------- files


def test_an_upload_of_ours_is_one_of_gradios(server: Server, photos: dict[str, Path]) -> None:
    theirs = Path(upload(server, "a.png", png()))
    ours = files.new_upload("b.png")
    ours.write_bytes(photos["chelsea"].read_bytes())
    assert files.upload_folder() == server.uploads
    for path in (theirs, ours):
        assert files.is_upload(path.relative_to(server.uploads))
        assert files.is_gradios(path.parent.name)
        assert httpx.get(f"{server.url}/gradio_api/file={path}", timeout=30).status_code == 200
    _, text = segment(server, {"path": str(ours), "meta": MARK})
    assert "event: complete" in text


@pytest.mark.parametrize(
    "path", ["a.png", "segmatte-run-x/a.png", f"{'0' * 64}/a/b.png", f"{'0' * 64}", f"{'0' * 63}/a"]
)
def test_what_else_lies_there_is_no_upload(path: str) -> None:
    assert not files.is_upload(Path(path))


def test_an_upload_that_breaks_off_is_known_while_it_lasts_and_leaves_nothing(server: Server) -> None:
    before = set(server.uploads.iterdir())
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9999\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nxxxx'.encode()
        )
        (partial,) = until(lambda: set(server.uploads.iterdir()) - before)
        assert files.is_gradios(partial.name)
    until(lambda: not partial.exists())


def test_an_address_is_refused_before_gradio_fetches_it(server: Server) -> None:
    _, text = segment(server, {"path": "https://example.org/a.png", "url": "https://example.org/a.png", "meta": MARK})
    assert "Web addresses are not fetched here" in text


def test_gradio_ships_the_photographs_of_the_examples() -> None:
    assert [path.name for path in examples()] == list(NAMES)


# ------------------------------------------------------------------------------------------------- queue


@pytest.fixture
def page() -> gr.Blocks:
    page: gr.Blocks = gr.Blocks()
    with page:
        endpoints.add_endpoint(lambda: 1, api_name="work", concurrency_id="runs")
    page.queue(max_size=None)
    return page


def push(page: gr.Blocks) -> str:
    """Queue an event of the page; nobody works on it."""
    (event,) = endpoints.events_named(page, "work")
    page._queue.create_event_queue_for_fn(event)
    body = PredictBodyInternal(data=[], fn_index=event._id, session_hash="x")
    return asyncio.run(page._queue.push(body, None, None))[2]  # type: ignore[arg-type]


def test_the_queue_looks_less_often_for_events(page: gr.Blocks) -> None:
    gradios = page._queue.sleep_when_free, page._queue.progress_update_sleep_when_free
    queue.separate_queues(page, 1, "runs")
    assert vars(page._queue).keys() >= {"sleep_when_free", "progress_update_sleep_when_free"}
    assert max(gradios) < queue.QUEUE_SECONDS == page._queue.sleep_when_free
    for name in ("sleep_when_free", "progress_update_sleep_when_free"):
        assert f"asyncio.sleep(self.{name})" in inspect.getsource(type(page._queue))


def test_a_queue_is_busy_until_it_is_empty_and_takes_no_more_when_told_so(page: gr.Blocks) -> None:
    assert not queue.is_busy(page)
    assert push(page) == "success"
    assert queue.is_busy(page)
    queue.refuse_events(page)
    assert push(page) == "queue_full"


# ------------------------------------------------------------------------------------------------- endpoints


def test_an_endpoint_is_described_with_texts_and_examples() -> None:
    def double(picture: gr.FileData, number: int = 3) -> int:
        """Doubles a number.

        Args:
            picture: Of no use.
            number: Is doubled.
        """
        return 2 * number

    with gr.Blocks() as page:
        endpoints.add_endpoint(double, api_name="double")
        (event,) = endpoints.events_named(page, "double")
        endpoints.describe(event, {"picture": {"path": "cat.jpg"}}, ["Twice the number"])
    described: Any = page.get_api_info()["named_endpoints"]["/double"]
    picture, number = described["parameters"]
    assert [picture["label"], number["label"]] == ["picture", "number"]
    assert [picture["example_input"], number["example_input"]] == [{"path": "cat.jpg"}, 3]
    assert "Is doubled." in str(number)
    assert described["returns"][0]["label"] == "Twice the number"
    assert described["returns"][0]["type"]["description"] == "Twice the number"


def test_a_sliders_value_reaches_the_settings_unchecked(server: Server) -> None:
    with pytest.raises(gr.Error, match="maximum"):
        gr.Slider(0, 255).preprocess(999)
    finished = by_hand(server, "run", {"alpha_matting_foreground_threshold": 999})
    assert "between 0 and 255" in finished["output"]["error"]


# ------------------------------------------------------------------------------------------------- server


def test_an_invalid_request_is_not_repeated(server: Server) -> None:
    json = {"data": "secret", "fn_index": "secret", "session_hash": "x"}
    answer = httpx.post(f"{server.url}/gradio_api/queue/join", json=json, timeout=30)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body.")
    assert "secret" not in answer.text


def test_an_event_that_is_not_there_is_told_as_such(server: Server) -> None:
    for content in (b'{"data": [], "fn_index": 9999}', b'{"data": []}'):
        json_type = {"content-type": "application/json"}
        answer = httpx.post(f"{server.url}/gradio_api/run/predict", content=content, headers=json_type, timeout=30)
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such event.")


def test_a_wrong_parameter_is_named_without_gradios_advice(server: Server) -> None:
    status, text = call(server, "v2/segment", {"images": [], "nonsense": 1})
    assert status == 422
    assert "nonsense" in text
    assert "click" not in text


def test_who_is_logged_in_sees_previews_and_nobody_else_does(tmp_path: Path) -> None:
    with here(tmp_path, auth="ann:secret") as url, httpx.Client(base_url=url, timeout=30) as visitor:
        assert visitor.get("/preview", params={"file": "x"}).status_code == 401
        assert visitor.post("/login", data={"username": "ann", "password": "secret"}).status_code == 200
        assert visitor.get("/preview", params={"file": "x"}).status_code == 200


def test_links_to_the_page_are_described_once_and_by_us(server: Server) -> None:
    text = httpx.get(server.url, timeout=30).text
    assert text.count("og:title") == text.count("og:image") == text.count("twitter:") == 1
    assert '<meta property="og:title" content="Segmatte" />' in text


# ------------------------------------------------------------------------------------------------- all of them

HELD: dict[Callable[..., Any], list[Callable[..., Any]]] = {
    files.upload_folder: [test_an_upload_of_ours_is_one_of_gradios],
    files.new_upload: [test_an_upload_of_ours_is_one_of_gradios],
    files.is_upload: [test_an_upload_of_ours_is_one_of_gradios, test_guard.test_results_of_others_are_no_uploads],
    files.is_gradios: [test_an_upload_that_breaks_off_is_known_while_it_lasts_and_leaves_nothing],
    files.guard_uploads: [
        test_an_upload_that_breaks_off_is_known_while_it_lasts_and_leaves_nothing,
        test_attack.test_parts_of_an_upload_that_are_no_files_are_refused,
    ],
    files.refuse_addresses: [test_an_address_is_refused_before_gradio_fetches_it],
    files.photographs: [test_gradio_ships_the_photographs_of_the_examples],
    queue.separate_queues: [
        test_guard.test_a_line_of_previews_turns_no_run_away_and_the_other_way_round,
        test_attack.test_what_makes_no_sense_gets_a_status_and_a_sentence,
        test_the_queue_looks_less_often_for_events,
    ],
    queue.refuse_events: [test_a_queue_is_busy_until_it_is_empty_and_takes_no_more_when_told_so],
    queue.is_busy: [
        test_a_queue_is_busy_until_it_is_empty_and_takes_no_more_when_told_so,
        test_attack.test_told_to_stop_it_finishes_what_is_under_way_and_ends_well,
    ],
    endpoints.add_endpoint: [test_an_endpoint_is_described_with_texts_and_examples],
    endpoints.events_named: [test_an_endpoint_is_described_with_texts_and_examples],
    endpoints.describe: [
        test_an_endpoint_is_described_with_texts_and_examples,
        test_page_truth.test_the_api_panel_describes_its_parameters,
    ],
    endpoints.skip_validation: [test_a_sliders_value_reaches_the_settings_unchecked],
    endpoints.offer_as_tools: [test_mcp.test_the_tools_are_the_cutout_and_the_models],
    endpoints.reader_keys: [test_attack.test_a_job_that_nobody_reads_is_ended],
    server.path_of: [test_attack.test_the_list_of_doors_holds_below_a_prefix],
    server.invalid_request: [test_an_invalid_request_is_not_repeated],
    server.is_unknown_event: [test_an_event_that_is_not_there_is_told_as_such],
    server.parameter_problem: [test_a_wrong_parameter_is_named_without_gradios_advice],
    server.explain_every_error: [test_attack.test_a_forged_mark_gets_a_sentence],
    server.allow_origins: [test_attack.test_no_other_site_may_read],
    server.limit_connections: [test_attack.test_silent_connections_are_closed_and_do_not_shut_others_out],
    server.is_logged_in: [test_who_is_logged_in_sees_previews_and_nobody_else_does],
    server.describe_links: [
        test_links_to_the_page_are_described_once_and_by_us,
        test_page_truth.test_a_link_to_the_page_has_our_title_sentence_and_picture,
    ],
}
"""Seam -> the tests that fail when Gradio changes what it touches."""


def test_every_seam_has_its_tests() -> None:
    seams = {
        function
        for module in (files, queue, endpoints, server)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert seams == set(HELD)
    assert all(HELD.values())


def test_nothing_else_reaches_into_gradio() -> None:
    """No submodule of Gradio, no underscore module of Starlette, and no underscore name of anybody."""
    inner = ("gradio.", "gradio_client.", "starlette._", "uvicorn.")
    for file in [path for path in WEB.rglob("*.py") if path.parent.name != "gradio_seams"]:
        text = file.read_text(encoding="utf-8")
        assert "SLF001" not in text, file
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith(inner)], file
