"""Gradio's events as clients see them: their descriptions, their inputs, and who waits for their answers."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.events import api
from gradio.utils import get_function_description


def add_endpoint(work: Callable[..., Any], **options: Any) -> None:
    """Make a function an endpoint of the page that is being laid out: `gr.api`, which Gradio does not export to mypy.

    Args:
        work: Its signature and docstring describe the endpoint.
        options: As `gr.api` takes them.
    """
    api(work, **options)


def events_named(demo: gr.Blocks, *names: str) -> list[Any]:
    """The events of a page that have one of these API names."""
    return [event for event in demo.fns.values() if event.api_name in names]


def describe(event: Any, examples: Mapping[str, Any], answers: Sequence[str]) -> None:
    """Give an endpoint made by `gr.api` the texts and examples that the API's panel and clients show.

    Gradio takes these from the components that a page lays out; those that it makes for an endpoint have none. Call it
    inside the `Blocks` context.

    Args:
        event: The endpoint. Its docstring describes each parameter.
        examples: Parameter -> example; the default is the example of all others.
        answers: What it returns, in order.
    """
    _, texts, _ = get_function_description(event.fn)
    for component, name in zip(event.inputs, inspect.signature(event.fn).parameters, strict=True):
        component.label = name
        component._api_info = {**component._api_info, "additional_description": texts[name]}  # noqa: SLF001
        example = examples.get(name, component.value)
        component.example_payload = component.example_value = lambda example=example: example
    for component, text in zip(event.outputs, answers, strict=True):
        component.label = text
        component._api_info = {**component._api_info, "description": text}  # noqa: SLF001


def take_as_it_is(component: Any) -> None:
    """Hand a component's value to its handler unchecked: Gradio's own check of ranges answers without a sentence."""
    component.preprocess = lambda value: value


def offer_as_tools(demo: gr.Blocks, *names: str) -> None:
    """Offer these of the events so far to language models, and none of the others. Later ones are offered too."""
    for event in demo.fns.values():
        if event.fn and event.api_name not in names:
            function = getattr(event.fn, "__func__", event.fn)  # a method takes no marks
            setattr(function, "_mcp_type", "none")  # noqa: B010  # Gradio offers what has no such mark, or "tool"


def reader_keys() -> tuple[str, ...]:
    """The keys by which a client reads the answers of the running event: its session and the event's id.

    Nobody can tell who reads the answers of a tool for language models: it has neither.
    """
    request, event = LocalContext.request.get(None), LocalContext.event_id.get(None)
    return tuple(filter(None, (getattr(request, "session_hash", None), event)))
