"""Visitors' own models: found by their token alone, for the keep time."""

import shutil
from pathlib import Path

import pytest

from segmentation.errors import WeightsError
from segmentation.models.hub_reference import HubReference
from segmentation.models.uploaded_models import PREFIX, UploadedModels
from tests import graphs


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return graphs.brightness(tmp_path / "upload.onnx")


def test_an_upload_is_found_by_its_token_alone(upload: Path) -> None:
    models = UploadedModels(60, 1 << 20)
    spec = models.add(upload, "My hair net.onnx")
    assert spec.title == "My hair net"
    assert not spec.registered
    assert models.get(spec.id).path == upload
    assert models.get(spec.id).spec == spec
    assert len(spec.id) >= len(PREFIX) + 32
    assert HubReference.parse(spec.id) is None
    for other in (PREFIX, f"{PREFIX}guess", spec.id[:-1], "upload.onnx"):
        with pytest.raises(WeightsError, match="This uploaded model has expired or does not exist"):
            models.get(other)


def test_an_upload_is_deleted_after_the_keep_time(upload: Path) -> None:
    clock = Clock()
    models = UploadedModels(60, 1 << 20, clock=clock)
    spec = models.add(upload, "own.onnx")
    clock.now = 59
    assert models.get(spec.id).path.is_file()
    clock.now = 61
    models.expire()
    assert not upload.exists()
    with pytest.raises(WeightsError, match="has expired"):
        models.get(spec.id)


def test_equal_uploads_are_one_file_which_stays_for_the_later_one(upload: Path) -> None:
    clock = Clock()
    models = UploadedModels(60, 1 << 20, clock=clock)
    first = models.add(upload, "own.onnx")
    clock.now = 40
    second = models.add(upload, "own.onnx")
    clock.now = 70
    with pytest.raises(WeightsError, match="has expired"):
        models.get(first.id)
    assert models.get(second.id).path.is_file()
    clock.now = 101
    models.expire()
    assert not upload.exists()


def test_an_upload_whose_file_was_deleted_for_room_has_expired(upload: Path) -> None:
    models = UploadedModels(60, 1 << 20)
    spec = models.add(upload, "own.onnx")
    upload.unlink()
    with pytest.raises(WeightsError, match="has expired"):
        models.get(spec.id)


def test_beyond_the_number_of_uploads_the_oldest_goes(upload: Path, tmp_path: Path) -> None:
    models = UploadedModels(60, 1 << 20, most=2)
    files = [tmp_path / f"{number}.onnx" for number in range(3)]
    for file in files:
        shutil.copy(upload, file)
    specs = [models.add(file, file.name) for file in files]
    assert [file.exists() for file in files] == [False, True, True]
    assert models.get(specs[2].id).path == files[2]


def test_an_upload_that_is_too_large_or_no_network_is_refused(upload: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"^own has 1 MB; at most 0 MB are allowed here\.$"):
        UploadedModels(60, 10).add(upload, "own.onnx")
    (tmp_path / "page.onnx").write_bytes(b"<!doctype html>")
    with pytest.raises(WeightsError, match=r"^page cannot be used: it is a web page, not a network"):
        UploadedModels(60, 1 << 20).add(tmp_path / "page.onnx", "page.onnx")


@pytest.mark.parametrize(
    ("name", "title"), [("", "model"), ("../../etc/passwd", "passwd"), ("a\0\u202eb.onnx", "ab"), ("x" * 300, "x" * 80)]
)
def test_any_name_of_an_upload_becomes_a_title(upload: Path, name: str, title: str) -> None:
    assert UploadedModels(60, 1 << 20).add(upload, name).title == title
