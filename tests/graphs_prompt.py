"""Tiny promptable networks with the interfaces of real ones: what one points at is what has its colour and is joined.

The encoder averages the picture over cells of 4 pixels; the decoder fills from the cell under each point to keep, takes
away what it fills from those to remove, and stays within a box. The best of its three answers is the second; the first
is everything of that colour, joined or not, and the third the whole picture. They work at 64 pixels instead of 1024.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
import yaml

from segmentation.models.registry import load_registry
from segmentation.models.spec import DecoderFile, ModelSpec

EDGE, CELL = 64, 4
CELLS = EDGE // CELL
_STEPS = 40  # of the fill; more than any shape in these tests needs

_HEADER = '<ir_version: 9, opset_import: ["" : 17]>'


def _write(path: Path, inputs: str, outputs: str, body: str, constants: Mapping[str, str] | None = None) -> Path:
    """A file of this graph in ONNX's own text."""
    lines = "\n".join(f"{name} = Constant<value = {value}>()" for name, value in (constants or {}).items())
    model = onnx.parser.parse_model(f"{_HEADER} tiny ({inputs}) => ({outputs}) {{\n{lines}\n{body}\n}}")
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


_CONSTANTS = {
    "half": "float {0.5}", "zero": "float {0}", "one": "float {1}", "two": "float {2}", "three": "float {3}",
    "minus": "float {-1}", "cell": f"float {{{CELL}}}", "last": f"float {{{CELLS - 1}}}", "cells": f"float {{{CELLS}}}",
    "near": "float {0.05}", "steep": "float {20}", "ten": "float {10}", "good": "float[1] {0.9}",
    "first_axis": "int64[1] {0}", "second_axis": "int64[1] {1}", "column_x": "int64 {0}", "column_y": "int64 {1}",
    "all_points": "int64[2] {-1, 2}", "all_labels": "int64[1] {-1}", "pixels_shape": f"int64[2] {{3, {CELLS**2}}}",
    "planes_shape": f"int64[4] {{-1, 1, {CELLS}, {CELLS}}}", "colour_shape": "int64[4] {-1, 3, 1, 1}",
    "point_shape": "int64[4] {-1, 1, 1, 1}", "depth": f"int64 {{{CELLS**2}}}", "off_on": "float[2] {0, 1}",
    "row_shape": f"int64[3] {{1, 1, {CELLS}}}", "column_shape": f"int64[3] {{1, {CELLS}, 1}}",
    "numbers": f"float[{CELLS}] {{{', '.join(map(str, range(CELLS)))}}}",
    "scores_others": "float[1] {0.8}", "scores_all": "float[1] {0.3}",
}  # fmt: skip

