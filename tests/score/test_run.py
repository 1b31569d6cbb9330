"""Several models and settings on many pictures: one run of the network for each, and errors that stop nothing."""

import csv
import io
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segmentation import SessionError, Settings, load_image
from segmentation.network.session import Session
from segmentation.prediction import predict
from segmentation.predictor import Predictor, from_session
from segmentation.refinement import refine
from segmentation.score.board import Board
from segmentation.score.page import FOLDER, to_html
from segmentation.score.pairs import Pair, find_pairs
from segmentation.score.run import Candidate, Row, score_pairs
from segmentation.score.scores import MEASURES, Total, measure
from segmentation.score.tables import to_csv, to_text
from tests.score.cases import disc

PLAIN = Settings(alpha_matting=False)
CANDIDATES = (
    Candidate("plain", "tiny", PLAIN),
    Candidate("smooth", "tiny", Settings(alpha_matting=False, post_process_mask=True)),
)


def paint(folder: Path, name: str, radius: float, level: int = 230) -> None:
    """A bright disc as a picture, and a disc of another size as its truth."""
    noise = np.random.default_rng(len(name)).integers(0, 25, (60, 80))
    picture = np.where(disc((60, 80), (30, 40), radius), level, 30) + noise
    Image.fromarray(np.repeat(picture.astype(np.uint8)[..., None], 3, axis=2)).save(folder / f"{name}.jpg", quality=98)
    Image.fromarray((disc((60, 80), (30, 40), 20) * 255).astype(np.uint8)).save(folder / f"{name}.png")


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Pair, ...]:
    for name, radius in (("near", 19), ("far", 8), ("right", 20)):
        paint(tmp_path, name, radius)
    return find_pairs(tmp_path).pairs


@pytest.fixture
def load(tiny: Session) -> Callable[[str, Settings], Predictor]:
    return lambda _, settings: from_session(tiny, settings)


def rows_of(
    pairs: tuple[Pair, ...], candidates: tuple[Candidate, ...], load: Callable[[str, Settings], Predictor]
) -> list[Row]:
    return [row for row in score_pairs(pairs, candidates, load) if row]


def test_each_row_is_the_score_of_that_cutout(
    pairs: tuple[Pair, ...], load: Callable[[str, Settings], Predictor], tiny: Session, tmp_path: Path
) -> None:
    rows = rows_of(pairs, CANDIDATES, load)
    assert {(row.picture, row.candidate) for row in rows} == {
        (f"{name}.jpg", each) for name in ("near", "far", "right") for each in ("plain", "smooth")
    }
    for row in rows:
        picture = load_image(tmp_path / row.picture)
        truth = load_image((tmp_path / row.picture).with_suffix(".png")).rgb[..., 0]
        settings = next(each.settings for each in CANDIDATES if each.name == row.candidate)
        alpha = refine(picture, predict(picture, tiny).maps[""], settings).alpha
        assert row.measured
        assert row.measured.scores == measure(alpha, truth).scores
        assert row.seconds > 0


def test_the_network_runs_once_for_a_picture_unless_its_own_settings_differ(
    pairs: tuple[Pair, ...], tiny: Session
) -> None:
    runs: list[tuple[int, Settings]] = []
    lock = threading.Lock()

    def load(_: str, settings: Settings) -> Predictor:
        made = from_session(tiny, settings)

        def counted(index: int, *rest: object) -> object:
            with lock:
                runs.append((index, settings))
            return made.predict(index, *rest)  # type: ignore[arg-type]

        return replace(made, predict=counted)  # type: ignore[arg-type]

    rows_of(pairs, (*CANDIDATES, Candidate("matted", "tiny", Settings(alpha_matting_erode_size=3))), load)
    assert sorted(index for index, _ in runs) == [0, 1, 2]
    runs.clear()
    rows_of(pairs, (*CANDIDATES, Candidate("dark", "tiny", Settings(alpha_matting=False, mean=0.2))), load)
    assert sorted(index for index, _ in runs) == [0, 0, 1, 1, 2, 2]
    assert {settings for _, settings in runs} == {Settings(), Settings(mean=0.2)}


def test_models_follow_each_other_and_each_is_loaded_once(pairs: tuple[Pair, ...], tiny: Session) -> None:
    loaded: list[str] = []

    def load(model: str, settings: Settings) -> Predictor:
        loaded.append(model)
        return from_session(tiny, settings)

    candidates = tuple(
        Candidate(f"{model} {n}", model, each.settings) for n, each in enumerate(CANDIDATES) for model in "ab"
    )
    rows = rows_of(pairs, candidates, load)
    assert loaded == ["a", "b"]
    assert [row.candidate[0] for row in rows] == ["a"] * 6 + ["b"] * 6


