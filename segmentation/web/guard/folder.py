"""The folder for uploads and results, created before Gradio is imported and checked to be private and writable."""

import os
import tempfile
from pathlib import Path

from segmentation.errors import SettingsError

VARIABLE = "GRADIO_TEMP_DIR"


def prepare_folder() -> Path:
    """Choose, create and check the folder, and set the variable that Gradio reads to it.

    Raises:
        SettingsError: It cannot be created or written to, or belongs to another user. Folder and variable are named.
    """
    chosen = os.environ.get(VARIABLE)
    # the user id, not the name: in a container, the user may have no entry in the password database
    folder = Path(chosen or Path(tempfile.gettempdir()) / f"segmatte-{_user()}").absolute()
    advice = f"Set {VARIABLE} to a folder of your own."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if hasattr(os, "geteuid") and owner != os.geteuid() and (chosen is None or os.geteuid() != 0):
            raise SettingsError(f"The folder for uploads, {folder}, belongs to another user ({owner}). {advice}")
        if chosen is None:  # a folder chosen by the operator keeps its permissions
            folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(
            f"The folder for uploads, {folder}, cannot be used ({error.strerror or error}). {advice}"
        ) from error
    os.environ[VARIABLE] = str(folder)
    return folder


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
