"""What a batch tells while it works: paths and reasons, or JSON lines; in a terminal with a progress bar."""

import json
import sys
from typing import Any, TextIO

from tqdm import tqdm

from segmentation.commands.job import Finished

_BAR = "{percentage:3.0f}% |{bar}| {n_fmt} of {total_fmt}, {rate_noinv_fmt}, {remaining} left"


class Teller:
    """Tells about each picture as it finishes. A context manager, which ends with a summary."""

    def __init__(self, total: int | None, *, as_json: bool = False, out: TextIO | None = None) -> None:
        """Nothing is told yet.

        Args:
            total: How many pictures there are; None if that is open, which shows no bar and no summary.
            as_json: One line of JSON for each picture, instead of its cutouts' paths, warnings and error.
            out: Instead of the standard output.
        """
        self._total, self._as_json, self._out = total, as_json, out or sys.stdout
        self._bar: tqdm[Any] | None = None
        self.done = self.skipped = self.failed = 0

    def __enter__(self) -> "Teller":
        if (self._total or 0) > 1 and sys.stderr.isatty():
            self._bar = tqdm(
                total=self._total, unit=" pictures", bar_format=_BAR, file=sys.stderr, smoothing=0.1, leave=False
            )  # fmt: skip
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if kind is None and not self._as_json and (self._total or 0) > 1:
            parts = [f"{self.done} cut out"]
            parts += [f"{self.skipped} done before"] if self.skipped else []
            parts += [f"{self.failed} failed"] if self.failed else []
            print(f"{self._total} pictures: {', '.join(parts)}.", file=sys.stderr)

    def tell(self, finished: Finished) -> None:
        """Tell about one picture."""
        report = finished.report
        if report.error:
            self.failed += 1
        elif finished.is_skipped:
            self.skipped += 1
        else:
            self.done += 1
        if self._as_json:
            self._say(json.dumps(finished.as_json()), self._out)
        else:
            for warning in report.warnings:
                self._say(f"{finished.name}: {warning}", sys.stderr)
            if report.error:
                is_said = finished.name == report.name and report.name in report.error
                self._say(report.error if is_said else f"{finished.name}: {report.error}", sys.stderr)
            for file in finished.files:
                self._say(str(file), self._out)
        if self._bar is None:
            return
        if finished.is_skipped:  # took no time, so it does not count for the rate
            self._bar.initial += 1
            self._bar.n = self._bar.last_print_n = self._bar.n + 1
            self._bar.refresh()
        else:
            self._bar.update()

    def _say(self, line: str, out: TextIO) -> None:
        if self._bar is None:
            print(line, file=out, flush=True)
        else:
            self._bar.write(line, file=out)  # above the bar
            out.flush()
