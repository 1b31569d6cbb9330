"""The deployment behind pages: as many replicas as are busy, within limits. Pages send tensors, never pictures."""

import faulthandler
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from segmentation.arrays import Tensor
from segmentation.cluster.ray_cluster import LOCAL, cluster, workers_that_fit
from segmentation.cluster.replica import Replica, is_kept_here
from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.models.spec import ModelSpec
from segmentation.network.lent import Lent
from segmentation.network.recovery import Answer
from segmentation.network.session import Runner, Session
from segmentation.network.watchdog import Cancelled, RunCancelledError
from segmentation.settings import with_values

log = logging.getLogger(__name__)

NAME = "segmatte"
"""Of the application on the cluster."""
_OBJECTS = 512 << 20  # bytes of shared memory, for tensors: 12 MB for 1024 x 1024 pixels
_ATTEMPTS = 2  # at a picture, on different replicas, before the page computes it
_POLL_SECONDS = 0.25
_END_SECONDS = 15.0  # for Ray to leave the cluster; then the process ends, and one's own cluster with it
_nowhere = Path(os.devnull).open("w")  # noqa: SIM115  # read when that is over

UNAVAILABLE = "The cluster was unavailable (see the log)."
"""Why a picture was computed in the page's process."""


class _LostError(Exception):
    """No replica gave an answer."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """Where the deployment runs, and what each of its replicas has."""

    address: str = LOCAL
    least: int = 1
    most: int | None = None
    """As many as fit if not given."""
    cpus: float = 1
    gpus: float = 0
    """0.5 puts two replicas on one."""

    @contextmanager
    def lent(self, config: Config) -> Iterator[Lent]:
        """The networks of the cluster. A cluster of this machine ends afterwards; in any other, the deployment stays.

        Args:
            config: The operator's, which must fit all machines of the cluster.

        Raises:
            SettingsError: There is no such cluster, or it has no room for a replica.
        """
        with cluster(self.address, objects=_OBJECTS):
            logging.getLogger("ray.serve").setLevel(logging.ERROR)
            fit = workers_that_fit(self.cpus, self.gpus)
            most = max(self.least, self.most or fit)
            at_once = max(1, int(self.cpus), config.gpu_batch if self.gpus else 1)
            secret = with_values(config, auth="", api_keys="", doors="", mcp=False)
            handle = self._deployed(secret, most, at_once)

            def runner(session: Session) -> Runner:
                return session.run if is_kept_here(session) else _Remote(handle, session, config.run_seconds).run

            try:
                yield Lent(runner, most * at_once)
            finally:
                # Ray was once seen to hang here for minutes, while no thread of Python's ran, so none can end it
                faulthandler.dump_traceback_later(_END_SECONDS, exit=True, file=_nowhere)
                handle.shutdown()
        faulthandler.cancel_dump_traceback_later()

    def _deployed(self, config: Config, most: int, at_once: int) -> Any:
        """A handle of the deployment: the one of another page with the same options, or a new one in its place."""
        serve.start(proxy_location="Disabled")  # only pages ask, through Ray: nothing of it listens for HTTP
        options = f"{ray.__version__} {self} {most} {config.model_dump_json()}"
        name = f"networks-{hashlib.sha256(options.encode()).hexdigest()[:12]}"
        running = serve.status().applications.get(NAME)
        if running and name in running.deployments:
            return serve.get_deployment_handle(name, NAME)
        deployment = serve.deployment(
            Replica,
            name=name,
            max_ongoing_requests=2 * at_once,  # the next tensor is there when a run ends
            autoscaling_config={
                "min_replicas": self.least, "max_replicas": most, "target_ongoing_requests": at_once
            },
            ray_actor_options={"num_cpus": self.cpus, "num_gpus": self.gpus},
        )  # fmt: skip
        return serve.run(deployment.bind(config, max(1, int(self.cpus)), at_once), name=NAME, route_prefix=None)


@dataclass(frozen=True, slots=True)
class _Remote:
    """A network on the cluster."""

    handle: Any
    session: Session
    seconds: float
    """To wait for an answer, the time in which replicas start and networks are loaded included."""

    def run(self, tensor: Tensor, cancelled: Cancelled | None = None) -> Answer:
        """A `Runner`. What the cluster fails to compute is computed here, and its report says so."""
        try:
            answer = self._ask(self.session.spec, tensor, cancelled)
        except _LostError as error:
            log.warning("%s is computed here: %s", self.session.spec.title, error)
            return replace(self.session.run(tensor, cancelled), provider_note=UNAVAILABLE)
        if isinstance(answer, SegmentationError):
            raise answer
        return answer

    def _ask(self, spec: ModelSpec, tensor: Tensor, cancelled: Cancelled | None) -> Answer | SegmentationError:
        deadline, reason = time.monotonic() + self.seconds, ""
        for _ in range(_ATTEMPTS):
            try:
                response = self.handle.run.remote(spec, tensor)
                while True:
                    try:
                        answer: Answer | SegmentationError = response.result(timeout_s=_POLL_SECONDS)
                        return answer
                    except TimeoutError:
                        is_cancelled = cancelled is not None and cancelled()
                        if is_cancelled or time.monotonic() > deadline:
                            response.cancel()
                        if is_cancelled:
                            raise RunCancelledError from None
                        if time.monotonic() > deadline:
                            raise _LostError(f"no answer in {self.seconds:g} s") from None
            except (RayError, RayServeException) as error:  # the replica is lost, most likely
                reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                log.warning("a replica failed: %s", reason)
        raise _LostError(reason)
