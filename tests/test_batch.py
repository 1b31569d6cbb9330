"""Many pictures at once: all finish, each fails alone, names stay apart, and stopping stops."""

import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from segmentation import ImageError, Picture, Prediction, Session, Settings, SettingsError, segment
from segmentation.batch import Outcome, Step, run_batch
from segmentation.cutout_files import write_zip
from segmentation.inputs import find_pictures
from segmentation.outputs import Outputs, safe_stems
from segmentation.picture.load import load_image
from segmentation.picture.picture import Limits
from segmentation.predictor import Predictor, from_predictions, from_session
from segmentation.settings import Export
from tests import graphs

PLAIN = Settings(alpha_matting=False)


def outcomes(sources: Sequence[Path], session: Session, folder: Path, **options: Any) -> list[Outcome]:
    """All outcomes of a network, in the order of the sources."""
    settings = options.pop("settings", PLAIN)
    return outcomes_of(sources, from_session(session, settings), settings, folder, **options)


def refined(sources: Sequence[Path], known: Mapping[int, Prediction], folder: Path, **options: Any) -> list[Outcome]:
    """All outcomes from earlier predictions."""
    settings = options.pop("settings", PLAIN)
    return outcomes_of(sources, from_predictions("tiny", known, settings), settings, folder, indices=known, **options)


def outcomes_of(
    sources: Sequence[Path], predictor: Predictor, settings: Settings, folder: Path, **options: Any
) -> list[Outcome]:
    events = run_batch(sources, predictor, settings, folder, **options)
    found = [event for event in events if isinstance(event, Outcome)]
    return sorted(found, key=lambda outcome: outcome.index)


