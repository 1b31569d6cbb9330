"""Pictures a second of a batch of 24 photos of 1 megapixel, beside the bare network's best and beside rembg.

`python -m benchmarks.throughput`
"""

from typing import Any

from benchmarks.sides import both, compare, machine, photo, table

PICTURES = 24


def main() -> None:
    sides = both()
    photos = [str(photo("1", name)) for name in ("astronaut.png", "chelsea.png", "coffee.png")] * (PICTURES // 3)
    tasks: dict[str, tuple[str, dict[str, Any]]] = {
        "ours batch": ("batch", {"photos": photos}),
        "rembg one by one": ("batch", {"photos": photos}),
    }
    for callers, threads in ((1, 2), (2, 1), (2, 2), (4, 1)):
        arguments = {"photos": photos, "callers": callers, "threads": threads}
        tasks[f"ours bare network, {callers} callers of {threads} threads"] = ("bare", arguments)
    costs = compare(sides, tasks, repeats=3)
    best = min(cost["wall"] for name, cost in costs.items() if "bare" in name)
    rows = [
        [name, f"{PICTURES / cost['wall']:.2f}", f"{best / cost['wall']:.0%}", f"{cost['cpu'] / PICTURES:.2f}",
         f"{cost['peak']:.0f}"]
        for name, cost in costs.items()
    ]  # fmt: skip
    print(f"{machine()}\n")
    print(table(["", "pictures/s", "of the bare network's best", "CPU s a picture", "peak MiB"], rows))
    for side in sides.values():
        side.close()


if __name__ == "__main__":
    main()
