"""`cut --engine ray`: the same bytes, the same record and the same sentences, whatever becomes of the workers."""

import argparse
import importlib.util
import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import scale
from segmentation.cluster.staging import Attempt, staging_folder, take
from segmentation.cluster.worker import ANSWER, TASK, Broken, Todo, Worker
from segmentation.commands.engines import RAY, add_engine
from segmentation.config import Config
from segmentation.corrections import NOTHING, Correction
from segmentation.elsewhere import address_of
from segmentation.errors import SettingsError, WeightsError
from segmentation.inputs import find_pictures
from segmentation.manifest import MANIFEST
from segmentation.outputs import Input, Outputs, tree_names
from segmentation.recipe import Recipe
from segmentation.work import Task, Work
from tests import graphs
from tests.test_command_line import main, models  # noqa: F401  (a fixture)
from tests.test_outputs import paint, visible
from tests.test_resuming import files, registry  # noqa: F401  (a fixture)

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--model", "tiny", "--alpha-matting-erode-size", "3"]

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None and not os.environ.get("CI"),
    reason="Ray is not installed (pip install -r requirements-ray.txt)",
)


def cut(*arguments: str | Path) -> int:
    return main(["cut", *FLAGS, *map(str, arguments)])


def work_of(tmp_path: Path, **settings: Any) -> Work:
    spec = graphs.make_spec(tmp_path / "models" / "tiny.onnx", "tiny")
    values = {"alpha_matting_erode_size": 3, **settings}
    return Work(Recipe.of("tiny", values), Config.from_environment(), "cpu", None, spec)


def answers(worker: Worker, sources: list[Path], said: dict[int, Correction] | None = None) -> list[Any]:
    todos = [Todo(index, source, (said or {}).get(index, NOTHING)) for index, source in enumerate(sources)]
    block = {TASK: [pickle.dumps(todo) for todo in todos]}
    return [pickle.loads(each) for each in worker(block)[ANSWER]]


def task_of(sources: list[Path], out: Path) -> Task:
    names = [source.name for source in sources]
    outputs = Outputs(out, sources, key=lambda _: "key")
    return Task(sources, range(len(sources)), out, tree_names([Path()] * len(names), names, ".png"), outputs, {})


