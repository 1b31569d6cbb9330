"""Two sliders for the edges in place of the matting's own parameters, which they write.

*Softness* moves thresholds and erode size together, from a hard outline to fur: in the middle they have their defaults.
*Follow the model* is `trust_mask`, on a scale on which its default is in the middle too.
"""

from typing import Any

import numpy as np

from segmentation.settings import Settings

MOST = 100  # of both sliders
MIDDLE = MOST // 2

_DEFAULTS = Settings()
PARAMETERS = ("alpha_matting_foreground_threshold", "alpha_matting_background_threshold", "alpha_matting_erode_size")
"""What softness writes."""
ANCHORS = {
    0: (150, 105, 1),  # only what the mask itself leaves open, and a pixel around it
    MIDDLE: tuple(getattr(_DEFAULTS, name) for name in PARAMETERS),
    MOST: (254, 2, 40),
}
"""Softness -> thresholds and erode size; between these, straight lines."""
MOST_TRUST = 0.1
_POWER = np.log(_DEFAULTS.trust_mask / MOST_TRUST) / np.log(MIDDLE / MOST)


def parameters(softness: int) -> dict[str, int]:
    """What a softness of 0..100 stands for, by name of the setting."""
    places = list(ANCHORS)
    return {
        name: round(float(np.interp(softness, places, [ANCHORS[place][at] for place in places])))
        for at, name in enumerate(PARAMETERS)
    }


def trust(follow: int) -> float:
    """The `trust_mask` that a position of 0..100 of *Follow the model* stands for."""
    return round(float(MOST_TRUST * (follow / MOST) ** _POWER), 4)


def tables() -> dict[str, list[Any]]:
    """Both scales, position by position, for the browser."""
    positions = range(MOST + 1)
    return {
        "softness": [list(parameters(position).values()) for position in positions],
        "follow": [trust(position) for position in positions],
    }
