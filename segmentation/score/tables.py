"""What was scored, as text for a terminal and as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from segmentation.score.board import Board, Entry
from segmentation.score.scores import MEASURES

_IN_TERMINAL = [measure for measure in MEASURES if measure.name not in ("max_e", "adaptive_e")]
_ROWS = 20  # pictures that the terminal shows


def to_text(board: Board) -> str:
    """The totals, the best of each measure marked, and the worst pictures."""
    totals = []
    for each in board.summaries:
        cells = [each.candidate, f"{each.scored} of {each.scored + each.failed}"]
        for measure in _IN_TERMINAL:
            mark = "*" if each.candidate in board.best(measure) else " "
            cells.append(f"{measure.text(each.scores)}{mark}" if each.scores else "-")
        totals.append([*cells, f"{each.seconds:.2f}" if each.scores else "-"])
    heads = [f"{measure.title} " for measure in _IN_TERMINAL]
    blocks = [_aligned([["", "pictures", *heads, "seconds"], *totals])]
    worst = board.worst_first()
    if worst:
        rows = [_cells(entry) for entry in worst[:_ROWS]]
        blocks.append("Worst pictures first:\n" + _aligned([["", "", *heads, "seconds"], *rows]))
        if len(worst) > _ROWS:
            blocks[-1] += f"\nand {len(worst) - _ROWS} more, which --csv, --json and --html have."
    scored = {
        name: {entry.index for entry in worst if entry.candidate == name} for name in {e.candidate for e in worst}
    }
    if len({frozenset(each) for each in scored.values()}) > 1:
        blocks.append("The totals are over different pictures, because some failed.")
    return "\n\n".join(blocks)


def _cells(entry: Entry) -> list[str]:
    assert entry.scores
    values = [f"{measure.text(entry.scores)} " for measure in _IN_TERMINAL]
    return [entry.picture, entry.candidate, *values, f"{entry.seconds:.2f}"]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width: names to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    names = sum(not row for row in rows[0][:2]) or 1
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def to_csv(board: Board) -> str:
    """A line for each candidate on each picture, then one for each candidate on all pictures."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [measure.name for measure in MEASURES]
    writer.writerow(["picture", "candidate", *names, "seconds", "error"])
    every = [("all pictures", each.as_json()) for each in board.summaries]
    for picture, values in [*((entry.picture, entry.as_json()) for entry in board.entries), *every]:
        numbers = [values[name] for name in (*names, "seconds")]
        writer.writerow(_safe([picture, values["candidate"], *numbers, values.get("error")]))
    return file.getvalue()


def _safe(cells: Iterable[object]) -> list[object]:
    """Cells that no spreadsheet takes for a formula."""
    return [f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell for cell in cells]
