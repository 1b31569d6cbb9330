"""A run's status line and report, with one row per picture and its seconds as a bar. All text is escaped."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmentation.corrected import NO_MODEL
from segmentation.messages import Message
from segmentation.network.providers import short_name
from segmentation.report import Report
from segmentation.web.runs.offer import LICENCE, Offer
from segmentation.web.runs.run import Run
from segmentation.web.runs.stages import STAGES  # in the order of the bar; panels.css colours them
from segmentation.web.texts import Say, file_size

COMMERCIAL = {
    "yes": Message("commercial use allowed"),
    "no": Message("**no commercial use**"),
    "conditional": Message("commercial use under conditions"),
    "unknown": Message("terms of use unknown"),
}
ON_SERVER = Message("on this server")
WAITING = "Waiting in the queue: {ahead} runs are ahead of yours."
WAITING_FOR_ONE = "Waiting in the queue: 1 run is ahead of yours."


ACTS = {
    "stopped": ("run", Message("Continue")),
    "failed": ("run", Message("Try again")),
    "expired": ("choose", Message("Choose photos")),
}
"""State -> what its button does (see states.js), and what it says."""


def line(text: str, state: str = "", say: Say = str) -> str:
    """A status line.

    Args:
        text: What it says.
        state: The page's state from now on; "" leaves it as it is. One of "queued", "working", "done", "failed",
            "stopped" and "expired".
        say: Translates into the visitor's language.
    """
    marked = f' data-state="{state}"' if state else ""
    act, label = ACTS.get(state, ("", ""))
    button = f'<button type="button" data-act="{act}">{html.escape(say(label))}</button>' if act else ""
    return f'<div class="line" role="status"{marked}>{html.escape(text)}</div>{button}'


def progress(run: Run, say: Say, part: Run | None = None) -> str:
    """The status of a run, with a progress bar while it is running.

    Args:
        run: The whole run.
        say: Translates into the visitor's language.
        part: The part being processed, if it is a run of its own.
    """
    part = part or run
    label = html.escape(say(Message("Pictures done")))
    bar = f'<progress max="{part.total}" value="{len(part.outcomes)}" aria-label="{label}"></progress>'
    return line(say(_so_far(run, part)), _state(run, part), say) + bar * part.is_at_work


def _state(run: Run, part: Run) -> str:
    if len(part.outcomes) < part.total:
        if not part.is_at_work:
            return "stopped"
        return "queued" if not part.now and part.ticket.ahead else "working"
    if run.outcomes.failed:
        return "failed"
    return "done" if len(run.outcomes) == run.total else "stopped"


def _so_far(run: Run, part: Run) -> Message:
    failed = len(run.outcomes.failed)
    done, total = len(run.outcomes) - failed, run.total
    values: dict[str, Any] = {"done": done, "total": total, "failed": failed}
    if len(part.outcomes) < part.total:
        if not part.now and (ahead := part.ticket.ahead):
            return Message(WAITING if ahead > 1 else WAITING_FOR_ONE, ahead=ahead)
        if failed:
            return Message("{done} of {total} done, {failed} failed. {now}", **values, now=part.now)
        return Message("{done} of {total} done. {now}", **values, now=part.now)
    if failed:
        return Message("{done} of {total} are done, {failed} failed: see below.", **values)
    if done < total:
        return Message("{done} of {total} are done.", **values)
    return Message("The picture is done.") if total == 1 else Message("All {total} pictures are done.", total=total)


def table(reports: list[Report], say: Say) -> str:
    """One row per picture: size, seconds by stage, model and execution provider; its notes in a row below."""
    if not reports:
        return ""
    longest = max(sum(entry.seconds.values()) for entry in reports) or 1.0
    rows = [
        f"<tr><td>{html.escape(Path(entry.name).name)}<br><span class='quiet'>{_size(entry)}</span></td>"
        f"<td>{_bar(entry.seconds, longest, say)}</td><td class='wide'>{_where(entry, say)}</td></tr>"
        f"{_notes(entry, say)}"
        for entry in reports
    ]
    titles = [html.escape(say(Message(title))) for title in ("Picture", "Seconds", "Model")]
    head = f"<tr><th>{titles[0]}</th><th>{titles[1]}</th><th class='wide'>{titles[2]}</th></tr>"
    legend = "".join(
        f"<span><i class='{stage}'></i>{html.escape(say(words))}</span>"
        for stage, words in STAGES.items()
        if any(stage in entry.seconds for entry in reports)
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table><p class='legend'>{legend}</p>"


def _size(entry: Report) -> str:
    return f"{entry.width} x {entry.height}" if entry.width else ""


def _where(entry: Report, say: Say) -> str:
    if entry.model == NO_MODEL:
        return html.escape(say(Message("No model ran.")))
    provider = short_name(entry.provider)
    name, _, pinned = entry.model.partition("@")  # of one on the Hub, its repository
    where = html.escape(say(Message("{model} on {provider}", model=name, provider=provider)))
    return f"<span title='{html.escape(entry.model)}'>{where}</span>" if pinned else where


def _notes(entry: Report, say: Say) -> str:
    notes = "<br>".join(html.escape(say(text)) for text in entry.warnings)
    if entry.error:
        notes = f"<span class='failed'>{html.escape(say(entry.error))}</span>"
    return f"<tr class='notes'><td colspan='3'>{notes}</td></tr>" if notes else ""


def _bar(seconds: Mapping[str, float], longest: float, say: Say) -> str:
    """The seconds by stage as a stacked bar, scaled to the slowest picture."""
    if not seconds:  # an empty bar would have no label
        return "0.0 s"
    total = sum(seconds.values())
    spelled = html.escape(
        ", ".join(f"{say(STAGES[stage])} {seconds[stage]:.2f} s" for stage in STAGES if stage in seconds)
    )
    parts = "".join(
        f"<i class='{stage}' style='--share: {100 * seconds[stage] / longest:.2f}%'></i>"
        for stage in STAGES
        if stage in seconds
    )
    return f"{total:.1f} s<span class='bar' role='img' aria-label='{spelled}' title='{spelled}'>{parts}</span>"


def card(offer: Offer | None, say: Say) -> str:
    """A model's purpose, terms, size, and whether it is on disk; as Markdown."""
    if offer is None:
        return ""
    spec, licence = offer.spec, offer.spec.licence
    name = say(Message(licence.name))
    link = f"[{name}]({licence.url})" if licence.url else name
    size = file_size(spec.weights.total) if spec.weights.total else ""
    place = say(ON_SERVER if offer.on_disk else Message("downloaded on first use"))
    paper = f"[{spec.origin.paper}]({spec.origin.url})" if spec.origin.paper and spec.origin.url else spec.origin.paper
    terms = Message("Licence: {licence}, {terms}.", licence=link, terms=COMMERCIAL[licence.commercial])
    note = say(Message(spec.licence_note)) if spec.licence_note else ""
    lines = [
        say(Message(spec.about)),
        f"{say(terms)} {note}",
        " · ".join(part for part in (size, place, paper) if part),
    ]
    if offer.refusal == LICENCE:
        lines.append(say(Message("**Not available here:** the operator of this app must accept its licence first.")))
    elif offer.refusal:
        lines.append(say(Message("**Not available now:** the Hugging Face Hub, where it is stored, does not answer.")))
    return "\n\n".join(lines)
