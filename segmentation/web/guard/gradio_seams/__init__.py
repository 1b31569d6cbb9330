"""Every use of private parts of Gradio, Starlette and uvicorn, by topic; `tests/web/test_gradio_seams.py` tests each.

No other package may import a submodule of Gradio or read its underscore names.
"""