def error_of(outcome: Outcome) -> str:
    assert outcome.report.error
    return outcome.report.error


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def paint(path: Path, level: int = 255, size: tuple[int, int] = (40, 60), **options: Any) -> Path:
    """A picture of that level on the right half and of black on the left."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:, size[1] // 2 :] = level
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_each_picture_becomes_a_png_of_its_size_under_its_name(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / f"{n}.png", size=(30 + n, 50 + n)) for n in range(5)]
    found = outcomes(sources, tiny, out)
    assert [outcome.name for outcome in found] == [source.name for source in sources]
    for n, outcome in enumerate(found):
        assert outcome.files == (out / f"{n}-cutout.png",)
        assert outcome.report.files == (f"{n}-cutout.png",)
        assert (outcome.report.height, outcome.report.width) == (30 + n, 50 + n)
        with Image.open(outcome.files[0]) as image:
            assert (image.mode, image.size) == ("RGBA", (50 + n, 30 + n))


def test_a_batch_gives_the_pixels_that_segmenting_gives(tiny: Session, tmp_path: Path, out: Path) -> None:
    source = paint(tmp_path / "a.png")
    (outcome,) = outcomes([source], tiny, out)
    with Image.open(outcome.files[0]) as image:
        assert np.array_equal(np.asarray(image), segment(load_image(source), tiny, PLAIN).cutout)


def test_what_is_transparent_in_a_file_holds_no_colour(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png", level=250)], tiny, out)
    with Image.open(outcome.files[0]) as image:
        pixels = np.asarray(image)
    assert (pixels[..., 3] == 0).any()
    assert not pixels[pixels[..., 3] == 0].any()


def test_a_file_keeps_the_colour_profile_and_no_other_metadata(tiny: Session, tmp_path: Path, out: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "at home"  # a description
    exif.get_ifd(0x8825)[1] = "N"  # a place
    source = paint(tmp_path / "a.jpg", quality=95, icc_profile=profile, exif=exif, comment=b"private")
    (outcome,) = outcomes([source], tiny, out)
    with Image.open(outcome.files[0]) as image:
        assert image.info == {"icc_profile": profile}
        assert not image.getexif()
    content = outcome.files[0].read_bytes()
    assert b"at home" not in content
    assert b"private" not in content


def test_the_report_says_who_computed_and_how_long(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png")], tiny, out)
    report = outcome.report.as_json()
    assert report["name"] == "a.png"
    assert report["model"] == "tiny"
    assert report["provider"] == "CPUExecutionProvider"
    assert {"decode", "network", "mask", "encode"} <= set(report["seconds"])
    assert report["warnings"] == []
    assert report["error"] is None


def test_steps_are_told_before_their_outcome(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / f"{n}.png") for n in range(3)]
    stages: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for event in run_batch(sources, from_session(tiny, PLAIN), PLAIN, out):
        if isinstance(event, Step):
            assert event.name == sources[event.index].name
            stages[event.index].append(event.stage)
        else:
            assert event is not None
            stages[event.index].append("done")
    for told in stages.values():
        assert told[:3] == ["decode", "network", "mask"]
        assert told[-2:] == ["encode", "done"]


def test_bad_files_do_not_stop_the_others(tiny: Session, tmp_path: Path, out: Path) -> None:
    good = [paint(tmp_path / "first.png"), paint(tmp_path / "last.png")]
    empty, text, cut, huge = (tmp_path / name for name in ("empty.png", "text.png", "cut.jpg", "huge.png"))
    empty.write_bytes(b"")
    text.write_text("no picture")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))
    noise.save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    paint(huge, size=(200, 200))
    sources = [good[0], empty, text, cut, huge, tmp_path / "missing.png", good[1]]
    found = outcomes(sources, tiny, out, limits=Limits(10_000))
    errors = [outcome.report.error for outcome in found]
    assert errors[0] is None
    assert errors[-1] is None
    for error, sentence in zip(
        errors[1:-1],
        ["empty.png is empty", "text.png is not a picture", "cut.jpg is cut off", "huge.png has", "missing.png cannot"],
        strict=True,
    ):
        assert error
        assert error.startswith(sentence)
    assert all(outcome.files == () == tuple(outcome.report.files) for outcome in found[1:-1])
    assert sorted(path.name for path in out.iterdir()) == ["first-cutout.png", "last-cutout.png"]


def test_a_folder_that_is_gone_is_told_for_each_picture(tiny: Session, tmp_path: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png")], tiny, tmp_path / "nowhere")
    assert error_of(outcome).startswith("The cutout of a.png could not be written (No such file")


def test_a_file_that_could_not_be_written_is_not_listed(tiny: Session, tmp_path: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png")], tiny, tmp_path / "nowhere")
    assert outcome.files == ()
    assert outcome.report.files == ()


def test_a_size_the_model_cannot_take_is_refused_before_anything_starts(
    tiny: Session, tmp_path: Path, out: Path
) -> None:
    with pytest.raises(SettingsError, match="works at 64 x 64 only"):
        outcomes([paint(tmp_path / "a.png")], tiny, out, settings=Settings(size=128))
    assert list(out.iterdir()) == []


def test_an_empty_batch_ends_at_once(tiny: Session, out: Path) -> None:
    assert outcomes([], tiny, out) == []


def test_notes_and_warnings_reach_the_report(tiny: Session, tmp_path: Path, out: Path) -> None:
    frames = [Image.new("RGB", (20, 20), "black"), Image.new("RGB", (20, 20), "white")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (outcome,) = outcomes([tmp_path / "a.gif"], tiny, out)
    assert "first frame" in outcome.report.warnings[0]
    assert "No subject found" in outcome.report.warnings[1]


def test_pictures_of_the_same_name_get_files_of_their_own(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "one" / "cat.png"), paint(tmp_path / "two" / "cat.png"), paint(tmp_path / "cat.jpg")]
    sources.append(paint(tmp_path / "CAT.PNG"))
    found = outcomes(sources, tiny, out)
    names = [outcome.files[0].name for outcome in found]
    assert names[:3] == ["cat.png-cutout.png", "cat.png-2-cutout.png", "cat.jpg-cutout.png"]
    assert len({name.casefold() for name in names}) == 4
    assert all(outcome.files[0].is_file() for outcome in found)


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.png", "b.tar.png"], ["a", "b.tar"]),
        (["a.png", "a.jpg", "a-2.png"], ["a.png", "a.jpg", "a-2"]),
        (["a/b.png", "c/b.png"], ["b", "b-2"]),
        (["e\u0301.png", "\u00e9.jpg"], ["\u00e9.png", "\u00e9.jpg"]),
        (["A.png", "a.png"], ["A", "a-2"]),
        (['a<b>:"c|?*.png'], ["a_b___c___"]),
        (["..png", " .png", ".png"], None),
        (["Übung 1 (Kopie).png"], ["Übung 1 (Kopie)"]),
        (["a\nb\x00.png"], ["a_b_"]),
    ],
)
def test_names_are_made_safe_and_different(names: list[str], stems: list[str] | None) -> None:
    made = safe_stems(names)
    assert stems is None or made == stems
    assert len({stem.casefold() for stem in made}) == len(names)
    assert all(stem and not set(stem) & set('/\\<>:"|?*\0\n') and stem.strip(" .") == stem for stem in made)


def test_the_longest_names_a_file_system_takes_are_cut_to_fit(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / ("😀" * 62 + ".png"))], tiny, out)
    assert outcome.report.error is None


@pytest.mark.parametrize("workers", [1, 4])
def test_closing_stops_the_batch_early(tiny: Session, tmp_path: Path, out: Path, workers: int) -> None:
    sources = [paint(tmp_path / f"{n}.png") for n in range(60)]
    events = run_batch(sources, from_session(tiny, PLAIN), PLAIN, out, workers=workers)
    next(event for event in events if isinstance(event, Outcome))
    events.close()  # returns at once: a server calls it where it must not wait
    for thread in threading.enumerate():
        if thread.name.startswith("segment"):
            thread.join(10)
            assert not thread.is_alive()
    assert len(list(out.iterdir())) < 60
    for path in out.iterdir():
        with Image.open(path) as image:
            image.verify()  # nothing is left half written


def test_batches_at_the_same_time_share_their_slots(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / f"{n}.png") for n in range(12)]
    slots = threading.Semaphore(1)
    at_work: set[tuple[int, int]] = set()
    most = 0

    def run(batch: int) -> None:
        nonlocal most
        folder = out / str(batch)
        folder.mkdir()
        for event in run_batch(sources, from_session(tiny, PLAIN), PLAIN, folder, workers=4, slots=slots):
            if isinstance(event, Step):
                at_work.add((batch, event.index))
            elif isinstance(event, Outcome):
                at_work.discard((batch, event.index))
                assert event.report.error is None
            most = max(most, len({index for owner, index in at_work if owner == batch}))

    threads = [threading.Thread(target=run, args=(batch,)) for batch in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # an outcome is told before the slot is free again, so a batch never sees a second picture of its own begin
    assert most == 1
    assert not at_work


# ------------------------------------------------------------------------------------------------- classes


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path = graphs.brightest_channel(tmp_path_factory.mktemp("labels") / "labels.onnx")
    output = {"kind": "labels", "classes": {0: "background", 1: "green", 2: "blue"}}
    return Session(graphs.make_spec(path, output=output), path, "cpu")


def test_each_class_that_is_found_is_a_file_of_its_own(coloured: Session, tmp_path: Path, out: Path) -> None:
    rgb = np.zeros((60, 90, 3), np.uint8)
    rgb[:, :30, 1] = rgb[:, 30:60, 0] = rgb[:, 60:, 2] = 250
    Image.fromarray(rgb).save(tmp_path / "flag.png")
    Image.fromarray(rgb[:, 30:]).save(tmp_path / "half.png")
    Image.fromarray(rgb[:, 30:60]).save(tmp_path / "none.png")
    both, one, none = outcomes([tmp_path / f"{name}.png" for name in ("flag", "half", "none")], coloured, out)
    assert [path.name for path in both.files] == ["flag-green-cutout.png", "flag-blue-cutout.png"]
    assert [path.name for path in one.files] == ["half-blue-cutout.png"]
    assert none.files == ()
    assert any("No subject found" in warning for warning in none.report.warnings)
    with Image.open(both.files[0]) as image:
        assert np.asarray(image)[30, [10, 45, 80], 3].tolist() == [255, 0, 0]


# ------------------------------------------------------------------------------------------------- tuning


def predictions(found: Sequence[Outcome]) -> dict[int, Prediction]:
    return {outcome.index: outcome.prediction for outcome in found if outcome.prediction is not None}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


TUNED = [
    PLAIN,
    Settings(alpha_matting_erode_size=4),
    Settings(alpha_matting=False, post_process_mask=True),
    Settings(alpha_matting=False, decontaminate=True),
]


@pytest.mark.parametrize("settings", TUNED, ids=["plain", "matting", "post-processed", "clean colours"])
def test_what_the_network_said_gives_the_same_files_without_it(
    tiny: Session, tmp_path: Path, out: Path, settings: Settings
) -> None:
    sources = [paint(tmp_path / f"{n}.png", level=150 + 50 * n, size=(50 + n, 70)) for n in range(3)]
    said = predictions(outcomes(sources, tiny, out))  # with other settings than those that follow
    assert sorted(said) == [0, 1, 2]
    with_network, without = tmp_path / "with", tmp_path / "without"
    with_network.mkdir()
    without.mkdir()
    options: dict[str, Any] = {"settings": settings, "export": Export(format="webp"), "thumbnails": 20, "stages": True}
    truth = outcomes(sources, tiny, with_network, **options)
    found = refined(sources, said, without, **options)
    assert contents(without) == contents(with_network)
    for one, other in zip(found, truth, strict=True):
        assert one.prediction
        assert one.prediction.maps is said[one.index].maps
        assert "network" in other.report.seconds
        assert "network" not in one.report.seconds
        alike = [replace(outcome.report, seconds={}, network_mb=0) for outcome in (one, other)]
        assert alike[0] == alike[1]
        assert one.report.model == "tiny"


def test_tuning_tells_no_step_of_the_network(tiny: Session, tmp_path: Path, out: Path) -> None:
    source = paint(tmp_path / "a.png")
    said = predictions(outcomes([source], tiny, out))
    steps = [
        event.stage
        for event in run_batch([source], from_predictions("tiny", said), Settings(), out)
        if isinstance(event, Step)
    ]
    assert steps == ["decode", "mask", "matting", "encode"]


def test_pictures_of_which_nothing_was_said_are_left_out(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / f"{n}.png") for n in range(4)]
    sources[1].write_bytes(b"")
    found = outcomes(sources, tiny, out)
    assert found[1].prediction is None
    said = predictions(found)
    assert sorted(said) == [0, 2, 3]
    del said[2]
    again = tmp_path / "again"
    again.mkdir()
    assert [outcome.index for outcome in refined(sources, said, again)] == [0, 3]
    assert sorted(contents(again)) == ["0-cutout.png", "3-cutout.png"]
    assert refined(sources, {}, again) == []


def test_names_do_not_depend_on_which_pictures_are_tuned(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / folder / "cat.png") for folder in ("one", "two")]
    said = predictions(outcomes(sources, tiny, out))
    (outcome,) = refined(sources, {1: said[1]}, out)
    assert outcome.files == (out / "cat-2-cutout.png",)


def test_a_picture_that_is_gone_is_told_when_tuning(tiny: Session, tmp_path: Path, out: Path) -> None:
    source = paint(tmp_path / "a.png")
    said = predictions(outcomes([source], tiny, out))
    source.unlink()
    (outcome,) = refined([source], said, out)
    assert error_of(outcome).startswith("a.png cannot be read")
    assert outcome.files == ()


def test_classes_are_kept_for_tuning(coloured: Session, tmp_path: Path, out: Path) -> None:
    rgb = np.zeros((60, 90, 3), np.uint8)
    rgb[:, :30, 1] = rgb[:, 30:60, 0] = rgb[:, 60:, 2] = 250
    Image.fromarray(rgb).save(tmp_path / "flag.png")
    found = outcomes([tmp_path / "flag.png"], coloured, out)
    before = contents(out)
    (outcome,) = refined([tmp_path / "flag.png"], predictions(found), out)
    assert [cutout.label for cutout in outcome.cutouts] == ["green", "blue"]
    assert contents(out) == before


# ------------------------------------------------------------------------------------------------- other files


def size_and_mode(path: Path) -> tuple[tuple[int, int], str]:
    with Image.open(path) as image:
        return image.size, image.mode


@pytest.mark.parametrize("matting", [True, False])
def test_thumbnail_and_stages_lie_beside_a_cutout(tiny: Session, tmp_path: Path, out: Path, matting: bool) -> None:
    source = paint(tmp_path / "a.png", size=(100, 150))
    settings = Settings(alpha_matting=matting, alpha_matting_erode_size=4)
    (outcome,) = outcomes([source], tiny, out, settings=settings, thumbnails=30, stages=True)
    (cutout,) = outcome.cutouts
    assert outcome.report.files == ("a-cutout.png",)
    assert outcome.files == (cutout.file,)
    assert cutout.label == ""
    assert cutout.thumbnail is not None
    assert cutout.all_files == [cutout.file, cutout.thumbnail, *cutout.stages.values()]
    assert sorted(cutout.all_files) == sorted(out.iterdir())
    assert size_and_mode(cutout.thumbnail) == ((30, 20), "RGBA")
    assert list(cutout.stages) == ["probability", "mask", *(["trimap"] if matting else []), "alpha"]
    planes = {}
    for stage, path in cutout.stages.items():
        assert size_and_mode(path) == ((64, 64) if stage == "probability" else (150, 100), "L")
        with Image.open(path) as image:
            planes[stage] = np.asarray(image)
    result = segment(load_image(source), tiny, settings)
    assert np.array_equal(planes["probability"], np.rint(result.probability * 255))
    assert np.array_equal(planes["mask"], result.mask)
    assert np.array_equal(planes["alpha"], result.alpha)
    if matting:
        assert np.array_equal(planes["trimap"], result.trimap)  # type: ignore[arg-type]
        assert np.unique(planes["trimap"]).tolist() == [0, 128, 255]


def test_a_cutout_alone_is_all_that_is_written_unless_asked(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png")], tiny, out)
    (cutout,) = outcome.cutouts
    assert cutout.thumbnail is None
    assert cutout.stages == {}
    assert cutout.all_files == [cutout.file] == list(out.iterdir())


@pytest.mark.parametrize(
    ("ending", "shown"),
    [("jpg", True), ("png", True), ("webp", True), ("bmp", True), ("avif", True), ("tif", False), ("gif", False)],
)
def test_a_picture_that_browsers_do_not_show_is_written_too(
    tiny: Session, tmp_path: Path, out: Path, ending: str, shown: bool
) -> None:
    source = paint(tmp_path / f"a.{ending}")
    (outcome,) = outcomes([source], tiny, out, stages=True)
    (cutout,) = outcome.cutouts
    assert ("before" in cutout.stages) != shown
    if not shown:
        assert cutout.stages["before"] in cutout.all_files
        with Image.open(cutout.stages["before"]) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), load_image(source).rgb)


def test_the_picture_before_is_written_only_with_the_stages(tiny: Session, tmp_path: Path, out: Path) -> None:
    outcomes([paint(tmp_path / "a.tif")], tiny, out, thumbnails=20)
    assert sorted(path.name for path in out.iterdir()) == ["a-cutout.png", "a-cutout.small.png"]


# ------------------------------------------------------------------------------------------------- export


def test_a_batch_is_written_as_its_export_says(tiny: Session, tmp_path: Path, out: Path) -> None:
    export = Export(background="#00ff00", format="jpeg", crop=True, crop_margin=10)
    (outcome,) = outcomes([paint(tmp_path / "a.png", size=(80, 120))], tiny, out, export=export)
    (cutout,) = outcome.cutouts
    assert cutout.file == out / "a-cutout.jpg"
    left, top, right, bottom = cutout.box
    assert (top, right, bottom) == (0, 120, 80)
    assert 45 <= left <= 55  # of the right half and a tenth of its longer side
    with Image.open(cutout.file) as image:
        assert (image.format, image.size) == ("JPEG", (right - left, bottom - top))
        pixels = np.asarray(image).astype(int)
    assert np.abs(pixels[:, -40:] - 255).max() <= 3
    assert np.abs(pixels[:, 0] - (0, 255, 0)).mean() < 10


def test_the_box_of_a_cutout_that_is_not_cropped_is_all_of_it(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png", size=(80, 120))], tiny, out)
    assert outcome.cutouts[0].box == (0, 0, 120, 80)


def test_what_the_file_says_stands_in_the_report(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png")], tiny, out, export=Export(format="jpeg"))
    assert outcome.report.error is None
    assert ["JPEG has no transparency" in warning for warning in outcome.report.warnings] == [True]


def test_a_backdrop_lies_behind_every_picture(tiny: Session, tmp_path: Path, out: Path) -> None:
    backdrop = Picture(np.full((5, 5, 3), (9, 99, 199), np.uint8))
    sources = [paint(tmp_path / f"{n}.png", size=(40 + 10 * n, 60)) for n in range(2)]
    for outcome in outcomes(sources, tiny, out, export=Export(background="picture"), backdrop=backdrop):
        with Image.open(outcome.files[0]) as image:
            pixels = np.asarray(image)
        assert (pixels[:, :20] == (9, 99, 199)).all()
        assert (pixels[:, 40:] == 255).all()


def test_a_backdrop_that_is_missing_is_told_for_each_picture(tiny: Session, tmp_path: Path, out: Path) -> None:
    (outcome,) = outcomes([paint(tmp_path / "a.png")], tiny, out, export=Export(background="picture"))
    assert "add a backdrop" in error_of(outcome)
    assert outcome.cutouts == ()
    assert list(out.iterdir()) == []


def test_a_picture_too_wide_for_its_format_does_not_stop_the_others(tiny: Session, tmp_path: Path, out: Path) -> None:
    sources = [paint(tmp_path / "wide.png", size=(1, 16_400)), paint(tmp_path / "a.png")]
    wide, other = outcomes(sources, tiny, out, export=Export(format="webp"), thumbnails=20, stages=True)
    assert "16400 x 1 pixels are more than a WebP can hold" in error_of(wide)
    assert wide.files == ()
    assert other.report.error is None
    assert all(path.name.startswith("a-cutout") for path in out.iterdir())


def test_a_folder_stands_for_its_pictures_but_not_for_their_cutouts(tiny: Session, tmp_path: Path) -> None:
    source = paint(tmp_path / "a.png")
    for kind in ("png", "webp", "jpeg"):
        outcomes([source], tiny, tmp_path, export=Export(format=kind), outputs=Outputs(tmp_path, [source]))
    assert len(list(tmp_path.glob("[!.]*"))) == 4
    assert find_pictures([tmp_path]).pictures == [source]


# ------------------------------------------------------------------------------------------------- ZIP, folders


def test_a_zip_holds_the_files_byte_for_byte_under_their_names(tiny: Session, tmp_path: Path, out: Path) -> None:
    found = outcomes([paint(tmp_path / f"{n}.png") for n in range(3)], tiny, out)
    files = [path for outcome in found for path in outcome.files]
    target = write_zip(files, tmp_path / "cutouts.zip")
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{n}-cutout.png" for n in range(3)]
        for path in files:
            assert archive.read(path.name) == path.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("cutouts*")) == ["cutouts.zip"]


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere\.png does not exist"):
        find_pictures([tmp_path / "nowhere.png"]).pictures


# ------------------------------------------------------------------------------------------------- real ones


def test_three_photos_become_three_cutouts_with_their_subjects(
    u2netp: Session, photos: dict[str, Path], out: Path
) -> None:
    found = outcomes(list(photos.values()), u2netp, out)
    assert len(found) == 3
    for outcome, source in zip(found, photos.values(), strict=True):
        assert outcome.report.error is None
        assert outcome.files[0].name == f"{source.stem}-cutout.png"
        with Image.open(source) as photo, Image.open(outcome.files[0]) as cutout:
            assert (cutout.size, cutout.mode) == (photo.size, "RGBA")
            alpha = np.asarray(cutout)[..., 3]
        assert 0.05 < (alpha > 127).mean() < 0.75
