"""Make `sod_measures.json`: what pysodmetrics answers for the cases of `tests/score/cases.py`.

    python tests/reference/make_sod_reference.py

Run it in the project's environment. pysodmetrics wants an older NumPy than ours, so it is installed into a temporary
environment. Its numbers are stored beside this file with a hash of each case.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
PYSODMETRICS = "pysodmetrics==1.6.2"


def main() -> None:
    """Run this file again in pysodmetrics' environment."""
    sys.path.insert(0, str(HERE.parent.parent))
    from tests.score.cases import cases, digest

    made = cases()
    with tempfile.TemporaryDirectory() as folder:
        planes = {
            f"{kind} {name}": plane for name, pair in made.items() for kind, plane in zip("pt", pair, strict=True)
        }
        np.savez(Path(folder) / "cases.npz", **planes)  # type: ignore[arg-type]  # numpy's stubs see allow_pickle
        venv.create(Path(folder) / "venv", with_pip=True)
        python = Path(folder) / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", PYSODMETRICS], check=True)
        command = [str(python), __file__, str(Path(folder) / "cases.npz")]
        answers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for name, (prediction, truth) in made.items():
        answers["cases"][name]["sha256"] = digest(prediction, truth)
    stored = {"made_by": PYSODMETRICS} | answers
    (HERE / "sod_measures.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def inside(path: str) -> None:
    """In pysodmetrics' environment: its numbers for each case, and for those together that have all of them."""
    import py_sod_metrics as sod

    warnings.simplefilter("ignore")
    with np.load(path) as planes:
        names = [name[2:] for name in planes.files if name.startswith("p ")]
        pairs = {name: (planes[f"p {name}"], planes[f"t {name}"]) for name in names}

    def measured(chosen: list[str]) -> dict[str, Any]:
        mae, f, weighted, s, e = sod.MAE(), sod.Fmeasure(), sod.WeightedFmeasure(), sod.Smeasure(), sod.Emeasure()
        for name in chosen:
            for measure in (mae, f, weighted, s, e):
                measure.step(*pairs[name])
        f_curve, e_curve = f.get_results()["fm"]["curve"], e.get_results()["em"]["curve"]
        structure = float(s.get_results()["sm"])
        return {
            "mae": float(mae.get_results()["mae"]),
            "max_f": float(f_curve.max()),
            "weighted_f": float(weighted.get_results()["wfm"]),
            "s_measure": None if np.isnan(structure) else structure,
            "mean_e": float(e_curve.mean()),
            "max_e": float(e_curve.max()),
            "adaptive_e": float(e.get_results()["em"]["adp"]),
            "f_at": {str(at): float(f_curve[255 - at]) for at in (32, 128, 200)},
        }

    alone = {name: measured([name]) for name in names}
    defined = [name for name in names if alone[name]["s_measure"] is not None]
    print(json.dumps({"together": measured(defined), "cases": alone}))


if __name__ == "__main__":
    inside(sys.argv[1]) if len(sys.argv) > 1 else main()
