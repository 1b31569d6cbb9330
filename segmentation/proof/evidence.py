"""Measures of a mask -> how much it speaks for its contract."""

from segmentation.proof.measures import Measures

_DECIDED, _EDGES, _AGREEMENT, _FRAMED = 2.0, 3.0, 1.0, 1.0  # powers of the measures
_LEAST = 0.05  # a measure below this counts as this
USUAL_AGREEMENT = 0.95  # where no second answer was computed
_NOTHING = 0.1  # factor for no foreground, or no background
_FITS = {True: 1.0, False: 0.005}  # factor for whether the output's values allow the reading
_EMPTY, _FULL = 0.002, 0.98  # share of foreground beyond which there is no subject, or no background
_CLEAR = 0.6  # of `decided` and `edges`: a mask with less is no answer


def evidence(measures: Measures, *, fits: bool, usual: float = USUAL_AGREEMENT) -> float:
    """How much a mask speaks for its contract: a factor on how plausible that was before.

    decided² x edges³ x agreement x framed. The powers are those of a logistic regression on the logarithms of the
    measures, over photographs and networks whose right contract is known, rounded. A product rather than a sum: one
    bad measure is telling, while small differences between good ones are not, as wrong contracts give decent masks too.

    Args:
        measures: Of the mask.
        fits: Whether the output's values allow the reading.
        usual: Agreement of a mask for which that was not computed.
    """
    agreement = usual if measures.agreement is None else measures.agreement
    factor = 1.0 if _EMPTY < measures.area < _FULL else _NOTHING
    for value, power in (
        (measures.decided, _DECIDED), (measures.edges, _EDGES), (agreement, _AGREEMENT), (measures.framed, _FRAMED),
    ):  # fmt: skip
        factor *= float(max(value, _LEAST) ** power)
    return factor * _FITS[fits]


def is_clear(measures: Measures) -> bool:
    """Whether a mask is an answer to the picture at all: a decided subject before a background."""
    return _EMPTY < measures.area < _FULL and measures.decided >= _CLEAR and measures.edges >= _CLEAR
