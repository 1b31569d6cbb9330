"""The contract of a model without a registry entry, changed by the caller in the registry's keys."""

from typing import Any

from pydantic import ValidationError

from segmentation.errors import SettingsError
from segmentation.messages import Message
from segmentation.models.spec import Contract, InputSpec, ModelSpec, OutputSpec
from segmentation.recipe import number_or_text

_INPUT = ("channels", "scale", "mean", "std", "size", "multiple_of", "resize", "interpolation", "pad_value")
_OUTPUT = ("index", "kind", "activation", "normalise", "channel")
KEYS = (*_INPUT, *_OUTPUT)
"""What may be given; layout, dtype and names are the graph's own."""

NODE = "scale=image_max mean=0.485,0.485,0.485 std=1,1,1 interpolation=lanczos activation=none normalise=minmax"
"""The ComfyUI node's treatment of any file, which calls rembg, as `Settings.contract` takes it."""


def patched(spec: ModelSpec, text: str) -> ModelSpec:
    """The model with these values in its contract.

    Args:
        spec: The model.
        text: Pairs such as "scale=255 mean=0.5,0.5,0.5 activation=sigmoid", as in `Settings.contract`.

    Raises:
        SettingsError: A key is unknown, a value is wrong, or the model has a registry entry.
    """
    if not text:
        return spec
    if spec.registered:
        raise SettingsError(
            Message("{title} has a registry entry, so its contract is fixed: leave contract empty.", title=spec.title)
        )
    values = dict(pair.split("=", 1) for pair in text.split())
    if unknown := [key for key in values if key not in KEYS]:
        raise SettingsError(
            Message(
                "contract: there is no key {unknown}. Choose from: {keys}.", unknown=unknown[0], keys=", ".join(KEYS)
            )
        )
    chosen = {key: _value(values[key]) for key in _OUTPUT if key in values}
    if "index" in chosen:
        chosen["name"] = None  # that of the proposed output
    if "activation" in chosen and "kind" not in chosen and spec.output.kind != "labels":
        chosen["kind"] = "alpha" if chosen["activation"] == "none" else "logits"
    given = {key: _value(values[key]) for key in _INPUT if key in values}
    for key in ("mean", "std"):
        if isinstance(given.get(key), int | float):
            given[key] = (given[key],) * 3
    try:
        input_ = InputSpec(**(dict(spec.input) | given))
        output = OutputSpec(**(dict(spec.output) | chosen))
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"][:1]) or "contract"
        raise SettingsError(Message("contract: {where}: {problem}.", where=where, problem=wrong["msg"])) from None
    return spec.model_copy(update={"input": input_, "output": output, "notes": ()})


def as_text(contract: Contract, base: Contract) -> str:
    """The pairs that turn one contract into another, as `patched` takes them."""
    pairs = [
        f"{key}={_written(getattr(wanted, key))}"
        for keys, wanted, known in ((_INPUT, contract.input, base.input), (_OUTPUT, contract.output, base.output))
        for key in keys
        if getattr(wanted, key) != getattr(known, key)
    ]
    return " ".join(pairs)


def _value(text: str) -> Any:
    parts = [number_or_text(part) for part in text.split(",")]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
