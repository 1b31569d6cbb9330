"""The order of work: runs take turns picture by picture, so that no batch delays another visitor's single picture."""

import itertools
import threading
from types import TracebackType

_ARRIVAL = 0.5  # turns: a new run goes before the next turns of runs in progress, but not before all of them


class Turns:
    """A number of worker slots, shared fairly among runs (start-time fair queueing, Goyal et al. 1996).

    Each run has a number that grows by one with each of its pictures; the lowest number is next.
    """

    def __init__(self, places: int) -> None:
        """Start with all places free.

        Args:
            places: How many pictures, of all runs together, may be processed at once.
        """
        self._places = places
        self._now = 0.0  # number of the last turn
        self._arrivals = itertools.count()
        self._changed = threading.Condition()
        self._waiting: set[Ticket] = set()
        self._busy: dict[Ticket, int] = {}
        self._was_single = False  # whether the last turn went to a single picture

    def ticket(self, *, single: bool = False) -> "Ticket":
        """A ticket for a new run. While single pictures are waiting, they get every other turn."""
        with self._changed:
            return Ticket(self, self._now + _ARRIVAL, next(self._arrivals), single)

    @property
    def at_work(self) -> int:
        """Number of pictures being processed."""
        with self._changed:
            return sum(self._busy.values())

    def abandon(self, ticket: "Ticket") -> None:
        """Release the places of a stuck run, whose threads may never return."""
        with self._changed:
            ticket.is_abandoned = True
            self._busy.pop(ticket, None)
            self._changed.notify_all()

    def _next(self) -> "Ticket | None":
        if sum(self._busy.values()) >= self._places:
            return None
        singles = [ticket for ticket in self._waiting if ticket.single]
        batches = [ticket for ticket in self._waiting if not ticket.single]
        candidates = singles if singles and not (batches and self._was_single) else batches
        return min(candidates, key=lambda ticket: (ticket.number, ticket.arrival), default=None)

    def enter(self, ticket: "Ticket") -> None:
        """Wait until it is this run's turn."""
        with self._changed:
            ticket.number = max(ticket.number, self._now)
            ticket.waiting += 1
            self._waiting.add(ticket)
            self._changed.wait_for(lambda: ticket.is_abandoned or self._next() is ticket)
            ticket.waiting -= 1
            if not ticket.waiting:
                self._waiting.discard(ticket)
            ticket.threads.add(threading.get_ident())
            if ticket.is_abandoned:  # it takes no place, and releases none
                return
            self._now = max(self._now, ticket.number)
            self._was_single = ticket.single
            ticket.number += 1
            self._busy[ticket] = self._busy.get(ticket, 0) + 1
            self._changed.notify_all()  # another place may be free

    def leave(self, ticket: "Ticket") -> None:
        """Release the place after a picture."""
        with self._changed:
            ticket.threads.discard(threading.get_ident())
            if ticket.is_abandoned:
                return
            self._busy[ticket] -= 1
            if not self._busy[ticket]:
                del self._busy[ticket]
            self._changed.notify_all()

    def ahead(self, ticket: "Ticket") -> int:
        """Number of runs ahead of this one while it waits for its first turn; 0 once it has started."""
        with self._changed:
            if ticket not in self._waiting or ticket in self._busy:
                return 0
            rivals = [t for t in self._waiting if t.single or not ticket.single]
            before = {t for t in rivals if (t.number, t.arrival) < (ticket.number, ticket.arrival)}
            return len(before | self._busy.keys())


class Ticket:
    """A run's place in the turns: a context manager that each of its threads enters for each picture."""

    def __init__(self, turns: Turns, number: float, arrival: int, single: bool) -> None:
        """Use `Turns.ticket` instead."""
        self._turns, self.single = turns, single
        self.number, self.arrival = number, arrival
        self.waiting = 0  # number of waiting threads
        self.threads: set[int] = set()  # ids of working threads
        self.is_abandoned = False

    def __enter__(self) -> None:
        """Wait for the turn."""
        self._turns.enter(self)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Pass the place on."""
        self._turns.leave(self)

    @property
    def ahead(self) -> int:
        """Number of runs ahead of this one; 0 once it has started."""
        return self._turns.ahead(self)

    @property
    def at_work(self) -> bool:
        """Whether one of its pictures is being processed."""
        return bool(self.threads)

    @property
    def all_at_work(self) -> int:
        """Number of pictures being processed that it shares the places with, its own included."""
        return self._turns.at_work

    def abandon(self) -> None:
        """Release its places: the run is stuck, and its threads may never return."""
        self._turns.abandon(self)
