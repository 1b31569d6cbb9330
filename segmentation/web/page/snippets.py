"""The current run as code to paste: gradio_client, curl, command line."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from segmentation.recipe import Recipe, write_value


def python_code(address: str, names: Sequence[str], recipe: Recipe, backdrop: str | None, login: bool = False) -> str:
    """A script for gradio_client.

    Args:
        address: URL of the page.
        names: The pictures' file names.
        recipe: Model and settings; defaults are left out.
        backdrop: File name of the background picture, if there is one.
        login: Whether the page requires a user name and password.
    """
    values = {"model": recipe.model} | {name: _plain(value) for name, value in recipe.changed.items()}
    images = "".join(f"\n        handle_file({name!r})," for name in names)
    lines = [f"    images=[{images}\n    ],", *(f"    {name}={value!r}," for name, value in values.items())]
    if backdrop:
        lines.append(f"    backdrop=handle_file({backdrop!r}),")
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


def curl_code(address: str, names: Sequence[str], recipe: Recipe, backdrop: str | None, login: bool = False) -> str:
    """The same as a shell script that needs curl and Python. See `python_code` for the arguments."""
    body = {"model": recipe.model} | {name: _plain(value) for name, value in recipe.changed.items()}
    pictures = " ".join(shlex.quote(name) for name in [*names, *([backdrop] if backdrop else [])])
    behind = 'body["backdrop"] = files.pop()\n' if backdrop else ""
    cookies = ' -b "$cookies"' if login else ""
    # untrusted names are passed as quoted shell words, never inside a program
    return f"""\
server={shlex.quote(address)}
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


def command_line(names: Sequence[str], recipe: Recipe, backdrop: str | None) -> str:
    """The same for this project's command line. See `python_code` for the arguments."""
    parts = ["python", "-m", "segmentation", "cut", "--model", recipe.model]
    for name, value in recipe.changed.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            parts.append(f"--{flag}={write_value(value)}")
    if backdrop:
        parts.append(f"--backdrop={backdrop}")
    return shlex.join([*parts, "--", *names]) + "\n"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