# `embedding` (1, 3, 16, 16), `coordinates` (..., 2) and `kinds` (...) -> `logits` (3, 16, 16) and `scores` (3)
_ANSWER = """
    points = Reshape(coordinates, all_points)
    labels_given = Reshape(kinds, all_labels)
    labels = Cast<to = 1>(labels_given)
    centred = Add(points, half)
    in_cells = Div(centred, cell)
    whole = Floor(in_cells)
    not_below = Max(whole, zero)
    at = Min(not_below, last)
    is_first = Equal(labels, two)
    first_weight = Cast<to = 1>(is_first)
    first_column = Unsqueeze(first_weight, second_axis)
    first_masked = Mul(at, first_column)
    top_left = ReduceSum<keepdims = 1>(first_masked, first_axis)
    is_last = Equal(labels, three)
    last_weight = Cast<to = 1>(is_last)
    last_column = Unsqueeze(last_weight, second_axis)
    last_masked = Mul(at, last_column)
    bottom_right = ReduceSum<keepdims = 1>(last_masked, first_axis)
    has_box = ReduceMax<axes = [0], keepdims = 1>(first_weight)
    corner_sum = Add(top_left, bottom_right)
    corner_mean = Div(corner_sum, two)
    middle = Floor(corner_mean)
    twice = Mul(has_box, two)
    middle_label = Sub(twice, one)
    seeds = Concat<axis = 0>(at, middle)
    seed_labels = Concat<axis = 0>(labels, middle_label)
    x = Gather<axis = 1>(seeds, column_x)
    y = Gather<axis = 1>(seeds, column_y)
    row_start = Mul(y, cells)
    place = Add(row_start, x)
    index = Cast<to = 7>(place)
    pixels = Reshape(embedding, pixels_shape)
    colours_across = Gather<axis = 1>(pixels, index)
    colours_down = Transpose<perm = [1, 0]>(colours_across)
    colours = Reshape(colours_down, colour_shape)
    difference = Sub(embedding, colours)
    squares = Mul(difference, difference)
    distance = ReduceSum<keepdims = 1>(squares, second_axis)
    is_near = Less(distance, near)
    similar = Cast<to = 1>(is_near)
    dots = OneHot(index, depth, off_on)
    fill0 = Reshape(dots, planes_shape)
    {fill}
    is_kept = Equal(seed_labels, one)
    kept_weight = Cast<to = 1>(is_kept)
    kept_planes = Reshape(kept_weight, point_shape)
    is_removed = Equal(seed_labels, zero)
    removed_weight = Cast<to = 1>(is_removed)
    removed_planes = Reshape(removed_weight, point_shape)
    kept_each = Mul(filled, kept_planes)
    kept = ReduceMax<axes = [0], keepdims = 0>(kept_each)
    removed_each = Mul(filled, removed_planes)
    removed = ReduceMax<axes = [0], keepdims = 0>(removed_each)
    coloured_each = Mul(similar, kept_planes)
    coloured = ReduceMax<axes = [0], keepdims = 0>(coloured_each)
    left_out = Sub(one, removed)
    columns = Reshape(numbers, row_shape)
    rows = Reshape(numbers, column_shape)
    left = Gather<axis = 1>(top_left, column_x)
    top = Gather<axis = 1>(top_left, column_y)
    right = Gather<axis = 1>(bottom_right, column_x)
    bottom = Gather<axis = 1>(bottom_right, column_y)
    after_left = GreaterOrEqual(columns, left)
    before_right = LessOrEqual(columns, right)
    after_top = GreaterOrEqual(rows, top)
    before_bottom = LessOrEqual(rows, bottom)
    across = And(after_left, before_right)
    down = And(after_top, before_bottom)
    in_box = And(across, down)
    box_free = Equal(has_box, zero)
    allowed_here = Or(in_box, box_free)
    allowed = Cast<to = 1>(allowed_here)
    kept_left = Mul(kept, left_out)
    joined = Mul(kept_left, allowed)
    coloured_left = Mul(coloured, left_out)
    anywhere = Mul(coloured_left, allowed)
    nothing = Mul(anywhere, zero)
    everything = Add(nothing, one)
    planes = Concat<axis = 0>(anywhere, joined, everything)
    scaled = Mul(planes, steep)
    logits = Sub(scaled, ten)
    {score}
    scores = Concat<axis = 0>(scores_others, score, scores_all)
"""

_FILL = "\n".join(
    f"grown{step} = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(fill{step})\n"
    f"fill{step + 1} = Mul(grown{step}, similar)"
    for step in range(_STEPS)
)
_FILL += f"\nfilled = Identity(fill{_STEPS})"

# Meta's exports want a closing point where there is no box: without either, this one is unsure of its best answer
_CLOSED = """
    is_closing = Equal(labels, minus)
    closing_weight = Cast<to = 1>(is_closing)
    has_closing = ReduceMax<axes = [0], keepdims = 1>(closing_weight)
    closed = Max(has_closing, has_box)
    score = Mul(good, closed)
"""


def _answer(score: str = "score = Identity(good)") -> str:
    return _ANSWER.replace("{fill}", _FILL).replace("{score}", score)


_POOL = f"AveragePool<kernel_shape = [{CELL}, {CELL}], strides = [{CELL}, {CELL}]>"


