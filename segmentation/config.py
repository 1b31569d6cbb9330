"""What whoever runs the app decides by environment variables; each has a default that is sensible for strangers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from segmentation.errors import SettingsError
from segmentation.picture.picture import Limits

PROJECT = Path(__file__).resolve().parent.parent


def _variable(name: str, default: Any, help_: str, *, shown: bool = True) -> Any:
    return field(default=default, repr=shown, metadata={"variable": name, "help": help_})


@dataclass(frozen=True, slots=True)
class Config:
    """One field a variable; `Config.from_environment()` reads them, the README's table is made from them."""

    registry: str = _variable("SEGMATTE_REGISTRY", "", "Second registry file; its models join or replace ours")
    models: str = _variable(
        "SEGMATTE_MODELS", "", "Ids of the models to offer, comma-separated; the first is the default"
    )
    models_folder: Path = _variable(
        "SEGMATTE_MODELS_DIR", PROJECT / "models", "Models folder; any `.onnx` in it is a model"
    )
    device: str = _variable("SEGMATTE_DEVICE", "auto", "`auto`, `cpu`, `cuda` or `tensorrt`")
    gpu_mb: int = _variable("SEGMATTE_GPU_MB", 12288, "Megabytes of the graphics card that one network may take")
    gpu_batch: int = _variable(
        "SEGMATTE_GPU_BATCH",
        4,
        "Pictures that the graphics card computes in one run where so many wait, with networks of up to 100 MB that "
        "take several; 1 is one by one",
    )
    cuda_graphs: bool = _variable(
        "SEGMATTE_CUDA_GRAPHS", False, "Replay networks of one fixed size as CUDA graphs (keeps their memory)"
    )
    engines_folder: Path = _variable(
        "SEGMATTE_ENGINES_DIR",
        PROJECT / "models" / "engines",
        "Where TensorRT keeps the engines that it builds for minutes",
    )
    accepted_licences: str = _variable("SEGMATTE_ACCEPT_LICENCES", "", "Licences you accept, comma-separated ids")
    max_pictures: int = _variable("SEGMATTE_MAX_PICTURES", 50, "Pictures of one run")
    max_pixels: int = _variable(
        "SEGMATTE_MAX_PIXELS", 50_000_000, "Pixels of one picture, checked before it is decoded"
    )
    max_side: int = _variable("SEGMATTE_MAX_SIDE", 30_000, "Pixels of the longer side of one picture")
    decode_seconds: int = _variable(
        "SEGMATTE_DECODE_SECONDS", 20, "Seconds that decoding one picture may take, where it is not plainly harmless"
    )
    run_seconds: int = _variable("SEGMATTE_RUN_SECONDS", 300, "Seconds that a network may take for one picture")
    stuck_seconds: int = _variable(
        "SEGMATTE_STUCK_SECONDS",
        300,
        "Seconds more than a network may take, after which a run without progress is ended",
    )
    own_models_mb: int = _variable(
        "SEGMATTE_OWN_MODELS_MB", 4096, "Megabytes that `.onnx` files without a registry entry may take together"
    )
    max_upload_mb: int = _variable("SEGMATTE_MAX_UPLOAD_MB", 50, "Megabytes of one uploaded file")
    max_request_mb: int = _variable("SEGMATTE_MAX_REQUEST_MB", 500, "Megabytes of one request, all its files together")
    web_addresses: bool = _variable(
        "SEGMATTE_WEB_ADDRESSES", True, "Whether visitors may name a picture by its address on the public web"
    )
    sessions_mb: int = _variable("SEGMATTE_SESSIONS_MB", 4096, "Megabytes that loaded networks may hold together")
    runs_mb: int = _variable(
        "SEGMATTE_RUNS_MB", 512, "Megabytes of what networks said, kept so that visitors can tune without them"
    )
    stored_mb: int = _variable(
        "SEGMATTE_STORED_MB", 8192, "Megabytes of uploads and results together; the longest unused go first"
    )
    stored_files: int = _variable("SEGMATTE_STORED_FILES", 20_000, "Files of uploads and results together")
    client_mb: int = _variable("SEGMATTE_CLIENT_MB", 2048, "Megabytes that one address may upload in the keep time")
    client_files: int = _variable("SEGMATTE_CLIENT_FILES", 2000, "Files that one address may upload in the keep time")
    connections: int = _variable(
        "SEGMATTE_CONNECTIONS", 500, "Connections at the same time; of more the longest silent is closed"
    )
    hosts: str = _variable(
        "SEGMATTE_HOSTS",
        "",
        "Names by which visitors call the server, comma-separated, beside addresses and local names; without any, what "
        "`X-Forwarded-Host` says is believed",
    )
    grace_seconds: int = _variable(
        "SEGMATTE_GRACE_SECONDS", 10, "Seconds that runs may take to end when the server is told to stop"
    )
    concurrency: int = _variable(
        "SEGMATTE_CONCURRENCY", 2, "Runs under way without waiting; all runs take turns, picture by picture"
    )
    queue: int = _variable("SEGMATTE_QUEUE", 20, "Further runs that wait for turns; others are told to come back")
    auth: str = _variable(
        "SEGMATTE_AUTH", "", "`user:password` that visitors must know; nobody else gets in", shown=False
    )
    mcp: bool = _variable(
        "SEGMATTE_MCP", False, "Serve a tool for language models at `/gradio_api/mcp/`, without a login"
    )
    keep_minutes: int = _variable("SEGMATTE_KEEP_MINUTES", 60, "Minutes until uploads and results are deleted")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Config":
        """The defaults, with what the environment says instead.

        Raises:
            SettingsError: A variable that needs a whole number above 0, or true or false, holds something else, or a
                login is half a login or could be gone round.
        """
        values: dict[str, Any] = {}
        for entry in fields(cls):
            text = environment.get(entry.metadata["variable"], "").strip()
            if not text:
                continue
            if isinstance(entry.default, bool):
                values[entry.name] = _switch(entry.metadata["variable"], text)
            elif isinstance(entry.default, int):
                values[entry.name] = _positive(entry.metadata["variable"], text)
            else:
                values[entry.name] = Path(text).expanduser() if isinstance(entry.default, Path) else text
        config = cls(**values)
        if config.login and config.mcp:  # Gradio's MCP server does not ask for it
            raise SettingsError("SEGMATTE_MCP would go round the login of SEGMATTE_AUTH: unset one of them.")
        return config

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


def names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name for part in text.split(",") if (name := part.strip())]


def _switch(variable: str, text: str) -> bool:
    values = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in values:
        raise SettingsError(f"{variable} must be true or false, not {text[:40]!r}.")
    return values[text.lower()]


def _positive(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 1 << 40:
        raise SettingsError(f"{variable} must be a whole number above 0, not {text[:40]!r}.")
    return int(text)
