"""One model on offer, as the page and `/models` show it."""

from dataclasses import dataclass
from typing import Any

from segmentation.messages import Message
from segmentation.models.spec import ModelSpec
from segmentation.network.speed import Seconds

LICENCE = Message("licence not accepted")
UNREACHABLE = Message("cannot be downloaded now")


@dataclass(frozen=True, slots=True)
class Offer:
    """A model, and what is known about it on this machine."""

    spec: ModelSpec
    is_default: bool
    on_disk: bool
    seconds: Seconds
    """What the network takes for one picture."""
    is_accepted: bool
    """Whether its licence needs no acceptance, or was accepted."""
    refusal: Message | None
    """Why it cannot be used here, in a few words; None if it can."""
    loaded_on: str | None
    """The execution provider, if it is loaded."""
    provider_note: str
    """Why that is not, or would not be, the GPU's; "" if it is."""

    @property
    def label(self) -> str:
        """Its name in a list, with its id."""
        return f"{self.spec.title} ({self.spec.id})"

    @property
    def download_bytes(self) -> int:
        """What must be downloaded before its first run."""
        return 0 if self.on_disk else self.spec.weights.total

    def as_json(self) -> dict[str, Any]:
        """Its entry in `/models`."""
        spec, licence = self.spec, self.spec.licence
        return {
            "id": spec.id,
            "title": spec.title,
            "about": spec.about,
            "tasks": list(spec.tasks),
            "tier": spec.tier,
            "default": self.is_default,
            "seconds": round(self.seconds.value, 3),
            "seconds_measured": self.seconds.measured,
            "licence": licence.name,
            "licence_url": licence.url,
            "licence_note": spec.licence_note,
            "commercial_use": licence.commercial,
            "usable": self.is_accepted,
            "refusal": self.refusal,
            "bytes": spec.weights.total or None,
            "download_bytes": self.download_bytes,
            "on_disk": self.on_disk,
            "loaded_on": self.loaded_on,
            "provider_note": self.provider_note,
            "input_size": spec.input.size,
            "any_size": spec.input.dynamic,
            "classes": list(spec.output.class_names),
            "promptable": spec.prompt is not None,
            "source": spec.origin.url,
            "paper": spec.origin.paper,
        }