def test_what_fails_is_a_row_and_the_rest_goes_on(
    tmp_path: Path, pairs: tuple[Pair, ...], load: Callable[[str, Settings], Predictor]
) -> None:
    Image.new("L", (80, 61)).save(tmp_path / "near.png")
    (tmp_path / "far.jpg").write_bytes(b"\xff\xd8no")

    def half(model: str, settings: Settings) -> Predictor:
        if model == "broken":
            raise SessionError("It is broken.")
        return load(model, settings)

    rows = rows_of(pairs, (*CANDIDATES, Candidate("broken", "broken")), half)
    errors = {(row.picture, row.candidate): row.error for row in rows}
    assert len(errors) == 9
    assert errors["right.jpg", "plain"] == errors["right.jpg", "smooth"] == ""
    assert {errors[name, "broken"] for name in ("near.jpg", "far.jpg", "right.jpg")} == {"It is broken."}
    assert errors["near.jpg", "plain"] == "near.png is 80 x 61, but its picture is 80 x 60: they must agree."
    assert "far.jpg" in errors["far.jpg", "smooth"]
    assert all((row.measured is None) is bool(row.error) for row in rows)


def test_classes_are_joined_for_the_one_truth(pairs: tuple[Pair, ...], tiny: Session) -> None:
    def load(_: str, settings: Settings) -> Predictor:
        made = from_session(tiny, settings)

        def two(*arguments: object) -> object:
            prediction = made.predict(*arguments)  # type: ignore[arg-type]
            half = (prediction.maps[""] / 2).astype(np.float32)
            return replace(prediction, maps={"hat": half, "coat": half}, classes=("hat", "coat", "shoe"))

        return replace(made, predict=two)  # type: ignore[arg-type]

    chosen: dict[str, Any] = {"each": "each", "all": "all", "one": ("hat", "coat"), "absent": ("shoe",)}
    candidates = tuple(
        Candidate(name, "tiny", Settings(alpha_matting=False, classes=classes)) for name, classes in chosen.items()
    )
    rows = {row.candidate: row for row in rows_of(pairs[:1], candidates, load)}
    sentence = "tiny makes a cutout of each class, but there is one truth: choose the classes to join."
    assert rows["each"].error == sentence
    (plain,) = rows_of(pairs[:1], CANDIDATES[:1], lambda _, settings: from_session(tiny, settings))
    joined = [rows[name].measured for name in ("all", "one")]
    assert plain.measured
    assert [each.scores for each in joined if each] == [plain.measured.scores] * 2
    absent = rows["absent"].measured
    assert absent
    assert absent.scores.max_f < 0.5  # nothing is cut out


def test_a_closed_scoring_starts_no_further_picture(tmp_path: Path, tiny: Session) -> None:
    for number in range(40):
        paint(tmp_path, f"{number:02}", 15)
    runs: list[int] = []

    def load(_: str, settings: Settings) -> Predictor:
        made = from_session(tiny, settings)

        def counted(index: int, *rest: object) -> object:
            runs.append(index)
            return made.predict(index, *rest)  # type: ignore[arg-type]

        return replace(made, predict=counted)  # type: ignore[arg-type]

    rows = score_pairs(find_pairs(tmp_path).pairs, CANDIDATES, load, workers=2)
    next(row for row in rows if row)
    rows.close()
    for thread in threading.enumerate():
        if thread.name.startswith("segment_"):
            thread.join(20)
    assert len(runs) < 40


# ------------------------------------------------------------------------------------------------- what is made of it


@pytest.fixture
def board(pairs: tuple[Pair, ...], load: Callable[[str, Settings], Predictor]) -> Board:
    board = Board([candidate.name for candidate in CANDIDATES])
    for row in score_pairs(pairs, CANDIDATES, load, shown=48):
        if row:
            board.add(row)
    board.add(Row(3, "=<b>evil</b>.jpg", "plain", None, error="<i>No.</i>"))
    return board


