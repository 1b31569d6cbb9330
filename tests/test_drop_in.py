"""rembg's functions under their names: kinds, modes and shapes as rembg 2.0.86 gives, with straight colours."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segmentation import (
    ImageError,
    RegistryError,
    Session,
    Settings,
    SettingsError,
    load_image,
    new_session,
    remove,
    segment,
)
from tests import colours


@pytest.fixture
def disc() -> Image.Image:
    """A soft white disc on black, 48 x 64."""
    rows, columns = np.mgrid[:48, :64]
    far = np.hypot(rows - 24, columns - 32)
    return Image.fromarray(np.repeat(np.clip(255 * (18 - far) / 6, 0, 255).astype(np.uint8)[..., None], 3, axis=2))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def test_what_comes_as_one_kind_goes_as_the_same(disc: Image.Image, tiny: Session, tmp_path: Path) -> None:
    image = remove(disc, session=tiny)
    array = remove(np.asarray(disc), session=tiny)
    data = remove(png(disc), session=tiny)
    disc.save(tmp_path / "disc.png")
    path = remove(tmp_path / "disc.png", session=tiny)
    assert (image.mode, image.size) == ("RGBA", disc.size)
    assert (array.dtype, array.shape) == (np.uint8, (48, 64, 4))
    assert isinstance(data, bytes)
    assert path == tmp_path / "disc-cutout.png"
    for other in (array, opened(data), Image.open(path)):
        assert np.array_equal(np.asarray(image), np.asarray(other))


def test_a_path_written_as_text_gives_text_and_replaces_no_file(
    disc: Image.Image, tiny: Session, tmp_path: Path
) -> None:
    disc.save(tmp_path / "disc.png")
    assert remove(f"{tmp_path}/disc.png", session=tiny) == f"{tmp_path}/disc-cutout.png"
    with pytest.raises(ImageError, match=r"disc-cutout\.png exists already"):
        remove(f"{tmp_path}/disc.png", session=tiny)


def test_bytes_can_be_asked_for(disc: Image.Image, tiny: Session) -> None:
    for data in (disc, np.asarray(disc), png(disc)):
        assert opened(remove(data, session=tiny, force_return_bytes=True)).mode == "RGBA"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "I;16"])
def test_every_mode_becomes_rgba(mode: str, disc: Image.Image, tiny: Session) -> None:
    image = disc.convert("L").convert("I;16") if mode == "I;16" else disc.convert(mode)
    assert remove(image, session=tiny).mode == "RGBA"


def test_an_image_is_turned_as_its_exif_data_says(disc: Image.Image, tiny: Session) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    assert remove(opened(png(disc, exif=exif)), session=tiny).size == (48, 64)


def test_the_mask_alone_is_grey_and_not_matted(disc: Image.Image, tiny: Session) -> None:
    mask = remove(disc, True, session=tiny, only_mask=True)
    assert (mask.mode, mask.size) == ("L", disc.size)
    assert remove(np.asarray(disc), session=tiny, only_mask=True).shape == (48, 64)
    assert np.array_equal(np.asarray(mask), np.asarray(remove(disc, session=tiny, only_mask=True)))


def test_the_arguments_mean_what_the_settings_mean(photos: dict[str, Path], u2netp: Session) -> None:
    picture = load_image(photos["cheetah"])
    expected = segment(
        picture, u2netp, Settings(alpha_matting_foreground_threshold=230, alpha_matting_background_threshold=10)
    ).cutout
    assert np.array_equal(remove(picture.rgb, True, 230, session=u2netp), expected)


def test_colours_are_straight_where_rembg_darkens_them(disc: Image.Image, tiny: Session) -> None:
    cutout = remove(np.asarray(disc), session=tiny)
    soft = (cutout[..., 3] > 20) & (cutout[..., 3] < 235)
    assert soft.any()
    assert np.array_equal(cutout[soft][:, :3], np.asarray(disc)[soft])
    assert not cutout[cutout[..., 3] == 0].any()


def test_a_colour_behind_is_composed_as_pillow_does(disc: Image.Image, tiny: Session) -> None:
    cutout = remove(disc, session=tiny)
    for colour in ((10, 200, 30, 255), (10, 200, 30, 128), (10, 200, 30, 0)):
        given = np.asarray(remove(disc, session=tiny, bgcolor=colour)).astype(int)
        expected = np.asarray(Image.alpha_composite(Image.new("RGBA", disc.size, colour), cutout)).astype(int)
        seen = expected[..., 3] > 0
        assert np.abs(given[..., 3] - expected[..., 3]).max() <= 1
        assert np.abs(given - expected)[seen].max() <= 2


@pytest.mark.parametrize("colour", [(1, 2, 3), (1, 2, 3, 256), "red!", (0.5, 0, 0, 1)])
def test_a_wrong_colour_is_refused(colour: Any, disc: Image.Image, tiny: Session) -> None:
    with pytest.raises(SettingsError, match="must be four numbers from 0 to 255"):
        remove(disc, session=tiny, bgcolor=colour)


@pytest.mark.parametrize("data", [b"not a picture", 7, np.zeros((2, 3, 4, 5)), np.zeros((4, 4), complex)])
def test_what_is_no_picture_is_refused_in_a_sentence(data: Any, tiny: Session) -> None:
    with pytest.raises(ImageError, match=r"\.$"):
        remove(data, session=tiny)


def test_all_classes_are_in_one_cutout(tmp_path: Path) -> None:
    path = colours.network(tmp_path / "colours.onnx")
    face = colours.face()
    alpha = remove(face, session=Session(colours.spec(path), path, "cpu"))[..., 3]
    assert alpha.shape == face.shape[:2]
    subject = (face != face[0, 0]).any(axis=2)
    assert ((alpha > 127) & subject).sum() > 0.95 * ((alpha > 127) | subject).sum()


def test_a_session_is_that_of_a_model_by_its_name_and_the_default_is_loaded_once(
    monkeypatch: pytest.MonkeyPatch, fetched: Callable[[str], Path], disc: Image.Image
) -> None:
    monkeypatch.setenv("SEGMATTE_MODELS_DIR", str(fetched("u2netp").parent))
    session = new_session("u2netp", providers=["CPUExecutionProvider"])
    assert (session.spec.id, session.provider) == ("u2netp", "CPUExecutionProvider")
    assert np.array_equal(np.asarray(remove(disc)), np.asarray(remove(disc, session=session)))
    with pytest.raises(RegistryError, match="There is no model 'u3net'"):
        new_session("u3net")
    with pytest.raises(SettingsError, match="providers must begin with one of CPUExecutionProvider"):
        new_session("u2netp", providers=["ROCMExecutionProvider"])
