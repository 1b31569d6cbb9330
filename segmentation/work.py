"""What is done to each picture of a job, and which pictures those are; the former can be sent to another process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segmentation.config import Config, Device
from segmentation.corrections import Correction
from segmentation.models.spec import ModelSpec, Progress
from segmentation.models.weights import fetch_weights
from segmentation.network.session import load_configured
from segmentation.outputs import Namer, Outputs
from segmentation.picture.picture import Picture
from segmentation.predictor import Predictor, from_nothing, from_session
from segmentation.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Work:
    """What is done to each picture."""

    recipe: Recipe
    config: Config
    device: Device | None = None
    """Instead of the operator's."""
    behind: Picture | None = None
    """The backdrop."""
    spec: ModelSpec | None = None
    """The model; None if no picture needs one."""
    prompt_spec: ModelSpec | None = None
    """A promptable model that says what points and boxes mean, if that one is none itself."""

    def fetch(self, on_progress: Progress | None = None) -> None:
        """Download what weights are missing on this machine.

        Raises:
            WeightsError: They cannot be downloaded, or may not be used.
        """
        for spec in (self.spec, self.prompt_spec):
            if spec is not None:
                fetch_weights(
                    spec, self.config.models_folder, accepted_licences=self.config.accepted, on_progress=on_progress
                )  # fmt: skip

    def load(self, threads: int | None = None, on_progress: Progress | None = None) -> Predictor:
        """The source of its predictions, on this machine.

        Args:
            threads: Cores that one run of the network may use; all by default.
            on_progress: Called as bytes arrive.

        Raises:
            WeightsError: See `load_session`.
            SessionError: See `load_session`.
            SettingsError: See `from_session`.
        """
        if self.spec is None:
            return from_nothing(self.recipe.model)
        device = self.device
        session = load_configured(self.spec, self.config, device=device, threads=threads, on_progress=on_progress)
        asked = None
        if self.prompt_spec is not None:
            asked = load_configured(self.prompt_spec, self.config, device=device, on_progress=on_progress)
        return from_session(session, self.recipe.settings, prompt_session=asked)


@dataclass(frozen=True, slots=True)
class Task:
    """The pictures that are left to do, and where their cutouts go."""

    sources: Sequence[Path]
    """All pictures, those that are done included."""
    indices: Sequence[int]
    """Of those to do."""
    folder: Path
    namer: Namer
    outputs: Outputs | None
    corrections: Mapping[int, Correction]
