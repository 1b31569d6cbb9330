"""What was scored as one HTML file that needs no other: totals, then every picture, the worst first."""

import base64
import hashlib
from html import escape
from pathlib import Path

from segmentation.score.board import Board, Entry
from segmentation.score.scores import MEASURES, Scores
from segmentation.score.shown import Shown

FOLDER = Path(__file__).with_name("browser")

_CAPTIONS = ("picture", "truth", "alpha", "difference")


def to_html(board: Board, title: str) -> str:
    """The page. Names are escaped, and it may load nothing from anywhere.

    Args:
        board: What was scored.
        title: What stands at the top.
    """
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    shown = board.shown
    cards = "\n".join(_card(entry, shown.get((entry.index, entry.candidate))) for entry in board.worst_first())
    failed = "".join(f"<li>{escape(error)}</li>" for error in board.errors)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(allowed)}">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<div class="wide">{_totals(board)}</div>
{_legend()}
{f"<h2>Failed</h2><ul class='failed'>{failed}</ul>" if failed else ""}
<h2>Pictures</h2>
{_choices(board)}
<p class="quiet">Difference: orange where the cutout keeps too much, blue where it lacks something.</p>
<ol class="cards">
{cards}
</ol>
</main>
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    """An inline style or script as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _totals(board: Board) -> str:
    heads = "".join(f"<th scope='col'>{measure.title}</th>" for measure in MEASURES)
    rows = []
    for each in board.summaries:
        cells = [f"<td>{each.scored} of {each.scored + each.failed}</td>"]
        for measure in MEASURES:
            text = measure.text(each.scores) if each.scores else "-"
            best = each.candidate in board.best(measure)
            cells.append(f"<td class='best'>{text} ★</td>" if best else f"<td>{text}</td>")
        rows.append(
            f"<tr><th scope='row'>{escape(each.candidate)}</th>{''.join(cells)}<td>{each.seconds:.2f}</td></tr>"
        )
    head = f"<tr><th></th><th scope='col'>pictures</th>{heads}<th scope='col'>seconds</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _legend() -> str:
    better = {True: "lower is better", False: "higher is better"}
    lines = "".join(
        f"<li>{measure.title}: {escape(measure.about)}; {better[measure.lower_is_better]}</li>" for measure in MEASURES
    )
    about = "★ marks the best. Everything is over the whole picture. What the measures are"
    return f"<details class='quiet'><summary>{about}</summary><ul>{lines}</ul></details>"


def _choices(board: Board) -> str:
    measures = "".join(
        f"<option value='{measure.name}' data-low='{str(measure.lower_is_better).lower()}'>{measure.title}</option>"
        for measure in MEASURES
    )
    names = "".join(f"<option>{escape(each.candidate)}</option>" for each in board.summaries)
    return f"""<div class="choices" hidden>
<label>Sort by <select id="measure">{measures}</select></label>
<label>Order <select id="order"><option value="worst">worst first</option><option value="best">best first</option>
</select></label>
<label>Show <select id="candidate"><option value="">all</option>{names}</select></label>
</div>"""


def _card(entry: Entry, shown: Shown | None) -> str:
    assert entry.scores
    pictures = ""
    if shown:
        figures = zip(_CAPTIONS, (shown.picture, shown.truth, shown.alpha, shown.difference), strict=True)
        pictures = "".join(_figure(caption, jpeg, entry.picture) for caption, jpeg in figures)
        pictures = f"<div class='pictures'>{pictures}</div>"
    return (
        f"<li data-candidate='{escape(entry.candidate)}'><h3>{escape(entry.picture)} "
        f"<span class='quiet'>{escape(entry.candidate)}</span></h3>{pictures}<dl>{_numbers(entry.scores)}</dl></li>"
    )


def _figure(caption: str, jpeg: bytes, name: str) -> str:
    data = base64.b64encode(jpeg).decode()
    image = f"<img loading='lazy' src='data:image/jpeg;base64,{data}' alt='{caption}, {escape(name)}'>"
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _numbers(scores: Scores) -> str:
    return "".join(
        f"<div data-measure='{measure.name}' data-value='{measure.of(scores)!r}'><dt>{measure.title}</dt>"
        f"<dd>{measure.text(scores)}</dd></div>"
        for measure in MEASURES
    )
