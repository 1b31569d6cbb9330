"""One replica of the deployment behind pages: an actor that loads networks as they are asked for, and runs them."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from segmentation.arrays import Tensor
from segmentation.config import Config
from segmentation.errors import SegmentationError
from segmentation.models.spec import ModelSpec
from segmentation.network.pool import SessionPool
from segmentation.network.recovery import Answer
from segmentation.network.session import Session, load_configured

log = logging.getLogger(__name__)


def is_kept_here(session: Session) -> bool:
    """Whether a network runs in the page's process, or its sandbox.

    One without a registry entry needs the sandbox. A promptable one answers each click, for which previews would wait.
    """
    return not session.spec.registered or session.prompt is not None


class Replica:
    """Ray Serve makes one in each process of the deployment."""

    def __init__(self, config: Config, cores: int, at_once: int) -> None:
        """Nothing is loaded yet.

        Args:
            config: The operator's, of the page that started the deployment.
            cores: That its networks may use.
            at_once: Runs at the same time; on a GPU, a session puts those of small networks together.
        """
        self._config, self._cores = config, cores
        self._pool = SessionPool(self._load, config.sessions_mb << 20)
        self._threads = ThreadPoolExecutor(at_once, "replica")

    def _load(self, spec: ModelSpec, threads: int | None) -> Session:
        return load_configured(spec, self._config, threads=threads)

    def compute(self, spec: ModelSpec, tensor: Tensor) -> Answer | SegmentationError:
        """The network's output; or its error, which is an answer too: another replica would give the same.

        Args:
            spec: The model, which must have a registry entry: nothing here is sandboxed.
            tensor: A tensor of its input contract.

        Raises:
            ValueError: It has none.
        """
        if not spec.registered:
            raise ValueError(f"{spec.id} has no registry entry")
        try:
            return self._pool.get(spec, 1 if spec.is_small else self._cores).run(tensor)
        except SegmentationError as error:
            return error

    async def run(self, spec: ModelSpec, tensor: Tensor) -> Answer | SegmentationError:
        """`compute` in a thread: Ray Serve asks this loop whether the replica is well."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.compute, spec, tensor)
