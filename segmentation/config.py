"""Server configuration, read from environment variables; the defaults suit a public server."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, SkipValidation, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from segmentation.errors import SettingsError
from segmentation.picture.picture import Limits

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent
_IS_INSTALLED = not (_CHECKOUT / "model_registry.yaml").is_file()  # from a wheel, which has it in the package

PROJECT = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "segmatte" if _IS_INSTALLED else _CHECKOUT
"""The checkout; or, where the package was installed from a wheel, the user's folder for what is downloaded."""
REGISTRY_FILE = (_PACKAGE if _IS_INSTALLED else _CHECKOUT) / "model_registry.yaml"

_LISTED = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
DOORS = ("rembg", "removebg")
HubModels = Literal["off", "listed", "any"]
Device = Literal["auto", "cpu", "cuda", "tensorrt"]
DEVICES: tuple[Device, ...] = get_args(Device)

Count = Annotated[int, Field(gt=0, lt=1 << 40)]
Folder = Annotated[Path, AfterValidator(Path.expanduser)]


class Config(BaseSettings):
    """The operator's configuration: one field for each environment variable in `VARIABLES`.

    Raises:
        SettingsError: A number is not a whole number above 0, a switch is neither true nor false, a choice or a listed
            name is none, or a login lacks its user or password, or would be bypassed by `mcp` or `doors`.
    """

    model_config = SettingsConfigDict(
        env_prefix="SEGMATTE_", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )

    registry: str = ""
    """A second registry file, or a folder of them; its models replace or join the built-in ones."""
    models: str = ""
    """Ids of the models to offer, comma-separated; the first is the default. If empty, all are offered, and the server
    chooses the default at start."""
    models_folder: Folder = Field(PROJECT / "models", validation_alias="SEGMATTE_MODELS_DIR")
    """Models folder; any `.onnx` in it is a model."""
    device: SkipValidation[Device] = "auto"  # validated where it is used, so that the doctor can report a wrong one
    """`auto`, `cpu`, `cuda` or `tensorrt`."""
    gpu_mb: Count = 12288
    """Megabytes of GPU memory that one network may use."""
    gpu_batch: Count = 1
    """Pictures that the GPU may process in one batch, for networks of up to 100 MB that accept several."""
    cuda_graphs: bool = False
    """Replay fixed-size networks as CUDA graphs (their memory stays allocated)."""
    engines_folder: Folder = Field(PROJECT / "models" / "engines", validation_alias="SEGMATTE_ENGINES_DIR")
    """Where TensorRT caches its engines, which take minutes to build."""
    accepted_licences: str = Field("", validation_alias="SEGMATTE_ACCEPT_LICENCES")
    """Ids of the licences you accept, comma-separated."""
    hub_models: HubModels = "listed"
    """Which Hub repositories visitors may name as a model: `off`, `listed` (see SEGMATTE_HUB_LISTED) or `any`. Where
    SEGMATTE_MODELS is set, `off` unless this is set too."""
    hub_listed: str = ""
    """Owners and repositories that `listed` allows, comma-separated; if empty, those of the registry and some
    well-known publishers."""
    hub_file_mb: Count = 1024
    """Megabytes that a model named by a visitor may have."""
    hub_disk_mb: Count = 10240
    """Megabytes of disk for all models named by visitors; the least recently used are deleted first."""
    model_uploads: bool = False
    """Whether visitors may upload a model, which is deleted after the keep time."""
    max_pictures: Count = 50
    """Pictures per run."""
    max_pixels: Count = 50_000_000
    """Pixels per picture, checked before decoding."""
    max_side: Count = 30_000
    """Pixels on the longer side of a picture."""
    decode_seconds: Count = 20
    """Seconds for decoding a picture, unless its header shows that it is harmless."""
    run_seconds: Count = 300
    """Seconds that a network may compute on one picture."""
    stuck_seconds: Count = 300
    """Seconds on top of the network's limit after which a run without progress is ended."""
    own_models_mb: Count = 4096
    """Megabytes of memory for all models without a registry entry together."""
    max_upload_mb: Count = 50
    """Megabytes per uploaded file."""
    max_request_mb: Count = 500
    """Megabytes per request, all files together."""
    web_addresses: bool = True
    """Whether visitors may enter the web address of a picture."""
    sessions_mb: Count = 4096
    """Megabytes of memory for all loaded networks together."""
    runs_mb: Count = 512
    """Megabytes of cached predictions, which let visitors tune without running the network again."""
    stored_mb: Count = 8192
    """Megabytes of uploads and results together; the least recently used are deleted first."""
    stored_files: Count = 20_000
    """Files of uploads and results together."""
    client_mb: Count = 2048
    """Megabytes that one IP address may upload within the keep time."""
    client_files: Count = 2000
    """Files that one IP address may upload within the keep time."""
    connections: Count = 500
    """Simultaneous connections; beyond that, the one idle longest is closed."""
    hosts: str = ""
    """Host names of the server, comma-separated, besides IP addresses and local names; if empty, `X-Forwarded-Host` is
    trusted."""
    grace_seconds: Count = 10
    """Seconds for runs to finish when the server is stopped."""
    concurrency: Count = 2
    """Runs in progress at the same time; they take turns, picture by picture."""
    queue: Count = 20
    """Further runs that may wait; beyond that, visitors are asked to try again later."""
    auth: str = Field("", repr=False)
    """`user:password` that every visitor must enter."""
    mcp: bool = False
    """Serve a tool for language models at `/gradio_api/mcp/`; it has no login."""
    doors: str = ""
    """Doors for other tools' clients, comma-separated: `rembg` (`/api/remove`) and `removebg` (`/v1.0/removebg`). If
    empty, all are closed."""
    api_keys: str = Field("", repr=False)
    """Keys, comma-separated, one of which every request at a door must have in `X-Api-Key`; if empty, none is asked
    for."""
    api_key_rate: Count = 60
    """Pictures per minute for one key."""
    keep_minutes: Count = 60
    """Minutes until uploads and results are deleted."""

    @model_validator(mode="wrap")
    @classmethod
    def _in_a_sentence(cls, values: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            config = check(values)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = str(wrong["loc"][0])
            if name not in _WANTED:
                raise  # a bug in the caller
            raise SettingsError(
                f"{VARIABLES[name]} must be {_WANTED[name]}, not {str(wrong['input'])[:40]!r}."
            ) from None
        if config.login and config.mcp:  # Gradio's MCP server does not ask for it
            raise SettingsError("SEGMATTE_MCP would bypass the login of SEGMATTE_AUTH: unset one of them.")
        if unknown := config.open_doors - set(DOORS):
            raise SettingsError(f"SEGMATTE_DOORS takes {' and '.join(DOORS)}, not {min(unknown)[:40]!r}.")
        if config.login and config.open_doors and not config.door_keys:
            raise SettingsError("SEGMATTE_DOORS would bypass the login of SEGMATTE_AUTH: set SEGMATTE_API_KEYS.")
        if wrong_name := next((name for name in names(config.hub_listed) if not _LISTED.fullmatch(name)), None):
            raise SettingsError(f"SEGMATTE_HUB_LISTED takes owners and owner/name, not {wrong_name[:80]!r}.")
        return config

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments: `from_environment` reads the environment, and no file is ever read."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The defaults, overridden by the environment; empty variables are ignored.

        Raises:
            SettingsError: As in the constructor; the sentence names the variable.
        """
        source = EnvSettingsSource(cls)
        source.env_vars = {
            name.lower(): text for name in VARIABLES.values() if (text := environment.get(name, "").strip())
        }
        return cls(**source())

    @property
    def runs(self) -> int:
        """Runs at once, those that wait included: they take turns by picture."""
        return self.concurrency + self.queue

    @property
    def limits(self) -> Limits:
        """Limits for decoding one picture."""
        return Limits(self.max_pixels, self.max_side, self.decode_seconds)

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password, or None if no login is required.

        Raises:
            SettingsError: One of the two is missing.
        """
        user, _, password = self.auth.partition(":")
        if self.auth and not (user and password):
            raise SettingsError("SEGMATTE_AUTH must be a user, a colon and a password.")
        return (user, password) if self.auth else None

    @property
    def open_doors(self) -> frozenset[str]:
        """Those of `DOORS` that are open."""
        return frozenset(names(self.doors))

    @property
    def door_keys(self) -> frozenset[str]:
        """The keys that open the doors; empty if none is needed."""
        return frozenset(names(self.api_keys))

    @property
    def listed(self) -> frozenset[str]:
        """Owners and repositories in `hub_listed`, in lower case."""
        return frozenset(name.lower() for name in names(self.hub_listed))

    @property
    def accepted(self) -> frozenset[str]:
        """Ids of the accepted licences."""
        return frozenset(names(self.accepted_licences))


VARIABLES = {
    name: str(field.validation_alias or f"SEGMATTE_{name.upper()}") for name, field in Config.model_fields.items()
}
"""Field of `Config` -> its environment variable."""
_KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number above 0"}
_WANTED = {
    name: _KINDS.get(field.annotation, f"one of {', '.join(get_args(field.annotation))}")
    for name, field in Config.model_fields.items()
    if field.annotation in _KINDS or get_origin(field.annotation) is Literal
}


def names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name for part in text.split(",") if (name := part.strip())]
