"""Which models on the Hub visitors may name, as the operator decided.

The library and the command line do not ask: whoever runs them decides for their own machine.
"""

from collections.abc import Iterable

from segmentation.config import Config, HubModels
from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.models.hub_reference import HubReference
from segmentation.models.hub_repository import HubRepository
from segmentation.models.registry import load_registered
from segmentation.models.spec import HubSource, ModelSpec

WELL_KNOWN = frozenset({"onnx-community", "xenova", "briaai", "zhengpeng7", "opencv"})
"""Publishers of models that many people use, in lower case."""


def nameable(config: Config) -> HubModels:
    """Which Hub repositories visitors may name: none where the operator named the models, unless that was set too."""
    return "off" if config.models and "hub_models" not in config.model_fields_set else config.hub_models


def is_allowed(reference: HubReference, config: Config) -> bool:
    """Whether visitors may name this repository."""
    if (which := nameable(config)) != "listed":
        return which == "any"
    listed = config.listed or _publishers(load_registered(config).values()) | WELL_KNOWN
    return not listed.isdisjoint((reference.owner.lower(), reference.repo_id.lower()))


def check_enabled(config: Config) -> None:
    """Refuse all of the Hub, if visitors may name nothing there.

    Raises:
        SettingsError: They may not.
    """
    if nameable(config) == "off":
        raise SettingsError(Message("Models on the Hub cannot be named here: the operator has switched that off."))


def check_allowed(reference: HubReference, config: Config) -> None:
    """Refuse a repository that visitors may not name.

    Raises:
        SettingsError: They may not.
    """
    check_enabled(config)
    if not is_allowed(reference, config):
        raise SettingsError(
            Message(
                "{repo_id} is not among the Hub models that this server allows. Ask its operator to allow {owner}, or "
                "run Segmatte yourself.",
                repo_id=reference.repo_id, owner=reference.owner,
            )
        )  # fmt: skip


def check_repository(repository: HubRepository, config: Config) -> None:
    """Refuse what turned out to be another repository, which has moved, or one that only the operator can see.

    Raises:
        SettingsError: Visitors may not use it.
    """
    check_allowed(repository.reference(), config)
    named = {repository.reference().owner.lower(), repository.repo_id.lower()}
    if repository.private and named.isdisjoint(config.listed):
        # the operator's token can read it, but that does not mean that every visitor may; nor that it exists
        raise SettingsError(
            Message("There is no model {repo_id} on the Hub, or it is private.", repo_id=repository.repo_id)
        )


def _publishers(models: Iterable[ModelSpec]) -> frozenset[str]:
    sources = (source for model in models for source in model.weights.sources)
    return frozenset(HubReference(s.repo_id).owner.lower() for s in sources if isinstance(s, HubSource))
