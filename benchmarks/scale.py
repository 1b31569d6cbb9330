"""What a Ray cluster costs beside the same batch in one process: u2netp, 1 megapixel, no matting, on this machine.

`python -m benchmarks.scale [PICTURES]`; needs requirements-ray.txt. Each way runs twice, with a few pictures and with
many: the difference is what one more picture costs, the rest is what it takes to start.
`python -m benchmarks.scale --plan` prints what a million and a billion pictures take, for docs/scale.md.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.sides import machine, photo, table

ROOT = Path(__file__).resolve().parent.parent
FEW = 6
ROUNDS = 2
CUT = [sys.executable, "-m", "segmentation", "cut", "--model", "u2netp", "--no-alpha-matting", "--device", "cpu"]
WAYS = {
    "one process, 1 core": (["taskset", "-c", "0", *CUT], []),
    "Ray, 1 worker": (CUT, ["--engine", "ray", "--workers", "1"]),
    "one process, all cores": (CUT, []),
    "Ray, 2 workers": (CUT, ["--engine", "ray", "--workers", "2"]),
}
_TICKS = os.sysconf("SC_CLK_TCK")

CORES = 16  # of a machine
OVERHEAD = 1.1  # of Ray: the target, which includes workers that wait for the last blocks
PRICES = {"CPU": CORES * 0.04, "GPU": 4.0}  # assumed, dollars an hour: a core on demand; an H200 with 16 cores
RATES = {  # pictures of 1 megapixel a second on one machine, as benchmarks/README.md has them
    "u2netp, no matting": ("CPU", CORES / 0.73),  # "Bytes to PNG bytes"
    "u2netp, matting": ("CPU", CORES / 1.06),  # "Tuning without the network", mean of both photos
    "as large as IS-Net, no matting": ("CPU", CORES / 4.6),  # docs/models.md: 2.3 s of two cores, for the network alone
    "u2netp, no matting ": ("GPU", 73.0),  # "The app against the bare network"
    "as large as IS-Net, no matting ": ("GPU", 41.2),
}
DAYS = 10  # for a billion


def plan() -> None:
    rows = []
    for name, (machine_, rate) in RATES.items():
        hours = 1e6 / (rate / OVERHEAD) / 3600
        price = PRICES[machine_]
        rows.append(
            [name.strip(), machine_, f"{rate / OVERHEAD:.1f}", f"{hours:.1f}", f"{hours * price:.0f}",
             f"{hours * 1000 / (24 * DAYS):.0f}", f"{hours * 1000 * price:,.0f}"]
        )  # fmt: skip
    heads = ["model", "machine", "pictures/s", "a million: hours", "$", f"a billion in {DAYS} days: machines", "$"]
    print(table(heads, rows))


def main() -> None:
    if sys.argv[1:] == ["--plan"]:
        plan()
        return
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    costs: dict[str, list[tuple[float, ...]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        photos = [photo("1", name) for name in ("astronaut.png", "chelsea.png", "coffee.png")]
        for number in range(many):
            for count in (FEW, many):
                if number < count:
                    folder = place / f"{count}"
                    folder.mkdir(exist_ok=True)
                    shutil.copy(photos[number % 3], folder / f"{number:04}.jpg")
        for round_ in range(ROUNDS):  # interleaved, as a machine has its moods
            for name, (words, options) in WAYS.items():
                out = place / f"out-{round_}-{name}"
                few = run([*words, str(place / str(FEW)), "-o", f"{out}-few", *options])
                all_ = run([*words, str(place / str(many)), "-o", str(out), *options])
                wall, cpu = ((more - less) / (many - FEW) for more, less in zip(all_[:2], few[:2], strict=True))
                costs[name].append((wall, cpu, few[0] - FEW * wall, few[1] - FEW * cpu, all_[2]))
                print(name, *(f"{value:.3f}" for value in costs[name][-1]), flush=True)
                shutil.rmtree(out)
    best = {name: [min(values) for values in zip(*runs, strict=True)] for name, runs in costs.items()}
    print(f"\n{machine()}\n{FEW} and {many} pictures, the best of {ROUNDS}\n")
    heads = ["", "pictures/s", "s a picture", "CPU s a picture", "s to start", "CPU s to start", "peak MiB"]
    print(table(heads, [
        [name, f"{1 / wall:.2f}", f"{wall:.3f}", f"{cpu:.3f}", f"{start:.1f}", f"{cpu_start:.1f}", f"{peak:.0f}"]
        for name, (wall, cpu, start, cpu_start, peak) in best.items()
    ]))  # fmt: skip
    names = list(WAYS)
    for local, ray in (names[:2], names[2:]):
        wall, cpu = (best[ray][each] / best[local][each] - 1 for each in (0, 1))
        print(f"\n{ray} over {local}: {wall:+.1%} time, {cpu:+.1%} CPU a picture")


def run(words: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds of all its processes, and their largest memory together in MiB."""
    start, cpu, peak = time.perf_counter(), dict[tuple[int, int], float](), 0.0
    known: set[tuple[int, int]] = set()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(words, cwd=ROOT, stdout=told, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory = 0.0
            for who, seconds, mebibytes in descendants(process.pid, known):
                cpu[who] = seconds
                memory += mebibytes
            peak = max(peak, memory)
            time.sleep(0.2)
        if process.returncode:
            told.seek(0)
            raise RuntimeError(told.read().decode())
    return time.perf_counter() - start, sum(cpu.values()), peak


def descendants(root: int, known: set[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], float, float]]:
    """Each process below one that lives: (id, start), CPU seconds and own memory; those whose parent has gone, too."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pages = (folder / "statm").read_text().split()
        except OSError:
            continue
        own = (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") / 2**20  # without what is shared
        found[int(folder.name)] = int(fields[1]), int(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS, own
    below = {root} | {pid for pid, began in known if pid in found and found[pid][1] == began}
    while more := {pid for pid, (parent, *_) in found.items() if parent in below} - below:
        below |= more
    for pid in below & found.keys():
        _, began, seconds, own = found[pid]
        known.add((pid, began))
        yield (pid, began), seconds, own


if __name__ == "__main__":
    main()
