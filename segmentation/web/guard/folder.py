"""The folder for uploads and results, made before Gradio is imported: private, ours, and writable; or a sentence."""

import os
import tempfile
from pathlib import Path

from segmentation.errors import SettingsError

VARIABLE = "GRADIO_TEMP_DIR"


def prepare_folder() -> Path:
    """Choose the folder, make it and check it; the variable that Gradio reads is set to it.

    Raises:
        SettingsError: It cannot be made or written to, or belongs to somebody else; folder and variable are named.
    """
    named = os.environ.get(VARIABLE)
    # no look into the password database: in a container there may be no entry for who runs this
    folder = Path(named or Path(tempfile.gettempdir()) / f"segmatte-{_user()}").absolute()
    advice = f"Set {VARIABLE} to a folder of your own."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if hasattr(os, "geteuid") and owner != os.geteuid() and (named is None or os.geteuid() != 0):
            raise SettingsError(f"The folder for uploads, {folder}, belongs to another user ({owner}). {advice}")
        if named is None:  # one that was named has whatever rights its owner gave it
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
