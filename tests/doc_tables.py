"""The tables of the documentation, made from the code. `python -m tests.doc_tables` writes them."""

from pathlib import Path

from segmentation.config import PROJECT, VARIABLES, Config
from segmentation.models.registry import load_registry
from segmentation.recipe import DEFAULTS, write_value
from segmentation.settings import help_text

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
COMMERCIAL = {"yes": "yes", "no": "**no**, to be accepted", "conditional": "conditional", "unknown": "not known"}


def models() -> str:
    rows = ["| id | for | tasks | tier | input | MB | licence | commercial use |", "|---|---|---|---|---|---|---|---|"]
    for spec in load_registry().values():
        size = spec.input.size if isinstance(spec.input.size, int) else "x".join(map(str, spec.input.size or ()))
        licence = f"[{spec.licence.name}]({spec.licence.url})" if spec.licence.url else spec.licence.name
        source = f"[{spec.id}]({spec.origin.url})"
        tasks = ", ".join(spec.tasks)
        rows.append(
            f"| {source} | {spec.about} | {tasks} | {spec.tier} | {size}{'+' if spec.input.dynamic else ''} "
            f"| {spec.weights.total / 1e6:.1f} | {licence} | {COMMERCIAL[spec.licence.commercial]} |"
        )
    return "\n".join(rows)


def settings() -> str:
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, default in DEFAULTS.items():
        shown = write_value(default) or ("none" if name == "prompt_model" else "the model's own")
        rows.append(f"| `{name}` | {shown} | {help_text(name)} |")
    return "\n".join(rows)


def variables() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Config.model_fields.items():
        default = f"{field.default.relative_to(PROJECT)}/" if isinstance(field.default, Path) else field.default
        default = {True: "true", False: "false"}[default] if isinstance(default, bool) else default
        help_ = " ".join((field.description or "").split()).removesuffix(".")
        rows.append(f"| `{VARIABLES[name]}` | {default} | {help_} |")
    return "\n".join(rows)


TABLES = {DOCS / "models.md": models, DOCS / "matting.md": settings, DOCS / "hosting.md": variables}
"""Which file holds which table, between `<!-- name -->` and `<!-- end -->`."""


def with_table(file: Path) -> str:
    """The text of a file with its table as the code has it now."""
    table = TABLES[file]
    start, end = f"<!-- {table.__name__} -->\n", "\n<!-- end -->"
    before, _, rest = file.read_text(encoding="utf-8").partition(start)
    _, found, after = rest.partition(end)
    assert found, file
    return f"{before}{start}{table()}{end}{after}"


if __name__ == "__main__":
    for path in TABLES:
        path.write_text(with_table(path), encoding="utf-8")