@pytest.fixture(autouse=True)
def _back_to_this_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker goes to the folder that its job started in."""
    monkeypatch.chdir(Path.cwd())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# -------------------------------------------------------------------------------------------------- without a cluster


def test_the_options_are_for_ray_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut(paint(tmp_path / "a.png"), "--workers", "2") == 1
    assert capsys.readouterr().err == "--workers is for --engine ray.\n"
    assert cut(tmp_path / "a.png", "-o", "-", "--engine", "ray") == 1
    assert capsys.readouterr().err == "-o - is for --engine local: name a folder.\n"
    if importlib.util.find_spec("ray") is None:
        assert cut(tmp_path / "a.png", "--engine", "ray") == 1
        assert capsys.readouterr().err == f"Ray is not installed: pip install '{RAY}'\n"
    assert RAY in (ROOT / "requirements-ray.txt").read_text().splitlines()


def test_the_page_on_scale_names_every_option_and_has_the_planned_costs(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_engine(parser.add_argument_group())
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert all(action.option_strings[-1] in page for action in parser._actions if action.dest != "help")
    scale.plan()
    assert capsys.readouterr().out in page


def test_nothing_of_ray_is_imported_without_the_option(tmp_path: Path, out: Path) -> None:
    program = "import sys; from segmentation.__main__ import main; main(sys.argv[1:]); print(*sys.modules)"
    words = [sys.executable, "-c", program, "cut", *FLAGS, str(paint(tmp_path / "a.png")), "-o", str(out)]
    loaded = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert visible(out) == ["a-cutout.png"]
    assert not [name for name in loaded if name.split(".")[0] in ("ray", "pyarrow") or "cluster" in name]


def test_what_a_worker_makes_is_what_is_made_here(tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "in" / name, level) for name, level in (("a.png", 255), ("b.png", 200))]
    sources.append(paint(tmp_path / "in" / "c.png"))
    sources[2].write_bytes(sources[2].read_bytes()[:60])
    assert cut(*sources, "-o", tmp_path / "here") == 1
    task = task_of(sources, out)
    assert task.outputs is not None
    with staging_folder(out) as staging:
        made = answers(Worker(work_of(tmp_path), staging, tmp_path, 1), sources)
        outcomes = {staged.index: take(staged, task, task.outputs) for staged in made}
    assert files(out) == ["a-cutout.png", "b-cutout.png"] == files(tmp_path / "here")
    for name in files(out):
        assert (out / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert [outcomes[index].report.files for index in range(3)] == [("a-cutout.png",), ("b-cutout.png",), ()]
    assert outcomes[2].report.error is not None
    again = Outputs(out, sources, key=lambda _: "key")
    assert all(again.earlier(index) for index in range(3))  # done, or failed for good
    assert [path.name for path in out.glob(".*")] == [MANIFEST]


def test_what_is_said_about_a_picture_reaches_its_worker(tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "a.png"), paint(tmp_path / "b.png")]
    mask = paint(tmp_path / "mask.png", 200)
    with staging_folder(out) as staging:
        worker = Worker(work_of(tmp_path, alpha_matting=False), staging, tmp_path, 1)
        plain, masked = answers(worker, sources, {1: Correction(mask=mask)})
        with Image.open(plain.cutouts[0].file) as one, Image.open(masked.cutouts[0].file) as other:
            assert (one.getpixel((30, 20)), other.getpixel((30, 20))) == ((255,) * 4, (255, 255, 255, 200))


def test_a_second_attempt_never_meets_the_files_of_the_first(tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "a.png")]
    task = task_of(sources, out)
    assert task.outputs is not None
    with staging_folder(out) as staging:
        worker = Worker(work_of(tmp_path), staging, tmp_path, 1)
        (first,), (second,) = answers(worker, sources), answers(worker, sources)
        assert first.cutouts[0].file != second.cutouts[0].file
        assert take(second, task, task.outputs).report.error is None
    assert visible(out) == ["a-cutout.png"]


def test_a_file_in_the_way_stays_and_the_picture_is_not_recorded(tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "a.png")]
    theirs = paint(out / "a-cutout.png", 7).read_bytes()
    task = task_of(sources, out)
    assert task.outputs is not None
    with staging_folder(out) as staging:
        (staged,) = answers(Worker(work_of(tmp_path), staging, tmp_path, 1), sources)
        outcome = take(staged, task, task.outputs)
    assert outcome.report.error is not None
    assert "a-cutout.png exists and was not made here" in outcome.report.error
    assert (out / "a-cutout.png").read_bytes() == theirs
    assert task.outputs.earlier(0) is None


def test_a_cutout_that_is_gone_is_told(tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "a.png")]
    task = task_of(sources, out)
    assert task.outputs is not None
    with staging_folder(out) as staging:
        (staged,) = answers(Worker(work_of(tmp_path), staging, tmp_path, 1), sources)
        staged.cutouts[0].file.unlink()
        outcome = take(staged, task, task.outputs)
    assert outcome.report.error == "The cutout of a.png could not be written (No such file or directory)."
    assert task.outputs.earlier(0) is None


def test_a_worker_that_cannot_work_says_why(tmp_path: Path, out: Path) -> None:
    sources, work = [paint(tmp_path / "a.png")], work_of(tmp_path)
    (broken,) = answers(Worker(work, out / "nowhere", tmp_path, 1), sources)
    assert isinstance(broken.error, SettingsError)
    assert f"does not have the folder {out}" in str(broken.error)
    (tmp_path / "models" / "tiny.onnx").unlink()
    with staging_folder(out) as staging:
        (broken,) = answers(Worker(work, staging, tmp_path, 1), sources)
        assert isinstance(broken.error, WeightsError)
        (broken,) = answers(Worker(replace(work, spec=None), staging, tmp_path, 1), sources)  # a bug of the caller
    assert broken == Broken(None, broken.trace)
    assert "every picture has its own mask" in broken.trace


def test_addresses_are_for_ray_alone(tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cut("s3://bucket/photos", "-o", out) == 1
    assert "s3://bucket/photos is an address, which only --engine ray reads." in capsys.readouterr().err
    (tmp_path / "list.txt").write_text("https://example.com/a.png\n")
    assert cut(f"@{tmp_path}/list.txt", "-o", out) == 1
    assert "https://example.com/a.png does not exist." in capsys.readouterr().err
    assert cut(paint(tmp_path / "a.png"), "-o", "s3://bucket/out") == 1
    assert "-o s3://bucket/out is not possible" in capsys.readouterr().err


def test_a_picture_behind_an_address_is_done_until_its_store_says_otherwise(out: Path) -> None:
    source, known = Path("s3://bucket/a.png"), Input(5, 1_700_000_000 * 10**9, "0" * 64)
    first = Outputs(out, [source], key=lambda _: "key")
    first.began(0, known)
    out.mkdir()
    assert first.finish(0, [], None) == ()
    assert json.loads((out / MANIFEST).read_text())["picture"] == "s3://bucket/a.png"

    def earlier(*stat: int) -> bool:
        elsewhere = {source: stat} if stat else {}
        return Outputs(out, [source], key=lambda _: "key", elsewhere=elsewhere).earlier(0) is not None  # type: ignore[arg-type]

    assert earlier()  # nobody was asked
    assert earlier(known.size, known.time + 10**8)
    assert not earlier(known.size + 1, known.time)
    assert not earlier(known.size, known.time + 2 * 10**9)


@needs_ray
@pytest.mark.parametrize(
    ("address", "sentence"),
    [("ray://a:1", "--address must be host:port or auto, not 'ray://a:1'"), ("", "Nothing answers at")],
)
def test_a_cluster_that_is_not_there_is_told(tmp_path: Path, out: Path, address: str, sentence: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # which does not listen
        where = address or f"127.0.0.1:{probe.getsockname()[1]}"
        words = [sys.executable, "-m", "segmentation", "cut", *FLAGS, str(paint(tmp_path / "a.png")), "-o", str(out)]
        words += ["--engine", "ray", "--address", where]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, sentence in done.stderr) == (1, True), done.stderr


@needs_ray
def test_pictures_are_read_from_the_web(tmp_path: Path, out: Path) -> None:
    local = paint(tmp_path / "a b.png")
    with served(tmp_path) as url, staging_folder(out) as staging:
        from segmentation.cluster.stores import listed

        (tmp_path / "list.txt").write_text(f"{url}/a%20b.png\n{url}/nothing.png\n")
        found = find_pictures([f"@{tmp_path}/list.txt", f"{url}/a%20b.png"], listing=listed)
        assert [address_of(source) for source in found.pictures] == [f"{url}/a%20b.png", f"{url}/nothing.png"]
        worker = Worker(work_of(tmp_path), staging, tmp_path, 1)
        made = {staged.index: staged for staged in answers(worker, found.pictures)}
        assert answers(worker, [local])[0].cutouts[0].file.read_bytes() == made[0].cutouts[0].file.read_bytes()
    assert made[0].known is not None
    assert made[0].known.size == local.stat().st_size
    assert made[1].report.error.startswith(f"{url}/nothing.png could not be downloaded (")
    assert not made[1].is_lasting  # the next run tries again
    assert list(Path(tempfile.gettempdir()).glob("segmatte-*/0/a*b.png")) == []


@needs_ray
def test_folders_of_a_store_are_listed(tmp_path: Path) -> None:
    from segmentation.cluster import stores

    for name in ("a 1%.png", "below/b.JPG", "below/notes.txt", ".hidden/c.png"):
        paint(tmp_path / "photos" / Path(name).with_suffix(".png")).rename(tmp_path / "x")
        (tmp_path / "x").rename(tmp_path / "photos" / name)
    store = tmp_path.as_uri()
    found = stores.listed(f"{store}/photos/")
    assert [each.address for each in found] == [f"{store}/photos/a 1%.png", f"{store}/photos/below/b.JPG"]
    assert [each.place.as_posix() for each in found] == [".", "below"]
    (single,) = stores.listed(f"{store}/photos/a 1%.png")
    time = stores.download(single.address, copy := tmp_path / "copy.png")
    assert single.stat is None
    assert found[0].stat == (copy.stat().st_size, time)
    with pytest.raises(SettingsError, match="nothing cannot be listed: "):
        stores.listed(f"{store}/nothing")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_folders_of_killed_jobs_are_deleted_after_a_day(out: Path) -> None:
    old, fresh = out / ".segmatte-ray-old", out / ".segmatte-ray-fresh"
    for folder in (old, fresh):
        Attempt(_made(folder), [])
    os.utime(old, (1, 1))
    with staging_folder(out) as staging:
        assert sorted(out.iterdir()) == sorted([fresh, staging])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


# ------------------------------------------------------------------------------------------------- with a real cluster

MORTAL = """
import os, pickle, sys
from pathlib import Path
from segmentation.__main__ import main
from segmentation.cluster import lock
lock()
from segmentation.cluster import engine

