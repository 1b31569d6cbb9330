"""Bytes to PNG bytes without matting: whole, outside the network, and post-processing, beside rembg.

`python -m benchmarks.pipeline [megapixels ...]`
"""

import sys

from benchmarks.sides import both, compare, machine, photo, table

TARGETS = {"1": (1.5, 6), "4": (2.8, 0), "12": (4.8, 10), "24": (6.5, 0)}  # whole (wall), outside the network (CPU)


def main() -> None:
    sides = both()
    rows = []
    for size in sys.argv[1:] or ["0.3", "1", "4", "12", "24"]:
        repeats = 3 if size in ("12", "24") else 5
        path = str(photo(size))
        cost = compare(sides, {name: ("plain", {"photo": path}) for name in ("ours", "rembg")}, repeats)
        ours, rembg = cost["ours"], cost["rembg"]
        outside = {name: c["cpu"] - c["network"] for name, c in cost.items()}
        rows.append([
            size,
            f"{rembg['wall']:.2f} / {ours['wall']:.2f}", f"**{rembg['wall'] / ours['wall']:.1f}**",
            f"{rembg['cpu']:.2f} / {ours['cpu']:.2f}", f"{rembg['cpu'] / ours['cpu']:.1f}",
            f"{outside['rembg']:.3f} / {outside['ours']:.3f}", f"**{outside['rembg'] / outside['ours']:.1f}**",
            f"{rembg['peak']:.0f} / {ours['peak']:.0f}",
        ])  # fmt: skip
        print(rows[-1], flush=True)
    print(f"\n{machine()}\n")
    print(table(["MP", "wall s", "ratio", "CPU s", "ratio", "CPU s outside the network", "ratio", "peak MiB"], rows))
    path = str(photo("12"))
    cost = compare(sides, {name: ("post_processing", {"photo": path}) for name in ("ours", "rembg")}, 5)
    ratio = cost["rembg"]["cpu"] / cost["ours"]["cpu"]
    print(f"\npost-process, 12 MP: {cost['rembg']['cpu']:.3f} / {cost['ours']['cpu']:.3f} CPU s, ratio **{ratio:.1f}**")
    for side in sides.values():
        side.close()


if __name__ == "__main__":
    main()
