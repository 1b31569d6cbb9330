"""Runs transformers.js on folders in the Hub's layout: an independent reader of what repositories declare."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segmentation.arrays import Mask
from tests.web import node

SCRIPT = Path(__file__).with_name("transformers.mjs")


@dataclass(frozen=True)
class Job:
    """A model and its pictures."""

    model: str
    """Its folder, relative to the models folder."""
    pictures: Sequence[Path]
    classes: bool = False
    """Whether it distinguishes classes."""


@dataclass(frozen=True)
class Answer:
    """What transformers.js returns for a picture: masks or an error."""

    masks: Mapping[str, Mask] = field(default_factory=dict)
    """At the picture's size, by class, which is "" if there is only one."""
    error: str = ""


def run(models: Path, jobs: Sequence[Job], output: Path) -> list[list[Answer]]:
    """The answers for the pictures of each job. One process does them all.

    Args:
        models: The models folder.
        jobs: What to do.
        output: A folder for the masks.
    """
    if problem := next(filter(None, map(node.missing, (node.TRANSFORMERS, node.SHARP))), ""):
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    tasks = [
        {
            "task": "image-segmentation" if job.classes else "background-removal",
            "model": job.model,
            "pictures": [str(path) for path in job.pictures],
        }
        for job in jobs
    ]
    package = node.package(node.TRANSFORMERS) / "dist" / "transformers.node.mjs"
    done = subprocess.run(
        [shutil.which("node") or "node", SCRIPT, package, models, output],
        input=json.dumps(tasks), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = iter(json.loads(done.stdout.splitlines()[-1]))
    return [[_answer(next(answers)) for _ in job.pictures] for job in jobs]


def _answer(entry: dict[str, Any]) -> Answer:
    if "error" in entry:
        return Answer(error=entry["error"])
    planes = {
        mask["label"]: np.fromfile(mask["file"], np.uint8).reshape(mask["height"], mask["width"])
        for mask in entry["masks"]
    }
    return Answer(masks=planes)
