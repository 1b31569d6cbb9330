"""A hand on the picture: mouse or finger, in pixels of the picture."""

import json
from typing import Any

from playwright.sync_api import CDPSession

from tests.web.browser.browsing import Watched

Place = tuple[float, float]


class Hand:
    """Works with the tools of a page, and reads what it sends."""

    def __init__(self, watched: Watched, size: tuple[int, int], *, touches: bool = False) -> None:
        """Take the page, the (width, height) of its picture, and whether it is a finger."""
        self.watched, self.page, self.size = watched, watched.page, size
        self.sent: list[dict[str, Any]] = []
        self._cdp: CDPSession | None = self.page.context.new_cdp_session(self.page) if touches else None
        self.page.on("request", lambda request: self._read(request.post_data if request.method == "POST" else None))

    def _read(self, body: str | None) -> None:
        event = json.loads(body).get("event_data") if body and body.startswith("{") else None
        if isinstance(event, dict) and "correction" in event:
            self.sent.append(event | {"correction": json.loads(event["correction"])})

    def said(self, times: int) -> dict[str, Any]:
        """The correction that was sent as the last of so many."""
        for _ in range(250):
            if len(self.sent) >= times:
                break
            self.page.wait_for_timeout(20)
        assert len(self.sent) == times
        correction: dict[str, Any] = self.sent[-1]["correction"]
        return correction

    def take(self, tool: str) -> None:
        """Press a tool's button, and wait until the picture lies still."""
        self.page.locator(f"#viewer [data-tool={tool}]").click()
        self.watched.still()

    def at(self, place: Place) -> Place:
        """Where a place of the picture is on the screen."""
        box = self.page.locator("#viewer .sheet").bounding_box()
        assert box
        return (
            box["x"] + place[0] / self.size[0] * box["width"],
            box["y"] + place[1] / self.size[1] * box["height"],
        )

    def draw(self, *places: Place, lift: bool = True) -> None:
        """Draw a line from place to place."""
        ways = [self.at(place) for place in places]
        if self._cdp:
            for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(ways) - 1)], ways, strict=True):
                self._touch(kind, (x, y))
            if lift:
                self._touch("touchEnd")
            return
        self.page.mouse.move(*ways[0])
        self.page.mouse.down()
        for x, y in ways[1:]:
            self.page.mouse.move(x, y, steps=4)
        if lift:
            self.page.mouse.up()

    def _touch(self, kind: str, *fingers: Place) -> None:
        assert self._cdp
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        self._cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinch(self, apart: float) -> None:
        """Move two fingers apart, from 40 pixels, about the middle of the picture."""
        x, y = self.at((self.size[0] / 2, self.size[1] / 2))
        self._touch("touchStart", (x - 20, y))
        self._touch("touchStart", (x - 20, y), (x + 20, y))
        for step in range(1, 6):
            half = 20 + (apart / 2 - 20) * step / 5
            self._touch("touchMove", (x - half, y), (x + half, y))
        self._touch("touchEnd")
