"""What people read about a run: the status line, and an entry a picture with its seconds as a bar. All escaped."""

import html
from pathlib import Path
from typing import Any

from segmentation.batch import Report
from segmentation.web.runs import Run
from segmentation.web.service import STAGES  # in the order of the bar; style.css colours them

COMMERCIAL = {
    "yes": "commercial use allowed",
    "no": "**no commercial use**",
    "conditional": "commercial use under conditions",
    "unknown": "terms of use not known",
}


def line(text: str) -> str:
    """A status line."""
    return f'<div class="line" role="status">{html.escape(text)}</div>'


def progress(run: Run) -> str:
    """The status of a run, with a bar while it is under way."""
    bar = f'<progress max="{run.total}" value="{len(run.outcomes)}" aria-label="Pictures done"></progress>'
    return line(_so_far(run)) + bar * run.running


def _so_far(run: Run) -> str:
    total, done = run.total, len(run.outcomes)
    failed = sum(1 for entry in run.reports if entry["error"])
    trouble = f", {failed} failed (see below)" if failed else ""
    if done < total:
        return f"{done} of {total} done{trouble}. {run.now}"
    return f"{'The picture is' if total == 1 else f'All {total} pictures are'} done{trouble}."


def table(reports: list[Report]) -> str:
    """An entry a picture: size, seconds by stage, model and provider, and what to know about it."""
    if not reports:
        return ""
    longest = max(sum(entry["seconds"].values()) for entry in reports) or 1.0
    rows = [
        f"<tr><td>{html.escape(Path(entry['name']).name)}<br><span class='quiet'>{_size(entry)}</span></td>"
        f"<td>{_bar(entry['seconds'], longest)}</td><td class='wide'>{_where(entry)}</td><td>{_said(entry)}</td></tr>"
        for entry in reports
    ]
    head = "<tr><th>Picture</th><th>Seconds</th><th class='wide'>Model</th><th>Notes</th></tr>"
    legend = "".join(
        f"<span><i class='{stage}'></i>{words}</span>"
        for stage, words in STAGES.items()
        if any(stage in entry["seconds"] for entry in reports)
    )
    notes = sorted({entry["provider_note"] for entry in reports if entry["provider_note"]})
    below = "".join(f"<p class='quiet'>Computed on the CPU: {html.escape(note)}</p>" for note in notes)
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table><p class='legend'>{legend}</p>{below}"


def _size(entry: Report) -> str:
    return f"{entry['width']} x {entry['height']}" if entry["width"] else ""


def _where(entry: Report) -> str:
    return f"{html.escape(entry['model'])} on {html.escape(entry['provider'].removesuffix('ExecutionProvider'))}"


def _said(entry: Report) -> str:
    if entry["error"]:
        return f"<span class='failed'>{html.escape(entry['error'])}</span>"
    return "<br>".join(html.escape(text) for text in entry["warnings"])


def _bar(seconds: dict[str, float], longest: float) -> str:
    """The seconds by stage, stacked; as long as it took beside the slowest picture."""
    total = sum(seconds.values())
    spelled = ", ".join(f"{stage} {seconds[stage]:.2f} s" for stage in STAGES if stage in seconds)
    parts = "".join(
        f"<i class='{stage}' style='width: {100 * seconds[stage] / longest:.2f}%'></i>"
        for stage in STAGES
        if stage in seconds
    )
    return f"{total:.1f} s<span class='bar' role='img' aria-label='{spelled}' title='{spelled}'>{parts}</span>"


def card(model: dict[str, Any] | None) -> str:
    """What a model is for, its terms, its size, and whether it is here already; as Markdown."""
    if model is None:
        return ""
    licence = f"[{model['licence']}]({model['licence_url']})" if model["licence_url"] else model["licence"]
    megabytes = f"{max(1, round(model['bytes'] / 1e6))} MB" if model["bytes"] else ""
    place = "on this server" if model["on_disk"] else "downloaded on first use"
    paper = f"[{model['paper']}]({model['source']})" if model["source"] else ""
    lines = [
        model["about"],
        f"Licence: {licence}, {COMMERCIAL[model['commercial_use']]}. {model['licence_note']}",
        " · ".join(part for part in (megabytes, place, paper) if part),
    ]
    if not model["usable"]:
        lines.append("**Not switched on here:** whoever runs this app must accept its licence first.")
    return "\n\n".join(lines)
