"""What a visitor says about the pictures of a run: kept by picture, followed live, and never another visitor's."""

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from segmentation.batch import Outcome
from segmentation.corrections import Correction, Point, Stroke
from segmentation.cutout_files import Cutout
from segmentation.picture.load import load_image
from segmentation.recipe import Recipe
from segmentation.report import Report
from segmentation.settings import with_values
from segmentation.web.page.code_panel import CodePanel
from segmentation.web.page.controls import Controls, link, linked_correction
from segmentation.web.page.live_tuning import LiveTuning
from segmentation.web.page.own_planes import OwnPlanes, Waiting
from segmentation.web.page.screen import Screen
from segmentation.web.page.status import line
from segmentation.web.page.viewer import viewer_value
from segmentation.web.runs import predictions
from segmentation.web.runs.corrections import Corrections, carried_over
from segmentation.web.runs.outcomes import MadeBy, Outcomes
from segmentation.web.runs.predictions import Predictions
from segmentation.web.runs.previews import OvertakenError
from segmentation.web.runs.run import Run
from segmentation.web.runs.service import Service
from segmentation.web.runs.tuning import Target
from tests.web.conftest import Server

KEPT = Correction((Stroke("keep", 3.0, ((5.0, 5.0), (12.0, 30.0))),))
REMOVED = Correction((Stroke("remove", 4.0, ((30.0, 20.0),)),), (Point(3.0, 4.0),), (1.0, 2.0, 30.0, 20.0))
REQUEST: Any = None  # the visitor's language is English then
PLAIN = Recipe.of("bright.onnx", {"alpha_matting": False})


@pytest.fixture(scope="module")
def service(server: Server) -> Service:
    return server.service


def upload(server: Server, letter: str, name: str = "a.png") -> str:
    """A picture of 60 x 40 pixels, white on its right half."""
    path = server.uploads / (letter * 64) / name
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    Image.fromarray(pixels).save(path)
    return str(path)


def done(service: Service, run: Run) -> Run:
    for _ in service.work.process(run, for_page=True):
        pass
    assert [report.error for report in run.outcomes.reports] == [None] * len(run.outcomes)
    return run


class Panel:
    """The handlers of a page without the page; components are their names."""

    def __init__(self, service: Service) -> None:
        with gr.Blocks():
            self.controls = Controls(service.offered.registry)
            self.controls.model()
            self.controls.classes()
            self.controls.matting_switch()
            self.controls.matting()
            self.controls.background()
            self.controls.canvas()
            self.controls.effects()
            self.controls.output()
            self.controls.network()
        self.screen = Screen("status", "viewer", "report", "last_run", "run_id", "selected")
        self.tuning = LiveTuning(service, self.controls, self.screen, "preview")

    def values(self, recipe: Recipe) -> list[Any]:
        known = self.controls.restored({}) | self.controls.values_of(recipe)
        return [known[name] for name in self.controls.by_name]

    def correct(self, run: Run | None, key: object, correction: object) -> dict[Any, Any]:
        return self.tuning.correct(run, REQUEST, gr.EventData(None, {"key": key, "correction": correction}))

    def follow(
        self, run: Run, recipe: Recipe, live: bool = True, key: str = "0 "
    ) -> tuple[dict[Any, Any], list[dict[Any, Any]]]:
        values = self.values(recipe)
        preview = self.tuning.preview(key, run, live, REQUEST, *values)
        return preview, list(self.tuning.tune(run, live, REQUEST))


@pytest.fixture(scope="module")
def panel(service: Service) -> Panel:
    return Panel(service)


def test_a_correction_is_kept_by_picture() -> None:
    kept = Corrections({0: KEPT, 1: Correction()})
    kept.change(2, lambda _: REMOVED)
    before = kept.snapshot()
    kept.change(0, lambda _: Correction())
    assert before == {0: KEPT, 2: REMOVED}
    assert kept.snapshot() == {2: REMOVED}
    assert not kept.get(7)


