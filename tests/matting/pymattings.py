"""Functions of pymatting. Importing the package would first compile all that is in it, for most of a minute."""

import contextlib
import functools
import importlib
import importlib.util
import io
import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PACKAGES = ("", ".alpha", ".foreground", ".laplacian", ".preconditioner", ".solver", ".util")


@functools.cache
def _function(module: str) -> Any:
    """The function of the same name in a module, without what the packages on the way import."""
    spec = importlib.util.find_spec("pymatting")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (folder,) = spec.submodule_search_locations
    for name in _PACKAGES:
        bare = sys.modules["pymatting" + name] = ModuleType("pymatting" + name)
        bare.__path__ = [folder + name.replace(".", "/")]
    try:
        return getattr(importlib.import_module("pymatting" + module), module.rpartition(".")[2])
    finally:  # whoever needs the package imports it whole
        for name in [name for name in sys.modules if name.partition(".")[0] == "pymatting"]:
            del sys.modules[name]


def estimate_alpha(image: NDArray[Any], trimap: NDArray[Any], **options: Any) -> NDArray[Any]:
    """Closed-form matting of 8-bit arrays."""
    with contextlib.redirect_stdout(io.StringIO()):
        solve = _function(".alpha.estimate_alpha_cf")
        return np.asarray(solve(image / 255.0, trimap / 255.0, **options))


def estimate_foreground(image: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """The foreground in 0..1, as Germer et al. (2020) estimate it."""
    return np.asarray(_function(".foreground.estimate_foreground_ml")(image, alpha))
