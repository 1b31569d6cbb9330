"""The current run as code to paste: gradio_client, curl, command line."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from segmentation.corrections import Correction
from segmentation.recipe import Recipe, write_value

LONGEST = 3000  # characters of strokes in a program
IN_THE_ZIP = "settings.yaml is in the ZIP with all cutouts."
NO_CORRECTIONS: Mapping[int, Correction] = {}


def python_code(
    address: str,
    names: Sequence[str],
    recipe: Recipe,
    backdrop: str | None,
    login: bool = False,
    corrections: Mapping[int, Correction] = NO_CORRECTIONS,
) -> str:
    """A script for gradio_client.

    Args:
        address: URL of the page.
        names: The pictures' file names.
        recipe: Model and settings; defaults are left out.
        backdrop: File name of the background picture, if there is one.
        login: Whether the page requires a user name and password.
        corrections: What is said about pictures, by number.
    """
    values = {"model": recipe.model} | {name: _plain(value) for name, value in recipe.changed.items()}
    images = "".join(f"\n        handle_file({name!r})," for name in names)
    lines = [f"    images=[{images}\n    ],", *(f"    {name}={value!r}," for name, value in values.items())]
    said, notes = _said(len(names), corrections)
    lines += [f"    {name}={value!r}," for name, value in said.items()]
    for name in ("mask", "trimap"):
        files = [getattr(corrections.get(index), name, None) for index in range(len(names))]
        if any(files):
            entries = ", ".join(f"handle_file({file.name!r})" if file else "None" for file in files)
            lines.append(f"    {name}=[{entries}],")
    if backdrop:
        lines.append(f"    backdrop=handle_file({backdrop!r}),")
    lines = [*(f"    # {note}" for note in notes), *lines]
    call = "\n".join(lines)
    auth = ', auth=("USER", "PASSWORD")' if login else ""
    return f"""\
from gradio_client import Client, handle_file

client = Client({address!r}{auth})
files, report = client.predict(
{call}
    api_name="/segment",
)
for entry in report:
    print(entry["name"], entry["files"], entry["warnings"], entry["error"])
print(files)
"""


_LOGIN = """\
curl -sS -c "$cookies" -F username=USER -F password=PASSWORD "$server/login" && echo
"""


def curl_code(
    address: str,
    names: Sequence[str],
    recipe: Recipe,
    backdrop: str | None,
    login: bool = False,
    corrections: Mapping[int, Correction] = NO_CORRECTIONS,
) -> str:
    """The same as a shell script that needs curl and Python. See `python_code` for the arguments."""
    said, notes = _said(len(names), corrections)
    if any(each.mask or each.trimap for each in corrections.values()):
        notes.append("Own masks and trimaps are left out here.")
    body = {"model": recipe.model} | {name: _plain(value) for name, value in recipe.changed.items()} | said
    pictures = " ".join(shlex.quote(name) for name in [*names, *([backdrop] if backdrop else [])])
    behind = 'body["backdrop"] = files.pop()\n' if backdrop else ""
    cookies = ' -b "$cookies"' if login else ""
    # untrusted names are passed as quoted shell words, never inside a program
    remarks = "".join(f"# {note}\n" for note in notes)
    return f"""\
{remarks}server={shlex.quote(address)}
{"cookies=$(mktemp)" + chr(10) + _LOGIN if login else ""}\
paths=$(for picture in {pictures}; do
  quoted=$(printf %s "$picture" | sed 's/[\\\\"]/\\\\&/g')
  curl -sS{cookies} -F "files=@\\"$quoted\\"" "$server/gradio_api/upload" && echo
done)
body=$(python3 - "$paths" {shlex.quote(json.dumps(body))} <<'END'
import json, sys

files = [
    {{"path": json.loads(line)[0], "meta": {{"_type": "gradio.FileData"}}}}
    for line in sys.argv[1].splitlines()
]
body = json.loads(sys.argv[2])
{behind}print(json.dumps({{"images": files}} | body))
END
)
event=$(curl -sS{cookies} "$server/gradio_api/call/v2/segment" -H "Content-Type: application/json" -d "$body" \\
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["event_id"])')
curl -sSN{cookies} "$server/gradio_api/call/segment/$event"
"""


def command_line(names: Sequence[str], recipe: Recipe, backdrop: str | None, corrected: bool = False) -> str:
    """The same for this project's command line. See `python_code` for the arguments.

    Args:
        names: The pictures' file names.
        recipe: Model and settings.
        backdrop: File name of the background picture, if there is one.
        corrected: Whether something is said about the pictures; it is in the settings file of the ZIP.
    """
    parts = ["python", "-m", "segmentation", "cut", "--model", recipe.model]
    for name, value in recipe.changed.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            parts.append(f"--{flag}={write_value(value)}")
    if backdrop:
        parts.append(f"--backdrop={backdrop}")
    if corrected:
        parts.append("--strokes=settings.yaml")
        return f"# {IN_THE_ZIP}\n{shlex.join([*parts, '--', *names])}\n"
    return shlex.join([*parts, "--", *names]) + "\n"


def _said(pictures: int, corrections: Mapping[int, Correction]) -> tuple[dict[str, Any], list[str]]:
    """The parameters about each picture, without files, and remarks about those that are left out as too long."""
    parts = [corrections[index].as_json() if index in corrections else {} for index in range(pictures)]
    names = [name for name in ("strokes", "points", "box", "candidate") if any(name in each for each in parts)]
    said = {name: [each.get(name) for each in parts] for name in names}
    long = [name for name, value in said.items() if len(json.dumps(value)) > LONGEST]
    return {name: value for name, value in said.items() if name not in long}, [
        f"The {name} are too long to show. {IN_THE_ZIP}" for name in long
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
