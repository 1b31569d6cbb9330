"""The stages of a picture, as visitors read them."""

from segmentation.messages import Message

STAGES = {
    "decode": Message("reading"),
    "network": Message("finding the subject"),
    "prompt": Message("finding what you point at"),
    "mask": Message("making the mask"),
    "matting": Message("matting the outline"),
    "strokes": Message("following the strokes"),
    "colours": Message("cleaning the edge colours"),
    "encode": Message("writing the file"),
}
"""Display names, in order."""
