"""Gradio's events as clients see them: their descriptions, their inputs, and who reads their answers."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.events import api
from gradio.utils import get_function_description


def add_endpoint(work: Callable[..., Any], **options: Any) -> None:
    """Make a function an endpoint of the current page. Wraps `gr.api`, which Gradio does not export to mypy.

    Args:
        work: Its signature and docstring describe the endpoint.
        options: Arguments of `gr.api`.
    """
    api(work, **options)


def events_named(demo: gr.Blocks, *names: str) -> list[Any]:
    """The events of a page with one of these API names."""
    return [event for event in demo.fns.values() if event.api_name in names]


def describe(event: Any, examples: Mapping[str, Any], answers: Sequence[str]) -> None:
    """Give an endpoint made by `gr.api` the texts and examples that the API panel and clients show.

    Gradio takes them from the page's components, but the components it creates for an endpoint have none. Call this
    inside the `Blocks` context.

    Args:
        event: The endpoint. Its docstring describes each parameter.
        examples: Parameter -> example; for all others, the default is the example.
        answers: Labels of the return values, in order.
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


def skip_validation(component: Any) -> None:
    """Pass a component's value to its handler unchecked: Gradio's range check fails without an error message."""
    component.preprocess = lambda value: value


def offer_as_tools(demo: gr.Blocks, *names: str) -> None:
    """Of the events added so far, offer only these to language models. Events added later are offered too."""
    for event in demo.fns.values():
        if event.fn and event.api_name not in names:
            function = getattr(event.fn, "__func__", event.fn)  # methods cannot have attributes set
            setattr(function, "_mcp_type", "none")  # noqa: B010  # Gradio offers functions without it, or with "tool"


def reader_keys() -> tuple[str, ...]:
    """The keys by which a client reads the running event's answers: the session and the event id.

    A tool for language models has neither, so its readers are unknown.
    """
    request, event = LocalContext.request.get(None), LocalContext.event_id.get(None)
    return tuple(filter(None, (getattr(request, "session_hash", None), event)))