def test_totals_are_over_all_pictures_of_a_candidate(
    board: Board, pairs: tuple[Pair, ...], load: Callable[[str, Settings], Predictor]
) -> None:
    total = Total()
    for row in sorted(rows_of(pairs, CANDIDATES[1:], load), key=lambda row: row.index):
        assert row.measured
        total.add(row.measured)
    plain, smooth = board.summaries
    assert smooth.scores
    assert smooth.scores.as_json() == pytest.approx(total.scores.as_json())
    assert (plain.scored, plain.failed, smooth.scored, smooth.failed) == (3, 1, 3, 0)


def test_the_worst_come_first_by_any_measure(board: Board) -> None:
    for one in MEASURES:
        values = [one.of(entry.scores) for entry in board.worst_first(one) if entry.scores]
        assert values == sorted(values, reverse=one.lower_is_better)
    assert board.worst_first()[0].picture == "far.jpg"
    assert len(board.worst_first()) == 6


def test_only_the_worst_keep_their_pictures(
    monkeypatch: pytest.MonkeyPatch, pairs: tuple[Pair, ...], load: Callable[[str, Settings], Predictor]
) -> None:
    monkeypatch.setattr("segmentation.score.board.MAX_SHOWN", 2)
    small = Board(["plain", "smooth"])
    for row in score_pairs(pairs, CANDIDATES, load, shown=48):
        if row:
            small.add(row)
    assert set(small.shown) == {(entry.index, entry.candidate) for entry in small.worst_first()[:2]}


def test_the_best_of_each_measure_is_marked_in_the_terminal(board: Board) -> None:
    text = to_text(board)
    lines = text.splitlines()
    assert " ".join(lines[0].split()) == "pictures MAE max F weighted F S E SAD MSE gradient connectivity seconds"
    for line, name in zip(lines[1:3], ("plain", "smooth"), strict=True):
        marked = sum(name in board.best(one) for one in MEASURES if one.name not in ("max_e", "adaptive_e"))
        assert line.count("*") == marked
    assert "Worst pictures first:" in text
    assert "different pictures" not in text
    board.add(Row(2, "right.jpg", "smooth", None, error="No."))
    assert "The totals are over different pictures, because some failed." in to_text(board)
    assert len({len(line.rstrip()) for line in lines[:3]}) == 1  # in columns


def test_the_csv_has_every_row_and_no_formula(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert [row["picture"] for row in rows] == [
        "far.jpg", "far.jpg", "near.jpg", "near.jpg", "right.jpg", "right.jpg", "'=<b>evil</b>.jpg",
        "all pictures", "all pictures",
    ]  # fmt: skip
    entry = board.entries[0]
    assert entry.scores
    assert {name: float(rows[0][name]) for name in entry.scores.as_json()} == entry.scores.as_json()
    assert rows[6]["error"] == "<i>No.</i>"
    assert rows[6]["mae"] == ""


def test_the_json_is_plain(board: Board) -> None:
    data = json.loads(json.dumps(board.as_json()))
    assert [total["candidate"] for total in data["totals"]] == ["plain", "smooth"]
    assert len(data["pictures"]) == 7
    assert data["pictures"][-1]["mae"] is None
    assert data["pictures"][-1]["error"] == "<i>No.</i>"


class _Parsed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_everything_and_loads_nothing(board: Board) -> None:
    page = to_html(board, "<u>Cats</u>")
    parsed = _Parsed(page)
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == 6 * 4
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in images)
    assert not {"b", "i", "u", "link", "iframe"} & {tag for tag, _ in parsed.tags}  # names are text
    assert "=<b>evil</b>.jpg (plain): <i>No.</i>" in parsed.text
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    assert "http:" not in page
    assert "https:" not in page
    (policy,) = [attributes["content"] for tag, attributes in parsed.tags if attributes.get("http-equiv")]
    assert (policy or "").startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert (FOLDER / "page.js").read_text(encoding="utf-8") in page
    pictures = [attributes["alt"] for attributes in images[::4]]
    assert pictures[0] == "picture, far.jpg"


def test_pictures_in_the_page_are_small_and_show_where_the_cutout_errs(
    pairs: tuple[Pair, ...], load: Callable[[str, Settings], Predictor]
) -> None:
    rows = {row.picture: row for row in score_pairs(pairs, CANDIDATES[:1], load, shown=40) if row}
    shown = rows["far.jpg"].shown
    assert shown
    with Image.open(io.BytesIO(shown.difference)) as difference, Image.open(io.BytesIO(shown.truth)) as truth:
        assert difference.size == truth.size == (40, 30)
        ring = np.asarray(difference)[15, 12].astype(int)  # inside the truth, outside the cutout
    assert ring[2] > ring[0] + 50  # blue: something is missing
