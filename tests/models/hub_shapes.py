"""Ten repositories in the shapes that people find on the Hub (as in onnx-community's, Xenova's, briaai's, ...)."""

import json
from pathlib import Path

from tests import graphs
from tests.hub import LoopbackHub
from tests.repositories import write_repository

SEGMENTATION = ["onnx", "transformers.js", "image-segmentation"]
LARGE = 2000 << 20  # bytes listed for a file that is too large


def card(licence: str, more: str = "") -> bytes:
    return f"---\nlicense: {licence}\n{more}tags:\n- onnx\n---\n# A model\n".encode()


def add_all(hub: LoopbackHub, folder: Path) -> None:
    """Serve them all."""
    net = graphs.brightness(folder / "net.onnx").read_bytes()
    other = graphs.brightness_logits(folder / "other.onnx").read_bytes()
    outside = graphs.with_external_data(folder / "model.onnx")
    data = (folder / "model.onnx.data").read_bytes()
    preprocessor = json.dumps({"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}).encode()
    config = json.dumps({"model_type": "modnet"}).encode()
    declared = {"preprocessor_config.json": preprocessor, "config.json": config}

    modnet = {
        "README.md": card("apache-2.0"), **declared, "onnx/model.onnx": net, "onnx/model_fp16.onnx": other,
        "onnx/model_quantized.onnx": other[:-1] + b"\0", ".gitattributes": b"*.onnx filter=lfs\n",
    }  # fmt: skip
    hub.add("Xenova/modnet", modnet, tags=[*SEGMENTATION, "license:apache-2.0"], downloads=5000)
    hub.add("Xenova/modnet", {**modnet, "onnx/model.onnx": other}, branch="v2")
    hub.add(
        "briaai/RMBG-1.4",
        {"README.md": card("other", "license_name: bria-rmbg-1.4\nlicense_link: https://bria.ai/licence\n"),
         **declared, "onnx/model.onnx": net},
        tags=["onnx", "background-removal", "license:other"], downloads=9000,
    )  # fmt: skip
    hub.add("briaai/RMBG-2.0", {"README.md": card("cc-by-nc-4.0"), **declared, "onnx/model.onnx": net},
            gated=True, tags=[*SEGMENTATION, "background-removal"], downloads=8000)  # fmt: skip
    hub.add("opencv/human_segmentation_pphumanseg", {"human_segmentation_pphumanseg_2023mar.onnx": net},
            tags=SEGMENTATION)  # fmt: skip
    clothes = write_repository("labels", folder / "clothes")
    files = {f"onnx/{name}": (clothes / name).read_bytes() for name in ("preprocessor_config.json",)}
    files |= {name: (clothes / name).read_bytes() for name in ("config.json", "onnx/model.onnx", "README.md")}
    hub.add("mattmdjaga/segformer_b2_clothes", files, tags=SEGMENTATION)
    hub.add("onnx-community/BiRefNet-ONNX",
            {"README.md": card("mit"), "onnx/model.onnx": outside.read_bytes(), "onnx/model.onnx.data": data},
            tags=SEGMENTATION)  # fmt: skip
    hub.add("onnx-community/huge-ONNX",
            {"README.md": card("mit"), "onnx/model.onnx": net, "onnx/model.onnx_data": data,
             "onnx/model_fp16.onnx": other},
            sizes={"onnx/model.onnx_data": LARGE}, tags=SEGMENTATION)  # fmt: skip
    hub.add("Xenova/slimsam-77-uniform",
            {"onnx/vision_encoder.onnx": net, "onnx/prompt_encoder_mask_decoder.onnx": other},
            pipeline="mask-generation", tags=["onnx"])  # fmt: skip
    hub.add("ZhengPeng7/BiRefNet", {"README.md": card("mit"), "model.safetensors": b"weights", "config.json": b"{}"},
            tags=["safetensors"])  # fmt: skip
    hub.add("someone/secret", {"onnx/model.onnx": net}, private=True)
    hub.add("someone/spoilt", {"onnx/model.onnx": net}, spoilt={"onnx/model.onnx"})
    hub.add("someone/rembg", {"u2net.onnx": net, "isnet.onnx": other, "notes.txt": b"two models"})
