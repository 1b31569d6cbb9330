"""The plausible contracts of a model, tried on pictures: small networks that need their own, and real ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segmentation import Session, SessionError, load_image
from segmentation.arrays import RGB, Tensor
from segmentation.models.inspection.facts import GraphFacts, OutputFacts, Proposal, Source, TensorFacts
from segmentation.models.inspection.local import inspect_folder
from segmentation.models.spec import Contract, InputSpec, OutputSpec
from segmentation.proof import MOST, Candidate, Proof, Run, candidates, outcome, prove, run_of
from segmentation.proof.evidence import evidence
from segmentation.proof.measures import View, look_alike
from segmentation.proof.normalisations import NORMALISATIONS, same_normalisation
from tests import graphs
from tests.repositories import IMAGENET, REPOSITORIES, differences, scene, write_repository

COLOURS = ("input.scale", "input.mean", "input.std")
ALL = (
    *COLOURS, "input.channels",
    *(f"output.{key}" for key in ("index", "name", "kind", "activation", "normalise", "channel")),
)  # fmt: skip
SCENES = [scene(seed)[0] for seed in range(3)]


def facts(*outputs: OutputFacts, dtype: str = "float32") -> GraphFacts:
    taken = TensorFacts(name="image", dtype=dtype, shape=(1, 3, 64, 64))
    return GraphFacts(inputs=(taken,), outputs=outputs or (plane("matte"),), opset=17)


def plane(name: str, planes: int = 1, activation: Any = "sigmoid") -> OutputFacts:
    return OutputFacts(name=name, dtype="float32", shape=(1, planes, 64, 64), activation=activation)


def proposal(source: Source = "guess", output: OutputSpec | None = None, **input_: Any) -> Proposal:
    """ImageNet colours and the graph's own reading, all from one source."""
    mean, std = IMAGENET
    taken = InputSpec(**{"name": "image", "mean": mean, "std": std, "size": (64, 64), **input_})
    return Proposal(Contract(input=taken, output=output or OutputSpec()), dict.fromkeys(ALL, source))


def colours(found: tuple[Candidate, ...]) -> list[tuple[Any, ...]]:
    return [(each.contract.input.scale, each.contract.input.mean, each.contract.input.std) for each in found]


