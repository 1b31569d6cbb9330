"""A result says when it is none: empty pictures, and networks whose answers cannot be masks."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from segmentation import Session, SessionError, SessionPool, Settings, segment
from segmentation.models.onnx_file import external_files, file_problem
from segmentation.models.registry import Registry
from segmentation.models.spec import own_file_spec
from segmentation.network.watchdog import RunCancelledError
from segmentation.picture.picture import Picture
from segmentation.prediction import NO_SUBJECT, predict
from tests import graphs

SUBJECT = np.zeros((64, 64, 3), np.uint8)
SUBJECT[16:48, 16:48] = 255


def own(path: Path, **options: Any) -> Session:
    """A file that nobody described, as the models folder offers it."""
    return Session(own_file_spec(path), path, "cpu", **options)


# ------------------------------------------------------------------------------------------------- no subject


def sky() -> np.ndarray:
    """A plain evening sky."""
    down = np.linspace(0, 1, 300)[:, None, None]
    return np.rint(np.array([90, 140, 210]) * (1 - down) + np.array([200, 210, 230]) * down + np.zeros((1, 400, 1)))


EMPTY = {
    "sky": sky(),
    "noise": np.random.default_rng(5).integers(0, 256, (1000, 1500, 3)),
    "black": np.zeros((300, 400, 3)),
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("matting", [True, False])
def test_a_picture_without_a_subject_gives_no_specks(u2netp: Session, name: str, matting: bool) -> None:
    result = segment(Picture(EMPTY[name].astype(np.uint8)), u2netp, Settings(alpha_matting=matting))
    assert result.warnings == (NO_SUBJECT,)
    assert result.alpha.max() < 26  # what the network said, at most a tenth, and not stretched


def test_the_raw_peak_is_kept(u2netp: Session, photos: dict[str, Path]) -> None:
    assert predict(Picture(EMPTY["sky"].astype(np.uint8)), u2netp).peak < 0.1
    assert predict(Picture(SUBJECT), u2netp).peak <= 1.0


@pytest.mark.parametrize(
    ("picture", "settings"),
    [
        (Picture(np.zeros((1, 1, 3), np.uint8)), Settings()),
        (Picture(np.zeros((30, 40, 3), np.uint8)), Settings(alpha_matting=False)),
        (Picture(np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64), np.uint8)), Settings()),
        (Picture(np.eye(64, dtype=np.uint8)[..., None].repeat(3, 2) * 255), Settings(post_process_mask=True)),
    ],
    ids=["one pixel", "flat", "transparent", "post-processed away"],
)
def test_an_empty_cutout_is_said_to_be_one(tiny: Session, picture: Picture, settings: Settings) -> None:
    result = segment(picture, tiny, settings)
    assert result.alpha.max() < 8
    assert NO_SUBJECT in result.warnings


# ------------------------------------------------------------------------------------------------- no mask


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (graphs.scores, "it is not a segmentation network"),
        (graphs.brightest_channel, "returns 3 planes, and nothing says which is the subject"),
        (graphs.words, "returns string of shape"),
        (lambda path: graphs.brightness(path, (9000, 9000)), "works at 9000 x 9000 pixels only"),
        (lambda path: graphs.brightness(path, (0, 0)), "works at 0 x 0 pixels only"),
    ],
    ids=["classifier", "many planes", "text", "huge", "nothing"],
)
def test_a_file_that_cannot_give_a_mask_is_refused_when_loaded(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(SessionError, match=sentence):
        own(make(tmp_path / "own.onnx"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (graphs.brightness_logits, "which are not probabilities"),
        (graphs.two_sigmoids, "applies a sigmoid twice"),
    ],
    ids=["logits", "two sigmoids"],
)
def test_an_answer_that_cannot_be_a_mask_is_an_error(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(SessionError, match=sentence):
        segment(Picture(SUBJECT), own(make(tmp_path / "own.onnx")))


def test_a_sigmoid_over_probabilities_is_an_error(tmp_path: Path) -> None:
    path = graphs.brightness(tmp_path / "own.onnx")
    spec = graphs.make_spec(path, output={"kind": "logits", "activation": "sigmoid"})
    with pytest.raises(SessionError, match="the sigmoid would be applied twice"):
        segment(Picture(SUBJECT), Session(spec, path, "cpu"))


def test_the_output_that_is_a_picture_is_taken(tmp_path: Path) -> None:
    result = segment(Picture(SUBJECT), own(graphs.score_and_matte(tmp_path / "own.onnx")))
    assert result.alpha[32, 32] == 255
    assert result.alpha[4, 4] == 0


@pytest.mark.parametrize("softmax", [True, False])
def test_of_two_planes_the_second_is_the_subject_and_the_report_says_so(tmp_path: Path, softmax: bool) -> None:
    result = segment(Picture(SUBJECT), own(graphs.background_first(tmp_path / "own.onnx", softmax=softmax)))
    assert result.alpha[32, 32] == 255
    assert result.alpha[4, 4] == 0
    assert any("the second was taken for the subject" in warning for warning in result.warnings)


def test_values_of_the_padding_are_not_judged(tmp_path: Path) -> None:
    path = graphs.nan_at_the_top(tmp_path / "own.onnx")
    spec = graphs.make_spec(path, resize="letterbox_center")
    wide = np.zeros((30, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    assert segment(Picture(wide), Session(spec, path, "cpu")).alpha[15, 30] == 255
    with pytest.raises(SessionError, match="not numbers"):
        segment(Picture(SUBJECT), Session(spec, path, "cpu"))


@pytest.mark.parametrize("settings", [{"std": 900.0}, {"mean": 500.0}, {"std": (900.0, 900.0, 900.0)}])
def test_a_mean_or_std_that_leaves_no_colours_is_said(u2netp: Session, settings: Any) -> None:
    (said,) = predict(Picture(SUBJECT), u2netp, Settings(**settings)).warnings
    assert "nearly the same to the network" in said


@pytest.mark.parametrize(
    "settings", [{}, {"mean": 0.5, "std": 0.5}, {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}]
)
def test_an_ordinary_mean_and_std_need_no_words(u2netp: Session, settings: Any) -> None:
    assert predict(Picture(SUBJECT), u2netp, Settings(**settings)).warnings == ()


# ------------------------------------------------------------------------------------------------- what a file is


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>not found</body></html>", "web page"),
        (b"", "empty"),
        (b"PK\x03\x04 something", "not an ONNX file"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(content)
    assert words in file_problem(path)
    with pytest.raises(SessionError, match=words):
        own(path)


def test_a_file_that_is_cut_off_anywhere_is_named(tmp_path: Path) -> None:
    whole = graphs.two_sigmoids(tmp_path / "own.onnx").read_bytes()
    assert file_problem(tmp_path / "own.onnx") == ""
    for share in (0.2, 0.5, 0.9, 0.99):
        (tmp_path / "cut.onnx").write_bytes(whole[: int(len(whole) * share)])
        assert "it is truncated" in file_problem(tmp_path / "cut.onnx")


def test_an_unusable_file_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pointer-once.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Registry([]).with_folder(tmp_path)
    assert [record.message for record in caplog.records if "pointer-once" in record.message] == [
        "pointer-once.onnx: it is a Git LFS pointer of 43 bytes, not the network itself. Fetch it with `git lfs pull`."
    ]


def test_data_beside_a_file_counts(tmp_path: Path) -> None:
    path = graphs.with_external_data(tmp_path / "own.onnx")
    assert [file.name for file in external_files(path)] == ["own.onnx.data"]
    spec = own_file_spec(path)
    assert spec.weights.size == path.stat().st_size + 400_000
    assert segment(Picture(SUBJECT), Session(spec, path, "cpu")).alpha[32, 32] == 255


@pytest.mark.parametrize("part", ["own.onnx", "own.onnx.data"])
def test_a_replaced_file_of_the_same_size_is_loaded_anew(tmp_path: Path, part: str) -> None:
    path = graphs.with_external_data(tmp_path / "own.onnx")
    pool = SessionPool(lambda spec, threads: Session(spec, path, "cpu", threads))
    first = pool.get(own_file_spec(path))
    assert pool.get(own_file_spec(path)) is first
    stat = (tmp_path / part).stat()
    os.utime(tmp_path / part, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    second = pool.get(own_file_spec(path))
    assert second is not first
    assert pool.loaded() == {"own.onnx": second}  # the old one is not kept beside it


# ------------------------------------------------------------------------------------------------- time and memory


def test_an_endless_network_is_ended(tmp_path: Path) -> None:
    session = own(graphs.endless(tmp_path / "own.onnx"), seconds=0.5)
    for _ in range(2):
        with pytest.raises(SessionError, match=r"took longer than 0\.5 s for this picture and was stopped"):
            predict(Picture(SUBJECT), session)


def test_a_run_that_nobody_waits_for_is_ended(tmp_path: Path) -> None:
    session = own(graphs.endless(tmp_path / "own.onnx"))
    begun = time.monotonic()
    with pytest.raises(RunCancelledError):
        predict(Picture(SUBJECT), session, cancelled=lambda: time.monotonic() - begun > 0.3)


def test_a_network_that_wants_too_much_memory_is_refused_and_others_go_on(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"could not be run at .* it needs more memory than is allowed"):
        predict(Picture(SUBJECT), own(graphs.greedy(tmp_path / "own.onnx")))
    assert segment(Picture(SUBJECT), own(graphs.brightness(tmp_path / "tiny.onnx"))).alpha[32, 32] == 255


def test_no_sentence_names_a_path(tmp_path: Path) -> None:
    with pytest.raises(SessionError) as caught:
        predict(Picture(SUBJECT), own(graphs.greedy(tmp_path / "own.onnx")))
    assert "/" not in str(caught.value).replace("NCHW/NHWC", "")
    path = graphs.with_external_data(tmp_path / "data.onnx")
    (tmp_path / "data.onnx.data").unlink()
    with pytest.raises(SessionError) as caught:
        own(path)
    assert str(tmp_path) not in str(caught.value)


def test_half_precision_and_bytes_are_read_as_they_are(tmp_path: Path) -> None:
    for make in (lambda p: graphs.brightness(p, kind=TensorProto.FLOAT16), graphs.brightness_bytes):
        path = make(tmp_path / "own.onnx")
        assert segment(Picture(SUBJECT), own(path)).alpha[32, 32] == 255
