"""The tables of the README, made from the code. `python -m tests.readme_tables` writes them in."""

import re
from pathlib import Path

from segmentation.config import PROJECT, VARIABLES, Config
from segmentation.models.registry import load_registry
from segmentation.recipe import DEFAULTS, write_value
from segmentation.settings import help_text

README = Path(__file__).resolve().parent.parent / "README.md"
COMMERCIAL = {"yes": "yes", "no": "**no**, to be accepted", "conditional": "conditional", "unknown": "not known"}


def models() -> str:
    rows = ["| id | for | input | MB | licence | commercial use |", "|---|---|---|---|---|---|"]
    for spec in load_registry().values():
        size = spec.input.size if isinstance(spec.input.size, int) else "x".join(map(str, spec.input.size or ()))
        licence = f"[{spec.licence.name}]({spec.licence.url})" if spec.licence.url else spec.licence.name
        source = f"[{spec.id}]({spec.origin.url})"
        rows.append(
            f"| {source} | {spec.about} | {size}{'+' if spec.input.dynamic else ''} "
            f"| {(spec.weights.size or 0) / 1e6:.1f} | {licence} | {COMMERCIAL[spec.licence.commercial]} |"
        )
    return "\n".join(rows)


def parameters() -> str:
    rows = ["| parameter | default | meaning |", "|---|---|---|"]
    rows += ["| `images` | | The pictures, at least one |", "| `model` | the first | Id of a model, see below |"]
    for name, default in DEFAULTS.items():
        shown = write_value(default) or "the model's own"
        rows.append(f"| `{name}` | {shown} | {help_text(name)} |")
    rows.append("| `backdrop` | | The picture that lies behind, where `background` is 'picture' |")
    return "\n".join(rows)


def variables() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Config.model_fields.items():
        default = f"{field.default.relative_to(PROJECT)}/" if isinstance(field.default, Path) else field.default
        default = {True: "true", False: "false"}[default] if isinstance(default, bool) else default
        help_ = " ".join((field.description or "").split()).removesuffix(".")
        rows.append(f"| `{VARIABLES[name]}` | {default} | {help_} |")
    return "\n".join(rows)


def with_tables(text: str) -> str:
    for name, table in (("models", models()), ("parameters", parameters()), ("variables", variables())):
        text, found = re.subn(
            rf"<!-- {name} -->\n.*?<!-- end -->",
            lambda _, name=name, table=table: f"<!-- {name} -->\n{table}\n<!-- end -->",
            text,
            flags=re.DOTALL,
        )
        assert found == 1, name
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
