"""Segmatte's entry point: `python app.py` builds the page and serves it, as `segmatte serve` does."""

from segmentation.serve import main

if __name__ == "__main__":
    main()
