"""The card of a trained network: what it is, where it works, how good it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowdose.denoisers.contract import DenoiserInfo, Parameter
from lowdose.runtime import UserError

WEIGHTS, CARD = "model.safetensors", "card.json"
NEEDED = (
    *("name", "architecture", "weights_sha256", "test_vector"),
    *("receptive_field_px", "pixel_size_nm", "dose_e_per_a2"),
)
ORIENTATIONS = Parameter(
    *(math.nan, math.nan, 1, "choice", ""),
    description="orientations of the frame whose results are averaged",
    choices=(1, 8),
)


_SUPERVISED = "Vincent et al. 2021, Microsc. Microanal. 27, 1431 (supervised by simulation)"
_CITATIONS = {
    "blind-spot": "Laine et al. 2019, arXiv:1901.10277; Krull et al. 2020, Front. Comput. Sci. 2, 5"
}


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a checkpoint.

    Raises
    ------
    UserError
        If there is none, it is no JSON, or it lacks what a network cannot be used without.
    """
    path = Path(folder) / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder} holds no {CARD}; name the folder of a trained network."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path} is no valid JSON; train the network anew.") from None
    missing = [key for key in NEEDED if not isinstance(card, dict) or key not in card]
    if missing:
        raise UserError(f"{path} lacks {missing[0]!r}; train the network anew.")
    for key, fits in _FORMS.items():
        if key in card and not fits(card[key]):
            raise UserError(f"{path} has an impossible {key!r}; train the network anew.")
    return card


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(map(_is_number, value))
        and 0 < value[0] <= value[1]
    )


_FORMS = {
    "name": lambda value: isinstance(value, str),
    "architecture": lambda value: isinstance(value, dict),
    "receptive_field_px": lambda value: value is None or (_is_number(value) and value >= 1),
    "pixel_size_nm": _is_range,
    "dose_e_per_a2": _is_range,
    "own_pixel_size_nm": lambda value: value is None or (_is_number(value) and value > 0),
}


def network_info(name: str, card: Mapping[str, Any]) -> DenoiserInfo:
    """Describe a trained network from its card; a field of None is the whole frame."""
    field = card["receptive_field_px"]
    return DenoiserInfo(
        name=name,
        title=f"{card['name']} ({'whole frame' if field is None else f'{field} px'})",
        citation=_CITATIONS.get(card.get("architecture", {}).get("architecture"), _SUPERVISED),
        licence=card.get("licence", "GPL-3.0-or-later"),
        pixel_size_nm=tuple(card["pixel_size_nm"]),
        dose_e_per_a2=tuple(card["dose_e_per_a2"]),
        parameters={"orientations": ORIENTATIONS},
        needs_fit=True,
        receptive_field_px=field,
        global_field=field is None,
    )
