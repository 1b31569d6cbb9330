"""What whoever runs the app decides by environment variables; each has a default that is sensible for strangers."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, SkipValidation, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from segmentation.errors import SettingsError
from segmentation.picture.picture import Limits

PROJECT = Path(__file__).resolve().parent.parent

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
DEVICES: tuple[Device, ...] = get_args(Device)

Count = Annotated[int, Field(gt=0, lt=1 << 40)]
Folder = Annotated[Path, AfterValidator(Path.expanduser)]


class Config(BaseSettings):
    """What the operator decides: a field a variable, called as in `VARIABLES`.

    Raises:
        SettingsError: A value that must be a whole number above 0, or true or false, is something else, or a login is
            half a login or could be gone round.
    """

    model_config = SettingsConfigDict(
        env_prefix="SEGMATTE_", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )

    registry: str = ""
    """Second registry file; its models join or replace ours."""
    models: str = ""
    """Ids of the models to offer, comma-separated; the first is the default."""
    models_folder: Folder = Field(PROJECT / "models", validation_alias="SEGMATTE_MODELS_DIR")
    """Models folder; any `.onnx` in it is a model."""
    device: SkipValidation[Device] = "auto"  # a wrong one is refused where it is used, so that the doctor can say it
    """`auto`, `cpu`, `cuda` or `tensorrt`."""
    gpu_mb: Count = 12288
    """Megabytes of GPU memory that one network may take."""
    gpu_batch: Count = 1
    """Pictures that the GPU may compute in one run, with networks of up to 100 MB that take several."""
    cuda_graphs: bool = False
    """Replay networks of one fixed size as CUDA graphs (keeps their memory)."""
    engines_folder: Folder = Field(PROJECT / "models" / "engines", validation_alias="SEGMATTE_ENGINES_DIR")
    """Where TensorRT keeps the engines that it builds for minutes."""
    accepted_licences: str = Field("", validation_alias="SEGMATTE_ACCEPT_LICENCES")
    """Licences you accept, comma-separated ids."""
    max_pictures: Count = 50
    """Pictures of one run."""
    max_pixels: Count = 50_000_000
    """Pixels of one picture, checked before it is decoded."""
    max_side: Count = 30_000
    """Pixels of the longer side of one picture."""
    decode_seconds: Count = 20
    """Seconds that decoding one picture may take, where it is not plainly harmless."""
    run_seconds: Count = 300
    """Seconds that a network may take for one picture."""
    stuck_seconds: Count = 300
    """Seconds more than a network may take, after which a run without progress is ended."""
    own_models_mb: Count = 4096
    """Megabytes that `.onnx` files without a registry entry may take together."""
    max_upload_mb: Count = 50
    """Megabytes of one uploaded file."""
    max_request_mb: Count = 500
    """Megabytes of one request, all its files together."""
    web_addresses: bool = True
    """Whether visitors may name a picture by its address on the public web."""
    sessions_mb: Count = 4096
    """Megabytes that loaded networks may hold together."""
    runs_mb: Count = 512
    """Megabytes of what networks said, kept so that visitors can tune without them."""
    stored_mb: Count = 8192
    """Megabytes of uploads and results together; the longest unused go first."""
    stored_files: Count = 20_000
    """Files of uploads and results together."""
    client_mb: Count = 2048
    """Megabytes that one address may upload in the keep time."""
    client_files: Count = 2000
    """Files that one address may upload in the keep time."""
    connections: Count = 500
    """Connections at the same time; of more the longest silent is closed."""
    hosts: str = ""
    """Names by which visitors call the server, comma-separated, beside addresses and local names; without any, what
    `X-Forwarded-Host` says is believed."""
    grace_seconds: Count = 10
    """Seconds that runs may take to end when the server is told to stop."""
    concurrency: Count = 2
    """Runs under way without waiting; all runs take turns, picture by picture."""
    queue: Count = 20
    """Further runs that wait for turns; others are told to come back."""
    auth: str = Field("", repr=False)
    """`user:password` that visitors must know; nobody else gets in."""
    mcp: bool = False
    """Serve a tool for language models at `/gradio_api/mcp/`, without a login."""
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
                raise  # the caller's mistake
            raise SettingsError(
                f"{VARIABLES[name]} must be {_WANTED[name]}, not {str(wrong['input'])[:40]!r}."
            ) from None
        if config.login and config.mcp:  # Gradio's MCP server does not ask for it
            raise SettingsError("SEGMATTE_MCP would go round the login of SEGMATTE_AUTH: unset one of them.")
        return config

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but what is given is read: the environment by `from_environment`, files never."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The defaults, with what the environment says instead; an empty variable says nothing.

        Raises:
            SettingsError: As when a `Config` is made; the sentence names the variable.
        """
        source = EnvSettingsSource(cls)
        source.env_vars = {
            name.lower(): text for name in VARIABLES.values() if (text := environment.get(name, "").strip())
        }
        return cls(**source())

    @property
    def limits(self) -> Limits:
        """What decoding one picture may take."""
        return Limits(self.max_pixels, self.max_side, self.decode_seconds)

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password, or None where everybody may come in.

        Raises:
            SettingsError: One of the two is missing.
        """
        user, _, password = self.auth.partition(":")
        if self.auth and not (user and password):
            raise SettingsError("SEGMATTE_AUTH must be a user, a colon and a password.")
        return (user, password) if self.auth else None

    @property
    def accepted(self) -> frozenset[str]:
        """Ids of the accepted licences."""
        return frozenset(names(self.accepted_licences))


VARIABLES = {
    name: str(field.validation_alias or f"SEGMATTE_{name.upper()}") for name, field in Config.model_fields.items()
}
"""Field of `Config` -> its environment variable."""
_KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number above 0"}
_WANTED = {name: _KINDS[field.annotation] for name, field in Config.model_fields.items() if field.annotation in _KINDS}


def names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name for part in text.split(",") if (name := part.strip())]