class TestCandidates:
    def test_the_proposal_comes_first_and_nothing_twice(self) -> None:
        given = proposal()
        found = candidates(given, facts())
        assert found[0].contract.input == given.contract.input
        assert found[0].sources == given.sources
        assert [each.prior for each in found] == sorted((each.prior for each in found), reverse=True)
        assert all(one.contract != other.contract for one in found for other in found if one is not other)
        assert len({each.name for each in found}) == len(found)

    def test_they_need_six_runs_at_most(self) -> None:
        found = candidates(proposal(), facts(plane("a"), plane("b"), plane("c")))
        assert len({(str(each.contract.input), each.contract.output.name) for each in found}) == MOST

    @pytest.mark.parametrize("source", ["given", "registry", "graph"])
    def test_what_is_known_is_not_varied(self, source: Source) -> None:
        assert [each.prior for each in candidates(proposal(source), facts())] == [1.0]

    def test_guesses_are_varied_before_what_is_declared(self) -> None:
        given = proposal()
        declared = replace(given, sources=dict(given.sources) | dict.fromkeys(COLOURS, "declared"))
        found = candidates(declared, facts(plane("matte", activation="none")))
        others = [each for each in found if each.contract.input.mean != given.contract.input.mean]
        readings = [each for each in found if each.contract.input == given.contract.input]
        assert len(readings) == 3
        assert min(each.prior for each in readings) > max(each.prior for each in others)

    def test_usual_colours_and_both_orders_are_among_them(self) -> None:
        found = candidates(proposal(), facts())
        for wanted in NORMALISATIONS[:5]:
            values = wanted.values()
            assert (values["scale"], values["mean"], values["std"]) in colours(found), wanted.name
        assert "BGR" in {each.contract.input.channels for each in found}

    def test_values_that_differ_from_the_proposal_are_guesses(self) -> None:
        found = candidates(proposal("declared"), facts())
        other = next(each for each in found if each.name == "−1 to 1")
        assert other.sources["input.mean"] == "guess"
        assert other.sources["input.channels"] == "declared"

    def test_raw_bytes_have_no_other_colours(self) -> None:
        raw = proposal(dtype="uint8", scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
        assert set(colours(candidates(raw, facts(dtype="uint8")))) == {(1.0, (0.0,) * 3, (1.0,) * 3)}

    def test_the_other_of_two_planes_is_a_candidate(self) -> None:
        softmax = OutputSpec(kind="logits", activation="softmax", channel=1)
        found = candidates(proposal(output=softmax), facts(plane("planes", 2, "softmax")))
        other = next(each for each in found if each.name == "ImageNet colours, the other plane")
        assert other.contract.output == softmax.model_copy(update={"channel": 0, "name": "planes"})

    def test_other_outputs_are_candidates_only_if_they_look_like_masks(self) -> None:
        scores = OutputFacts(name="scores", dtype="float32", shape=(1, 3))
        numbers = OutputFacts(name="numbers", dtype="int64", shape=(1, 1, 64, 64))
        found = candidates(proposal(), facts(plane("a"), scores, plane("b"), numbers, plane("colours", 3)))
        assert {each.contract.output.name for each in found} == {"a", "b"}

    def test_a_sigmoid_in_the_graph_is_not_followed_by_another(self) -> None:
        found = candidates(proposal(), facts(plane("matte")))
        assert "sigmoid" not in {each.contract.output.activation for each in found}

    def test_the_familys_colours_are_tried_where_others_are_declared(self) -> None:
        declared = replace(proposal("declared"), family="u2net")
        assert candidates(declared, facts())[1].contract.input.scale == "image_max"

    def test_colours_within_half_a_level_are_the_same(self) -> None:
        exact = NORMALISATIONS[0].values()
        assert same_normalisation(exact, exact | {"mean": (0.4851, 0.456, 0.4061)})
        assert not same_normalisation(exact, exact | {"std": (0.25, 0.224, 0.225)})
        assert not same_normalisation(exact, exact | {"scale": "image_max"})


class TestMeasures:
    def test_a_mask_on_the_outline_is_better_than_one_beside_it(self) -> None:
        rgb, truth = scene(1)
        view = View(rgb)
        right = view.on_grid((truth / 255).astype(np.float32))
        beside = np.roll(right, 25, axis=1)
        assert view.measure(right).edges > 0.9 > view.measure(beside).edges

    @pytest.mark.parametrize("area", [0.05, 0.5, 0.9])
    def test_decidedness_does_not_depend_on_the_area(self, area: float) -> None:
        view = View(SCENES[0])
        binary = np.zeros(view.size, np.float32)
        binary[: round(area * len(binary))] = 1
        assert view.measure(binary).decided == pytest.approx(1)
        assert view.measure(np.full(view.size, area, np.float32)).decided == pytest.approx(0, abs=1e-6)
        assert view.measure(0.25 + binary * np.float32(0.5)).decided < 0.5

    def test_what_fills_the_frame_is_not_framed(self) -> None:
        rgb, truth = scene(1)
        view = View(rgb)
        right = view.on_grid((truth / 255).astype(np.float32))
        assert view.measure(right).framed == 1
        assert view.measure(1 - right).framed < 0.2

    def test_agreement_is_the_overlap_with_a_second_answer(self) -> None:
        view = View(SCENES[0])
        left = np.zeros(view.size, np.float32)
        left[:, : view.size[1] // 2] = 1
        assert view.measure(left, left).agreement == 1
        assert view.measure(left, 1 - left).agreement == 0
        assert view.measure(left).agreement is None

    def test_every_bad_measure_counts(self) -> None:
        rgb, truth = scene(1)
        view = View(rgb)
        right = view.on_grid((truth / 255).astype(np.float32))
        best = evidence(view.measure(right, right), fits=True)
        for worse in (0.3 + 0.4 * right, np.roll(right, 25, axis=1), 1 - right, np.zeros_like(right)):
            assert evidence(view.measure(worse, worse), fits=True) < best / 2
        assert evidence(view.measure(right, np.roll(right, 40, axis=1)), fits=True) < best / 1.5
        assert evidence(view.measure(right, right), fits=False) < best / 100

    def test_masks_look_alike_if_they_overlap_or_are_both_empty(self) -> None:
        one = np.zeros((100, 100), np.float32)
        one[20:80, 20:80] = 1
        assert look_alike(one, one * 0.98)
        assert not look_alike(one, np.roll(one, 5, axis=0))
        assert look_alike(one * 1e-3, one * 0)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Proposal, GraphFacts, Run]]:
    """A generated repository's proposal, facts and network."""

    def make(name: str, *, declared: bool = True) -> tuple[Proposal, GraphFacts, Run]:
        folder = write_repository(name, tmp_path_factory.mktemp(name), declared=declared)
        found = inspect_folder(folder)
        session = Session(found.spec, folder / "onnx" / "model.onnx", "cpu")
        return found.proposal, found.facts, run_of(session)

    return make


