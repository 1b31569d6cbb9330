"""The look: one typeface that the wheel holds completely, calm colours, more room."""

import gradio as gr


def theme() -> gr.themes.Base:
    """The theme of the page."""
    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="slate",
        # Gradio ships 400 and 700 of this face; its default theme asks for a 600 of which only a few glyphs exist
        font=[gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        block_label_text_weight="400",
        block_title_text_weight="700",
        button_large_text_weight="700",
        checkbox_label_text_weight="400",
        section_header_text_weight="700",
    )
