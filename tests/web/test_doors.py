"""The doors for other tools' clients: by raw HTTP, and by real clients where they can be installed."""

import base64
import io
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import remove_bg_api
import removebg.removebg
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from segmentation import SettingsError, load_image, segment
from segmentation.config import Config
from segmentation.drop_in import rembg_recipe
from segmentation.recipe import Recipe
from segmentation.web.doors.removebg import KNOWN
from segmentation.web.doors.routes import door_routes
from segmentation.web.guard.addresses import fetch_picture
from segmentation.web.guard.doorman import Doorman
from segmentation.web.guard.keys import KeyRing
from segmentation.web.guard.storage import Storage
from segmentation.web.runs.service import Service
from tests import graphs
from tests.doc_tables import DOCS
from tests.waiting import until
from tests.web.conftest import Server, served
from tests.web.test_docs import block, run

MOST = 1 << 20
DOORS = DOCS / "doors.md"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    graphs.brightness(folder / "bright.onnx")
    return folder


@pytest.fixture(scope="module")
def config(models: Path) -> Config:
    return Config(
        models_folder=models, models="bright.onnx", doors="rembg,removebg", max_upload_mb=1, concurrency=2, queue=4,
        device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def doors(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    fetch = partial(
        fetch_picture, max_bytes=MOST, max_pixels=MOST, is_allowed=lambda _: True, ports=range(1 << 16)
    )  # fmt: skip
    yield from served(config, tmp_path_factory.mktemp("uploads"), fetch)


@pytest.fixture(scope="module")
def http(doors: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=doors.url, timeout=300) as client:
        yield client


@pytest.fixture(scope="module")
def site(disc: Path) -> Iterator[str]:
    """A web site with the picture."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(disc.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A soft white disc of radius 30 on black, at the left of 180 x 120."""
    rows, columns = np.mgrid[:120, :180]
    far = np.hypot(rows - 60, columns - 50)
    path = tmp_path_factory.mktemp("site") / "disc.png"
    Image.fromarray(np.clip(255 * (33 - far) / 6, 0, 255).astype(np.uint8)).convert("RGB").save(path)
    return path


@pytest.fixture(scope="module")
def large() -> bytes:
    """A disc on 800 x 600, as a PNG."""
    rows, columns = np.mgrid[:600, :800]
    file = io.BytesIO()
    Image.fromarray(((np.hypot(rows - 300, columns - 400) < 200) * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def alpha_of(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(opened(data).getchannel("A"))


def left_over(server: Server) -> list[Path]:
    return [path for path in server.uploads.rglob("*") if path.is_file()]


# rembg


def test_a_posted_picture_comes_back_as_remove_gives_it(http: httpx.Client, doors: Server, disc: Path) -> None:
    answer = http.post("/api/remove", files={"file": ("disc.png", disc.read_bytes())}, data={"a": "true", "ab": "20"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    recipe = Recipe.of("", rembg_recipe(alpha_matting=True, alpha_matting_background_threshold=20))
    expected = segment(load_image(disc), doors.service.offered.session("bright.onnx"), recipe.settings)
    assert np.array_equal(np.asarray(opened(answer.content)), expected.cutout)


def test_a_picture_is_fetched_from_its_address(http: httpx.Client, site: str, disc: Path) -> None:
    fetched = http.get("/api/remove", params={"url": f"{site}/disc.png"})
    posted = http.post("/api/remove", files={"file": disc.read_bytes()})
    assert fetched.status_code == 200, fetched.text
    assert fetched.content == posted.content


def test_every_name_of_rembg_is_understood(http: httpx.Client, disc: Path) -> None:
    file = {"file": disc.read_bytes()}
    mask = opened(http.post("/api/remove", files=file, data={"om": "true", "model": "bright.onnx"}).content)
    assert (mask.mode, mask.size) == ("L", (180, 120))
    binary = alpha_of(http.post("/api/remove", files=file, data={"ppm": "1", "dc": "yes"}).content)
    assert set(np.unique(binary)) <= {0, 255}
    red = opened(http.post("/api/remove?bgc=255,0,0,255", files=file).content)
    assert (red.mode, red.getpixel((0, 0))) == ("RGBA", (255, 0, 0, 255))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"a": "perhaps"}, "a must be true or false"),
        ({"af": "2x"}, "af must be a whole number"),
        ({"af": "10", "ab": "20"}, "must be below"),
        ({"bgc": "red"}, "bgc must be red,green,blue,opacity"),
        ({"bgc": "1,2,3,999"}, "four numbers from 0 to 255"),
        ({"model": "nonesuch"}, "no model 'nonesuch'"),
        ({"vm": "true"}, r"vm \(ViTMatte\) is not supported"),
        ({"extras": '{"sam_prompt": []}'}, "extras is not supported"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(http: httpx.Client, disc: Path, data: Any, said: str) -> None:
    answer = http.post("/api/remove", files={"file": disc.read_bytes()}, data=data)
    assert answer.status_code == 422
    with pytest.raises(SettingsError, match=said):
        raise SettingsError(answer.json()["detail"])


def test_what_is_no_picture_is_refused_and_leaves_nothing_behind(http: httpx.Client, doors: Server, site: str) -> None:
    for answer in (
        http.post("/api/remove", files={"file": ("cat.png", b"no picture")}),
        http.post("/api/remove", files={"file": ("big.png", bytes(MOST + 1))}),
        http.post("/api/remove", content=b"?", headers={"content-type": "multipart/form-data; boundary=x"}),
        http.post("/api/remove", content=b"[" * 5000, headers={"content-type": "application/json"}),
        http.post("/api/remove", content=b"x", headers={"content-type": "text/plain"}),
        http.post("/api/remove", data={str(number): "x" for number in range(100)}),
        http.get("/api/remove"),
        http.get("/api/remove", params={"url": f"{site}/none.png"}),
    ):
        assert 400 <= answer.status_code < 500
        assert answer.json()["detail"].endswith(".")
    until(lambda: not left_over(doors))  # the files go after the answer


def test_nothing_stays_after_an_answer(http: httpx.Client, doors: Server, disc: Path) -> None:
    http.post("/api/remove", files={"file": disc.read_bytes()})
    http.post("/v1.0/removebg", files={"image_file": disc.read_bytes()}, data={"roi": "0% 0% 50% 100%"})
    until(lambda: not left_over(doors))  # the files go after the answer
    assert not doors.service.predictions._runs
    assert not doors.service.admission.outside


def test_32_calls_at_once_are_all_answered_or_told_to_wait(doors: Server, disc: Path) -> None:
    def call(_: int) -> httpx.Response:
        return httpx.post(f"{doors.url}/api/remove", files={"file": disc.read_bytes()}, timeout=300)

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(call, range(32)))
    done = [answer for answer in answers if answer.status_code == 200]
    busy = [answer for answer in answers if answer.status_code == 429]
    assert len(done) + len(busy) == 32
    assert len(done) >= doors.service.config.runs
    assert len({answer.content for answer in done}) == 1
    for answer in busy:
        assert int(answer.headers["retry-after"]) > 0
        assert "queue is full" in answer.json()["detail"]


def test_a_run_whose_client_has_left_is_stopped(doors: Server, large: bytes) -> None:
    head = (
        "POST /api/remove?a=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        "Content-Length: {length}\r\n\r\n"
    )  # fmt: skip
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="large.png"\r\n\r\n' + large + b"\r\n--x--\r\n"
    )
    host, port = doors.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(head.format(length=len(part)).encode() + part)
        until(lambda: doors.service.admission.outside)
    until(lambda: not doors.service.admission.outside)
    until(lambda: not left_over(doors))


def test_runs_at_a_door_and_in_the_queue_share_their_places(doors: Server, disc: Path) -> None:
    admission = doors.service.admission
    admission.in_queue, own = (lambda: doors.service.config.runs), admission.in_queue
    try:
        answer = httpx.post(f"{doors.url}/api/remove", files={"file": disc.read_bytes()})
    finally:
        admission.in_queue = own
    assert answer.status_code == 429


# remove.bg


def removed(http: httpx.Client, disc: Path, **data: str) -> httpx.Response:
    answer = http.post("/v1.0/removebg", files={"image_file": ("disc.png", disc.read_bytes())}, data=data)
    assert answer.status_code == 200, answer.text
    return answer


def test_removebg_gives_size_and_subject_in_headers_and_charges_nothing(http: httpx.Client, disc: Path) -> None:
    answer = removed(http, disc)
    headers = answer.headers
    assert (headers["x-width"], headers["x-height"], headers["x-credits-charged"]) == ("180", "120", "0")
    assert headers["x-type"] == "other"
    rows, columns = np.nonzero(alpha_of(answer.content) >= 8)
    assert int(headers["x-foreground-left"]) == columns.min()
    assert int(headers["x-foreground-top"]) == rows.min()
    assert int(headers["x-foreground-width"]) == columns.max() - columns.min() + 1
    assert int(headers["x-foreground-height"]) == rows.max() - rows.min() + 1
    assert "x-type" not in removed(http, disc, type_level="none").headers


def test_json_gives_the_same_picture_in_base64(http: httpx.Client, disc: Path) -> None:
    encoded = base64.b64encode(disc.read_bytes()).decode()
    body = {"image_file_b64": encoded, "size": "auto", "crop": False}
    data = http.post("/v1.0/removebg", json=body, headers={"accept": "application/json"}).json()["data"]
    assert base64.b64decode(data["result_b64"]) == removed(http, disc, size="auto").content
    assert data["foreground_width"] > 50
    as_form = http.post("/v1.0/removebg", data={"image_file_b64": f"data:image/png;base64,{encoded}"})
    assert as_form.content == removed(http, disc).content


def test_an_address_will_do(http: httpx.Client, site: str, disc: Path) -> None:
    answer = http.post("/v1.0/removebg", data={"image_url": f"{site}/disc.png"})
    assert answer.content == removed(http, disc).content


def test_sizes_are_megapixels(http: httpx.Client, tmp_path: Path, large: bytes) -> None:
    file = tmp_path / "large.png"
    file.write_bytes(large)
    for size, most in (("", 0.25e6), ("small", 0.25e6), ("medium", 1.5e6), ("full", 1e9)):
        width, height = opened(removed(http, file, **({"size": size} if size else {})).content).size
        assert width * height <= most
        assert width * height > 0.97 * min(most, 800 * 600)
        assert abs(width / height - 4 / 3) < 0.01


def test_formats_are_what_they_are_called(http: httpx.Client, disc: Path) -> None:
    kinds = {"auto": "PNG", "png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
    assert {name: opened(removed(http, disc, format=name).content).format for name in kinds} == kinds
    assert opened(removed(http, disc, bg_color="fff").content).format == "JPEG"
    with zipfile.ZipFile(io.BytesIO(removed(http, disc, format="zip").content)) as archive:
        assert sorted(archive.namelist()) == ["alpha.png", "color.jpg"]
        alpha, colour = (opened(archive.read(name)) for name in ("alpha.png", "color.jpg"))
    assert (alpha.mode, colour.mode, alpha.size) == ("L", "RGB", colour.size)
    assert np.array_equal(np.asarray(alpha), alpha_of(removed(http, disc).content))


def test_backgrounds_are_colours_or_pictures(http: httpx.Client, disc: Path) -> None:
    corner = (179, 0)
    assert opened(removed(http, disc, bg_color="red", format="png").content).getpixel(corner) == (255, 0, 0)
    assert opened(removed(http, disc, bg_color="81d4fa77").content).getpixel(corner) == (0x81, 0xD4, 0xFA, 0x77)
    green = io.BytesIO()
    Image.new("RGB", (20, 20), (0, 128, 0)).save(green, "PNG")
    files = {"image_file": disc.read_bytes(), "bg_image_file": green.getvalue()}
    answer = http.post("/v1.0/removebg", files=files, data={"format": "png"})
    assert opened(answer.content).getpixel(corner) == (0, 128, 0)
    mask = opened(removed(http, disc, channels="alpha").content)
    assert (mask.mode, mask.size) == ("L", (180, 120))
    assert opened(removed(http, disc, channels="alpha", format="jpg").content).format == "JPEG"


def test_nothing_outside_the_region_is_subject(http: httpx.Client, disc: Path) -> None:
    for roi in ("0px 0px 50px 120px", "0% 0% 27.7778% 100%"):
        alpha = alpha_of(removed(http, disc, roi=roi).content)
        assert alpha[60, 40] > 200
        assert not alpha[:, 62:].any()


def test_the_subject_is_cropped_with_a_margin_or_scaled_in_the_middle(http: httpx.Client, disc: Path) -> None:
    width, height = opened(removed(http, disc, crop="true").content).size
    assert 60 <= width == height <= 68
    wider, _ = opened(removed(http, disc, crop="true", crop_margin="10%").content).size
    assert wider == width + 2 * round(width / 10)
    answer = removed(http, disc, scale="50%")
    assert opened(answer.content).size == (180, 120)
    height, left = (int(answer.headers[f"x-foreground-{name}"]) for name in ("height", "left"))
    assert abs(height - 60) <= 1
    assert abs(left - 60) <= 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"size": "huge"}, "invalid_parameter"),
        ({"crop": "true", "crop_margin": "30px"}, "invalid_parameter"),
        ({"position": "10% 20%"}, "invalid_parameter"),
        ({"scale": "5%"}, "invalid_parameter"),
        ({"roi": "1 2 3"}, "invalid_parameter"),
        ({"roi": "50px 0px 40px 9px"}, "invalid_parameter"),
        ({"bg_color": "no colour"}, "invalid_parameter"),
        ({"bg_color": "red", "format": "zip"}, "invalid_parameter"),
        ({"bg_color": "red", "bg_image_url": "http://x/"}, "invalid_parameter"),
        ({"nonesuch": "1"}, "invalid_parameter"),
        ({"image_url": "http://127.0.0.1/x.png"}, "multiple_sources"),
    ],
)
def test_removebgs_errors_have_its_shape(http: httpx.Client, disc: Path, data: Any, code: str) -> None:
    answer = http.post("/v1.0/removebg", files={"image_file": disc.read_bytes()}, data=data)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert error["title"].endswith(".")


def test_no_image_and_no_subject_have_codes_of_their_own(http: httpx.Client) -> None:
    black = io.BytesIO()
    Image.new("RGB", (40, 30)).save(black, "PNG")
    answers = [
        http.post("/v1.0/removebg", data={"size": "auto"}),
        http.post("/v1.0/removebg", files={"image_file": black.getvalue()}),
        http.post("/v1.0/removebg", files={"image_file": b"no picture"}),
        http.post("/v1.0/removebg", json={"image_file_b64": "A"}),
    ]
    codes = [answer.json()["errors"][0]["code"] for answer in answers]
    assert codes == ["missing_source", "unknown_foreground", "invalid_image", "invalid_image"]


# real clients, their hosts replaced


def test_the_client_removebg_gets_its_picture(
    doors: Server, disc: Path, tmp_path: Path, site: str, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removebg.removebg, "API_ENDPOINT", f"{doors.url}/v1.0/removebg")
    client = removebg.RemoveBg("any key", str(tmp_path / "errors.log"))
    own = tmp_path / "cat.png"
    own.write_bytes(disc.read_bytes())
    client.remove_background_from_img_file(str(own))
    client.remove_background_from_img_url(f"{site}/disc.png", new_file_name=str(tmp_path / "url.png"))
    encoded = base64.b64encode(disc.read_bytes())
    client.remove_background_from_base64_img(encoded, new_file_name=str(tmp_path / "b64.png"))
    for name in ("cat.png_no_bg.png", "url.png", "b64.png"):
        assert (tmp_path / name).read_bytes() == removed(http, disc).content


def test_the_client_remove_bg_api_gets_its_picture_and_its_balance(
    doors: Server, disc: Path, site: str, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remove_bg_api, "API_URL", f"{doors.url}/v1.0")
    client = remove_bg_api.RemoveBg("any key")
    before = client.account.balance()
    assert client.remove_bg_bytes(disc.read_bytes()) == removed(http, disc).content
    assert client.remove_bg_url(f"{site}/disc.png") == removed(http, disc).content
    assert client.remove_bg_base64(base64.b64encode(disc.read_bytes())) == removed(http, disc).content
    assert client.account.balance() == before > 0


# the documentation


@pytest.fixture
def folder(tmp_path: Path, disc: Path) -> Path:
    Image.open(disc).save(tmp_path / "cat.jpg", quality=95)
    return tmp_path


def test_the_curl_examples_run(doors: Server, folder: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    for door in ("/api/remove", "/v1.0/removebg"):
        code = block(DOORS, "bash", door).replace("http://127.0.0.1:7860", doors.url)
        run(["bash", "-euc", code], folder)
    with Image.open(folder / "cat-cutout.png") as cutout, Image.open(folder / "cat-white.jpg") as white:
        assert (cutout.mode, cutout.size) == ("RGBA", (180, 120))
        assert white.getpixel((179, 0)) == (255, 255, 255)


def test_the_python_example_runs(folder: Path, fetched: Callable[[str], Path]) -> None:
    fetched("u2netp")
    run([sys.executable, "-c", block(DOORS, "python", "new_session")], folder)
    with Image.open(folder / "cat-cutout.png") as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", (180, 120))


def test_every_parameter_of_removebg_is_explained() -> None:
    explained = DOORS.read_text(encoding="utf-8")
    assert [name for name in KNOWN if f"`{name}`" not in explained] == []


# keys, and what stays closed


def at_the_door(config: Config, uploads: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    guard = Middleware(Doorman, config=config, storage=Storage(config))
    return TestClient(Starlette(routes=door_routes(Service(config)), middleware=[guard]), "http://localhost")


@pytest.fixture
def keyed(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    own = config.model_copy(update={"api_keys": "first, second", "api_key_rate": 2})
    return at_the_door(own, tmp_path, monkeypatch)


@pytest.mark.parametrize("door", ["/api/remove", "/v1.0/removebg"])
def test_a_key_is_asked_for_at_every_door(keyed: TestClient, door: str, disc: Path) -> None:
    files = {"file" if "api" in door else "image_file": disc.read_bytes()}
    for given in ({}, {"x-api-key": "third"}, {"x-api-key": "first, second"}, {"x-api-key": ""}):
        answer = keyed.post(door, files=files, headers=given)
        assert answer.status_code == 403
        assert "API key" in answer.text
    assert keyed.post(door, files=files, headers={"X-Api-Key": "second"}).status_code == 200


def test_each_key_has_a_rate_of_its_own(keyed: TestClient, disc: Path) -> None:
    def call(key: str) -> Any:
        return keyed.post("/v1.0/removebg", files={"image_file": disc.read_bytes()}, headers={"X-Api-Key": key})

    assert [call("first").headers["x-ratelimit-remaining"] for _ in range(2)] == ["1", "0"]
    refused = call("first")
    assert (refused.status_code, refused.headers["x-ratelimit-limit"]) == (429, "2")
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert refused.json()["errors"][0]["code"] == "rate_limit_exceeded"
    assert call("second").status_code == 200
    assert keyed.get("/v1.0/account", headers={"X-Api-Key": "first"}).status_code == 200


def test_a_key_may_hold_any_characters() -> None:
    ring = KeyRing(["geheim-ß"], 1)
    assert ring.find("geheim-ß") == "geheim-ß".encode()
    assert ring.find("geheim-\udc00") is None


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:80/x.png", "http://localhost/x", "file:///etc/passwd", "http://10.0.0.1/"]
)
def test_no_door_fetches_what_is_not_public(keyed: TestClient, address: str) -> None:
    key = {"X-Api-Key": "first"}
    answers = [
        keyed.get("/api/remove", params={"url": address}, headers=key),
        keyed.post("/v1.0/removebg", data={"image_url": address}, headers=key),
    ]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert all("address" in answer.text for answer in answers)


def test_addresses_are_not_fetched_where_the_operator_says_so(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = at_the_door(config.model_copy(update={"web_addresses": False}), tmp_path, monkeypatch)
    answer = door.get("/api/remove", params={"url": "https://example.org/x.png"})
    assert (answer.status_code, answer.json()["detail"]) == (
        400, "Web addresses are not fetched here. Send the picture itself."
    )  # fmt: skip


def test_doors_are_closed_unless_opened(server: Server, disc: Path) -> None:
    for door in ("/api/remove", "/v1.0/removebg"):
        assert httpx.post(f"{server.url}{door}", files={"file": disc.read_bytes()}).status_code == 404
    with pytest.raises(SettingsError, match="SEGMATTE_DOORS takes rembg and removebg, not 'back'"):
        Config(doors="rembg,back")


def test_a_door_does_not_bypass_a_login() -> None:
    with pytest.raises(SettingsError, match="SEGMATTE_DOORS would bypass the login of SEGMATTE_AUTH"):
        Config(doors="rembg", auth="me:secret")
    assert Config(doors="rembg", auth="me:secret", api_keys="key").door_keys == {"key"}
    assert "key" not in repr(Config(api_keys="one-key")).replace("api_key", "")


def test_requests_beyond_the_limit_are_refused(http: httpx.Client) -> None:
    answer = http.post("/api/remove", files={"file": bytes(4 * MOST)})
    assert (answer.status_code, answer.json()["detail"]) == (413, "The request is too large; the limit is 3 MB.")
