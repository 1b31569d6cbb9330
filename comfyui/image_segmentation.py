"""The node *ImageSegmentationCustom* with the very inputs of its namesake, over Segmatte's library."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import numpy.typing as npt

from segmentation import Picture, Session, Settings, segment
from segmentation.models.spec import own_file_spec

_SWITCH = {"true": True, "false": False}


@lru_cache(maxsize=1)
def _session(path: Path, _: int) -> Session:
    """The network of a file, as long as the file stays what it is.

    It is used as the node always did: colours divided by the picture's maximum, then mean and std, and the output
    stretched to 0..1. It runs in a process of its own, as nobody vouches for the file.
    """
    return Session(own_file_spec(path), path)


def cutouts(images: npt.NDArray[np.float32], session: Session, settings: Settings) -> npt.NDArray[np.float32]:
    """The subjects of a batch of pictures, on transparency.

    Args:
        images: (n, h, w, 3), or with a fourth channel for opacity; 0..1.
        session: The network.
        settings: The settings.

    Returns:
        (n, h, w, 4), 0..1, with straight alpha.
    """
    results = np.empty((*images.shape[:3], 4), np.float32)
    for image, result in zip(images, results, strict=True):
        levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
        opacity = levels[..., 3] if levels.shape[-1] == 4 else None
        picture = Picture(np.ascontiguousarray(levels[..., :3]), opacity)
        result[:] = segment(picture, session, settings).cutout / np.float32(255)
    return results


class ImageSegmentationCustom:
    """The node."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "node"
    CATEGORY = "image/segmentation"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "images": ("IMAGE",),
                "model": (folder_paths.get_filename_list("onnx"),),
                "alpha_matting": (["true", "false"],),
                "alpha_matting_foreground_threshold": ("INT", {"default": 240, "max": 250, "step": 5}),
                "alpha_matting_background_threshold": ("INT", {"default": 20, "max": 250, "step": 5}),
                "alpha_matting_erode_size": ("INT", {"default": 10, "step": 1}),
                "post_process_mask": (["false", "true"],),
                "mean": ("FLOAT", {"default": 0.485, "max": 1.0, "step": 0.01}),
                "std": ("FLOAT", {"default": 1.0, "max": 1.0, "step": 0.01}),
                "size": ("INT", {"default": 1024, "step": 8}),
            }
        }

    def node(
        self,
        images: Any,
        model: str,
        alpha_matting: str,
        alpha_matting_foreground_threshold: int,
        alpha_matting_background_threshold: int,
        alpha_matting_erode_size: int,
        post_process_mask: str,
        mean: float,
        std: float,
        size: int,
    ) -> tuple[Any]:
        """A batch of cutouts as a tensor (n, h, w, 4), 0..1, for a batch of pictures (n, h, w, 3).

        Raises:
            SegmentationError: A setting is wrong, or the network cannot be run.
        """
        import torch

        path = Path(folder_paths.get_full_path("onnx", model))
        settings = Settings(
            alpha_matting=_SWITCH[alpha_matting],
            alpha_matting_foreground_threshold=alpha_matting_foreground_threshold,
            alpha_matting_background_threshold=alpha_matting_background_threshold,
            alpha_matting_erode_size=alpha_matting_erode_size,
            post_process_mask=_SWITCH[post_process_mask],
            mean=mean,
            std=std,
            size=size,
        )
        session = _session(path, path.stat().st_mtime_ns)
        return (torch.from_numpy(cutouts(images.cpu().numpy(), session, settings)),)
