"""A repository on the Hub at one commit: its files, licence and configuration."""

import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from segmentation.messages import Message
from segmentation.models.hub_licence import StatedLicence
from segmentation.models.hub_reference import HubReference
from segmentation.models.spec import RepoId, Revision, Sha256
from segmentation.models.variants import Choice, SizedFile, Variant, choose, variants

PREPROCESSOR, CONFIG = "preprocessor_config.json", "config.json"


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubFile(_Known):
    """A file of a repository, as listed by the Hub."""

    path: str
    size: Annotated[int, Field(ge=0)]  # bytes
    blob_id: str = ""  # of git, for a file that is not in LFS
    sha256: Sha256 | None = None  # of a file in LFS

    def is_right(self, content: bytes) -> bool:
        """Whether these are the listed bytes."""
        if self.sha256:
            return hashlib.sha256(content).hexdigest() == self.sha256
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.blob_id  # noqa: S324 (git's)


class Declared(_Known):
    """What a repository says about one of its models; None where it says nothing."""

    preprocessor_config: dict[str, Any] | None = None
    config: dict[str, Any] | None = None


class HubRepository(_Known):
    """A repository at one commit."""

    repo_id: RepoId
    commit: Revision
    files: tuple[HubFile, ...]
    licence: StatedLicence = StatedLicence()
    gated: bool = False
    """Whether its authors give it only to those who accept their terms."""
    private: bool = False
    configs: dict[str, dict[str, Any]] = {}
    """Path -> content of the files that declare something about a model."""
    unreadable: tuple[str, ...] = ()
    """Paths of those that are too large or no JSON."""

    @property
    def notes(self) -> tuple[Message, ...]:
        """Sentences about what could not be read."""
        return tuple(
            Message("{file} of {repo_id} is not readable and was ignored.", file=path, repo_id=self.repo_id)
            for path in self.unreadable
        )

    def reference(self, path: str | None = None) -> HubReference:
        """What names this commit, and a file of it."""
        return HubReference(self.repo_id, self.commit, path)

    def file(self, path: str) -> HubFile:
        """The file of that path.

        Raises:
            KeyError: There is none.
        """
        return {file.path: file for file in self.files}[path]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Its `.onnx` files."""
        return variants([SizedFile(file.path, file.size) for file in self.files])

    def choose(self, path: str | None = None, most: int | None = None) -> Choice:
        """The file to use; see `variants.choose`.

        Raises:
            WeightsError: There is none, nothing says which, or all are too large.
        """
        return choose(self.repo_id, [SizedFile(file.path, file.size) for file in self.files], path, most)

    def declared(self, path: str) -> Declared:
        """What is declared about an `.onnx` file: beside it, else in the nearest folder above."""
        folders = PurePosixPath(path).parents

        def nearest(name: str) -> dict[str, Any] | None:
            found = (self.configs.get(str(folder / name)) for folder in folders)
            return next((config for config in found if config is not None), None)

        return Declared(preprocessor_config=nearest(PREPROCESSOR), config=nearest(CONFIG))
