"""The Gradio side: page, API, and what keeps strangers apart. Nothing outside it imports Gradio."""
