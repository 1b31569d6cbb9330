"""Everything that was scored: each picture's numbers, the totals of each candidate, and what the worst look like."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segmentation.score.run import Row
from segmentation.score.scores import MEASURES, Measure, Scores, Total
from segmentation.score.shown import Shown

MAX_SHOWN = 400  # rows whose pictures are kept: about 10 MB


@dataclass(frozen=True, slots=True)
class Entry:
    """One candidate on one picture."""

    index: int
    picture: str
    candidate: str
    scores: Scores | None
    """None if it failed."""
    seconds: float
    error: str

    def as_json(self) -> dict[str, Any]:
        """Plain data; the measures are null if it failed."""
        values = self.scores.as_json() if self.scores else dict.fromkeys(each.name for each in MEASURES)
        about = {"picture": self.picture, "candidate": self.candidate, "seconds": round(self.seconds, 3)}
        return about | values | {"error": self.error or None}


@dataclass(frozen=True, slots=True)
class Summary:
    """A candidate on all pictures."""

    candidate: str
    scored: int
    failed: int
    seconds: float
    """Mean over the pictures."""
    scores: Scores | None
    """None if all failed."""

    def as_json(self) -> dict[str, Any]:
        """Plain data; the measures are null if all failed."""
        values = self.scores.as_json() if self.scores else dict.fromkeys(each.name for each in MEASURES)
        about = {"candidate": self.candidate, "scored": self.scored, "failed": self.failed}
        return about | {"seconds": round(self.seconds, 3)} | values


class Board:
    """The rows of one scoring."""

    def __init__(self, candidates: Sequence[str]) -> None:
        """Start without rows.

        Args:
            candidates: Names of the candidates, in the order of tables.
        """
        self._candidates = tuple(candidates)
        self._totals = {name: Total() for name in candidates}
        self._entries: dict[tuple[int, str], Entry] = {}
        self._worst: list[tuple[float, tuple[int, str], Shown]] = []  # a heap, the best of them first

    def add(self, row: Row) -> Entry:
        """Add a row."""
        scores = row.measured.scores if row.measured else None
        key = row.index, row.candidate
        entry = self._entries[key] = Entry(row.index, row.picture, row.candidate, scores, row.seconds, row.error)
        if row.measured and scores:
            self._totals[row.candidate].add(row.measured)
            if row.shown:
                heapq.heappush(self._worst, (scores.mae, key, row.shown))
                if len(self._worst) > MAX_SHOWN:
                    heapq.heappop(self._worst)
        return entry

    @property
    def entries(self) -> list[Entry]:
        """Every row, by picture and candidate."""
        order = {name: place for place, name in enumerate(self._candidates)}
        return sorted(self._entries.values(), key=lambda entry: (entry.index, order[entry.candidate]))

    @property
    def errors(self) -> list[str]:
        """A line for each error, which may concern several candidates, or several pictures."""
        by_picture: dict[tuple[int, str, str], list[str]] = {}
        for entry in self.entries:
            if entry.error:
                by_picture.setdefault((entry.index, entry.picture, entry.error), []).append(entry.candidate)
        alike: dict[tuple[str, str], list[str]] = {}
        for (_, picture, error), candidates in by_picture.items():
            alike.setdefault(("; ".join(candidates), error), []).append(picture)
        return [
            f"{pictures[0] if len(pictures) == 1 else f'{len(pictures)} pictures'} ({candidates}): {error}"
            for (candidates, error), pictures in alike.items()
        ]

    def worst_first(self, measure: Measure = MEASURES[0]) -> list[Entry]:
        """Rows with scores, the worst by a measure first."""
        scored = [(measure.rank(entry.scores), entry) for entry in self.entries if entry.scores]
        return [entry for _, entry in sorted(scored, key=lambda pair: -pair[0])]

    @property
    def shown(self) -> dict[tuple[int, str], Shown]:
        """By picture and candidate: what the worst rows look like, if that was asked for."""
        return {key: shown for _, key, shown in self._worst}

    @property
    def summaries(self) -> list[Summary]:
        """The totals of each candidate."""
        found = []
        for name in self._candidates:
            own = [entry for entry in self._entries.values() if entry.candidate == name]
            scored = [entry for entry in own if entry.scores]
            seconds = sum(entry.seconds for entry in scored) / max(1, len(scored))
            scores = self._totals[name].scores if scored else None
            found.append(Summary(name, len(scored), len(own) - len(scored), seconds, scores))
        return found

    def best(self, measure: Measure) -> set[str]:
        """Names of the candidates with the best total, as shown; empty if there is nothing to compare."""
        totals = {each.candidate: each.scores for each in self.summaries if each.scores}
        if len(totals) < 2:
            return set()
        best = min(totals.values(), key=measure.rank)
        return {name for name, scores in totals.items() if measure.text(scores) == measure.text(best)}

    def as_json(self) -> dict[str, Any]:
        """Totals and rows as plain data."""
        return {
            "totals": [summary.as_json() for summary in self.summaries],
            "pictures": [entry.as_json() for entry in self.entries],
        }