def transformers_js(folder: Path) -> list[Path]:
    """Encoder and decoder as transformers.js has them, of points only."""
    encoder = _write(
        folder / "vision_encoder_quantized.onnx",
        f"float[1, 3, {EDGE}, {EDGE}] pixel_values",
        f"float[1, 3, {CELLS}, {CELLS}] image_embeddings, float[1, 3, {CELLS}, {CELLS}] image_positional_embeddings",
        f"image_embeddings = {_POOL}(pixel_values)\nimage_positional_embeddings = Mul(image_embeddings, zero)",
        {"zero": "float {0}"},
    )
    decoder = _write(
        folder / "prompt_encoder_mask_decoder_quantized.onnx",
        f"float[1, 1, n, 2] input_points, int64[1, 1, n] input_labels, float[1, 3, {CELLS}, {CELLS}] image_embeddings, "
        f"float[1, 3, {CELLS}, {CELLS}] image_positional_embeddings",
        f"float[1, 1, 3] iou_scores, float[1, 1, 3, {CELLS}, {CELLS}] pred_masks",
        f"""
        coordinates = Identity(input_points)
        kinds = Identity(input_labels)
        embedding = Add(image_embeddings, image_positional_embeddings)
        {_answer()}
        pred_masks = Unsqueeze(logits, two_axes)
        iou_scores = Unsqueeze(scores, two_axes)
        """,
        {**_CONSTANTS, "two_axes": "int64[2] {0, 1}"},
    )
    return [encoder, decoder]


def meta(folder: Path) -> list[Path]:
    """Encoder and decoder of Meta's export: it normalises and pads itself, and has no batch axis."""
    encoder = _write(
        folder / "mobile_sam_image_encoder.onnx",
        "float[height, width, 3] input_image",
        f"float[1, 3, {CELLS}, {CELLS}] image_embeddings",
        f"""
        centred = Sub(input_image, mean)
        normal = Div(centred, std)
        planes = Transpose<perm = [2, 0, 1]>(normal)
        size = Shape(planes)
        missing = Sub(wanted, size)
        padding = Concat<axis = 0>(none, missing)
        padded = Pad(planes, padding)
        batch = Unsqueeze(padded, first_axis)
        image_embeddings = {_POOL}(batch)
        """,
        {
            "mean": "float[3] {123.675, 116.28, 103.53}", "std": "float[3] {58.395, 57.12, 57.375}",
            "wanted": f"int64[3] {{3, {EDGE}, {EDGE}}}", "none": "int64[3] {0, 0, 0}", "first_axis": "int64[1] {0}",
        },
    )  # fmt: skip
    decoder = _write(
        folder / "sam_mask_decoder_single.onnx",
        f"float[1, 3, {CELLS}, {CELLS}] image_embeddings, float[1, n, 2] point_coords, float[1, n] point_labels, "
        f"float[1, 1, {CELLS}, {CELLS}] mask_input, float[1] has_mask_input, float[2] orig_im_size",
        f"float[1, 3, h, w] masks, float[1, 3] iou_predictions, float[1, 3, {CELLS}, {CELLS}] low_res_masks",
        f"""
        coordinates = Identity(point_coords)
        kinds = Identity(point_labels)
        earlier = Mul(mask_input, has_mask_input)
        embedding = Add(image_embeddings, earlier)
        {_answer(_CLOSED)}
        low_res_masks = Unsqueeze(logits, first_axis)
        iou_predictions = Unsqueeze(scores, first_axis)
        size = Cast<to = 7>(orig_im_size)
        sizes = Concat<axis = 0>(one_of_three, size)
        masks = Resize<mode = "linear">(low_res_masks, , , sizes)
        """,
        {**_CONSTANTS, "one_of_three": "int64[2] {1, 3}"},
    )
    return [encoder, decoder]


_STRETCHED = f"""
    stretched = Resize<mode = "linear">(batched_images, , , network_size)
    {{name}} = {_POOL}(stretched)
"""
_NETWORK_SIZE = {"network_size": f"int64[4] {{1, 3, {EDGE}, {EDGE}}}"}
_TO_SIZE = """
    candidates = Unsqueeze(logits, first_axis)
    sizes = Concat<axis = 0>(one_of_three, size)
    sized = Resize<mode = "linear">(candidates, , , sizes)
    output_masks = Unsqueeze(sized, first_axis)
    iou_predictions = Unsqueeze(scores, two_axes)
"""


