"""Code that starts a thread when it is imported, which no sandbox may take."""

import threading
from typing import Any

from segmentation.sandbox.shared import Array

threading.Thread(target=threading.Event().wait, daemon=True).start()


def answer(request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
    return request, arrays
