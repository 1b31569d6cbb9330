"""The page's theme: a typeface whose weights Gradio ships completely, calm colours, generous spacing."""

import gradio as gr


def theme() -> gr.themes.Base:
    """The theme of the page."""
    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="slate",
        # Gradio ships weights 400 and 700 of this face; its default theme uses 600, of which only a few glyphs exist
        font=[gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        block_label_text_weight="400",
        block_title_text_weight="700",
        button_large_text_weight="700",
        checkbox_label_text_weight="400",
        section_header_text_weight="700",
        # a contrast of at least 4.5 with the background, readable for people with low vision
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        checkbox_border_color_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