def proof_of(given: Proposal, about: GraphFacts, run: Run, rgb: RGB) -> Proof:
    return prove(rgb, run, candidates(given, about))


DECIDED = {f"input.{key}" for key in ("scale", "mean", "std", "channels", "layout", "dtype")} | {
    f"output.{key}" for key in ("index", "kind", "activation", "normalise", "channel")
}
"""What a picture can decide: not the size."""


class TestProofsOfGeneratedNetworks:
    @pytest.mark.parametrize("name", REPOSITORIES)
    def test_with_nothing_declared_the_right_contract_comes_first(self, name: str, known: Any) -> None:
        given, about, run = known(name, declared=False)
        for rgb in SCENES:
            first = proof_of(given, about, run, rgb).ranked[0]
            assert not DECIDED & set(differences(first.candidate.contract, REPOSITORIES[name].contract))
            assert first.is_clear

    @pytest.mark.parametrize("name", REPOSITORIES)
    def test_what_is_declared_and_right_stays_first(self, name: str, known: Any) -> None:
        given, about, run = known(name)
        for rgb in SCENES:
            proof = proof_of(given, about, run, rgb)
            assert proof.proposed == 0
            assert outcome(proof, given).level in ("consistent", "known", "likely", "guessed")

    @pytest.mark.parametrize("wrong", [2, 3, 4])
    def test_a_wrong_declaration_is_contradicted(self, wrong: int, known: Any) -> None:
        given, about, run = known("imagenet")
        input_ = given.contract.input.model_copy(update=NORMALISATIONS[wrong].values())
        proof = proof_of(
            misled := replace(given, contract=Contract(input=input_, output=given.contract.output)),
            about, run, SCENES[0],
        )  # fmt: skip
        assert proof.ranked[0].candidate.name == "ImageNet colours"
        assert proof.proposed != 0
        said = outcome(proof, misled)
        assert said.level == "contradicted"
        assert said.sentence == (
            "The picture contradicts what its authors declare: ImageNet colours fits it better. Check both."
        )

    def test_a_mask_twice_as_clear_is_pointed_out_where_it_does_not_win(self, known: Any) -> None:
        given, about, run = known("half_half")
        input_ = given.contract.input.model_copy(update=NORMALISATIONS[0].values())
        misled = replace(given, contract=Contract(input=input_, output=given.contract.output))
        proof = proof_of(misled, about, run, SCENES[0])
        assert proof.proposed == 0
        assert proof.clearer is not None
        said = outcome(proof, misled)
        assert said.level == "doubted"
        assert said.sentence == ("Declared by its authors, but −1 to 1 gives a clearer mask here. Compare the two.")

    def test_logits_taken_for_probabilities_are_found_out(self, known: Any) -> None:
        given, about, run = known("logits")
        plain = given.contract.output.model_copy(update={"kind": "alpha", "activation": "none", "normalise": "minmax"})
        sources = dict(given.sources) | {"output.activation": "declared", "output.normalise": "declared"}
        misled = replace(given, contract=Contract(input=given.contract.input, output=plain), sources=sources)
        first = proof_of(misled, about, run, SCENES[0]).ranked[0]
        assert first.candidate.contract.output.activation == "sigmoid"

    def test_without_a_clear_mask_what_is_declared_stays(self, known: Any) -> None:
        given, about, run = known("labels")
        grey = np.full((80, 120, 3), 128, np.uint8)
        proof = proof_of(given, about, run, grey)
        assert proof.proposed == 0
        assert outcome(proof, given).level == "unclear"
        assert "no clear subject" in outcome(proof, given).sentence


