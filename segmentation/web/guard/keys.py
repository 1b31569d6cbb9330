"""The operator's keys for the doors, and how often each may be used."""

import hmac
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

PERIOD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a key's rate."""

    limit: int
    """Uses per minute."""
    remaining: int
    seconds: int
    """Until the oldest of the uses in the last minute no longer counts."""
    is_exceeded: bool = False
    """Whether this use is one too many."""


class KeyRing:
    """Thread-safe. Without keys, everything is allowed."""

    def __init__(self, keys: Collection[str], rate: int) -> None:
        """Start unused.

        Args:
            keys: The keys; if there are none, none is asked for.
            rate: Uses per minute of each.
        """
        self._keys = [key.encode() for key in keys]
        self._rate = rate
        self._lock = threading.Lock()
        self._uses: dict[bytes, deque[float]] = {key: deque() for key in self._keys}

    @property
    def is_needed(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._keys)

    def find(self, given: str) -> bytes | None:
        """The key that was given, or None. Takes the same time for every wrong one: all keys are compared whole."""
        found = None
        for key in self._keys:
            if hmac.compare_digest(key, given.encode("utf-8", "surrogatepass")):
                found = key
        return found

    def use(self, key: bytes) -> Allowance:
        """Count a use of a known key, unless it is one too many."""
        now = time.monotonic()
        with self._lock:
            uses = self._uses[key]
            while uses and uses[0] <= now - PERIOD_SECONDS:
                uses.popleft()
            is_exceeded = len(uses) >= self._rate
            if not is_exceeded:
                uses.append(now)
            seconds = int(uses[0] + PERIOD_SECONDS - now) + 1
            return Allowance(self._rate, self._rate - len(uses), seconds, is_exceeded)
