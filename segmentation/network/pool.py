"""Sessions shared by all requests."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from segmentation.models.spec import ModelSpec, Weights
from segmentation.network.machine import available_cores
from segmentation.network.session import Session

log = logging.getLogger(__name__)


def threads_for(spec: ModelSpec, pictures: int) -> int | None:
    """Threads for one run: None (all cores) for few pictures, one for a large batch.

    Processing one picture per core, each on one thread, is up to a third faster than one after the other on all cores
    (benchmarks/throughput.py). It needs a separate session, so it is not for weights of hundreds of megabytes, nor for
    unregistered models, which compute one picture at a time.
    """
    return 1 if spec.registered and spec.is_small and pictures >= 2 * available_cores() else None


Load = Callable[[ModelSpec, int | None], Session]
"""Builds a session from a model and a number of threads."""

_Key = tuple[str, Weights, int | None]  # model id, its file (which may be replaced), threads


class SessionPool:
    """Sessions shared by all requests: each built once, the least recently used dropped above a memory budget.

    A dropped session stays alive for the requests that still hold it.
    """

    def __init__(self, load: Load, budget: int = 4 << 30) -> None:
        """Make an empty pool.

        Args:
            load: Builds a session from a model and a number of threads.
            budget: Bytes for all loaded networks together; the newest one always stays.
        """
        self._load = load
        self._budget = budget
        self._sessions: OrderedDict[_Key, Session] = OrderedDict()
        self._building: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, spec: ModelSpec, threads: int | None = None, load: Load | None = None) -> Session:
        """The session of a model, built on the first request; concurrent requests wait for it.

        Args:
            spec: The model.
            threads: Cores for one run.
            load: Builds it for this request, instead of the pool's own way.

        Raises:
            WeightsError: See `load_session`.
            SessionError: See `load_session`.
        """
        key = spec.id, spec.weights, threads
        with self._lock:
            building = self._building.setdefault(key, threading.Lock())
        with building:
            with self._lock:
                if key in self._sessions:
                    self._sessions.move_to_end(key)
                    return self._sessions[key]
            session = (load or self._load)(spec, threads)
            with self._lock:
                for other in [k for k in self._sessions if k[0] == spec.id and k[1] != spec.weights]:
                    del self._sessions[other]  # its file was replaced
                self._sessions[key] = session
                self._drop_beyond_budget()
            return session

    def rest(self, idle_seconds: float) -> None:
        """Let every session that has been idle for this long release its memory."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.give_memory_back(idle_seconds)

    def loaded(self) -> dict[str, Session]:
        """The loaded sessions, by model id."""
        with self._lock:
            return {model_id: session for (model_id, *_), session in self._sessions.items()}

    def _drop_beyond_budget(self) -> None:
        while len(self._sessions) > 1 and sum(_bytes_held(s.spec) for s in self._sessions.values()) > self._budget:
            (dropped, *_), _ = self._sessions.popitem(last=False)
            log.info("dropped %s to stay within the memory budget", dropped)


def _bytes_held(spec: ModelSpec) -> int:
    """A rough estimate of weights, packed copies and runtime: u2netp (4.6 MB) holds 100 MB, ISNet (88 MB) 470 MB."""
    return 4 * (spec.weights.total or 200 << 20) + (80 << 20)
