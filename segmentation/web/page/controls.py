"""The controls of a recipe: what a visitor can turn, read into a `Recipe` and written back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from segmentation.errors import SegmentationError, SettingsError
from segmentation.messages import Message
from segmentation.models.registry import Registry
from segmentation.network.tensor import overridden
from segmentation.recipe import DEFAULTS, Recipe, parse_value, write_value
from segmentation.settings import RANGES, Settings
from segmentation.web.guard.gradio_seams.endpoints import take_as_it_is
from segmentation.web.page.scripts import handler
from segmentation.web.texts import LABELS, i18n, info

COLOUR = "colour"  # on the page one choice among the backgrounds; to everybody else the colour itself
AUTO = "auto_erode_size"  # on the page a checkbox beside the slider; to everybody else "auto"
TYPED = ("mean", "std", "size")
NOT_STORED = ("backdrop",)  # a path on the server
EXTRA: dict[str, Any] = {AUTO: False, COLOUR: "#ffffff", "backdrop": None}


class Controls:
    """Every control of a recipe, in the order in which handlers get their values."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        """Lay nothing out yet.

        Args:
            registry: Gives the models on offer now.
        """
        self.by_name: dict[str, Any] = {}
        self._registry = registry

    # ------------------------------------------------------------------------------------------------------- layout

    def model(self) -> Any:
        """The choice of the model."""
        models = self._registry()
        return self._add(
            "model", gr.Dropdown(choices_of(models), value=models.default.id, label=i18n("model"), elem_id="model")
        )

    def matting_switch(self) -> None:
        """Matting on or off: the one setting that nobody should have to look for."""
        self._checkbox("alpha_matting")

    def matting(self) -> None:
        """All that matting needs to know."""
        self._slider("alpha_matting_foreground_threshold")
        self._slider("alpha_matting_background_threshold")
        self._slider("alpha_matting_erode_size")
        self._add(AUTO, gr.Checkbox(EXTRA[AUTO], label=i18n(AUTO), info=info(AUTO), elem_id=AUTO))
        self._radio("matting_method", LABELS["matting_method"])
        self._slider("trust_mask")

    def background(self) -> None:
        """What lies behind the subject, and how the files are written."""
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
        self._radio("format", LABELS["format"])
        self._checkbox("crop")
        self._slider("crop_margin", visible=False)

    def network(self) -> None:
        """The mask, and what the network is given."""
        self._checkbox("post_process_mask")
        for name in TYPED:
            self._add(
                name,
                gr.Textbox(
                    "", label=i18n(name), info=info(name), placeholder=i18n(f"{name}_example"), max_length=100,
                    elem_id=name,
                ),
            )  # fmt: skip

    def show_what_matters(self) -> None:
        """Controls that a choice makes meaningless are hidden, in the browser alone. Call it when all are laid out."""
        for leader, names, shows in (
            ("background", (COLOUR, "backdrop", "background_fit", "background_blur"), "showForBackground"),
            ("crop", ("crop_margin",), "showForCrop"),
        ):
            self.by_name[leader].change(
                None, self.by_name[leader], [self.by_name[name] for name in names], js=handler(shows), queue=False,
                api_visibility="private",
            )  # fmt: skip

    def _add(self, name: str, component: Any) -> Any:
        self.by_name[name] = component
        return component

    def _checkbox(self, name: str) -> None:
        self._add(name, gr.Checkbox(DEFAULTS[name], label=i18n(name), info=info(name), elem_id=name))

    def _slider(self, name: str, *, visible: bool = True) -> None:
        """A slider over the useful range. What is typed or linked beyond it counts too: `Settings` judges it."""
        range_ = RANGES[name]
        slider = gr.Slider(
            range_.low, range_.useful or range_.high, DEFAULTS[name], step=range_.step,
            label=i18n(name), info=info(name), elem_id=name, visible=visible,
        )  # fmt: skip
        take_as_it_is(slider)
        self._add(name, slider)

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
        """The controls, in order."""
        return list(self.by_name.values())

    @property
    def stored_names(self) -> list[str]:
        """Names of the controls that a browser remembers."""
        return [name for name in self.by_name if name not in NOT_STORED]

    def read(self, values: Sequence[Any]) -> tuple[Recipe, Any]:
        """The recipe that the controls show, and the backdrop as the client names it.

        Raises:
            SettingsError: A value is wrong; the sentence names the setting.
        """
        by_name = dict(zip(self.by_name, values, strict=True))
        settings = {name: by_name[name] for name in DEFAULTS} | {
            name: parse_value(name, by_name[name]) for name in TYPED
        }
        if by_name[AUTO]:
            settings["alpha_matting_erode_size"] = "auto"
        if by_name["background"] == COLOUR:
            settings["background"] = by_name[COLOUR]
        backdrop = by_name["backdrop"] or [(None, None)]
        return Recipe.of(by_name["model"], settings), backdrop[-1][0]

    def typed(self, model: str, texts: Mapping[str, str]) -> list[tuple[str, str]]:
        """Fields in which people typed what makes no sense, or what the model does not take, each with a sentence."""
        models = self._registry()
        problems = []
        for name, text in texts.items():
            try:
                settings = Settings(**{name: parse_value(name, text)})
                if model in models and not models[model].is_local:
                    overridden(models[model].input, settings)
            except SettingsError as error:
                problems.append((name, error.message))
        return problems

    def values_of(self, recipe: Recipe) -> dict[str, Any]:
        """What the controls show for a recipe, by name; all but the backdrop."""
        values = recipe.values | {name: write_value(recipe.values[name]) for name in TYPED}
        values |= {"model": recipe.model, AUTO: values["alpha_matting_erode_size"] == "auto", COLOUR: EXTRA[COLOUR]}
        if values[AUTO]:
            values["alpha_matting_erode_size"] = DEFAULTS["alpha_matting_erode_size"]
        if recipe.export.colour:
            values |= {"background": COLOUR, COLOUR: recipe.export.background}
        return values

    def from_link(self, query: Mapping[str, str]) -> tuple[Recipe | None, str]:
        """The recipe of a link such as `?model=modnet&alpha_matting_erode_size=5`, None where it carries none.

        Returns:
            The recipe, and a sentence about what of it cannot be had here ("" if all can).
        """
        texts = {name: text for name, text in query.items() if name in DEFAULTS}
        if not texts and "model" not in query:
            return None, ""
        models = self._registry()
        model, warning = query.get("model", models.default.id), ""
        if model not in models:
            warning = Message(
                "This link asks for the model {model}, which is not offered here.", model=repr(model[:60])
            )
            model = models.default.id
        try:
            return Recipe.of(model, {name: parse_value(name, text) for name, text in texts.items()}), warning
        except SegmentationError as error:
            return None, Message("This link's settings cannot be used. {problem}", problem=error.message)

    def remembered(self, saved: Any) -> dict[str, Any]:
        """The values of controls that a browser kept, where they still make a recipe; the defaults where not."""
        models = self._registry()
        default = EXTRA | self.values_of(Recipe(models.default.id))
        stored = {name: saved[name] for name in self.stored_names if name in saved} if isinstance(saved, dict) else {}
        try:
            if stored.get("model") not in models:
                stored.pop("model", None)
            self.read([(default | stored)[name] for name in self.by_name])
        except (SegmentationError, TypeError, AttributeError):
            return default
        return default | stored


def link(recipe: Recipe, default_model: str) -> str:
    """The query of a link that carries a recipe: what differs from the defaults."""
    query = {} if recipe.model == default_model else {"model": recipe.model}
    return urlencode(query | {name: write_value(value) for name, value in recipe.changed.items()})


def choices_of(registry: Registry) -> list[tuple[str, str]]:
    """The models, for a dropdown."""
    return [(f"{spec.title} ({spec.id})", spec.id) for spec in registry.values()]


def default_values() -> dict[str, Any]:
    """What the controls of the settings show at first, by name; all but model and backdrop."""
    values = Controls(lambda: Registry([])).values_of(Recipe(""))
    return {name: value for name, value in (EXTRA | values).items() if name not in ("model", *NOT_STORED)}