class _Counting:
    """A network by formula that remembers what it was given."""

    def __init__(self, answer: Callable[[Tensor], npt.NDArray[Any]]) -> None:
        self.answer, self.given = answer, list[Tensor]()

    def __call__(self, tensor: Tensor, output: str) -> npt.NDArray[Any]:
        assert output
        self.given.append(tensor)
        answer: npt.NDArray[Any] = self.answer(tensor)
        return answer


def brightness(tensor: Tensor) -> npt.NDArray[Any]:
    mean = tensor.mean(axis=1, keepdims=True)
    answer: npt.NDArray[Any] = (mean > mean.mean()).astype(np.float32)
    return answer


class TestRuns:
    def test_readings_of_the_same_output_are_one_run(self) -> None:
        run = _Counting(brightness)
        given = replace(proposal(), sources=dict(proposal("graph").sources) | {"output.activation": "guess"})
        found = candidates(given, facts(plane("matte", activation="none")))
        assert len(found) == 3
        proof = prove(SCENES[0], run, found, second=False)
        assert len(run.given) == proof.runs == 1

    def test_the_pictures_maximum_is_no_run_of_its_own_where_it_is_white(self) -> None:
        white = SCENES[0].copy()
        white[:60] = 255
        run = _Counting(brightness)
        pool = candidates(proposal("registry"), facts())
        contract = pool[0].contract
        by_maximum = contract.input.model_copy(update={"scale": "image_max", "interpolation": "nearest"})
        exact = contract.input.model_copy(update={"interpolation": "nearest"})
        both = [replace(pool[0], contract=Contract(input=each, output=contract.output)) for each in (by_maximum, exact)]
        assert prove(white, run, both, second=False).runs == 1

    def test_a_network_of_any_size_runs_small_and_in_its_multiples(self) -> None:
        run = _Counting(brightness)
        pool = candidates(
            proposal("registry", size=1024, dynamic=True, multiple_of=64, resize="fit_short"), facts()
        )  # fmt: skip
        prove(SCENES[0], run, pool)
        assert [tensor.shape for tensor in run.given] == [(1, 3, 320, 384)]

    def test_a_certain_contract_needs_no_mirrored_run(self) -> None:
        run = _Counting(brightness)
        assert prove(SCENES[0], run, candidates(proposal("registry"), facts())).runs == 1

    def test_another_mask_of_the_network_is_the_second_answer(self) -> None:
        asked = list[str]()

        def run(tensor: Tensor, output: str) -> npt.NDArray[Any]:
            asked.append(output)
            level = {"fused": 0.5, "coarse": 0.6}[output]
            answer: npt.NDArray[Any] = (tensor[:, :1] > tensor[:, :1].max() * level).astype(np.float32)
            return answer

        given = replace(proposal(), sources=dict(proposal("graph").sources) | dict.fromkeys(COLOURS, "guess"))
        about = facts(plane("fused"), plane("coarse"), plane("features", 5))
        proof = prove(SCENES[0], run, candidates(given, about))
        assert asked.count("coarse") == 2
        assert "features" not in asked
        assert 0 < min(each.measures.agreement for each in proof.ranked if each.measures.agreement is not None) < 1

    def test_contenders_run_mirrored(self) -> None:
        run = _Counting(lambda tensor: (tensor[:, :1] > tensor[:, :1].max() * 0.5).astype(np.float32))
        proof = prove(SCENES[0], run, candidates(proposal(), facts()))
        assert sum(each.measures.agreement is not None for each in proof.ranked) >= 2
        assert proof.runs <= MOST + 2


