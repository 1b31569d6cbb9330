"""From the mask to the cutout with its colours: exact and fast, CPU time and peak memory, beside rembg.

`python -m benchmarks.matting [megapixels ...]`. The numeric libraries get one thread on both sides: with more, rembg's
spin.
"""

import sys
from pathlib import Path
from typing import Any

from benchmarks.sides import Side, compare, machine, photo, rembg_python, table

METHODS: dict[str, dict[str, Any]] = {
    "exact": {"matting_method": "closed-form", "trust_mask": 0},
    "exact, trusting the mask": {"matting_method": "closed-form"},
    "fast": {},
}
PHOTOS = ("astronaut.png", "chelsea.png")


def main() -> None:
    rows = []
    for size in sys.argv[1:] or ["1", "4", "12"]:
        for name in PHOTOS:
            # fresh processes, so that the peak of one size is not hidden by that of another
            sides = {
                "ours": Side(Path(sys.executable), "ours_side.py", threads=1),
                "rembg": Side(rembg_python(), "rembg_side.py", threads=1),
            }
            path = str(photo(size, name))
            tasks = {f"ours {label}": ("matting", {"photo": path, **chosen}) for label, chosen in METHODS.items()}
            tasks["rembg"] = ("matting", {"photo": path})
            costs = compare(sides, tasks, repeats=1 if size == "12" else 2)
            peer = costs["rembg"]
            for label in METHODS:
                cost = costs[f"ours {label}"]
                rows.append([
                    size, Path(name).stem, label, f"{peer['cpu']:.2f} / {cost['cpu']:.2f}",
                    f"**{peer['cpu'] / cost['cpu']:.1f}**", f"{peer['rise']:.0f} / {cost['rise']:.0f}",
                    f"**{peer['rise'] / cost['rise']:.1f}**",
                ])  # fmt: skip
                print(rows[-1], flush=True)
            for side in sides.values():
                side.close()
    print(f"\n{machine()}\n")
    print(table(["MP", "photo", "method", "CPU s", "ratio", "rise of memory MiB", "ratio"], rows))


if __name__ == "__main__":
    main()