def efficientsam(folder: Path) -> list[Path]:
    """Encoder and decoder of EfficientSAM: pictures of any size, coordinates in theirs."""
    encoder = _write(
        folder / "efficientsam_ti_encoder.onnx",
        "float[batch, 3, height, width] batched_images",
        f"float[1, 3, {CELLS}, {CELLS}] image_embeddings",
        _STRETCHED.replace("{name}", "image_embeddings"),
        _NETWORK_SIZE,
    )
    decoder = _write(
        folder / "efficientsam_ti_decoder.onnx",
        f"float[batch, 3, {CELLS}, {CELLS}] image_embeddings, float[1, 1, n, 2] batched_point_coords, "
        "float[1, 1, n] batched_point_labels, int64[2] orig_im_size",
        "float[1, 1, 3, h, w] output_masks, float[1, 1, 3] iou_predictions",
        f"""
        size = Identity(orig_im_size)
        edges = Cast<to = 1>(size)
        width_height = Gather<axis = 0>(edges, backwards)
        shares = Div(batched_point_coords, width_height)
        coordinates = Mul(shares, edge)
        kinds = Identity(batched_point_labels)
        embedding = Identity(image_embeddings)
        {_answer()}
        {_TO_SIZE}
        """,
        {
            **_CONSTANTS, "backwards": "int64[2] {1, 0}", "edge": f"float {{{EDGE}}}",
            "one_of_three": "int64[2] {1, 3}", "two_axes": "int64[2] {0, 1}",
        },
    )  # fmt: skip
    return [encoder, decoder]


def efficientsam_in_one(folder: Path) -> list[Path]:
    """EfficientSAM as one graph of a fixed size, which takes exactly six points, with an axis more on their labels."""
    return [
        _write(
            folder / "image_segmentation_efficientsam_ti_2025april.onnx",
            f"float[1, 3, {EDGE}, {EDGE}] batched_images, float[1, 1, 6, 2] batched_point_coords, "
            "float[1, 1, 6, 1] batched_point_labels",
            f"float[1, 1, 3, {EDGE}, {EDGE}] output_masks, float[1, 1, 3] iou_predictions",
            f"""
            coordinates = Identity(batched_point_coords)
            kinds = Identity(batched_point_labels)
            embedding = {_POOL}(batched_images)
            {_answer()}
            size = Constant<value = int64[2] {{{EDGE}, {EDGE}}}>()
            {_TO_SIZE}
            """,
            {**_CONSTANTS, "one_of_three": "int64[2] {1, 3}", "two_axes": "int64[2] {0, 1}"},
        )
    ]


INTERFACES = {
    "slimsam-77": transformers_js,
    "mobilesam": meta,
    "efficientsam-ti-split": efficientsam,
    "efficientsam-ti": efficientsam_in_one,
}
"""Id of a registry entry -> a maker of its files, small."""


def promptable(folder: Path, model_id: str = "slimsam-77") -> tuple[ModelSpec, Path]:
    """A registry entry with small files in a folder: what differs is their size, their hash, and 64 for 1024.

    Returns:
        The model, and the path of its first file.
    """
    spec = load_registry()[model_id]
    paths = INTERFACES[model_id]((folder / spec.weights.file).parent)
    own, *others = (
        (path.name, len(content := path.read_bytes()), hashlib.sha256(content).hexdigest()) for path in paths
    )
    assert Path(spec.weights.file).name == own[0]
    decoder = None
    if others:
        assert spec.weights.decoder is not None
        assert spec.weights.decoder.file == others[0][0]
        decoder = DecoderFile(file=others[0][0], size=others[0][1], sha256=others[0][2])
    assert spec.prompt is not None
    size = EDGE if isinstance(spec.input.size, int) else (EDGE, EDGE)
    small = spec.model_copy(
        update={
            "weights": spec.weights.model_copy(update={"size": own[1], "sha256": own[2], "decoder": decoder}),
            "input": spec.input.model_copy(update={"size": size, "max_size": EDGE}),
            "prompt": spec.prompt.model_copy(update={"pads_to": EDGE if spec.prompt.pads_to else None}),
        }
    )
    return small, folder / spec.weights.file


def write_registry(models: Path, file: Path, *model_ids: str) -> None:
    """Write small promptable models into a models folder, and a registry file with them."""
    entries = []
    for model_id in model_ids:
        spec, _ = promptable(models, model_id)
        entry = spec.model_dump(mode="json", exclude={"registered", "notes"}, exclude_none=True)
        entry["weights"].pop("stamp")
        assert spec.prompt is not None
        if spec.prompt.remove is None:
            entry["prompt"]["remove"] = None
        entries.append(entry | {"licence": spec.licence.id})
    file.write_text(yaml.safe_dump({"schema_version": 1, "models": entries}), encoding="utf-8")
