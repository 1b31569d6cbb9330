"""The controls of a recipe, read into a `Recipe` and filled from one."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from segmentation.corrections import NOTHING, Correction, parsed, read_correction
from segmentation.errors import SegmentationError, SettingsError
from segmentation.matting.classes import NO_CLASSES, check_classes
from segmentation.messages import Message
from segmentation.models.choice import promptable_of
from segmentation.models.patch import patched
from segmentation.models.registry import Registry
from segmentation.models.spec import ModelSpec
from segmentation.network.override import overridden
from segmentation.recipe import DEFAULTS, Recipe, parse_value, write_value
from segmentation.settings import MAX_CONTRACT, NETWORK_SETTINGS, RANGES, Classes, Settings
from segmentation.web.guard.gradio_seams.endpoints import skip_validation
from segmentation.web.page.scripts import handler
from segmentation.web.texts import LABELS, i18n, info

COLOUR = "colour"  # a choice among the backgrounds on the page; elsewhere, the colour itself is the value
AUTO = "auto_erode_size"  # a checkbox beside the slider on the page; elsewhere, "auto" is the value
TEXT_FIELDS = NETWORK_SETTINGS
TYPED = (*TEXT_FIELDS, "canvas_margin")  # several numbers in one text
CANVASES = ("1:1", "4:5", "3:4", "3:2", "16:9", "1000x1000")  # that are offered; any other may be typed
NOT_STORED = ("backdrop",)  # a path on the server
EXTRA: dict[str, Any] = {AUTO: False, COLOUR: "#ffffff", "backdrop": None}


class Controls:
    """Every control of a recipe, in the order in which handlers receive their values."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        known: Callable[[str], ModelSpec | None] = lambda _: None,
        may_be_named: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Start without controls; the methods lay them out.

        Args:
            registry: Returns the models on offer now.
            known: Returns any other model that has been looked up.
            may_be_named: Whether a name may be that of a model that has not.
        """
        self.by_name: dict[str, Any] = {}
        self._registry, self._known, self._may_be_named = registry, known, may_be_named

    # ------------------------------------------------------------------------------------------------------- layout

    def model(self) -> Any:
        """The choice of the model."""
        models = self._registry()
        return self._add(
            "model",
            gr.Dropdown(
                choices_of(models), value=models.default.id, label=i18n("model"), allow_custom_value=True,
                elem_id="model",
            ),
        )  # fmt: skip

    def model_update(self, spec: ModelSpec) -> Any:
        """The choice of the model with another one chosen, which may not be on offer."""
        choices = choices_of(self._registry())
        if all(model_id != spec.id for _, model_id in choices):
            choices.append((named(spec), spec.id))
        return gr.Dropdown(choices, value=spec.id)

    def classes(self) -> None:
        """The classes to join into one cutout, as chips; only for models that tell classes apart."""
        self._add("classes", self.class_chips(self._registry().default.id, DEFAULTS["classes"]))

    def class_chips(self, model: str, chosen: Classes | Sequence[str]) -> Any:
        """The chips for a model.

        Args:
            model: Its id.
            chosen: The setting, or the values of the chips; what the model lacks is left out.
        """
        choices = self.class_choices(model)
        values = [value for _, value in choices]
        return gr.CheckboxGroup(
            choices, value=[name for name in _chips(chosen) if name in values],
            label=i18n("classes"), info=info("classes"), elem_id="classes", visible=bool(choices),
        )  # fmt: skip

    def class_choices(self, model: str, found: Collection[str] = ()) -> list[tuple[str, str]]:
        """Label and value of each chip for a model, first those of classes that were found; none without classes."""
        known = sorted(self.classes_of(model), key=lambda name: name not in found)
        return [(i18n(LABELS["classes"]["all"]), "all"), *((name, name) for name in known)] if known else []

    def classes_of(self, model: str) -> tuple[str, ...]:
        """Names of a model's classes; none if it does not tell any apart."""
        spec = self._spec(model)
        return spec.output.class_names if spec else ()

    def _spec(self, model: str) -> ModelSpec | None:
        return self._known(model) or self._registry().find(model)

    def matting_switch(self) -> None:
        """Matting on or off: the one setting that must be easy to find."""
        self._checkbox("alpha_matting")

    def matting(self) -> None:
        """The settings of matting."""
        self._slider("alpha_matting_foreground_threshold")
        self._slider("alpha_matting_background_threshold")
        self._slider("alpha_matting_erode_size")
        self._add(AUTO, gr.Checkbox(EXTRA[AUTO], label=i18n(AUTO), info=info(AUTO), elem_id=AUTO))
        self._radio("matting_method", LABELS["matting_method"])
        self._slider("trust_mask")
        self._radio("mask_mode", LABELS["mask_mode"], visible=False)

    def background(self) -> None:
        """What lies behind the subject."""
        first, *others = LABELS["background"].items()
        self._radio("background", dict([first, (COLOUR, "background_colour"), *others]))
        self._add(COLOUR, gr.ColorPicker(EXTRA[COLOUR], label=i18n(COLOUR), elem_id=COLOUR, visible=False))
        self._add(
            "backdrop",
            gr.Gallery(
                label=i18n("backdrop"), type="filepath", file_types=["image"], sources=["upload", "clipboard"],
                interactive=True, columns=2, height=150, object_fit="contain", fit_columns=False, elem_id="backdrop",
                visible=False,
            ),
        )  # fmt: skip
        self._radio("background_fit", LABELS["background_fit"], visible=False)
        self._slider("background_blur", visible=False)
        self._checkbox("decontaminate")

    def canvas(self) -> None:
        """What part of the picture the file shows, or the canvas that the subject is put on."""
        self._checkbox("crop")
        self._slider("crop_margin", visible=False)
        labels = [(i18n(key), choice) for choice, key in LABELS["canvas"].items()]
        self._add(
            "canvas",
            gr.Dropdown(
                [*labels, *((name, name) for name in CANVASES)],
                value=DEFAULTS["canvas"], label=i18n("canvas"), info=info("canvas"), allow_custom_value=True,
                elem_id="canvas",
            ),
        )  # fmt: skip
        self._slider("canvas_fill", visible=False)
        self._radio("canvas_align", LABELS["canvas_align"], visible=False)
        self._add(
            "canvas_margin",
            gr.Textbox(
                write_value(DEFAULTS["canvas_margin"]), label=i18n("canvas_margin"), info=info("canvas_margin"),
                max_length=MAX_CONTRACT, elem_id="canvas_margin", visible=False,
            ),
        )  # fmt: skip

    def effects(self) -> None:
        """The subject's shadow and outline."""
        self._radio("shadow", LABELS["shadow"])
        for name in ("shadow_angle", "shadow_distance", "shadow_blur", "shadow_opacity"):
            self._slider(name, visible=False)
        self._slider("outline_width")
        self._add(
            "outline_colour",
            gr.ColorPicker(
                DEFAULTS["outline_colour"], label=i18n("outline_colour"), info=info("outline_colour"),
                elem_id="outline_colour", visible=False,
            ),
        )  # fmt: skip

    def output(self) -> None:
        """The file's format and limits."""
        self._radio("format", LABELS["format"])
        self._number("max_edge")
        self._number("max_kb", visible=False)

    def network(self) -> None:
        """What counts as subject, post-processing of the mask, and the network's input."""
        self._radio("subjects", LABELS["subjects"])
        self._prompt_model()
        self._checkbox("invert")
        self._checkbox("post_process_mask")
        for name in TEXT_FIELDS:
            self._add(
                name,
                gr.Textbox(
                    "", label=i18n(name), info=info(name), placeholder=i18n(f"{name}_example"), max_length=MAX_CONTRACT,
                    elem_id=name,
                ),
            )  # fmt: skip

    def _prompt_model(self) -> None:
        """Which promptable model says what a click means, if any is on offer."""
        choices = [(named(spec), spec.id) for spec in self._registry().values() if spec.prompt]
        self._add(
            "prompt_model",
            gr.Dropdown(
                [(i18n("prompt_model_none"), ""), *choices], value=DEFAULTS["prompt_model"],
                label=i18n("prompt_model"), info=info("prompt_model"), elem_id="prompt_model", visible=bool(choices),
                allow_custom_value=True,  # of a link; checked when pictures are cut out
            ),
        )  # fmt: skip

    def hide_irrelevant(self) -> None:
        """Hide controls made meaningless by another choice, in the browser alone. Call it after all are laid out."""
        drop, canvas = ("shadow_angle", "shadow_distance"), ("canvas_fill", "canvas_align", "canvas_margin")
        for leaders, names, shows in (
            (("background",), (COLOUR, "backdrop", "background_fit", "background_blur"), "showForBackground"),
            (("crop", "canvas"), ("crop", "crop_margin", *canvas), "showForCanvas"),
            (("shadow",), (*drop, "shadow_blur", "shadow_opacity"), "showForShadow"),
            (("outline_width",), ("outline_colour",), "showForOutline"),
            (("format",), ("max_kb",), "showForFormat"),
        ):
            given = [self.by_name[name] for name in leaders]
            for leader in given:
                leader.change(
                    None, given, [self.by_name[name] for name in names], js=handler(shows), queue=False,
                    api_visibility="private",
                )  # fmt: skip

    def _add(self, name: str, component: Any) -> Any:
        self.by_name[name] = component
        return component

    def _checkbox(self, name: str) -> None:
        self._add(name, gr.Checkbox(DEFAULTS[name], label=i18n(name), info=info(name), elem_id=name))

    def _slider(self, name: str, *, visible: bool = True) -> None:
        """A slider over the useful range. Values typed or linked beyond it are valid if `Settings` accepts them."""
        range_ = RANGES[name]
        slider = gr.Slider(
            range_.low, range_.useful or range_.high, DEFAULTS[name], step=range_.step,
            label=i18n(name), info=info(name), elem_id=name, visible=visible,
        )  # fmt: skip
        skip_validation(slider)
        self._add(name, slider)

    def _number(self, name: str, *, visible: bool = True) -> None:
        """A number to type; `Export` checks its range."""
        self._add(
            name,
            gr.Number(
                DEFAULTS[name], precision=0, label=i18n(name), info=info(name), elem_id=name, visible=visible
            ),
        )  # fmt: skip

    def _radio(self, name: str, choices: Mapping[str, str], *, visible: bool = True) -> None:
        self._add(
            name,
            gr.Radio(
                [(i18n(key), choice) for choice, key in choices.items()],
                value=DEFAULTS[name], label=i18n(name), info=info(name), elem_id=name, visible=visible,
            ),
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- values and recipes

    @property
    def all(self) -> list[Any]:
        """All controls, in order."""
        return list(self.by_name.values())

    @property
    def stored_names(self) -> list[str]:
        """Names of the controls whose values the browser stores."""
        return [name for name in self.by_name if name not in NOT_STORED]

    def read(self, values: Sequence[Any]) -> tuple[Recipe, Any]:
        """The recipe that the controls show, and the path of the backdrop as sent by the client.

        Raises:
            SettingsError: A value is invalid; the message names the setting.
        """
        by_name = dict(zip(self.by_name, values, strict=True))
        settings = {name: by_name[name] for name in DEFAULTS} | {
            name: parse_value(name, by_name[name]) for name in TYPED
        }
        # what was emptied has no value
        settings |= {name: DEFAULTS[name] for name in ("canvas", "max_edge", "max_kb") if by_name[name] is None}
        if by_name[AUTO]:
            settings["alpha_matting_erode_size"] = "auto"
        if by_name["background"] == COLOUR:
            settings["background"] = by_name[COLOUR]
        backdrop = by_name["backdrop"] or [(None, None)]
        return Recipe.of(by_name["model"], settings), backdrop[-1][0]

    def problems(self, model: str, texts: Mapping[str, str]) -> list[tuple[str, str]]:
        """Text fields whose values are invalid, or not accepted by the model, each with a message."""
        spec, problems = self._spec(model), []
        for name, text in texts.items():
            try:
                settings = Settings(**{name: parse_value(name, text)})
                if spec and not spec.is_local:
                    overridden(patched(spec, settings.contract).input, settings)
            except SettingsError as error:
                problems.append((name, error.message))
        return problems

    def values_of(self, recipe: Recipe) -> dict[str, Any]:
        """The values of the controls for a recipe, by name; all but the backdrop."""
        values = recipe.values | {name: write_value(recipe.values[name]) for name in TYPED}
        values |= {"model": recipe.model, AUTO: values["alpha_matting_erode_size"] == "auto", COLOUR: EXTRA[COLOUR]}
        if values[AUTO]:
            values["alpha_matting_erode_size"] = DEFAULTS["alpha_matting_erode_size"]
        values["classes"] = _chips(recipe.settings.classes)
        if recipe.export.colour:
            values |= {"background": COLOUR, COLOUR: recipe.export.background}
        return values

    def from_link(self, query: Mapping[str, str]) -> tuple[Recipe | None, str]:
        """The recipe of a link such as `?model=modnet&alpha_matting_erode_size=5`; None if it carries none.

        Returns:
            The recipe, and a message about what is unavailable here ("" if nothing is).
        """
        texts = {name: text for name, text in query.items() if name in DEFAULTS}
        if not texts and "model" not in query:
            return None, ""
        models = self._registry()
        model, warning = query.get("model", models.default.id), ""
        if not self._is_usable(model):
            warning = Message(
                "This link asks for the model {model}, which is not available here.", model=repr(model[:60])
            )
            model = models.default.id
        try:
            recipe = Recipe.of(model, {name: parse_value(name, text) for name, text in texts.items()})
            if recipe.settings.prompt_model:
                promptable_of(models, recipe.settings.prompt_model)
            known = self.classes_of(model)
            spec = self._spec(model)
            check_classes(recipe.settings.classes, known, spec.title if spec else model)
            unused = "" if known or spec is None or recipe.settings.classes == "each" else NO_CLASSES
            return recipe, warning or unused
        except SegmentationError as error:
            return None, Message("This link's settings cannot be used. {problem}", problem=error.message)

    def _is_usable(self, model: Any) -> bool:
        return isinstance(model, str) and (self._spec(model) is not None or self._may_be_named(model))

    def restored(self, saved: Any) -> dict[str, Any]:
        """The values that a browser stored, if they still make a valid recipe; otherwise the defaults."""
        models = self._registry()
        default = EXTRA | self.values_of(Recipe(models.default.id))
        stored = {name: saved[name] for name in self.stored_names if name in saved} if isinstance(saved, dict) else {}
        try:
            if not self._is_usable(stored.get("model")):
                stored.pop("model", None)
            if not getattr(models.find(str(stored.get("prompt_model"))), "prompt", None):
                stored.pop("prompt_model", None)
            self.read([(default | stored)[name] for name in self.by_name])
        except (SegmentationError, TypeError, AttributeError):
            return default
        return default | stored


def _chips(chosen: Classes | Sequence[str]) -> list[str]:
    """The values of the chips for the setting; no chip means each class."""
    if isinstance(chosen, str):
        return [] if chosen == "each" else [chosen]
    return list(chosen)


def link(recipe: Recipe, correction: Correction = NOTHING) -> str:
    """The query string of a link that carries a recipe: the model, and what differs from the defaults.

    Each server chooses its default model at start, so a link that left it out could mean another one tomorrow.

    Args:
        recipe: The recipe.
        correction: Strokes, points and box of the picture that the link is about.
    """
    said = {name: json.dumps(part, separators=(",", ":")) for name, part in correction.as_json().items()}
    values = {name: write_value(value) for name, value in recipe.changed.items()}
    return urlencode({"model": recipe.model} | values | said)


def linked_correction(query: Mapping[str, str]) -> tuple[Correction, str]:
    """What a link says about the first picture, and a message if that cannot be used ("" if it can)."""
    said: dict[str, Any] = {name: query[name] for name in ("strokes", "points", "box") if name in query}
    if candidate := query.get("candidate"):
        number = parsed(candidate)
        said["candidate"] = candidate if number is None else number
    try:
        return read_correction(said), ""
    except SettingsError as error:
        return NOTHING, Message("This link's strokes cannot be used. {problem}", problem=error.message)


def choices_of(registry: Registry) -> list[tuple[str, str]]:
    """The models as choices of a dropdown."""
    return [(named(spec), spec.id) for spec in registry.values()]


def named(spec: ModelSpec) -> str:
    """A model's name in a list; of one on the Hub, its repository."""
    return f"{spec.title} ({spec.id.partition('@')[0]})" if "/" in spec.id else f"{spec.title} ({spec.id})"


def default_values() -> dict[str, Any]:
    """The initial values of the controls, by name; all but model and backdrop."""
    values = Controls(lambda: Registry([])).values_of(Recipe(""))
    return {name: value for name, value in (EXTRA | values).items() if name not in ("model", *NOT_STORED)}