def test_corrections_follow_their_pictures_into_another_run() -> None:
    first, second, third = Path("1"), Path("2"), Path("3")
    said = {0: KEPT, 1: REMOVED}
    assert carried_over(said, [first, second], [third, second, first]) == {1: REMOVED, 2: KEPT}
    assert carried_over(said, [first, second], [second]) == {0: REMOVED}  # a removed picture takes its own along
    assert carried_over({1: KEPT}, [first, first], [first, first]) == {1: KEPT}  # the same picture twice


def outcome(index: int, correction: Correction = REMOVED) -> Outcome:
    cutout = Cutout("", Path(f"{index}.png"), (0, 0, 1, 1))
    return Outcome(index, f"{index}.jpg", (cutout,), Report(f"{index}.jpg", "m", ""), correction=correction)


def test_pictures_have_these_settings_only_with_their_corrections() -> None:
    wanted = Recipe("m"), None
    results = Outcomes(wanted)
    results.add(outcome(0))
    results.add(outcome(1, Correction()))
    assert results.share_of(wanted, {0: REMOVED}) == (2, 2)
    assert results.share_of(wanted, {0: KEPT}) == (1, 2)
    assert results.share_of(wanted) == (1, 2)
    assert results.made_by == {0: MadeBy(*wanted, REMOVED), 1: MadeBy(*wanted, Correction())}
    assert not results.is_mixed  # corrections belong to a picture


def test_a_picture_that_lost_its_cutouts_still_has_its_settings() -> None:
    wanted, other = (Recipe("m"), None), (Recipe("n"), None)
    results = Outcomes(wanted)
    results.add(outcome(0))
    assert results.wanted_of(0) == wanted
    assert results.replace(replace(outcome(0), cutouts=()), other) == [Path("0.png")]
    assert results.made_by == {}
    assert results.wanted_of(0) == other


def test_a_stroke_is_followed_at_screen_size_and_in_full(server: Server, service: Service, panel: Panel) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    assert panel.correct(run, "0 ", KEPT.as_json()) == panel.screen.nothing()
    assert run.outcomes.made_by[0].correction == Correction()
    preview, steps = panel.follow(run, PLAIN)
    assert preview["preview"]["key"] == "0 "
    assert run.outcomes.made_by[0] == MadeBy(PLAIN, None, KEPT)
    assert steps[-1]["viewer"]["items"][0]["correction"] == KEPT.as_json()
    assert service.share_of(run, PLAIN, None) == (1, 1)
    assert panel.follow(run, PLAIN)[0] == {"preview": None}  # nothing to do
    panel.correct(run, "0 ", {})
    assert service.share_of(run, PLAIN, None) == (0, 1)
    panel.follow(run, PLAIN)
    assert run.outcomes.made_by[0] == MadeBy(PLAIN, None)


def test_a_correction_that_cannot_be_followed_is_tried_once_until_it_changes(
    server: Server, service: Service, panel: Panel
) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    on_nothing = Correction(points=(Point(3.0, 4.0),))
    panel.correct(run, "0 ", on_nothing.as_json())
    assert run.corrected_since == [0]
    assert "There is no subject under the click." in list(panel.tuning.catch_up(run, REQUEST))[-1]["status"]
    assert run.outcomes.made_by[0] == MadeBy(PLAIN, None)
    assert run.corrected_since == []
    assert list(panel.tuning.catch_up(run, REQUEST)) == [panel.screen.nothing()]
    panel.correct(run, "0 ", {})
    panel.correct(run, "0 ", on_nothing.as_json())  # said again
    assert run.corrected_since == [0]


def test_catching_up_with_a_stroke_does_not_lose_a_setting_that_was_changed_with_it(
    server: Server, service: Service, panel: Panel
) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    other = replace(PLAIN, settings=with_values(PLAIN.settings, invert=True))
    panel.correct(run, "0 ", KEPT.as_json())
    panel.tuning.preview("0 ", run, True, REQUEST, *panel.values(other))
    assert list(panel.tuning.catch_up(run, REQUEST))  # somebody asks for the ZIP before the hand rests
    assert run.outcomes.made_by[0] == MadeBy(PLAIN, None, KEPT)
    assert list(panel.tuning.tune(run, True, REQUEST))
    assert run.outcomes.made_by[0] == MadeBy(other, None, KEPT)


