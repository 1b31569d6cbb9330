"""Networks that run elsewhere, for a process that has a session of each as well."""

from collections.abc import Callable
from dataclasses import dataclass

from segmentation.network.session import Runner, Session


@dataclass(frozen=True, slots=True)
class Lent:
    """Networks on other machines."""

    runner: Callable[[Session], Runner]
    """What runs a session's network; the session itself, if its network must not leave this machine."""
    places: int
    """Pictures that they may have at work at once."""
