"""What the counts say of the surface columns of a denoised frame, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

LEVEL = 0.05  # false-discovery rate at which a column counts as supported
LISTED = 8  # unsupported columns that are named one by one
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def verdict(columns: pd.DataFrame, untested: str = "", level: float = LEVEL) -> str:
    """Say how many surface columns of a frame are supported, and which are not.

    Parameters
    ----------
    columns : DataFrame
        ``id, is_surface, supported``.
    untested : str
        Why nothing was tested; empty if it was.
    level : float
        False-discovery rate.
    """
    surface = columns[columns["is_surface"].astype(bool)]
    n = len(surface)
    if not n:
        return "No surface column is shown in this frame."
    if untested:
        verb = "column is" if n == 1 else "columns are"
        return f"{n} surface {verb} shown; none could be tested, since {untested}."
    supported = surface["supported"].astype(bool)
    names = [str(name) for name in surface.loc[~supported, "id"]]
    kept, at = int(supported.sum()), f"at {100 * level:g} % false discoveries"
    if n == 1:
        return f"The one surface column is {'' if kept else 'not '}supported by the counts {at}."
    if kept == n:
        return f"All {n} surface columns are supported by the counts {at}."
    if not kept:
        return f"None of the {n} surface columns is supported by the counts {at}."
    verb = "is" if kept == 1 else "are"
    sentence = f"{kept} of {n} surface columns {verb} supported by the counts {at}"
    if len(names) > LISTED:
        return f"{sentence}; the other {len(names)} are not."
    if len(names) == 1:
        return f"{sentence}; this one is not: {names[0]}."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{sentence}; these {NUMBERS[len(names)]} are not: {listed}."


def verdict_of_all(
    tables: Sequence[pd.DataFrame], untested: Sequence[str], level: float = LEVEL
) -> str:
    """Say it of all frames of a recording; of a single frame as :func:`verdict` does.

    Parameters
    ----------
    tables : sequence of DataFrame
        Of each frame, as for `verdict`.
    untested : sequence of str
        Of each frame.
    level : float
    """
    if len(tables) == 1:
        return verdict(tables[0], untested[0], level)
    shown, kept, tested = [], [], 0
    for table, why in zip(tables, untested, strict=True):
        surface = table[table["is_surface"].astype(bool)]
        if why or not len(surface):
            continue
        tested += 1
        shown.append(len(surface))
        kept.append(int(surface["supported"].astype(bool).sum()))
    if not tested:
        reasons = sorted({why for why in untested if why})
        if not reasons:
            return f"No surface column is shown in any of the {len(tables)} frames."
        return f"No frame could be tested, since {' or '.join(reasons)}."
    share = 100 * np.sum(kept) / np.sum(shown)
    sentence = (
        f"{np.sum(kept)} of {np.sum(shown)} surface columns ({share:.0f} %) in {tested} frames are "
        f"supported by the counts at {100 * level:g} % false discoveries a frame; by frame "
        f"{min(kept)} to {max(kept)}."
    )
    left = len(tables) - tested
    if not left:
        return sentence
    which = "1 frame shows" if left == 1 else f"{left} frames show"
    return f"{sentence} {which} no surface or could not be tested."