class Mortal(engine.Worker):
    '''Dies once after it has cut out 20.png, and whenever it meets the poison.'''
    def _cut(self, todos):
        names = {todo.source.name for todo in todos}
        if "poison.png" in names:
            os.kill(os.getpid(), 9)
        made = super()._cut(todos)
        if "20.png" in names and not Path(DIED).exists():
            Path(DIED).write_text(str(len(made)))
            os.kill(os.getpid(), 9)
        return made

engine.Worker = Mortal
sys.exit(main(sys.argv[1:]))
"""


@needs_ray
def test_lost_workers_lose_nothing(tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    y, x = np.mgrid[:90, :120]
    for number in range(40):
        level = np.clip((30 - np.hypot(y - 45, x - 40 - number)) / 10 + 0.5, 0, 1) * 255
        paint(photos / f"{number:02}.png")
        Image.fromarray(level.astype(np.uint8)).save(photos / f"{number:02}.png")
    (photos / "07.png").write_bytes((photos / "07.png").read_bytes()[:60])
    paint(photos / "poison.png")
    far = paint(tmp_path / "web" / "far.png", 200)
    report = tmp_path / "report.parquet"
    arguments = ["cut", *FLAGS, str(photos), "-o", str(out), "--json"]
    more = ["--engine", "ray", "--workers", "2", "--worker-cpus", "0.5", "--report", str(report)]
    died = tmp_path / "died"
    program = MORTAL.replace("DIED", repr(str(died)))
    words = [sys.executable, "-c", program, *arguments, *more]
    with served(far.parent) as url:
        words.insert(words.index(str(photos)), f"{url}/far.png")
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["name"] for line in told) == sorted(
        [far.name, *(file.name for file in photos.iterdir())]
    )  # once
    assert f"{url}/far.png" in {line["source"] for line in told}
    failed = {line["name"]: line["error"] for line in told if line["error"]}
    assert sorted(failed) == ["07.png", "poison.png"]
    assert failed["poison.png"].startswith("poison.png was not cut out: its workers died again and again")
    assert int(died.read_text()) > 0

    import pyarrow.parquet as pq

    table = pq.read_table(report)
    assert table.column("source").to_pylist() == [line["source"] for line in told]
    assert {row["name"]: row["error"] for row in table.to_pylist() if row["error"]} == failed

    (photos / "poison.png").unlink()
    assert cut(photos, far, "-o", tmp_path / "here") == 1
    assert files(out) == files(tmp_path / "here")
    assert all((out / name).read_bytes() == (tmp_path / "here" / name).read_bytes() for name in files(out))
    assert [path.name for path in out.glob(".*")] == [MANIFEST]
    lines = (out / MANIFEST).read_text().splitlines()
    assert len(lines) == 40 + 41  # each file and each picture once, the poison not at all

    capsys.readouterr()
    for engine in ([], more):  # nothing is left to do, so that no cluster is started
        assert main([*arguments, *engine]) == 1
        assert all(json.loads(line)["skipped"] for line in capsys.readouterr().out.splitlines())