def test_a_preview_ends_when_a_later_step_begins(server: Server, service: Service) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    target = Target("0 ", PLAIN, None)
    step = run.tuning.begin(target)
    assert service.preview(run, step.number, target) is not None
    run.tuning.begin(target)
    with pytest.raises(OvertakenError):
        service.preview(run, step.number, target)


def test_while_a_preview_decodes_its_picture_others_are_not_kept_waiting(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding, may_end = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        decoding.set()
        assert may_end.wait(30)
        return load_image(*args, **options)

    monkeypatch.setattr(predictions, "load_image", slow)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    run = Predictions([tmp_path / "a.png"], PLAIN)
    with ThreadPoolExecutor(2) as pool:
        small = pool.submit(run.small, tmp_path / "a.png", service.config.limits)
        assert decoding.wait(30)
        others = pool.submit(lambda: run.nbytes)
        try:
            assert others.result(10) == 0
        finally:
            may_end.set()
        assert small.result(30).size == (9, 9)


def test_a_further_stroke_solves_only_its_neighbourhood_and_gives_the_same_bytes(
    server: Server, service: Service, panel: Panel
) -> None:
    matted = Recipe.of("bright.onnx", {})
    run = done(service, service.new_run([upload(server, "1")], matted))
    assert run.predictions.bases.nbytes == 0
    without = run.predictions.nbytes
    for correction in (KEPT, replace(KEPT, strokes=KEPT.strokes + REMOVED.strokes), KEPT):
        panel.correct(run, "0 ", correction.as_json())
        panel.follow(run, matted)
        assert run.predictions.nbytes >= without + run.predictions.bases.nbytes > without  # in full, and on the screen
        whole = done(service, service.new_run([upload(server, "1")], matted, corrections={0: correction}))
        ((_, ours),), ((_, theirs),) = run.outcomes.cutouts, whole.outcomes.cutouts
        assert ours.file.read_bytes() == theirs.file.read_bytes()
    assert "matting" not in run.outcomes.reports[0].seconds
    run.predictions.clear()
    assert run.predictions.bases.nbytes == 0


def test_without_live_tuning_a_stroke_is_followed_with_the_settings_that_the_picture_has(
    server: Server, service: Service, panel: Panel
) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    other = Recipe.of("bright.onnx", {"alpha_matting": False, "format": "webp"})
    assert panel.follow(run, other, live=False) == (panel.screen.nothing(), [panel.screen.nothing()])
    panel.correct(run, "0 ", KEPT.as_json())
    panel.follow(run, other, live=False)
    assert run.outcomes.made_by[0] == MadeBy(PLAIN, None, KEPT)


def test_corrections_stay_with_another_model_and_when_a_picture_is_added(
    server: Server, service: Service, panel: Panel
) -> None:
    first, second = upload(server, "1"), upload(server, "2", "b.png")
    run = done(service, service.new_run([first], PLAIN))
    panel.correct(run, "0 ", KEPT.as_json())
    part = service.rest(run, [first, second], PLAIN)
    assert part is not None
    done(service, part)
    assert run.corrections.snapshot() == {0: KEPT}
    assert service.carried_over(run, [second, first]) == {1: KEPT}
    other = service.new_run([second, first], PLAIN, corrections=service.carried_over(run, [second, first]))
    done(service, other)
    assert other.outcomes.made_by[1].correction == KEPT


def items(run: Run) -> Sequence[dict[str, Any]]:
    items: Sequence[dict[str, Any]] = viewer_value(run, str)["items"]
    return items


def test_two_visitors_with_the_same_picture_correct_their_own(server: Server, service: Service, panel: Panel) -> None:
    path = upload(server, "1")
    runs = [done(service, service.new_run([path], PLAIN)) for _ in range(2)]
    panel.correct(runs[0], "0 ", KEPT.as_json())
    assert items(runs[0])[0]["correction"] == KEPT.as_json()
    assert items(runs[1])[0]["correction"] == {}


@pytest.mark.parametrize(
    ("correction", "sentence"),
    [
        ({"strokes": [{"kind": "keep", "radius": 5, "points": [[900, 5]]}]}, "Stroke 1 lies outside the picture"),
        ({"points": [{"x": 61, "y": 3}]}, "Point 1 lies outside the picture, which is 60 x 40 pixels."),
        ({"box": [60, 3, 80, 9]}, "The box lies outside the picture"),
        ({"strokes": [{"kind": "paint", "radius": 5, "points": [[1, 5]]}]}, "must be of the kind"),
        ({"mask": "/etc/passwd"}, "A correction may have strokes, points, a box"),
        ([], "A correction may have strokes, points, a box"),
        (None, "A correction may have strokes, points, a box"),
    ],
)
def test_a_wrong_correction_is_told_and_changes_nothing(
    server: Server, service: Service, panel: Panel, correction: object, sentence: str
) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    panel.correct(run, "0 ", KEPT.as_json())
    assert sentence in panel.correct(run, "0 ", correction)["status"]
    assert run.corrections.snapshot() == {0: KEPT}


@pytest.mark.parametrize("key", ["1 ", "0", None, 0, ["0 "], {"0 ": 1}])
def test_a_correction_of_no_picture_changes_nothing(
    server: Server, service: Service, panel: Panel, key: object
) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    assert panel.correct(run, key, KEPT.as_json()) == panel.screen.nothing()
    assert panel.correct(None, "0 ", KEPT.as_json()) == panel.screen.nothing()
    assert run.corrections.snapshot() == {}


def test_a_stroke_reaches_its_picture_though_the_cutout_is_gone(server: Server, service: Service, panel: Panel) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    panel.correct(
        run, "0 3", KEPT.as_json()
    )  # drawn on the third subject, while an earlier stroke joined it to another
    assert run.corrections.snapshot() == {0: KEPT}


def test_a_correction_of_a_run_that_was_replaced_reaches_no_other_picture(
    server: Server, service: Service, panel: Panel
) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    replaced = line("This cutout was replaced by a new run, so it was not corrected. Correct the new one.")
    for name, expected, told in (("another", {}, replaced), (run.folder.name, {0: KEPT}, gr.skip())):
        event = gr.EventData(None, {"run": name, "key": "0 ", "correction": KEPT.as_json()})
        assert panel.tuning.correct(run, REQUEST, event) == {"status": told}
        assert run.corrections.snapshot() == expected


def test_a_picture_that_failed_can_be_corrected(server: Server, service: Service, panel: Panel) -> None:
    path = upload(server, "3")
    run = service.new_run([path], PLAIN)
    shutil.rmtree(Path(path).parent)
    for _ in service.work.process(run, for_page=True):
        pass
    panel.correct(run, "0 failed", KEPT.as_json())
    assert run.corrections.get(0) == KEPT


# ------------------------------------------------------------------------------------------------- own planes, links


@pytest.fixture(scope="module")
def own(service: Service, panel: Panel) -> OwnPlanes:
    with gr.Blocks():
        return OwnPlanes(service, panel.controls)


def upload_mask(server: Server, letter: str, size: tuple[int, int] = (60, 40)) -> str:
    path = server.uploads / (letter * 64) / "mine.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("L", size, 255).save(path)
    return str(path)


def test_an_own_mask_is_of_the_selected_picture(server: Server, service: Service, panel: Panel, own: OwnPlanes) -> None:
    run = done(service, service.new_run([upload(server, "1"), upload(server, "2", "b.png")], PLAIN))
    panel.correct(run, "1 ", KEPT.as_json())
    mine = Path(upload_mask(server, "a"))
    told = own.take_mask("1 ", str(mine), None, run, Waiting(), REQUEST)
    assert told[own.status] == line("mine.png is the own mask of b.png.")
    assert told[own.remove]["visible"]
    assert told[panel.controls.by_name["mask_mode"]]["visible"]
    assert run.corrections.snapshot() == {1: KEPT.with_files(mine, None)}
    panel.follow(run, PLAIN, key="1 ")
    assert run.outcomes.made_by[1].correction.mask == mine
    panel.correct(run, "1 ", REMOVED.as_json())  # a stroke leaves the mask as it is
    assert run.corrections.get(1).mask == mine
    assert own.show("0 ", run, REQUEST)[own.status] == line("")
    told = own.drop("1 ", None, run, Waiting(), REQUEST)
    assert not told[own.remove]["visible"]
    assert run.corrections.get(1) == REMOVED


def test_the_same_picture_twice_has_masks_of_its_own(server: Server, service: Service, own: OwnPlanes) -> None:
    path = upload(server, "1")
    run = done(service, service.new_run([path, path], PLAIN))
    told = own.take_mask("1 ", upload_mask(server, "a"), None, run, Waiting(), REQUEST)
    assert told[own.status] == line("mine.png is the own mask of a.png.")
    assert told[own.remove]["visible"]
    assert run.corrections.snapshot().keys() == {1}
    assert own.show("0 ", run, REQUEST)[own.status] == line("")
    assert own.show("1 ", run, REQUEST)[own.status] == told[own.status]


@pytest.mark.parametrize("letters", ["1", "12"])
def test_an_own_mask_of_a_picture_that_failed_cuts_it_out(
    server: Server, service: Service, panel: Panel, own: OwnPlanes, letters: str
) -> None:
    on_nothing = Correction(points=(Point(3.0, 4.0),))
    run = service.new_run([upload(server, letter) for letter in letters], PLAIN, corrections={0: on_nothing})
    for _ in service.work.process(run, for_page=True):
        pass
    assert [index for index, _ in run.outcomes.failed] == [0]
    assert run.corrected_since == []
    mine = Path(upload_mask(server, "a"))
    told = own.take_mask("0 failed", str(mine), None, run, Waiting(), REQUEST)
    assert told[own.status] == line("mine.png is the own mask of a.png.")
    assert run.corrections.snapshot() == {0: on_nothing.with_files(mine, None)}
    panel.follow(run, PLAIN, key="0 failed")
    assert run.outcomes.failed == []
    assert run.outcomes.made_by.keys() == set(range(len(letters)))
    assert run.outcomes.reports[0].model == "none"


def test_an_own_mask_of_a_picture_that_a_new_run_has_not_reached_is_told(
    server: Server, service: Service, own: OwnPlanes
) -> None:
    run = service.new_run([upload(server, "1"), upload(server, "2", "b.png")], PLAIN)
    told = own.take_mask("1 ", upload_mask(server, "a"), None, run, Waiting(), REQUEST)
    assert told == {own.status: line("The selected picture has not been cut out by the new run yet. "
                                     "Wait for it, then try again.")}  # fmt: skip
    assert own.drop("1 ", None, run, Waiting(), REQUEST) == told
    assert run.corrections.snapshot() == {}


def test_an_own_mask_that_does_not_fit_is_told_at_once(server: Server, service: Service, own: OwnPlanes) -> None:
    run = done(service, service.new_run([upload(server, "1")], PLAIN))
    told = own.take_trimap("0 ", upload_mask(server, "b", (9, 40)), None, run, Waiting(), REQUEST)
    assert "mine.png is 9 x 40, but its picture is 60 x 40" in told[own.status]
    for path in ("/etc/passwd", None, {"path": 1}):
        assert "was not uploaded to this server" in own.take_mask("0 ", path, None, run, Waiting(), REQUEST)[own.status]
    assert run.corrections.snapshot() == {}
    assert (
        "Add at least one picture first"
        in own.take_mask("", upload_mask(server, "a"), None, None, Waiting(), REQUEST)[own.status]
    )


def test_what_is_said_before_the_first_run_waits_for_it(server: Server, own: OwnPlanes) -> None:
    first, second = upload(server, "1"), upload(server, "2", "b.png")
    mine = Path(upload_mask(server, "a"))
    told = own.take_mask("", str(mine), [(second, None), (first, None)], None, Waiting(first=KEPT), REQUEST)
    waiting = told[own.waiting]
    assert own.corrections([first, second], waiting) == ({0: KEPT, 1: Correction(mask=mine)}, None)
    far = Correction((Stroke("keep", 1.0, ((500.0, 5.0),)),))
    said, problem = own.corrections([first, second], Waiting(far, waiting.by_path))
    assert said == {1: Correction(mask=mine)}
    assert problem == "The strokes of the link do not fit this picture and were left out."


def test_a_picture_cut_out_without_a_model_needs_one_when_its_mask_goes(
    server: Server, service: Service, panel: Panel
) -> None:
    path, mine = upload(server, "1"), Path(upload_mask(server, "a"))
    run = done(service, service.new_run([path], PLAIN, corrections={0: Correction(mask=mine)}))
    assert run.outcomes.reports[0].model == "none"
    assert service.is_complete(run, [path], PLAIN)
    run.corrections.change(0, lambda _: Correction())
    assert "has been cut out without a model. Cut out again." in panel.follow(run, PLAIN)[0]["status"]
    assert not service.is_complete(run, [path], PLAIN)
    part = service.rest(run, [path], PLAIN)
    assert part is not None
    done(service, part)
    assert run.adopt(part, 0) == ""
    assert run.outcomes.reports[0].model == "bright.onnx"
    run.corrections.change(0, lambda _: Correction(mask=mine))
    panel.follow(run, PLAIN)
    run.corrections.change(0, lambda _: Correction())
    assert "Preview" in panel.follow(run, PLAIN)[0]["status"]  # what the model said was kept


def test_a_link_carries_strokes_of_the_picture() -> None:
    said = Correction(REMOVED.strokes, REMOVED.points, REMOVED.box)
    query = dict(parse_qsl(link(PLAIN, said)))
    assert linked_correction(query) == (said, "")
    assert linked_correction(dict(parse_qsl(link(PLAIN)))) == (Correction(), "")
    for wrong in ("two", "2.5", "null"):
        assert linked_correction({"candidate": wrong}) == (
            Correction(), "This link's strokes cannot be used. candidate must be a whole number from 1 to 1000."
        )  # fmt: skip
    correction, problem = linked_correction({"strokes": "[{"})
    assert correction == Correction()
    assert problem == "This link's strokes cannot be used. strokes must be a JSON list."


def test_code_says_what_the_page_would_do(server: Server, service: Service, panel: Panel) -> None:
    with gr.Blocks():
        code = CodePanel(service, panel.controls)
    paths = [upload(server, "1"), upload(server, "2", "b.png")]
    run = done(service, service.new_run(paths, PLAIN, corrections={1: KEPT}))

    def shown(names: list[str], of: Run | None) -> dict[str, tuple[str, ...]]:
        pictures: list[tuple[str, str | None]] = [(name, None) for name in names]
        parts = code._snippets(pictures, of, REQUEST, *panel.values(PLAIN), "http://here/")
        return {key: tuple(texts) for key, *texts in parts}

    both = shown(paths, run)
    assert f"strokes={[None, KEPT.as_json()['strokes']]!r}," in both["code_python"][0]
    assert '"strokes": [null, [{"kind": "keep"' in both["code_curl"][0]
    assert "--strokes=settings.yaml" in both["code_command"][0]
    assert both["code_link"][1] == "Links carry the strokes of a single picture, so these are not in it."
    (alone,) = shown(paths[1:], run)["code_link"]
    assert linked_correction(dict(parse_qsl(alone.partition("?")[2]))) == (KEPT, "")
    run.corrections.change(1, lambda _: Correction((Stroke("keep", 1.0, tuple((n / 3, n / 7) for n in range(120))),)))
    link_, note = shown(paths[1:], run)["code_link"]
    assert "strokes" not in link_
    assert note.startswith("The strokes are too long for a link.")
    assert "strokes" not in shown(paths, None)["code_python"][0]
