"""Models that crash, hang, lie or grow: each ends as a sentence for its visitor, while another visitor goes on."""

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from onnx import TensorProto, helper
from PIL import Image

from segmentation import inspect_model
from segmentation.config import Config
from segmentation.models.onnx_file import SETTLED_SECONDS
from segmentation.network.isolated import IsolatedEngine
from segmentation.sandbox.protections import missing_protections
from tests import graphs
from tests.hub import LoopbackHub
from tests.repositories import scene
from tests.web.conftest import Server, served

SECONDS = 4  # that a network may compute

linux = pytest.mark.skipif(bool(missing_protections()), reason=f"this system protects less: {missing_protections()}")


def all_nan(path: Path) -> Path:
    return graphs.write_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["mean", "nan"], ["matte"]),
        ],
        {"image": (TensorProto.FLOAT, (1, 3, 64, 64))},
        {"matte": (TensorProto.FLOAT, (1, 1, 64, 64))},
        {"nan": np.float32("nan")},
    )


def huge(path: Path) -> Path:
    """Fills 100 GB."""
    return graphs.greedy(path, 164_000)


def truncated(path: Path) -> Path:
    path.write_bytes(graphs.brightness(path).read_bytes()[:-40])
    return path


def nothing(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def data_outside(path: Path) -> Path:
    """Its numbers are in a file of the system."""
    source = graphs.with_external_data(path.parent / "source.onnx")
    model = onnx.load(source, load_external_data=False)
    for file in (source, Path(f"{source}.data")):
        file.unlink()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../../../../../../etc/passwd"
    path.write_bytes(model.SerializeToString())
    return path


def deep(path: Path) -> Path:
    """Graphs in attributes of nodes in graphs, until a parser that recurses has used up its stack."""
    content = b""
    for _ in range(30_000):
        for number in (1, 5, 6):  # GraphProto.node, NodeProto.attribute, AttributeProto.g
            content = _field(number, content)
    path.write_bytes(b"\x08\x09" + _field(7, content) + b"\x42\x02\x10\x11")
    return path


def _field(number: int, content: bytes) -> bytes:
    length, head = len(content), bytearray([number << 3 | 2])
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes([*head, length]) + content


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "endless": (graphs.endless, f"took longer than {SECONDS} s for this picture and was stopped"),
    "huge": (huge, "it needs more memory than is allowed"),
    "nan": (all_nan, "The network returned values that are not numbers"),
    "truncated": (truncated, "it is truncated"),
    "nothing": (nothing, "empty"),
    "noise": (graphs.noise, "cannot be"),
    "operators": (graphs.own_operators, r"needs operators that are not part of ONNX Runtime \(com\.example\)"),
    "outside": (data_outside, "outside its folder|which is not beside it"),
    "deep": (deep, "cannot be"),
    "text": (graphs.words, "it is not a segmentation model"),
}
"""Name -> what writes it, and its sentence."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    hub, folder = LoopbackHub(), tmp_path_factory.mktemp("shapes")
    for name, (write, _) in HOSTILE.items():
        hub.add(f"someone/{name}", {"model.onnx": write(folder / f"{name}.onnx").read_bytes()})
    with hub.serving(), pytest.MonkeyPatch.context() as patch:
        hub.use(patch, tmp_path_factory.mktemp("home"))
        yield hub


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    then = time.time() - SETTLED_SECONDS - 1  # they are not being copied
    for name, (write, _) in HOSTILE.items():
        os.utime(write(folder / f"{name}.onnx"), (then, then))
    return folder


@pytest.fixture(scope="module")
def server(hub: LoopbackHub, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With one registered model, which runs in the server's own process."""
    registry = tmp_path_factory.mktemp("registry")
    good = inspect_model(graphs.brightness(registry / "good.onnx"))
    (registry / "good.yaml").write_text(good.entry(), encoding="utf-8")
    config = Config(
        models_folder=models,
        registry=str(registry),
        hub_models="any",
        model_uploads=True,
        run_seconds=SECONDS,
        own_models_mb=400,
        device="cpu",
    )
    yield from served(config, tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels, _ = scene(3, (60, 80))
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def other(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The other visitor."""
    downloads = tmp_path_factory.mktemp("others")
    client = Client(server.url, analytics_enabled=False, verbose=False, download_files=downloads)
    yield client
    client.close()


def sentence_of(client: Client, pictures: list[Path], model: str) -> str:
    """What a visitor is told; for several pictures, what all reports say."""
    try:
        _, report = client.predict(
            images=[handle_file(path) for path in pictures], model=model, alpha_matting=False, api_name="/segment"
        )
    except AppError as error:
        return str(error)
    return "\n".join(str(entry["error"]) for entry in report)


def good_cutout(client: Client, picture: Path) -> bytes:
    """The other visitor's cutout, by the registered model."""
    files, (report,) = client.predict(
        images=[handle_file(picture)], model="good", alpha_matting=False, api_name="/segment"
    )
    assert report["error"] is None
    return Path(files[0]).read_bytes()


def zombies() -> list[str]:
    """Children of this process that have ended and were not waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            state, parent, *_ = rest.split()
            if state == "Z" and int(parent) == os.getpid():
                found.append(name)
    return found


class Meanwhile:
    """Something that goes on in a thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.answer: Any = None
        self.thread = threading.Thread(target=self._run, args=(work,))
        self.thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        self.answer = work()

    @property
    def goes_on(self) -> bool:
        return self.thread.is_alive()

    def result(self) -> Any:
        self.thread.join(60 * SECONDS)
        assert not self.goes_on
        return self.answer


@linux
@pytest.mark.parametrize("place", ["folder", "hub"])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_hurts_is_a_sentence_and_another_visitor_goes_on(
    server: Server, client: Client, other: Client, picture: Path, name: str, place: str
) -> None:
    expected = good_cutout(other, picture)
    model = f"{name}.onnx" if place == "folder" else f"someone/{name}"
    hostile = Meanwhile(lambda: sentence_of(client, [picture], model))
    while hostile.goes_on:
        assert good_cutout(other, picture) == expected
    said = hostile.result()
    _assert_sentence(said, HOSTILE[name][1])
    assert good_cutout(other, picture) == expected
    assert zombies() == []


def _assert_sentence(said: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        raise ValueError(said)
    assert said.count("\n") == 0
    for secret in ("Traceback", "site-packages", "/proc", "root:"):
        assert secret not in said


@pytest.mark.parametrize("name", ["endless", "nan"])
def test_a_hostile_model_can_be_looked_at_and_tried(client: Client, other: Client, picture: Path, name: str) -> None:
    expected = good_cutout(other, picture)

    def look() -> str:
        try:
            client.predict(model=f"someone/{name}", picture=handle_file(picture), api_name="/inspect")
        except AppError as error:
            return str(error)
        return ""

    looking = Meanwhile(look)
    while looking.goes_on:
        assert good_cutout(other, picture) == expected
    _assert_sentence(looking.result(), "took longer|not numbers")
    assert client.predict(model=f"someone/{name}", api_name="/inspect")["problem"] == ""
    assert zombies() == []


def test_a_batch_that_hangs_takes_nobodys_turn(
    server: Server, client: Client, other: Client, picture: Path, tmp_path: Path
) -> None:
    """It would hold as many places as the machine has cores, and each for as long as a network may compute."""
    expected = good_cutout(other, picture)
    pictures = [Path(shutil.copy(picture, tmp_path / f"{number}.png")) for number in range(3)]
    hostile = [Meanwhile(lambda: sentence_of(client, pictures, "endless.onnx"))]
    hostile.append(Meanwhile(lambda: sentence_of(client, [picture], "someone/endless")))
    held = set()
    while hostile[0].goes_on:
        held.add((server.service.apart.at_work > 0, server.service.turns.at_work))
        assert good_cutout(other, picture) == expected
    assert (True, 0) in held
    assert {turns for _, turns in held} == {0}
    assert hostile[0].result().count("was stopped") == len(pictures)
    _assert_sentence(hostile[1].result(), HOSTILE["endless"][1])


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL], ids=["segfault", "out of memory"])
def test_a_process_that_dies_in_a_run_is_a_sentence_and_the_next_run_works(
    server: Server, client: Client, other: Client, picture: Path, models: Path, number: signal.Signals
) -> None:
    """As a crafted graph that crashes ONNX Runtime would end it, or the kernel when memory runs out."""
    expected = good_cutout(other, picture)
    name = f"dies-{number}.onnx"
    graphs.endless(models / name)
    pool = server.service.offered._pool
    hostile = Meanwhile(lambda: sentence_of(client, [picture], name))
    while hostile.goes_on and name not in pool.loaded():
        assert good_cutout(other, picture) == expected
    engine = pool.loaded()[name]._engine
    assert isinstance(engine, IsolatedEngine)
    while hostile.goes_on and not engine._lock.locked():
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(engine._sandbox._process.pid, number)
    _assert_sentence(hostile.result(), "it crashed|it needs more memory than is allowed")
    assert good_cutout(other, picture) == expected
    graphs.brightness(models / name)
    assert sentence_of(client, [picture], name) == "None"
    assert zombies() == []


def test_an_upload_may_be_hostile_too(client: Client, other: Client, picture: Path, tmp_path: Path) -> None:
    expected = good_cutout(other, picture)
    token = client.predict(onnx_file=handle_file(graphs.endless(tmp_path / "own.onnx")), api_name="/inspect")["model"]
    hostile = Meanwhile(lambda: sentence_of(client, [picture], token))
    while hostile.goes_on:
        assert good_cutout(other, picture) == expected
    _assert_sentence(hostile.result(), HOSTILE["endless"][1])
    for write, sentence in (HOSTILE["truncated"], HOSTILE["operators"]):
        path = write(tmp_path / "other.onnx")
        try:
            found = client.predict(onnx_file=handle_file(path), api_name="/inspect")["problem"]
        except AppError as error:
            found = str(error)
        _assert_sentence(found, sentence)
