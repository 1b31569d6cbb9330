"""The log: one line per record, whatever clients put into it."""

import logging
import re

MOST_CHARACTERS = 2000  # of a message, and again of a traceback

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """Escapes control characters, shortens long texts, and indents the lines of a traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The record without its traceback."""
        record.message = cut(_CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message))
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802
        """The traceback, with its lines marked so that they cannot be mistaken for records."""
        text = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"    | {_CONTROL.sub('?', line)}" for line in cut(text).splitlines())


class OncePerMinute(logging.Filter):
    """Lets each place in the code log once a minute, so that a flood of messages does not fill the disk."""

    def __init__(self) -> None:
        """Start with nothing logged."""
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        place = record.pathname, record.lineno
        if record.created - self._last.get(place, 0.0) < 60:
            return False
        self._last[place] = record.created
        return True


def cut(text: str) -> str:
    """The text, without its middle if it is long."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[: MOST_CHARACTERS // 2]} ... {text[-MOST_CHARACTERS // 2 :]}"


def configure() -> None:
    """Log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it logs every form, and where its files are
    for name in ("asyncio", "uvicorn.error"):  # they repeat messages such as "too many open files" at each attempt
        logging.getLogger(name).addFilter(OncePerMinute())
