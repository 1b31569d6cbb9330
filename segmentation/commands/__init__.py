"""The commands of `python -m segmentation`, one module each: `add` describes its arguments, and names what runs."""
