"""`serve --engine ray`: networks run in replicas on a cluster, and whoever loses one loses nothing."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from segmentation import ModelSpec, Session, SessionError
from segmentation.cluster.replica import Replica, is_kept_here
from segmentation.config import Config
from segmentation.network.lent import Lent
from segmentation.network.recovery import Answer
from segmentation.network.watchdog import RunCancelledError
from segmentation.web.runs.service import Service
from tests import graphs
from tests.graphs_prompt import promptable
from tests.test_cluster import needs_ray
from tests.test_command_line import main
from tests.web.test_app import answers, free_port, start

TENSOR = np.full((1, 3, 64, 64), 0.5, np.float32)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return graphs.make_spec(graphs.brightness(tmp_path / "tiny.onnx"), "tiny")


@pytest.fixture
def session(spec: ModelSpec, tmp_path: Path) -> Session:
    return Session(spec, tmp_path / "tiny.onnx", "cpu")


# -------------------------------------------------------------------------------------------------- without a cluster


def test_a_replica_answers_as_the_session_does(spec: ModelSpec, session: Session, tmp_path: Path) -> None:
    replica = Replica(Config(models_folder=tmp_path, device="cpu"), 1, 1)
    answer, here = replica.compute(spec, TENSOR), session.run(TENSOR)
    assert isinstance(answer, Answer)
    assert np.array_equal(answer.output, here.output)
    assert answer.provider == here.provider
    wrong = replica.compute(spec, TENSOR[:, :, :-1])  # an answer: another replica would give the same
    assert isinstance(wrong, SessionError)


def test_what_needs_the_sandbox_or_answers_clicks_stays_with_the_page(
    spec: ModelSpec, session: Session, tmp_path: Path
) -> None:
    assert not is_kept_here(session)
    own = Session(spec.model_copy(update={"registered": False}), tmp_path / "tiny.onnx", "cpu")
    assert is_kept_here(own)
    with pytest.raises(ValueError, match="tiny has no registry entry"):
        Replica(Config(models_folder=tmp_path), 1, 1).compute(own.spec, TENSOR)
    assert is_kept_here(Session(*promptable(tmp_path), "cpu"))


def test_lent_networks_add_places(tmp_path: Path) -> None:
    config = Config(models_folder=tmp_path, models="u2netp")
    plain, more = Service(config), Service(config, Lent(lambda session: session.run, 3))
    assert more.turns._places == plain.turns._places + 3


# ------------------------------------------------------------------------------------------------------ with Ray alone


class Lost:
    """Ray's handle of a deployment whose replicas give no answer."""

    def __init__(self, error: Exception) -> None:
        self.error, self.asked, self.cancelled = error, 0, False
        self.run = self

    def remote(self, *_: object) -> "Lost":
        self.asked += 1
        return self

    def result(self, timeout_s: float) -> None:  # noqa: ARG002
        raise self.error

    def cancel(self) -> None:
        self.cancelled = True


@needs_ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Serve's own, of pydantic
def test_what_no_replica_computes_is_computed_here_and_says_so(session: Session) -> None:
    from ray.exceptions import RayActorError

    from segmentation.cluster.replicas import UNAVAILABLE, _Remote

    here = session.run(TENSOR)
    for handle, times in (Lost(RayActorError()), 2), (Lost(TimeoutError()), 1):
        answer = _Remote(handle, session, 0).run(TENSOR)
        assert np.array_equal(answer.output, here.output)
        assert (answer.provider_note, handle.asked) == (UNAVAILABLE, times)
    waiting = Lost(TimeoutError())
    with pytest.raises(RunCancelledError):
        _Remote(waiting, session, 60).run(TENSOR, lambda: True)
    assert waiting.cancelled


# ------------------------------------------------------------------------------------------------- with a real cluster


def descendants(root: int) -> Iterator[int]:
    for file in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = [int(word) for word in file.read_text().split()]
        except OSError:  # it has ended
            continue
        for child in children:
            yield child
            yield from descendants(child)


def command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def replicas(root: int) -> list[int]:
    return [process for process in descendants(root) if "ServeReplica" in command(process)]


def listening(root: int) -> dict[tuple[str, int], str]:
    """Addresses as the kernel writes them, ports, and whose they are."""
    owners = {}
    for process in (root, *descendants(root)):
        for file in Path(f"/proc/{process}/fd").glob("*"):
            try:
                if found := re.fullmatch(r"socket:\[(\d+)\]", str(file.readlink())):
                    owners[found[1]] = command(process)
            except OSError:
                continue
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in owners:
                address, _, port = fields[1].partition(":")
                sockets[address, int(port, 16)] = owners[fields[9]]
    return sockets


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_lost_replica_costs_nothing_but_time(
    tmp_path: Path, photos: dict[str, Path], fetched: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = fetched("u2netp").parent
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(models))
    pictures = []
    with Image.open(photos["chelsea"]) as photo:
        for number in range(12):
            pictures.append(tmp_path / f"{number}.png")
            photo.crop((8 * number, 0, photo.width, photo.height)).save(pictures[-1])
    assert (
        main(["cut", *map(str, pictures), "--model", "u2netp", "--no-alpha-matting", "-o", str(tmp_path / "here")]) == 0
    )

    url = f"http://127.0.0.1:{(port := free_port())}"
    process = start(
        "--port", str(port), "--engine", "ray", "--workers", "2", "--worker-cpus", "0.5",
        GRADIO_TEMP_DIR=str(tmp_path / "uploads"), SEGMATTE_MODELS="u2netp",
    )  # fmt: skip
    try:
        assert answers(process, url, 180)
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "a",
        }
        assert httpx.get(url, headers=upgrade).status_code == 200  # as without the libraries that Ray brings along
        sockets = listening(process.pid)
        open_ = {port: owner for (address, port), owner in sockets.items() if not address.endswith("0100007F")}
        assert all("ServeReplica" in owner for owner in open_.values())  # which cannot be told where to listen
        assert {asked_without_token(port) for port in open_} == {"UNAUTHENTICATED"}

        with closing(Client(url, analytics_enabled=False, verbose=False, download_files=tmp_path / "there")) as client:
            files = [handle_file(picture) for picture in pictures]
            job = client.submit(images=files, model="u2netp", alpha_matting=False, api_name="/segment")
            victim, *others = replicas(process.pid)
            busy = seconds(victim)
            while seconds(victim) < busy + 0.1:  # it is at work
                assert not job.done()
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)
            cutouts, report = job.result()
        assert len(others) == 1
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert [entry["error"] for entry in report] == [None] * 12
    assert "a replica failed: ActorDiedError" in output
    assert not any(entry["provider_note"].startswith("The cluster was unavailable") for entry in report)
    for picture, cutout in zip(pictures, cutouts, strict=True):
        assert Path(cutout).read_bytes() == (tmp_path / "here" / f"{picture.stem}-cutout.png").read_bytes()
    assert "Traceback" not in output


def seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked_without_token(port: int) -> str:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/ray.serve.ASGIService/HandleRequest")(b"", timeout=10)
        code: Any = caught.value
        return str(code.code().name)
