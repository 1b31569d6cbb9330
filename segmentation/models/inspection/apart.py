"""Reads a graph in a process of its own, as a crafted file may crash its parser or take it over."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segmentation.errors import SessionError
from segmentation.messages import Message, from_json, to_json
from segmentation.models.inspection.facts import GraphFacts
from segmentation.models.inspection.graph import read_graph
from segmentation.sandbox.limits import Limits
from segmentation.sandbox.process import Sandbox, SandboxError
from segmentation.sandbox.shared import Array

_TARGET = "segmentation.models.inspection.apart:answer"
LIMITS = Limits(memory_mb=1024, seconds=60.0, threads=1)


def read_graph_apart(path: Path, limits: Limits = LIMITS) -> GraphFacts:
    """`read_graph` in a sandboxed process.

    Args:
        path: The file. A link is followed, for the process may read nothing else.
        limits: What reading it may take.

    Raises:
        SessionError: It is not an ONNX network, or reading it takes too much.
    """
    real = path.resolve()
    try:
        sandbox = Sandbox(_TARGET, [real], limits)
        try:
            found, _ = sandbox.call({"path": str(real), "name": path.name})
        finally:
            sandbox.close()
        if "error" in found:
            raise SessionError(from_json(found["error"]))
        return GraphFacts.model_validate_json(found["facts"])
    except (SandboxError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise SessionError(Message("{file} cannot be read: {problem}", file=path.name, problem=_why(error))) from error


def _why(error: Exception) -> Message:
    reason = error.reason if isinstance(error, SandboxError) else "crashed"
    if reason == "time":
        return Message("it took longer than {seconds:g} s.", seconds=LIMITS.seconds)
    if reason == "memory":
        return Message("it needs more memory than is allowed.")
    return Message("it crashed the reader.")


def answer(request: dict[str, Any], _: Sequence[Array]) -> tuple[dict[str, Any], Sequence[Array]]:
    """The sandboxed side."""
    try:
        return {"facts": read_graph(Path(request["path"])).model_dump_json()}, ()
    except SessionError as error:
        return {"error": to_json(error.message)}, ()
