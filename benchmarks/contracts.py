"""How often the right contract comes first: u2netp, MODNet and the generated repositories of the tests, on photographs.

`python -m benchmarks.contracts [FOLDER]` uses photographs of packages that the tests need anyway, and those of FOLDER.
Four states of knowledge about each network:

- declared: with `preprocessor_config.json` and `config.json`;
- not declared: the graph alone, its family included;
- unknown family: a guess from the graph, as for a network of a structure that nobody has described;
- declared wrongly: each of the other usual normalisations declared in place of the right one.

A contract is exact if it is the true one in every value, right if it is in those that a picture can decide (colours,
which output and how it is read; not the size, nor what classes are called), and its mask is the same if it differs by
2/255 at most, on average, from the true contract's, or overlaps it to 97 %. Right or the same mask is what counts.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segmentation import Session, load_image, load_registry
from segmentation.arrays import RGB, Tensor
from segmentation.models.inspection.facts import GraphFacts, Proposal, Source
from segmentation.models.inspection.local import inspect_folder
from segmentation.models.spec import Contract
from segmentation.models.weights import fetch_weights
from segmentation.proof import Tried, candidates, outcome, prove, run_of
from segmentation.proof.measures import View, look_alike
from segmentation.proof.normalisations import NORMALISATIONS, same_normalisation
from segmentation.proof.ranking import EDGE
from segmentation.proof.runs import Run, Runs
from tests.conftest import PHOTOS, package_file
from tests.repositories import REPOSITORIES, differences, scene, write_repository

_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
_RESCALED = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "resample": 2}
DECLARATIONS: Mapping[str, dict[str, Any]] = {
    "u2netp": _RESCALED | _IMAGENET | {"resample": 1} | {"size": {"height": 320, "width": 320}},
    "modnet": _RESCALED | _HALF | {"size": {"shortest_edge": 512}, "size_divisibility": 32, "do_pad": False},
}
"""As repositories with these networks declare them."""

STATES = ("declared", "not declared", "unknown family", "declared wrongly")
UNDECIDED = {
    *(f"input.{key}" for key in ("size", "dynamic", "multiple_of", "max_size", "resize", "interpolation", "pad_value")),
    "output.classes",
}
"""Values that a picture cannot decide, by and large."""
_DATA = ("input.scale", "input.mean", "input.std")


@dataclass(frozen=True)
class Network:
    """A network, what its files tell, and the contract that is true."""

    name: str
    facts: GraphFacts
    proposals: Mapping[str, tuple[Proposal, ...]]
    """By state of knowledge."""
    truth: Contract
    session: Run
    """Runs it."""
    run: Run
    """Runs it, or remembers."""


@dataclass(frozen=True)
class Trial:
    """One proof."""

    exact: bool
    right: bool
    same: bool
    shown: bool
    alone: bool  # the proposal without a proof gives the right mask
    before: float  # mean |difference| of the proposal's mask to the true contract's, in levels of 0..255
    after: float  # that of the first mask
    level: str
    runs: int


def photographs(folder: Path | None) -> dict[str, RGB]:
    """Pictures with a subject, by name."""
    files = dict(PHOTOS)
    for name in ("lion.jpg", "tower.jpg", "groot.jpeg"):
        files[Path(name).stem] = package_file("gradio", f"media_assets/images/{name}")
    for name in ("coffee.png", "motorcycle_left.png", "rocket.jpg"):
        files[Path(name).stem] = package_file("skimage", f"data/{name}")
    if folder:
        files |= {path.stem: path for path in sorted(folder.iterdir())}
    return {name: load_image(path).rgb for name, path in files.items()}


@contextlib.contextmanager
def networks() -> Iterator[list[Network]]:
    """The real and the generated ones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield [*(real(name, folder) for name in DECLARATIONS), *(generated(name, folder) for name in REPOSITORIES)]


def real(name: str, folder: Path) -> Network:
    spec = load_registry()[name]
    for declared in (True, False):
        place = folder / f"{name}-{declared}" / "onnx"
        place.mkdir(parents=True)
        (place / "model.onnx").symlink_to(fetch_weights(spec).resolve())
        if declared:
            (place.parent / "preprocessor_config.json").write_text(json.dumps(DECLARATIONS[name]))
    return network(name, folder, spec.contract)


def generated(name: str, folder: Path) -> Network:
    for declared in (True, False):
        write_repository(name, folder / f"{name}-{declared}", declared=declared)
    return network(name, folder, REPOSITORIES[name].contract)


def network(name: str, folder: Path, truth: Contract) -> Network:
    declared, bare = (inspect_folder(folder / f"{name}-{state}") for state in (True, False))
    output = truth.output.model_copy(update={"name": bare.facts.outputs[truth.output.index].name})
    session = Session(declared.spec, folder / f"{name}-True" / "onnx" / "model.onnx", "cpu")
    return Network(
        name,
        bare.facts,
        {
            "declared": (declared.proposal,),
            "not declared": (bare.proposal,),
            "unknown family": (unrecognised(bare.proposal, bare.facts),),
            "declared wrongly": tuple(misdeclared(declared.proposal, truth)),
        },
        Contract(input=truth.input, output=output),
        run_of(session),
        remembered(run_of(session)),
    )


