"""The sandboxed side of `IsolatedEngine`: loads one network, and runs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segmentation.errors import SessionError
from segmentation.messages import to_json
from segmentation.network.gpu.options import GpuOptions
from segmentation.network.recovery import RecoveringEngine
from segmentation.sandbox.shared import Array

_loaded: list[RecoveringEngine] = []


def answer(request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], Sequence[Array]]:
    """Load a network, if the request has its path, or run it. A `SessionError` is part of the answer."""
    try:
        if "path" in request:
            return _load(request), ()
        found = _loaded[0].run(request["name"], request["output"], arrays[0])
        return {"provider": found.provider, "note": to_json(found.provider_note)}, (found.output,)
    except SessionError as error:
        return {"error": to_json(error.message)}, ()


def _load(request: dict[str, Any]) -> dict[str, Any]:
    gpu = GpuOptions(request["gpu_mb"], request["graphs"], batch=1)
    engine = RecoveringEngine(
        Path(request["path"]), request["title"], request["device"], request["threads"], gpu,
        fixed_size=request["fixed_size"], small=True, seconds=None,
    )  # fmt: skip
    _loaded[:] = [engine]
    nodes = {
        key: [[node.name, list(node.shape), node.type] for node in found]
        for key, found in (("inputs", engine.inputs), ("outputs", engine.outputs))
    }
    return {"provider": engine.provider, "note": to_json(engine.note), **nodes}
