"""What names a model on the Hub, and what does not."""

import pytest
from huggingface_hub import constants

from segmentation.errors import SettingsError
from segmentation.models.hub_reference import HubReference

COMMIT = "fa2fa546052fba4c08921230a26cc69a333fca12"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Xenova/modnet", HubReference("Xenova/modnet")),
        ("  Xenova/modnet\n", HubReference("Xenova/modnet")),
        ("Xenova/modnet@v1.0", HubReference("Xenova/modnet", "v1.0")),
        ("Xenova/modnet@main", HubReference("Xenova/modnet")),
        ("a/b@refs/pr/1", HubReference("a/b", "refs/pr/1")),
        ("Xenova/modnet:onnx/model_fp16.onnx", HubReference("Xenova/modnet", None, "onnx/model_fp16.onnx")),
        (f"Xenova/modnet@{COMMIT}:onnx/model.onnx", HubReference("Xenova/modnet", COMMIT, "onnx/model.onnx")),
        ("briaai/RMBG-2.0", HubReference("briaai/RMBG-2.0")),
        ("https://huggingface.co/briaai/RMBG-2.0", HubReference("briaai/RMBG-2.0")),
        ("https://huggingface.co/briaai/RMBG-2.0/", HubReference("briaai/RMBG-2.0")),
        ("huggingface.co/briaai/RMBG-2.0", HubReference("briaai/RMBG-2.0")),
        ("https://hf.co/briaai/RMBG-2.0?library=onnx#usage", HubReference("briaai/RMBG-2.0")),
        ("https://huggingface.co/a/b/tree/main", HubReference("a/b")),
        ("https://huggingface.co/a/b/tree/main/onnx", HubReference("a/b")),
        ("https://huggingface.co/a/b/tree/v2", HubReference("a/b", "v2")),
        ("https://huggingface.co/a/b/tree/refs%2Fpr%2F1", HubReference("a/b", "refs/pr/1")),
        (f"https://huggingface.co/a/b/commit/{COMMIT}", HubReference("a/b", COMMIT)),
        ("https://huggingface.co/a/b/discussions/3", HubReference("a/b")),
        (
            f"https://huggingface.co/a/b/blob/{COMMIT}/onnx/model.onnx",
            HubReference("a/b", COMMIT, "onnx/model.onnx"),
        ),
        (
            "https://huggingface.co/a/b/resolve/main/onnx/model_q4.onnx?download=true",
            HubReference("a/b", None, "onnx/model_q4.onnx"),
        ),
        ("https://huggingface.co/a/b/blob/main/config.json", HubReference("a/b")),
    ],
)
def test_a_name_or_link_is_understood(text: str, reference: HubReference) -> None:
    parsed = HubReference.parse(text)
    assert parsed == reference
    assert HubReference.parse(str(reference)) == reference


def test_a_link_to_the_configured_hub_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example:8443")
    assert HubReference.parse("https://mirror.example:8443/a/b/tree/v1") == HubReference("a/b", "v1")
    assert HubReference.parse("https://other.example/a/b") is None


@pytest.mark.parametrize(
    "text",
    [
        "", "u2netp", "mine.onnx", "a/b/c", "/a/b", "a//b", "a/", "../b", "a/..", "a/b..c", "-a/b", "a/-b", "a/b-",
        "a b/c", "a/b\0", "a/b\u202ec", "a\n/b", "models/own.onnx", "C:/models/net", "a--b/c",
        "https://example.org/a/b", "ftp://huggingface.co/a/b", "https://huggingface.co@evil.example/a/b",
        "https://[", f"{'a' * 50}/{'b' * 50}", "a/" + "b" * 600, "ä/b", "data:image/png;base64,AAAA",
    ],
)  # fmt: skip
def test_anything_else_is_no_model_on_the_hub(text: str) -> None:
    assert HubReference.parse(text) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("https://huggingface.co/datasets/a/b", "is not a model on the Hub. Copy the address of a model's page"),
        ("https://huggingface.co/spaces/a/b", "is not a model on the Hub"),
        ("https://huggingface.co/briaai", "is not a model on the Hub"),
        ("https://hf.co/", "is not a model on the Hub"),
        ("https://huggingface.co/..%2F..%2Fetc/passwd", "is not a model on the Hub"),
        ("a/b@", "is not a branch, tag or commit of a/b"),
        ("a/b@../../c", "is not a branch, tag or commit of a/b"),
        ("a/b@v 1", "v 1 is not a branch, tag or commit of a/b"),
        ("a/b:", "is not the path of an .onnx file in a/b"),
        ("a/b:model.safetensors", "model.safetensors is not the path of an .onnx file in a/b"),
        ("a/b:../model.onnx", "is not the path of an .onnx file"),
        ("a/b:/etc/model.onnx", "is not the path of an .onnx file"),
        ("a/b:x/..onnx", "is not the path of an .onnx file"),
        ("a/b:onnx\\model.onnx", "is not the path of an .onnx file"),
        (f"a/b:{'x' * 200}.onnx", "is not the path of an .onnx file"),
        ("https://huggingface.co/a/b/blob/main/..%2Fmodel.onnx", "is not the path of an .onnx file"),
    ],
)
def test_what_is_almost_right_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence.replace(".", r"\.")):
        HubReference.parse(text)


def test_only_a_full_commit_pins() -> None:
    assert HubReference("a/b", COMMIT).is_pinned
    assert not HubReference("a/b", COMMIT[:7]).is_pinned
    assert not HubReference("a/b").is_pinned
