"""Gradio's client for JavaScript, for the tests that drive the API from Node: `--install` is part of `make test`."""

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "2.7.0"  # beside gradio_client 2.7
FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "node"
PACKAGE = FOLDER / "node_modules" / "@gradio" / "client"


def missing() -> str:
    """What a test of it lacks, or ""."""
    if not shutil.which("node"):
        return "there is no Node.js on this machine"
    return "" if PACKAGE.is_dir() else "@gradio/client is not installed: python tests/web/node_client.py --install"


def install() -> None:
    """Install it beside the virtual environment's packages; what npm says goes to the terminal."""
    if not PACKAGE.is_dir() and shutil.which("npm"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        package = f"@gradio/client@{VERSION}"
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", *options, "--prefix", str(FOLDER), package], check=False)


if __name__ == "__main__":
    if "--install" in sys.argv:
        install()
    print(f"Gradio's JavaScript client: {missing() or 'here'}")