class TestRanking:
    def test_masks_without_a_visible_difference_are_ranked_by_plausibility(self) -> None:
        proof = prove(SCENES[0], _Counting(brightness), candidates(proposal(), facts()))  # any colours, one mask
        assert [each.same_as for each in proof.ranked] == [None, 0, 0, 0, 0, 0]
        assert proof.proposed == 0
        assert proof.margin == float("inf")
        said = outcome(proof, proposal())
        assert said.level == "guessed"
        assert said.sentence == "Guessed, but all plausible guesses give practically the same mask here."

    def test_shares_are_of_all_that_were_tried(self, known: Any) -> None:
        given, about, run = known("half_half", declared=False)
        proof = proof_of(given, about, run, SCENES[0])
        shares = [each.share for each in proof.ranked]
        assert shares == sorted(shares, reverse=True)
        assert 0.5 < sum(shares) <= 1.000001

    def test_the_proposal_is_shown_even_if_it_comes_last(self) -> None:
        """Six masks are better than it, as it alone takes the whole picture for the subject."""

        def answer(tensor: Tensor) -> npt.NDArray[Any]:
            return brightness(tensor) if tensor.max() < 200 else np.ones_like(tensor[:, :1])

        raw = proposal(scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
        proof = prove(SCENES[0], _Counting(answer), candidates(raw, facts(plane("matte", activation="none"))))
        assert len(proof.ranked) == MOST
        assert proof.proposed is not None
        assert proof.proposed > 0
        assert not proof.agrees

    def test_a_candidate_that_fails_is_told_and_the_others_ranked(self) -> None:
        def answer(tensor: Tensor) -> npt.NDArray[Any]:
            return brightness(tensor) if tensor.max() < 200 else np.full_like(tensor[:, :1], np.nan)

        proof = prove(SCENES[0], _Counting(answer), candidates(proposal(), facts()))
        assert {each.candidate.contract.input.scale for each in proof.failed} == {1.0}
        assert "not numbers" in proof.failed[0].problem
        assert proof.proposed == 0

    def test_if_all_fail_the_reason_is_raised(self) -> None:
        nothing = _Counting(lambda tensor: np.full_like(tensor[:, :1], np.nan))
        with pytest.raises(SessionError, match="values that are not numbers"):
            prove(SCENES[0], nothing, candidates(proposal(), facts()))


def declared_real(session: Session, **changes: Any) -> tuple[Proposal, GraphFacts]:
    """A real network's own contract as if it were declared, with changes."""
    shape = tuple(session.input.size) if isinstance(session.input.size, tuple) else ("height", "width")
    about = facts(
        OutputFacts(name=session.output.name or "", dtype="float32", shape=(1, 1, *shape), activation="sigmoid")
    )
    input_ = session.input.model_copy(update=changes)
    return Proposal(Contract(input=input_, output=session.output), dict.fromkeys(ALL, "declared")), about


class TestRealNetworks:
    def test_their_own_contracts_are_consistent(
        self, u2netp: Session, modnet: Session, photos: dict[str, Path]
    ) -> None:
        for session, output, photo in ((u2netp, "1959", "cheetah"), (modnet, "output", "astronaut")):
            given, about = declared_real(session)
            about = about.model_copy(update={"outputs": (about.outputs[0].model_copy(update={"name": output}),)})
            proof = proof_of(given, about, run_of(session), load_image(photos[photo]).rgb)
            assert proof.agrees
            assert outcome(proof, given).level == "consistent"

    @pytest.mark.parametrize("photo", ["astronaut", "cheetah"])
    def test_raw_levels_declared_by_mistake_are_contradicted(
        self, photo: str, u2netp: Session, photos: dict[str, Path]
    ) -> None:
        given, about = declared_real(u2netp, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
        about = about.model_copy(update={"outputs": (about.outputs[0].model_copy(update={"name": "1959"}),)})
        proof = proof_of(given, about, run_of(u2netp), load_image(photos[photo]).rgb)
        assert not proof.agrees
        assert outcome(proof, given).level == "contradicted"
        assert proof.ranked[0].candidate.contract.input.scale != 1.0


def test_any_output_of_a_network_can_be_run(tmp_path: Path) -> None:
    path = graphs.score_and_matte(tmp_path / "two.onnx")
    session = Session(graphs.make_spec(path, output={"index": 1}), path, "cpu")
    tensor = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    run = run_of(session)
    assert run(tensor, "matte").shape == (1, 1, 64, 64)
    assert run(tensor, "score") == pytest.approx(tensor.mean(axis=(2, 3)), abs=1e-5)
