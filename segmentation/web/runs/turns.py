"""Who may work on a picture next: runs take turns, so that nobody's batch keeps another's single picture waiting."""

import itertools
import threading
from types import TracebackType

_ARRIVAL = 0.5  # of a turn: who arrives goes before the next turns of those under way, but not before all of them


class Turns:
    """A number of places to work, given out run by run (start-time fair queueing, Goyal et al. 1996).

    Each run has a number that grows by one with each of its pictures; the smallest number is next.
    """

    def __init__(self, places: int) -> None:
        """All places are free.

        Args:
            places: Pictures at work at the same time, whoever they belong to.
        """
        self._places = places
        self._now = 0.0  # number of the turn that was given out last
        self._arrivals = itertools.count()
        self._changed = threading.Condition()
        self._waiting: set[Ticket] = set()
        self._busy: dict[Ticket, int] = {}
        self._was_single = False  # the run that got the last turn

    def ticket(self, *, single: bool = False) -> "Ticket":
        """For a run that begins; one of a single picture gets every other turn, as long as there are such."""
        with self._changed:
            return Ticket(self, self._now + _ARRIVAL, next(self._arrivals), single)

    @property
    def at_work(self) -> int:
        """Pictures at work."""
        with self._changed:
            return sum(self._busy.values())

    def abandon(self, ticket: "Ticket") -> None:
        """Give the places of a run that does not move to others; its threads may never come back."""
        with self._changed:
            ticket.is_abandoned = True
            self._busy.pop(ticket, None)
            self._changed.notify_all()

    def _next(self) -> "Ticket | None":
        if sum(self._busy.values()) >= self._places:
            return None
        singles = [ticket for ticket in self._waiting if ticket.single]
        batches = [ticket for ticket in self._waiting if not ticket.single]
        able = singles if singles and not (batches and self._was_single) else batches
        return min(able, key=lambda ticket: (ticket.number, ticket.arrival), default=None)

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
            if ticket.is_abandoned:  # it takes no place, and gives none back
                return
            self._now = max(self._now, ticket.number)
            self._was_single = ticket.single
            ticket.number += 1
            self._busy[ticket] = self._busy.get(ticket, 0) + 1
            self._changed.notify_all()  # there may be another place

    def leave(self, ticket: "Ticket") -> None:
        """Its picture is done."""
        with self._changed:
            ticket.threads.discard(threading.get_ident())
            if ticket.is_abandoned:
                return
            self._busy[ticket] -= 1
            if not self._busy[ticket]:
                del self._busy[ticket]
            self._changed.notify_all()

    def ahead(self, ticket: "Ticket") -> int:
        """Runs whose turn comes before this one's, while it waits for its first; 0 once it has begun."""
        with self._changed:
            if ticket not in self._waiting or ticket in self._busy:
                return 0
            rivals = [t for t in self._waiting if t.single or not ticket.single]
            before = {t for t in rivals if (t.number, t.arrival) < (ticket.number, ticket.arrival)}
            return len(before | self._busy.keys())


class Ticket:
    """A run's part in the turns: a context manager, entered by each of its threads for each picture."""

    def __init__(self, turns: Turns, number: float, arrival: int, single: bool) -> None:
        """Made by `Turns.ticket`."""
        self._turns, self.single = turns, single
        self.number, self.arrival = number, arrival
        self.waiting = 0  # threads
        self.threads: set[int] = set()  # at work
        self.is_abandoned = False

    def __enter__(self) -> None:
        """Wait for the turn."""
        self._turns.enter(self)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Give the place to the next."""
        self._turns.leave(self)

    @property
    def ahead(self) -> int:
        """Runs that come before this one; 0 once it has begun."""
        return self._turns.ahead(self)

    @property
    def at_work(self) -> bool:
        """Whether one of its pictures is at work."""
        return bool(self.threads)
