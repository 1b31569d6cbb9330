"""What Node.js brings: Gradio's client for JavaScript; transformers.js; and biome, which checks scripts and styles.

`--install`, `--lint` and `--format` are parts of `make test` and `make format`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

CLIENT, BIOME = "@gradio/client", "@biomejs/biome"
TRANSFORMERS, SHARP = "@huggingface/transformers", "sharp"
VERSIONS = {
    CLIENT: "2.7.0",  # beside gradio_client 2.7
    BIOME: "2.6.8",
    TRANSFORMERS: "4.3.1",
    SHARP: "0.35.5",  # resizes for transformers.js, which accepts any 0.35
}
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv" / "node"
RULES = ROOT / "segmentation" / "web" / "page" / "browser"  # with biome.jsonc
CHECKED = {
    RULES: ".",
    ROOT / "segmentation" / "score" / "browser": ".",
    ROOT / "tests" / "web": "client.mjs",
    ROOT / "tests": "transformers.mjs",
}


def package(name: str) -> Path:
    """Where a package lies once it is installed."""
    return FOLDER / "node_modules" / name


def missing(name: str) -> str:
    """What a user of a package lacks, or ""."""
    if not shutil.which("node"):
        return "there is no Node.js on this machine"
    about = package(name) / "package.json"
    if about.is_file() and json.loads(about.read_text(encoding="utf-8"))["version"] == VERSIONS[name]:
        return ""
    return f"{name} {VERSIONS[name]} is not installed: python tests/web/node.py --install"


def install() -> None:
    """Install them beside the virtual environment's packages, all at once: npm removes what it is not asked for.

    Without scripts, ONNX Runtime brings its CPU code only (160 MB to download, 480 MB on disk), and not CUDA's.
    """
    if any(map(missing, VERSIONS)) and shutil.which("npm"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        packages = [f"{name}@{version}" for name, version in VERSIONS.items()]
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(["npm", "install", *options, "--prefix", str(FOLDER), *packages], check=False)


def biome(*arguments: str) -> int:
    """Run biome over our scripts and styles; without it, that is said, and fails on a build server only."""
    if problem := missing(BIOME):
        print(f"Scripts and styles are NOT checked: {problem}")
        return int(bool(os.environ.get("CI")))
    command: list[str | Path] = [FOLDER / "node_modules" / ".bin" / "biome", *arguments, f"--config-path={RULES}"]
    return max(subprocess.run([*command, what], cwd=where, check=False).returncode for where, what in CHECKED.items())


if __name__ == "__main__":
    if "--install" in sys.argv:
        install()
        for name in VERSIONS:
            print(f"{name}: {missing(name) or 'here'}")
    if "--format" in sys.argv:
        sys.exit(biome("check", "--write"))
    if "--lint" in sys.argv:
        sys.exit(biome("check", "--error-on-warnings"))
