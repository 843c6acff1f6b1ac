"""Compare what a rerun made with a reference, item by item."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from lowdose.verification import rules
from lowdose.verification.items import ADDED, AGREES, DIFFERS, MISSING, Item
from lowdose.verification.projections import root_mean_square
from lowdose.verification.retrained import retrained_scores

PROJECTION, ELECTRONS = "projection_", "electrons_at_"
COUNTS = ("n_units", "n_frames", "n_rows", "n_seeds")
SHOWN = 3  # of the columns of one item that differ
LONGEST = 60  # characters of a value that are shown


def compare(reference: Mapping[str, pd.DataFrame], rerun: Mapping[str, pd.DataFrame]) -> list[Item]:
    """Compare two extracts.

    Settings, structures and truth must be equal; waves and frames equal within a tolerance
    (:mod:`lowdose.verification.rules` says which, and why); the scores of what was trained must
    pass a test over base shapes and training seeds
    (:mod:`lowdose.verification.retrained`), and tables about it have intervals that overlap.

    Parameters
    ----------
    reference, rerun : mapping of str to DataFrame
        See :func:`lowdose.verification.extract.extract`.

    Returns
    -------
    list of Item
        In the order in which a study makes them.
    """
    items = []
    for kind, keys in rules.KEYS.items():
        if kind not in reference:
            if kind in rerun:
                items.append(Item(kind, "all", ADDED, f"{len(rerun[kind])} rows"))
            continue
        if kind not in rerun:
            items.append(Item(kind, "all", MISSING, f"{len(reference[kind])} rows"))
            continue
        published, here = (side[kind] for side in (reference, rerun))
        if kind == "scores":
            items += retrained_scores(published, here)
            published, here = (
                table[~table["denoiser"].map(rules.is_trained)] for table in (published, here)
            )
        items += _rows(kind, list(keys), published, here)
    return items


def _rows(
    kind: str, keys: list[str], published: pd.DataFrame, here: pd.DataFrame
) -> Iterator[Item]:
    """Yield an item for each row of either side, paired by the keys."""
    sides, numbers = [], []
    for table in (published, here):
        names = [*keys, *(name for name in table if name not in keys)]
        rows = [(tuple(map(_key, row[: len(keys)])), dict(zip(names, row, strict=True)))
                for row in table[names].itertuples(index=False, name=None)]  # fmt: skip
        sides.append(dict(rows))
        numbers.append(Counter(key for key, _ in rows))
    for key, row in sides[0].items():
        was, now = (number[key] for number in numbers)
        if key not in sides[1]:
            yield Item(kind, " ".join(key), MISSING, _place(row))
        elif was != now:
            yield Item(kind, " ".join(key), DIFFERS, f"rows of this name {was}, now {now}")
        elif differences := list(_differences(kind, row, sides[1][key])):
            more = len(differences) - SHOWN
            detail = "; ".join(differences[:SHOWN]) + (f"; {more} more" if more > 0 else "")
            yield Item(kind, " ".join(key), DIFFERS, detail)
        else:
            yield Item(kind, " ".join(key), AGREES)
    for key, row in sides[1].items():
        if key not in sides[0]:
            yield Item(kind, " ".join(key), ADDED, _place(row))


def _differences(kind: str, published: Mapping, here: Mapping) -> Iterator[str]:
    """Yield in words what of a row differs: settings first, then what was made with them."""
    trained = kind in rules.OF_TRAINED or rules.is_trained(str(published.get("denoiser", "")))
    for name, was in published.items():
        if name.startswith((PROJECTION, ELECTRONS)):
            continue
        if name not in here:
            yield f"{name} {_shown(was)}, not there now"
            continue
        now = here[name]
        if kind in rules.WITH_INTERVALS and _is_number(was) and name not in COUNTS:
            # A number is as good as its interval; without one, it is not compared.
            same = _overlap if trained else _within
            if _has_interval(published, name) and not same(published, here, name):
                yield f"{name} {_interval(published, name)}, now {_interval(here, name)}"
            continue
        if not _equal(was, now, rules.tolerance_of(kind, name)):
            yield f"{name} {_shown(was)}, now {_shown(now)}"
    if "n_pixels" in published and published["n_pixels"] == here.get("n_pixels"):
        yield from _image_differences(published, here)


def _image_differences(published: Mapping, here: Mapping) -> Iterator[str]:
    """Yield how far the image is away; if it is the same, what differs in the electrons."""
    distance = root_mean_square(*map(_projections, (published, here)), published["n_pixels"])
    if not distance <= rules.IMAGES.absolute:
        yield f"the image is {distance:.2g} away (root mean square, vacuum = 1)"
        return
    for name in published:
        if name.startswith(ELECTRONS) and not _equal(
            published[name], here.get(name), rules.ELECTRONS
        ):
            yield f"{name} {_shown(published[name])}, now {_shown(here.get(name))}"


def _equal(was: object, now: object, tolerance: rules.Tolerance) -> bool:
    if _is_number(was) and _is_number(now):
        if math.isnan(was) or math.isnan(now):
            return math.isnan(was) and math.isnan(now)
        if math.isinf(was) or math.isinf(now):
            return was == now
        room = max(tolerance.absolute, tolerance.relative * max(abs(was), abs(now)))
        return abs(was - now) <= room
    nothing = [value is None or (_is_number(value) and math.isnan(value)) for value in (was, now)]
    return all(nothing) or (not any(nothing) and str(was) == str(now))


def _overlap(published: Mapping, here: Mapping, name: str) -> bool:
    """Return whether two intervals have a point in common; a limit that is not known is far away.

    Values on the edge of what is possible have intervals of no width: equal ones overlap.
    """
    if _is_nan(published[name]) != _is_nan(here[name]) or not _has_interval(here, name):
        return False
    low, high = _limits(published, name)
    apart = (one[low] > other[high] for one, other in ((published, here), (here, published)))
    return not any(apart)  # of what is not known, neither is greater


def _within(published: Mapping, here: Mapping, name: str) -> bool:
    """Return whether a number of what was not trained here moved by rounding only."""
    was, now = published[name], here[name]
    low, high = _limits(published, name)
    width = published[high] - published[low]
    if _is_nan(was) or _is_nan(now) or _equal(was, now, rules.UNTRAINED):
        return _equal(was, now, rules.UNTRAINED)
    return abs(was - now) <= rules.FLIPPED_SHARE * width  # false where there is no width


def _has_interval(row: Mapping, name: str) -> bool:
    return all(_is_number(row.get(limit)) for limit in _limits(row, name))


def _limits(row: Mapping, name: str) -> tuple[str, str]:
    """Return the names of the limits of a value's interval, as its table calls them."""
    stems = [f"{name}_", f"{name.removesuffix('_db')}_"]
    stems += [""] if name in rules.HAVE_LOW_AND_HIGH else []
    for stem in stems:
        if f"{stem}low" in row:
            return f"{stem}low", f"{stem}high"
    number = name.removeprefix("recall")  # of events of so many frames: recall_4, low_4, high_4
    return f"low{number}", f"high{number}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def _is_nan(value: object) -> bool:
    return not _is_number(value) or math.isnan(value)


def _projections(row: Mapping) -> np.ndarray:
    return np.array([value for name, value in row.items() if name.startswith(PROJECTION)])


def _key(value: object) -> str:
    return f"{value:g}" if _is_number(value) else str(value)


def _place(row: Mapping) -> str:
    """Say where a column is, and of how many atoms."""
    if "x_nm" not in row or "n_atoms" not in row:
        return ""
    return (f"{row['site']} column of {row['n_atoms']:.0f} {row['element']} at "
            f"({row['x_nm']:.3f}, {row['y_nm']:.3f}) nm")  # fmt: skip


def _shown(value: object, digits: int = 6) -> str:
    text = f"{value:.{digits}g}" if _is_number(value) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _interval(row: Mapping, name: str) -> str:
    value, low, high = (_shown(row.get(key, math.nan), 4) for key in (name, *_limits(row, name)))
    return f"{value} [{low}, {high}]"
