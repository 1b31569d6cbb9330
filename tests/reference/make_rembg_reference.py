"""Make `rembg_masks.npz`: what rembg answers for the photographs of the tests, from an environment of its own.

    python tests/reference/make_rembg_reference.py

Run it in the project's environment. It makes a temporary one with the pinned rembg, shows it the weights in the
models folder, lets it work without a network, and stores its 8-bit masks beside this file with the photographs' hashes.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
REMBG = "rembg[cpu]==2.0.86"
POST_PROCESSED = "chelsea"  # the photograph whose mask is stored with post_process_mask=True as well


def main() -> None:
    """Run this file again in rembg's environment."""
    sys.path.insert(0, str(HERE.parent.parent))
    from segmentation import load_registry
    from segmentation.models.weights import DEFAULT_FOLDER, fetch_weights
    from tests.conftest import PHOTOS

    weights = fetch_weights(load_registry()["u2netp"], DEFAULT_FOLDER)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        (home / "u2netp.onnx").write_bytes(weights.read_bytes())
        venv.create(Path(folder) / "venv", with_pip=True)
        python = Path(folder) / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", REMBG], check=True)
        photos = {name: str(path) for name, path in PHOTOS.items()}
        # a proxy that is not there: should anything ask the network, it fails instead of fetching another file
        no_network = {"U2NET_HOME": str(home), "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        subprocess.run([python, __file__, json.dumps(photos)], check=True, env=os.environ | no_network)


def inside(photos: dict[str, str]) -> None:
    """In rembg's environment: its masks of the photographs."""
    import rembg
    from PIL import Image

    session = rembg.new_session("u2netp", providers=["CPUExecutionProvider"])
    stored: dict[str, Any] = {}
    hashes: dict[str, str] = {}
    for name, path in photos.items():
        hashes[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        with Image.open(path) as photo:
            stored[name] = np.asarray(rembg.remove(photo, session=session, only_mask=True))
    with Image.open(photos[POST_PROCESSED]) as photo:
        mask = rembg.remove(photo, session=session, only_mask=True, post_process_mask=True)
    stored[f"{POST_PROCESSED}_post_processed"] = np.asarray(mask)
    np.savez_compressed(HERE / "rembg_masks.npz", sha256=np.array(json.dumps(hashes)), **stored)


if __name__ == "__main__":
    inside(json.loads(sys.argv[1])) if len(sys.argv) > 1 else main()
