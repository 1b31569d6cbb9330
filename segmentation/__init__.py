"""Cut subjects out of pictures with any ONNX segmentation model.

from segmentation import Settings, load_image, load_registry, load_session, save_png, segment

session = load_session(load_registry()["u2netp"])
picture = load_image("cat.jpg")
result = segment(picture, session, Settings(alpha_matting=True))
save_png(result.cutout, "cat-cutout.png", picture.icc_profile)
"""

import os

# ONNX Runtime and hf_xet send telemetry unless these are set before they are imported; an empty value counts as unset
# (microsoft/onnxruntime#27379). Set another value to allow telemetry.
for _variable in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED", "HF_HUB_DISABLE_TELEMETRY"):
    if not os.environ.get(_variable):
        os.environ[_variable] = "1"

from segmentation.corrections import (
    Correction,
    Point,
    Stroke,
    check_inside,
    read_box,
    read_correction,
    read_points,
    read_strokes,
)
from segmentation.drop_in import new_session, remove
from segmentation.errors import (
    ImageError,
    MattingError,
    RegistryError,
    SegmentationError,
    SessionError,
    SettingsError,
    WeightsError,
)
from segmentation.models.finder import inspect_model
from segmentation.models.inspection.inspection import Inspection
from segmentation.models.registry import Registry, load_registry
from segmentation.models.spec import ModelSpec
from segmentation.network.pool import SessionPool
from segmentation.network.session import Session, load_session
from segmentation.picture.export import save_export
from segmentation.picture.load import load_image
from segmentation.picture.own_planes import load_mask, load_trimap
from segmentation.picture.picture import Picture
from segmentation.picture.png import save_png
from segmentation.pipeline import segment
from segmentation.prediction import Prediction, predict
from segmentation.refinement import Result, refine, subjects_of
from segmentation.settings import Export, Settings

__all__ = [
    "Correction",
    "Export",
    "ImageError",
    "Inspection",
    "MattingError",
    "ModelSpec",
    "Picture",
    "Point",
    "Prediction",
    "Registry",
    "RegistryError",
    "Result",
    "SegmentationError",
    "Session",
    "SessionError",
    "SessionPool",
    "Settings",
    "SettingsError",
    "Stroke",
    "WeightsError",
    "check_inside",
    "inspect_model",
    "load_image",
    "load_mask",
    "load_registry",
    "load_session",
    "load_trimap",
    "new_session",
    "predict",
    "read_box",
    "read_correction",
    "read_points",
    "read_strokes",
    "refine",
    "remove",
    "save_export",
    "save_png",
    "segment",
    "subjects_of",
]
