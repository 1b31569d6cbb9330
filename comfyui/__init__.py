"""Segmatte as a ComfyUI custom node: copy or link this folder into ComfyUI's `custom_nodes`. See docs/doors.md."""

from .image_segmentation import ImageSegmentationCustom

NODE_CLASS_MAPPINGS = {"ImageSegmentationCustom": ImageSegmentationCustom}
NODE_DISPLAY_NAME_MAPPINGS = {"ImageSegmentationCustom": "Image Segmentation Custom (Segmatte)"}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
