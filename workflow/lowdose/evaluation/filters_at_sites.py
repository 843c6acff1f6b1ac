"""Equivalent filters where they matter: in vacuum, in the bulk, at each kind of surface site.

And how a filter changes when the column under it is taken away: by itself a filter changes with
every noise realisation, so that a change means something only beside that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from torch import nn

from lowdose.data.frames import FrameSet
from lowdose.evaluation.filter_shape import reciprocal_lattice, shape_of, similarity
from lowdose.evaluation.mechanism import equivalent_filter

KINDS = ("vacuum", "bulk", "facet", "edge", "corner", "adatom", "vacancy")
REACH_NM = 1.2  # of the window in which a filter is described


def sites_to_see(frames: FrameSet, shapes: int) -> pd.DataFrame:
    """Choose one site of each kind in each of so many base shapes, where there is one.

    Returns
    -------
    DataFrame
        ``kind, base_shape, frame, x_nm, y_nm``; of several the one nearest to the middle of the
        particle's width, in the frame of lowest number.
    """
    rows = []
    names = list(dict.fromkeys(frames.table["base_shape"]))[:shapes]
    for name in names:
        own = frames.table[frames.table["base_shape"] == name]["frame"]
        columns = frames.columns[frames.columns["frame"].isin(own) & frames.columns["is_particle"]]
        middle, top = columns["x_nm"].mean(), columns["y_nm"].min()
        for kind in KINDS:
            if kind == "vacuum":
                chosen = (int(own.iloc[0]), middle, top / 2)
            else:
                found = columns[columns["site"] == kind]
                if found.empty:
                    continue
                found = found[found["frame"] == found["frame"].min()]
                best = found.loc[(found["x_nm"] - middle).abs().idxmin()]
                chosen = (int(best["frame"]), best["x_nm"], best["y_nm"])
            rows.append(dict(zip(("kind", "base_shape", "frame", "x_nm", "y_nm"),
                                 (kind, name, *chosen), strict=True)))  # fmt: skip
    return pd.DataFrame(rows)


class Filters:
    """Computes and describes filters of one network on a set of frames.

    Parameters
    ----------
    network : torch.nn.Module
        Maps relative counts to the relative expectation.
    frames : FrameSet
    spec : mapping
        ``dose_e_per_px``, ``seed``.
    """

    def __init__(self, network: nn.Module, frames: FrameSet, spec: Mapping) -> None:
        self.network, self.frames, self.spec = network, frames, spec
        self.reach = round(REACH_NM / frames.pixel_size_nm)

    def at(self, frame: int, x_nm: float, y_nm: float, realisation: int = 0):
        """Return the equivalent filter of the pixel at a place of a noisy frame."""
        dose, pixel = self.spec["dose_e_per_px"], self.frames.pixel_size_nm
        counts = self.frames.counts(frame, dose, realisation, self.spec["seed"])
        return equivalent_filter(
            self.network, counts / dose, round(y_nm / pixel), round(x_nm / pixel), self.reach
        )

    def described(self, sites: pd.DataFrame) -> Iterator[dict]:
        """Yield the filter's shape and affine split at each site of :func:`sites_to_see`."""
        for site in sites.itertuples(index=False):
            columns = self.frames.columns
            own = columns[(columns["frame"] == site.frame) & columns["is_particle"]]
            spots = reciprocal_lattice(own[own["n_atoms"] > 0])
            found = self.at(site.frame, site.x_nm, site.y_nm)
            yield {
                **site._asdict(),
                **shape_of(found.filter, found.row, found.column, self.frames.pixel_size_nm, spots),
                "output": found.output,
                "linear_part": found.linear_part,
                "remainder": found.remainder,
            }

    def changes(self, stakes: pd.DataFrame) -> Iterator[dict]:
        """Yield how alike the filters of a site are, with its column and without it.

        Parameters
        ----------
        stakes : DataFrame
            From :func:`lowdose.evaluation.stakes.stakes`.

        Yields
        ------
        dict
            ``pair, kind, site, base_shape``; ``change``, 1 minus the cosine of the filters with
            and without the column; ``by_noise``, the mean of that between two noise realisations
            of either frame.
        """
        for pair, rows in stakes.groupby("pair", sort=True):
            sides = rows.sort_values("present", ascending=False)
            filters = [
                [self.at(one.frame, one.x_nm, one.y_nm, k).filter for k in (0, 1)]
                for one in sides.itertuples()
            ]
            about = sides.iloc[0]
            across = [similarity(a, b) for a in filters[0] for b in filters[1]]
            yield {
                "pair": pair,
                **about[["kind", "site", "base_shape"]].to_dict(),
                "change": 1 - float(np.mean(across)),
                "by_noise": 1 - float(np.mean([similarity(*two) for two in filters])),
            }
