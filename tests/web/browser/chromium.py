"""Find a Chromium for the browser tests, or install one: Debian's package where it may, else Playwright's own.

`python tests/web/browser/chromium.py --install` is part of `make test`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The shell is the same browser without windows, whose own hidden pages take a second of CPU a page.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> str | None:
    """Path of a Chromium on this machine: CHROMIUM, one on the PATH, or Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    return _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str | None:
    """Install one if there is none; what the installers say goes to the terminal."""
    if found := find():
        return found
    if shutil.which("apt-get") and hasattr(os, "geteuid"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        if not sudo or shutil.which("sudo"):
            subprocess.run([*sudo, "apt-get", "update", "-q"], check=False)
            for package in NAMES[:2]:  # Ubuntu has no package of the first
                subprocess.run([*sudo, "apt-get", "install", "-y", "-q", package], check=False)
                if found := find():
                    return found
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return find()


if __name__ == "__main__":
    chromium = install() if "--install" in sys.argv else find()
    print(f"Chromium for the browser tests: {chromium or 'none could be found or installed'}")
