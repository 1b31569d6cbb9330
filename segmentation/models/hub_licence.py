"""The licence that a model card on the Hub states -> `Licence`, with what is known about commercial use."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from segmentation.models.spec import Licence

NOT_STATED = Licence(id="not-stated", name="not stated by the publisher", commercial="unknown")
_LONGEST = 80  # characters of a name that a card gives

Commercial = Literal["yes", "no", "conditional", "unknown"]


class _Known(NamedTuple):
    name: str
    commercial: Commercial
    url: str = ""


_CC = "https://creativecommons.org/licenses"
_GNU = "https://www.gnu.org/licenses"

# ids: https://huggingface.co/docs/hub/repositories-licenses
_KNOWN = {
    "apache-2.0": _Known("Apache License 2.0", "yes", "https://www.apache.org/licenses/LICENSE-2.0"),
    "mit": _Known("MIT License", "yes", "https://opensource.org/license/mit"),
    "bsd": _Known("BSD License", "yes"),
    "bsd-2-clause": _Known("BSD 2-Clause License", "yes", "https://opensource.org/license/bsd-2-clause"),
    "bsd-3-clause": _Known("BSD 3-Clause License", "yes", "https://opensource.org/license/bsd-3-clause"),
    "isc": _Known("ISC License", "yes", "https://opensource.org/license/isc-license-txt"),
    "zlib": _Known("zlib License", "yes", "https://opensource.org/license/zlib"),
    "unlicense": _Known("The Unlicense", "yes", "https://unlicense.org"),
    "wtfpl": _Known("WTFPL", "yes"),
    "cc0-1.0": _Known("Creative Commons Zero", "yes", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "cc-by-2.0": _Known("Creative Commons BY 2.0", "yes", f"{_CC}/by/2.0/"),
    "cc-by-3.0": _Known("Creative Commons BY 3.0", "yes", f"{_CC}/by/3.0/"),
    "cc-by-4.0": _Known("Creative Commons BY 4.0", "yes", f"{_CC}/by/4.0/"),
    "cc-by-sa-3.0": _Known("Creative Commons BY-SA 3.0", "yes", f"{_CC}/by-sa/3.0/"),
    "cc-by-sa-4.0": _Known("Creative Commons BY-SA 4.0", "yes", f"{_CC}/by-sa/4.0/"),
    "cc-by-nd-4.0": _Known("Creative Commons BY-ND 4.0", "yes", f"{_CC}/by-nd/4.0/"),
    "cc-by-nc-2.0": _Known("Creative Commons BY-NC 2.0", "no", f"{_CC}/by-nc/2.0/"),
    "cc-by-nc-3.0": _Known("Creative Commons BY-NC 3.0", "no", f"{_CC}/by-nc/3.0/"),
    "cc-by-nc-4.0": _Known("Creative Commons BY-NC 4.0", "no", f"{_CC}/by-nc/4.0/"),
    "cc-by-nc-nd-3.0": _Known("Creative Commons BY-NC-ND 3.0", "no", f"{_CC}/by-nc-nd/3.0/"),
    "cc-by-nc-nd-4.0": _Known("Creative Commons BY-NC-ND 4.0", "no", f"{_CC}/by-nc-nd/4.0/"),
    "cc-by-nc-sa-2.0": _Known("Creative Commons BY-NC-SA 2.0", "no", f"{_CC}/by-nc-sa/2.0/"),
    "cc-by-nc-sa-3.0": _Known("Creative Commons BY-NC-SA 3.0", "no", f"{_CC}/by-nc-sa/3.0/"),
    "cc-by-nc-sa-4.0": _Known("Creative Commons BY-NC-SA 4.0", "no", f"{_CC}/by-nc-sa/4.0/"),
    "gpl-2.0": _Known("GNU GPL 2.0", "conditional", f"{_GNU}/old-licenses/gpl-2.0.html"),
    "gpl-3.0": _Known("GNU GPL 3.0", "conditional", f"{_GNU}/gpl-3.0.html"),
    "agpl-3.0": _Known("GNU AGPL 3.0", "conditional", f"{_GNU}/agpl-3.0.html"),
    "lgpl-3.0": _Known("GNU LGPL 3.0", "conditional", f"{_GNU}/lgpl-3.0.html"),
    "mpl-2.0": _Known("Mozilla Public License 2.0", "yes", "https://www.mozilla.org/MPL/2.0/"),
    "epl-2.0": _Known("Eclipse Public License 2.0", "yes", "https://www.eclipse.org/legal/epl-2.0/"),
    "openrail": _Known("OpenRAIL", "conditional", "https://huggingface.co/blog/open_rail"),
    "creativeml-openrail-m": _Known("CreativeML OpenRAIL-M", "conditional", "https://huggingface.co/blog/open_rail"),
    "bigscience-openrail-m": _Known("BigScience OpenRAIL-M", "conditional", "https://huggingface.co/blog/open_rail"),
}
_NON_COMMERCIAL = re.compile(r"(?:^|[^a-z])(?:nc|non-?_? ?commercial|research[- ]only)(?:[^a-z]|$)")


class StatedLicence(BaseModel):
    """What the front matter of a model card says about the licence; "" where it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    """The Hub's id; "other" for those it has none for."""
    name: str = ""
    link: str = ""


def read_card(card: Mapping[str, Any]) -> StatedLicence:
    """The licence in the front matter: `license`, `license_name` and `license_link`."""
    stated = card.get("license")
    if isinstance(stated, list):  # what is known of one of several is not known of all
        stated = stated[0] if len(stated) == 1 else "other"
    id_ = _text(stated).lower()
    link = _text(card.get("license_link"))
    return StatedLicence(
        id="" if id_ in ("unknown", "none") else id_,
        name=_text(card.get("license_name")),
        link=link if link.startswith("https://") and " " not in link else "",
    )


def licence_of(stated: StatedLicence, known: Mapping[str, Licence]) -> Licence:
    """The stated licence; a non-commercial one needs the operator's acceptance, as in our registry.

    Args:
        stated: What the card says.
        known: Licences by id that somebody has looked at, which come first: those of the registry.
    """
    if not stated.id:
        return NOT_STATED
    id_ = _identifier(stated.name if stated.id == "other" and stated.name else stated.id)
    if id_ in known:
        return known[id_]
    if id_ in _KNOWN:
        name, commercial, url = _KNOWN[id_]
        return Licence(id=id_, name=name, url=url, commercial=commercial, needs_acceptance=commercial == "no")
    forbidden = bool(_NON_COMMERCIAL.search(f"{stated.id} {stated.name.lower()}"))
    return Licence(
        id=id_, name=stated.name or stated.id, url=stated.link, commercial="no" if forbidden else "unknown",
        needs_acceptance=forbidden,
    )  # fmt: skip


def _text(value: Any) -> str:
    return " ".join(value.split())[:_LONGEST] if isinstance(value, str) and value.isprintable() else ""


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64] or "other"
