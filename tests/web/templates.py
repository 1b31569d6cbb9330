"""Every sentence that the page may say in another language: templates of `Message` in the code, and the registry's."""

import ast
from pathlib import Path

from segmentation import load_registry

PACKAGE = Path(__file__).resolve().parent.parent.parent / "segmentation"
NOT_FOR_VISITORS = {"__main__.py", "inputs.py", "pairs.py", "source.py", "outputs.py", "recipe.py", "mcp.py"}
# why weights could not be downloaded is for the log and the command line; the page only says that they were not
INNER = (
    "the Hub ",
    "the disk of",
    "the models folder",
    "the file that came",
    "{requirement} ",
    "{package} ",
    "TensorRT",
)


def templates() -> set[str]:
    """All of them."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name in NOT_FOR_VISITORS:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if first := _first_of(node, "Message"):
                choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                for choice in choices:
                    if isinstance(choice, ast.Constant):
                        found.add(str(choice.value))
                    elif isinstance(choice, ast.Name) and choice.id in texts:
                        found.add(texts[choice.id])
            kind = _first_of(node, "FileKind")
            if isinstance(kind, ast.Constant) and str(kind.value).startswith(("a ", "an ")):
                found.add(str(kind.value))
    found |= {"Picture", "Seconds", "Model"}  # heads of the report
    for spec in load_registry().values():
        found |= {text for text in (spec.about, spec.licence_note, spec.licence.name) if text}
    found = {text for text in found if not text.startswith(INNER)}
    found.add("your own file")
    found.add("A file from your models folder, which has no entry in the registry.")
    return found


def _first_of(node: ast.AST, called: str) -> ast.expr | None:
    """The first argument, where the node is a call of that name."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == called and node.args:
        return node.args[0]
    return None


if __name__ == "__main__":
    import json
    import sys

    json.dump(sorted(templates()), sys.stdout, indent=1, ensure_ascii=False)
