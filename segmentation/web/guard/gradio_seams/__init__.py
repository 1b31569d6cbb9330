"""Every private touch of Gradio, Starlette and uvicorn, by concern; `tests/web/test_gradio_seams.py` holds each one.

Nothing else may import a submodule of Gradio or read one of its underscore names.
"""
