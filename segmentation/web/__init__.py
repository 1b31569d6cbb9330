"""The Gradio side: page, API, and request guard. Nothing outside it imports Gradio."""
