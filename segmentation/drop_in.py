"""rembg's two functions under their own names, so that its users change one import: `remove` and `new_session`."""

import functools
from collections.abc import Sequence
from typing import Any

from segmentation.config import Config, Device
from segmentation.errors import SettingsError
from segmentation.models.registry import Registry, load_offered
from segmentation.network.session import Session, load_configured
from segmentation.picture.composition import composition
from segmentation.picture.kinds import Kind, in_kind_of, to_picture
from segmentation.picture.png import to_png
from segmentation.pipeline import segment
from segmentation.settings import Export, Settings

# rembg's names of models that are called differently here
_NAMES = {"bria-rmbg": "rmbg-2.0"}
# the providers that rembg hands to ONNX Runtime, as a device
_DEVICES: dict[str, Device] = {
    "CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt",
}  # fmt: skip


def own_name(model_name: str, registry: Registry) -> str:
    """The id of a model that rembg may call differently; the default model's if the name is empty."""
    if not model_name:
        return registry.default.id
    return model_name if model_name in registry else _NAMES.get(model_name, model_name)


def new_session(model_name: str = "", *, providers: Sequence[Any] = ()) -> Session:
    """A session of a model, for `remove`. The weights are downloaded if needed.

    The models folder, the device and the accepted licences are those of the environment, as on the command line.

    Args:
        model_name: Id of a model, or rembg's name of it; by default, the registry's first.
        providers: ONNX Runtime's names of execution providers, the preferred one first; by default, SEGMATTE_DEVICE.

    Raises:
        RegistryError: There is no such model.
        WeightsError: The weights cannot be downloaded, or may not be used.
        SessionError: They cannot be loaded on that device.
        SettingsError: The preferred provider is none of CPU, CUDA and TensorRT.
    """
    config = Config.from_environment()
    registry, device = load_offered(config), None
    if providers:
        first = providers[0] if isinstance(providers[0], str) else providers[0][0]  # with its options
        if first not in _DEVICES:
            raise SettingsError(f"providers must begin with one of {', '.join(_DEVICES)}, not {str(first)[:60]!r}.")
        device = _DEVICES[first]
    return load_configured(registry[own_name(model_name, registry)], config, device=device)


_default_session = functools.cache(new_session)


def rembg_recipe(
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    bgcolor: Sequence[int] | None = None,
) -> dict[str, Any]:
    """The settings, by name, that mean what rembg's arguments mean, with its defaults. See `remove`.

    Raises:
        SettingsError: The colour is not four numbers from 0 to 255.
    """
    background = "mask" if only_mask else "transparent"
    if bgcolor is not None and not only_mask:
        levels = tuple(bgcolor)
        if len(levels) != 4 or not all(isinstance(level, int) and 0 <= level <= 255 for level in levels):
            raise SettingsError(
                "The background colour must be four numbers from 0 to 255 (red, green, blue, opacity), "
                f"not {str(bgcolor)[:60]!r}."
            )
        background = "#" + bytes(levels).hex()
    return {
        "alpha_matting": alpha_matting and not only_mask,  # of which rembg gives the mask as well
        "alpha_matting_foreground_threshold": alpha_matting_foreground_threshold,
        "alpha_matting_background_threshold": alpha_matting_background_threshold,
        "alpha_matting_erode_size": alpha_matting_erode_size,
        "post_process_mask": post_process_mask,
        "decontaminate": decontaminate and not only_mask,
        "background": background,
    }


def remove(
    data: Kind,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: Session | None = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    *,
    bgcolor: Sequence[int] | None = None,
    force_return_bytes: bool = False,
) -> Any:
    """Cut the subject out of a picture, with the arguments and defaults of rembg's function of this name.

    Colours are straight, where rembg's are multiplied by alpha unless it mattes; a model that tells classes apart gives
    all of them in one cutout, where rembg stacks one below the other.

    Args:
        data: The bytes of a file, a Pillow image, an array of uint8 (h, w), (h, w, 3) or (h, w, 4), or a path.
        alpha_matting: Solve for the opacity of the pixels around the outline.
        alpha_matting_foreground_threshold: Mask values above this (0 to 255) are certainly subject.
        alpha_matting_background_threshold: Mask values below this (0 to 255) are certainly background.
        alpha_matting_erode_size: Pixels to shrink both certain regions by.
        session: From `new_session`; by default, the default model's, which is loaded once.
        only_mask: Give the mask instead, (h, w), without matting.
        post_process_mask: Remove specks, smooth the outline and make the mask binary.
        decontaminate: Remove the old background's colour from the edges even without matting.
        bgcolor: Red, green, blue and opacity, 0..255, of a colour behind the subject.
        force_return_bytes: Give a PNG's bytes, whatever the picture came as.

    Returns:
        The cutout, RGBA of the upright picture's size, in the kind that the picture came as: PNG bytes, a Pillow image,
        an array (h, w, 4), or the path of a new file `<name>-cutout.png` beside it.

    Raises:
        ImageError: It is not a picture, or a file of the new name exists.
        SettingsError: A setting is out of range, or the thresholds cross.
        SessionError: The network cannot be run.
    """
    picture = to_picture(data)
    session = session or _default_session()
    values = rembg_recipe(
        alpha_matting, alpha_matting_foreground_threshold, alpha_matting_background_threshold,
        alpha_matting_erode_size, only_mask, post_process_mask, decontaminate, bgcolor,
    )  # fmt: skip
    export = Export(background=values.pop("background"))
    settings = Settings(**values, classes="all" if session.output.class_names else "each")
    result = segment(picture, session, settings)
    pixels = composition(picture, result.foreground, result.alpha, export).pixels
    profile = None if only_mask else picture.icc_profile
    return to_png(pixels, profile) if force_return_bytes else in_kind_of(data, pixels, profile)
