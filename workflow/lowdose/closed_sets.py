"""Patterns of closed sets of names: what a wildcard of the workflow may be, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lowdose import contest
from lowdose.study_names import Names

NOTHING = "(?!)"  # matches no text at all


def wildcards(study: Names) -> dict[str, str]:
    """Return the pattern of each wildcard that the rules share.

    Parameters
    ----------
    study : lowdose.study_names.Names
        Also a :class:`lowdose.stages.Study`.
    """
    config = study.config
    sets = {
        "shard": study.shards,
        "network": config.networks,
        "training_set": config.training_sets,
        "baseline": study.tuned(),
        "contender": [*contest.methods(config), *contest.networks(config)],
        "denoiser": [*config.baselines, *study.networks()],
        "recording": config.experiment.files,
        "film": study.films(),
        "method": config.movies.methods,
    }
    # Any seed may be trained by its name.
    return {"seed": r"\d+", **{name: pattern(names) for name, names in sets.items()}}


def pattern(names: Iterable[str]) -> str:
    """Return a regular expression that matches these names in full, and no other text.

    Names are taken apart at their dots, and heads that are followed by the same are written once:
    of the products of a sweep, ``<network>.<training set>.seed<k>``, the factors are left.  With
    ten thousand names one after the other, Snakemake would spend its time on trying them.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    str
        Without groups that capture, to be put inside of another expression.
    """
    found = frozenset(tuple(name.split(".")) for name in names)
    return _one_of(found) if found else NOTHING


def _one_of(found: frozenset[tuple[str, ...]]) -> str:
    """Return the expression of names that are taken apart."""
    after: dict[str, set[tuple[str, ...]]] = {}
    for head, *rest in found:
        after.setdefault(head, set()).add(tuple(rest))
    alike: dict[frozenset[tuple[str, ...]], list[str]] = {}
    for head, rests in after.items():
        alike.setdefault(frozenset(rests), []).append(head)
    texts = []
    for rests, heads in alike.items():
        text = _either(sorted(map(re.escape, heads)))
        if more := rests - {()}:
            tail = r"\." + _one_of(more)
            text += f"(?:{tail})?" if () in rests else tail
        texts.append(text)
    return _either(sorted(texts))


def _either(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"(?:{'|'.join(texts)})"
