"""CPU seconds to the first matting in an environment that has compiled nothing yet, beside importing PyMatting whole.

`python -m benchmarks.cold_matting`
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.sides import HERE, machine, rembg_python, table

OURS = "from segmentation.matting.alpha import warm_up; warm_up()"
THEIRS = "import pymatting"
REPORT = "; import time; print(time.process_time())"


def seconds(python: Path, code: str, cache: str, **environment: str) -> float:
    done = subprocess.run(
        [python, "-c", code + REPORT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "NUMBA_CACHE_DIR": cache, **environment},
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    rows = []
    for name, python, code in (("ours", Path(sys.executable), OURS), ("import pymatting", rembg_python(), THEIRS)):
        with tempfile.TemporaryDirectory() as cache:
            for cpu in ("host", "generic"):
                own = {"NUMBA_CPU_NAME": "generic"} if cpu == "generic" else {}
                folder = str(Path(cache) / cpu)
                rows.append([name, cpu, *(f"{seconds(python, code, folder, **own):.1f}" for _ in range(2))])
                print(rows[-1], flush=True)
    print(f"\n{machine()}\n")
    print(table(["", "compiled for", "CPU s, nothing compiled yet", "CPU s, with the cache"], rows))


if __name__ == "__main__":
    main()
