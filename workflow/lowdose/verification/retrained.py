"""Is a network that was trained again as good as the published one?

Training is repeatable to the bit on one machine with one lock and thread count.  Elsewhere sums
are taken in another order, and after a thousand steps a network is another one, as far away as
one with another seed.  So the difference of its scores is held against two spreads: that over
base shapes, on which both are scored with the same counts, and that over training seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from scipy import stats

from lowdose.verification import rules
from lowdose.verification.items import AGREES, DIFFERS, MISSING, Item

LEVEL = 0.05  # that any of all networks is called different though none is


def retrained_scores(published: pd.DataFrame, here: pd.DataFrame) -> Iterator[Item]:
    """Yield an item for each network, dose and score.

    Let d be the differences of a score by base shape, means over training seeds.  The scores
    agree if the mean of d is within sqrt((t s / sqrt(n))² + z² S² (1/k + 1/l)): s the scatter of
    d over its n shapes, t Student's quantile, S the standard deviation over seeds, k and l the
    numbers of seeds, at a level of 0.05 divided by the number of comparisons (Bonferroni); and
    within :data:`lowdose.verification.rules.FARTHEST`, if the seeds alone do not explain more.

    Parameters
    ----------
    published, here : DataFrame
        ``denoiser, dose_e_per_px, base_shape`` and the scores.
    """
    sides = [_by_network(table) for table in (published, here)]
    if sides[0].empty:
        return
    doses = sorted({(network, dose) for network, dose in
                    zip(sides[0]["network"], sides[0]["dose_e_per_px"], strict=True)})  # fmt: skip
    level = LEVEL / (len(doses) * len(rules.SCORES))
    spread = {name: seed_sd(sides[0], name) for name in rules.SCORES}
    for network, dose in doses:
        was, now = (
            side[(side["network"] == network) & (side["dose_e_per_px"] == dose)] for side in sides
        )
        name = f"{network} at {dose:g} e/pixel"
        if now.empty:
            yield Item("scores", name, MISSING, f"{was['seed'].nunique()} seeds")
            continue
        for score, title in rules.SCORES.items():
            difference, limit, values = _difference(was, now, score, spread[score], level)
            if math.isnan(difference):
                verdict, detail = DIFFERS, "the base shapes are others, or without a number"
            elif abs(difference) <= limit + 1e-12:
                verdict, detail = AGREES, ""
            else:
                verdict = DIFFERS
                detail = (f"{title} {values[0]:.4g}, now {values[1]:.4g}: {difference:+.3g}, more "
                          f"than {limit:.2g} by shapes and seeds")  # fmt: skip
            yield Item("scores", f"{name}, {title}", verdict, detail)


def seed_sd(table: pd.DataFrame, score: str) -> float:
    """Return the standard deviation of a mean score over training seeds.

    Pooled over the networks and doses of the table that have two seeds or more; of a table
    without such, :data:`lowdose.verification.rules.SEED_SD`.
    """
    means = table.groupby(["network", "dose_e_per_px", "seed"])[score].mean()
    groups = means.groupby(["network", "dose_e_per_px"])
    freedom = groups.count() - 1
    if freedom.sum() < 1:
        return rules.SEED_SD[score]
    variance = (groups.var(ddof=1).fillna(0) * freedom).sum() / freedom.sum()
    return float(math.sqrt(variance))


def _by_network(table: pd.DataFrame) -> pd.DataFrame:
    trained = table[table["denoiser"].map(rules.is_trained)]
    parts = trained["denoiser"].str.rsplit(".seed", n=1)
    return trained.assign(network=parts.str[0], seed=parts.str[1])


def _difference(was, now, score: str, seeds: float, level: float):
    """Return the mean difference, what it may be, and the two means."""
    one, other = (side.groupby("base_shape")[score].mean() for side in (was, now))
    values = one.mean(), other.mean()
    other = other.reindex(one.index)  # a shape that is not there has no number
    if not one.isna().equals(other.isna()):
        return math.nan, math.nan, values
    differences = (other - one).dropna()
    n = len(differences)
    if n == 0:  # as little is known as was published
        return 0.0, 0.0, values
    by_shapes = math.inf
    if n > 1:
        by_shapes = stats.t.ppf(1 - level / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    numbers = (side["seed"].nunique() for side in (was, now))
    by_seeds = stats.norm.ppf(1 - level / 2) * seeds * math.sqrt(sum(1 / k for k in numbers))
    limit = min(max(rules.FARTHEST[score], by_seeds), math.hypot(by_shapes, by_seeds))
    return float(differences.mean()), limit, values
