"""The page: what it looks like, then what its controls do."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from segmentation.batch import Report
from segmentation.registry import Registry
from segmentation.settings import MATTING_METHODS, Settings, help_text, parse_numbers, parse_size
from segmentation.web.api import DEFAULTS, QUEUE_NAME, add_api, progress_bar, shown_errors
from segmentation.web.service import Run, Service
from segmentation.web.uploads import refuse_addresses

COMMERCIAL = {
    "yes": "commercial use allowed",
    "no": "**no commercial use**",
    "conditional": "commercial use under conditions",
    "unknown": "terms of use not known",
}


def build_page(service: Service) -> gr.Blocks:
    """The whole page with its public endpoints."""
    registry = service.registry()
    keep = service.config.keep_minutes * 60
    with gr.Blocks(title="Segmatte", delete_cache=(min(600, keep), keep), analytics_enabled=False) as demo:
        gr.Markdown("# Segmatte\nCut the subject out of your pictures: add them, choose a model, run.", elem_id="title")
        with gr.Row():
            with gr.Column(scale=2, min_width=340):
                pictures = gr.Gallery(
                    label="Pictures (drop, paste or pick, many at once)", type="filepath", file_types=["image"],
                    sources=["upload", "clipboard"], interactive=True, columns=3, height=240, object_fit="contain",
                    fit_columns=False, elem_id="pictures",
                )  # fmt: skip
                model = gr.Dropdown(_choices(registry), value=registry.default.id, label="Model", elem_id="model")
                card = gr.Markdown(_card(service, registry.default.id), elem_id="card")
                alpha_matting = _checkbox("alpha_matting", "Alpha matting")
                with gr.Row():
                    run_button = gr.Button("Cut out", variant="primary", elem_id="run")
                    stop_button = gr.Button("Stop", elem_id="stop")
                with gr.Accordion("Matting settings", open=False):
                    foreground = _slider("alpha_matting_foreground_threshold", "Foreground threshold", 255)
                    background = _slider("alpha_matting_background_threshold", "Background threshold", 255)
                    erode = _slider("alpha_matting_erode_size", "Erode size", 100)
                    auto_erode = gr.Checkbox(
                        False, label="Automatic erode size", info="Fits the size to picture and model. (auto)",
                        elem_id="auto_erode_size",
                    )  # fmt: skip
                    method = gr.Radio(
                        list(MATTING_METHODS), value=DEFAULTS.matting_method, label="Method",
                        info=_info("matting_method"), elem_id="matting_method",
                    )  # fmt: skip
                    trust = gr.Slider(
                        0, 0.1, DEFAULTS.trust_mask, step=0.001, label="Trust the mask", info=_info("trust_mask"),
                        elem_id="trust_mask",
                    )  # fmt: skip
                with gr.Accordion("Mask and network input settings", open=False):
                    post_process = _checkbox("post_process_mask", "Post-process mask")
                    mean = _text("mean", "Mean", "the model's own, such as 0.485, 0.456, 0.406")
                    std = _text("std", "Std", "the model's own, such as 0.229, 0.224, 0.225")
                    size = _text("size", "Size", "the model's own, such as 512 or 512x768")
            with gr.Column(scale=3, min_width=340):
                status = gr.HTML(_line("Your cutouts will appear here."), elem_id="status")
                results = gr.Gallery(
                    label="Cutouts", format="png", interactive=False, columns=3, height="auto", object_fit="contain",
                    fit_columns=False, buttons=["download", "fullscreen"], elem_id="results",
                )  # fmt: skip
                download = gr.DownloadButton("Download", visible=False, elem_id="download")
                report = gr.HTML(elem_id="report")
        last_run = gr.State(None)
        add_api(demo, service)
        refuse_addresses(pictures)

        @shown_errors
        def run(
            pictures: list[tuple[str, str | None]] | None,
            model: str,
            alpha_matting: bool,
            foreground: float,
            background: float,
            erode: float,
            auto_erode: bool,
            method: str,
            trust: float,
            post_process: bool,
            mean: str,
            std: str,
            size: str,
        ) -> Iterator[tuple[Any, ...]]:
            settings = Settings(
                alpha_matting=alpha_matting,
                alpha_matting_foreground_threshold=foreground,  # type: ignore[arg-type]  # a slider's 240.0
                alpha_matting_background_threshold=background,  # type: ignore[arg-type]
                alpha_matting_erode_size="auto" if auto_erode else erode,  # type: ignore[arg-type]
                matting_method=method,  # type: ignore[arg-type]
                trust_mask=trust,
                post_process_mask=post_process,
                mean=parse_numbers("mean", mean),  # type: ignore[arg-type]  # Settings checks how many
                std=parse_numbers("std", std),  # type: ignore[arg-type]
                size=parse_size(size),  # type: ignore[arg-type]
            )
            empty = gr.Gallery([], columns=min(3, len(pictures or [1])))
            shown = progress_bar()
            run = service.start([path for path, _ in pictures or []], model, settings, shown)
            yield _line("Starting"), empty, gr.DownloadButton(visible=False), "", run
            # Gradio's progress bar goes with the first answer, so from here on the status line is one itself
            for finished_one in service.go_on(run):
                if finished_one:
                    yield _progress(run), _gallery(run), gr.skip(), _table(run.reports), gr.skip()
                else:
                    yield _progress(run), gr.skip(), gr.skip(), gr.skip(), gr.skip()
            if not run.stop.is_set():
                yield _progress(run), gr.skip(), _download(run), gr.skip(), gr.skip()

        def stopped(run: Run | None) -> tuple[Any, ...]:
            if run is None or not run.running:
                return _line("Nothing is running."), gr.skip()
            run.stop.set()
            return _line("Stopped. What was finished is kept."), _download(run)

        matting = [alpha_matting, foreground, background, erode, auto_erode, method, trust]
        controls = [*matting, post_process, mean, std, size]
        running = run_button.click(
            run,
            [pictures, model, *controls],
            [status, results, download, report, last_run],
            concurrency_id=QUEUE_NAME,
            concurrency_limit=service.config.concurrency,
            show_progress_on=status,
            api_visibility="private",
        )
        stop_button.click(
            stopped, last_run, [status, download], cancels=[running], queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip

        def show_card(chosen: str) -> str:
            return _card(service, chosen)

        for event in (model.change, running.then):
            event(show_card, model, card, queue=False, show_progress="hidden", api_visibility="private")

        # files may have come into the models folder since the page was built
        def show_models() -> Any:
            return gr.Dropdown(_choices(service.registry()))

        demo.load(show_models, None, model, queue=False, show_progress="hidden", api_visibility="private")
    page: gr.Blocks = demo
    return page


# ---------------------------------------------------------------------------------------------------------- controls


def _checkbox(name: str, label: str) -> gr.Checkbox:
    return gr.Checkbox(getattr(DEFAULTS, name), label=label, info=_info(name), elem_id=name)


def _slider(name: str, label: str, top: int) -> gr.Slider:
    return gr.Slider(0, top, getattr(DEFAULTS, name), step=1, label=label, info=_info(name), elem_id=name)


def _text(name: str, label: str, placeholder: str) -> gr.Textbox:
    return gr.Textbox("", label=label, info=_info(name), placeholder=placeholder, max_length=100, elem_id=name)


def _info(name: str) -> str:
    return f"{help_text(name)} ({name})"


def _choices(registry: Registry) -> list[tuple[str, str]]:
    return [(f"{spec.title} ({spec.id})", spec.id) for spec in registry.values()]


# ------------------------------------------------------------------------------------------------------ what is shown


def _card(service: Service, model_id: str) -> str:
    """What a model is for, its terms, its size, and whether it is here already."""
    model = next((entry for entry in service.models() if entry["id"] == model_id), None)
    if model is None:
        return ""
    licence = f"[{model['licence']}]({model['licence_url']})" if model["licence_url"] else model["licence"]
    megabytes = f"{model['bytes'] / 1e6:.0f} MB" if model["bytes"] else ""
    place = "on this server" if model["on_disk"] else "downloaded on first use"
    lines = [
        model["about"],
        f"Licence: {licence}, {COMMERCIAL[model['commercial_use']]}. {model['licence_note']}",
        " · ".join(part for part in (megabytes, place, f"[{model['paper']}]({model['source']})" * bool(model["source"]))
                   if part),
    ]  # fmt: skip
    if not model["usable"]:
        lines.append("**Not switched on here:** whoever runs this app must accept its licence first.")
    return "\n\n".join(lines)


def _line(text: str) -> str:
    return f'<div class="line">{html.escape(text)}</div>'


def _progress(run: Run) -> str:
    bar = f'<progress max="{len(run.sources)}" value="{len(run.outcomes)}" aria-label="Pictures done"></progress>'
    return _line(_so_far(run)) + bar * run.running


def _so_far(run: Run) -> str:
    total, done = len(run.sources), len(run.outcomes)
    failed = sum(1 for entry in run.reports if entry["error"])
    trouble = f", {failed} failed (see below)" if failed else ""
    if done < total:
        return f"{done} of {total} done{trouble}. {run.now}"
    return f"{'The picture is' if total == 1 else f'All {total} pictures are'} done{trouble}."


def _gallery(run: Run) -> list[tuple[str, str]]:
    return [(str(file), file.name) for file in run.files]


def _download(run: Run) -> Any:
    archive = run.zip_file()
    if archive:
        return gr.DownloadButton(f"Download all {len(run.files)} as ZIP", value=str(archive), visible=True)
    if run.files:
        return gr.DownloadButton("Download PNG", value=str(run.files[0]), visible=True)
    return gr.DownloadButton(visible=False)


def _table(reports: list[Report]) -> str:
    """The report for people. File names come from strangers, so everything is escaped."""
    rows = []
    for entry in reports:
        notes = "; ".join(entry["warnings"])
        said = f'<span class="failed">{html.escape(entry["error"])}</span>' if entry["error"] else html.escape(notes)
        seconds = entry["seconds"]
        detail = ", ".join(f"{stage} {took:.2f}" for stage, took in seconds.items())
        size = f"{entry['width']} x {entry['height']}" if entry["width"] else ""
        provider = entry["provider"].removesuffix("ExecutionProvider")
        rows.append(
            f"<tr><td>{html.escape(Path(entry['name']).name)}</td><td>{size}</td>"
            f'<td title="{html.escape(detail)}">{sum(seconds.values()):.1f} s</td>'
            f'<td class="wide">{html.escape(entry["model"])} on {html.escape(provider)}</td><td>{said}</td></tr>'
        )
    head = '<tr><th>Picture</th><th>Size</th><th>Time</th><th class="wide">Model</th><th>Notes</th></tr>'
    note = reports[0]["provider_note"] if reports else ""
    below = f'<p class="quiet">Computed on the CPU: {html.escape(note)}</p>' if note else ""
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>{below}"