def unrecognised(proposal: Proposal, facts: GraphFacts) -> Proposal:
    """The proposal if its family had not been recognised: a guess in its place."""
    sources: dict[str, Source] = {
        key: "guess" if source == "family" else source for key, source in proposal.sources.items()
    }
    changes = NORMALISATIONS[0].values() if sources["input.mean"] == "guess" and facts.mean is None else {}
    input_ = proposal.contract.input.model_copy(update=changes)
    return replace(proposal, contract=Contract(input=input_, output=proposal.contract.output), sources=sources)


def misdeclared(proposal: Proposal, truth: Contract) -> Iterator[Proposal]:
    """The proposals if another usual normalisation had been declared."""
    if truth.input.dtype == "uint8":
        return
    for each in NORMALISATIONS[:5]:
        if not same_normalisation(each.values(), truth.input.model_dump() | {"scale": _plain(truth.input.scale)}):
            input_ = proposal.contract.input.model_copy(update=each.values())
            sources: dict[str, Source] = dict(proposal.sources) | dict.fromkeys(_DATA, "declared")
            yield replace(proposal, contract=Contract(input=input_, output=proposal.contract.output), sources=sources)


def _plain(scale: Any) -> float:
    return 255.0 if scale == "image_max" else float(scale)


def tried(one: Network, proposal: Proposal, rgb: RGB) -> Trial:
    view = View(rgb)
    true = view.on_grid(Runs(one.run, EDGE).read(rgb, one.truth)[0])

    def off(tried: Tried) -> float:
        return float(np.abs(view.on_grid(tried.probability) - true).mean()) * 255

    def same(tried: Tried) -> bool:
        return off(tried) <= 2 or look_alike(view.on_grid(tried.probability), true)

    def wrong(tried: Tried) -> set[str]:
        return set(differences(tried.candidate.contract, one.truth))

    proof = prove(rgb, one.run, candidates(proposal, one.facts))
    first, alone = proof.ranked[0], proof.ranked[proof.proposed] if proof.proposed is not None else None
    return Trial(
        exact=not wrong(first),
        right=not wrong(first) - UNDECIDED,
        same=same(first),
        shown=any(not wrong(each) - UNDECIDED or same(each) for each in proof.ranked),
        alone=alone is not None and (not wrong(alone) - UNDECIDED or same(alone)),
        before=off(alone) if alone else 255.0,
        after=off(first),
        level=outcome(proof, proposal).level,
        runs=proof.runs,
    )


def line(title: str, trials: Sequence[Trial]) -> str:
    def share(of: Callable[[Trial], bool]) -> str:
        return f"{100 * sum(map(of, trials)) / len(trials):.0f} %"

    before, after = np.array([(each.before, each.after) for each in trials]).mean(0)
    said = sum(each.level == "contradicted" for each in trials)
    return (
        f"| {title} | {len(trials)} | {share(lambda each: each.alone)} | {share(lambda each: each.right or each.same)} "
        f"| {share(lambda each: each.exact)} | {share(lambda each: each.right)} | {share(lambda each: each.same)} "
        f"| {share(lambda each: each.shown)} | {before:.1f} | {after:.1f} | {said} "
        f"| {max(each.runs for each in trials)} |"
    )


def remembered(run: Run) -> Run:
    """The run, whose outputs are kept: the same tensors come up in all states of knowledge."""
    known: dict[tuple[bytes, str], Any] = {}

    def remembering(tensor: Tensor, output: str) -> Any:
        key = hashlib.blake2b(tensor.tobytes()).digest(), output
        if key not in known:
            known[key] = run(tensor, output).astype(np.float32)
        return known[key]

    return remembering


def costs(name: str, rgb: RGB) -> str:
    """Seconds of one run of a network, and of a proof with nothing declared."""
    with tempfile.TemporaryDirectory() as folder:
        one = real(name, Path(folder))
        proposal = one.proposals["unknown family"][0]
        pool = candidates(proposal, one.facts)
        timed = []
        for work in (
            lambda: Runs(one.session, EDGE).read(rgb, pool[0].contract),
            lambda: prove(rgb, one.session, pool),
        ):
            work()
            started = time.perf_counter(), time.process_time()
            work()
            timed.append(f"{time.perf_counter() - started[0]:.2f} s ({time.process_time() - started[1]:.2f} s of CPU)")
    return f"{name}: one run {timed[0]}; a proof {timed[1]}, second answers included"


HEAD = """
| | proofs | proposal alone right | **first is right** | exact | right | same mask | **among the shown** | mean \
difference of the proposal, /255 | of the first, /255 | "contradicted" | runs, most |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    pictures = photographs(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    scenes = {f"scene {seed}": scene(seed)[0] for seed in range(4)}
    warm = {name: pictures[name] for name in ("astronaut", "chelsea", "cheetah", "lion")}
    with networks() as known:
        for state in STATES:
            print(f"\n**{state}**\n{HEAD}")
            total: dict[str, list[Trial]] = {"u2netp": [], "modnet": [], "generated": []}
            for one in known:
                here = pictures if one.name in DECLARATIONS else scenes | warm
                proofs = [(proposal, rgb) for proposal in one.proposals[state] for rgb in here.values()]
                trials = [tried(one, proposal, rgb) for proposal, rgb in proofs]
                total[one.name if one.name in total else "generated"] += trials
                if trials and one.name not in total:
                    print(line(one.name, trials), flush=True)
            for name, trials in total.items():
                print(line(f"**{name}**", trials), flush=True)
            print(line("**all**", [trial for trials in total.values() for trial in trials]), flush=True)
    print(*(f"\n{costs(name, pictures['astronaut'])}" for name in DECLARATIONS))


if __name__ == "__main__":
    main()
