"""What results were made with, by their records: settings, which are compared, and the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from lowdose.manifest import records_in


def settings(results: Path) -> pd.DataFrame | None:
    """Return the resolved settings of every stage.

    Parameters
    ----------
    results : Path

    Returns
    -------
    DataFrame or None
        ``stage, setting`` (dotted), ``value`` (JSON); what differs between the jobs of a stage,
        as the model or the network of a job, is left out: these are items themselves.  None where
        no output has a record.

    Errors as :func:`lowdose.manifest.records_in`.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for record in records_in(results).values():
        for name, value in flat(record.compared.spec or {}):
            found.setdefault((record.compared.stage, name), set()).add(as_json(value))
    rows = [(*key, *values) for key, values in sorted(found.items()) if len(values) == 1]
    return pd.DataFrame(rows, columns=["stage", "setting", "value"]) if rows else None


def circumstances(results: Path) -> dict[str, str]:
    """Return what else may explain a difference: libraries, processor, GPU, commit, code by stage.

    Parameters
    ----------
    results : Path

    Returns
    -------
    dict of str to str
        Where outputs differ in it, all values, with commas.  Empty where no output has a record.
    """
    found: dict[str, set[str]] = {}
    for record in records_in(results).values():
        one = record.compared
        values = {
            **one.libraries,
            "processor": one.machine.processor,
            "GPU": one.machine.gpu or "none",
            f"code of {one.stage}": one.code.digest,
        }
        if one.commit is not None:
            values["commit"] = one.commit.id[:12] + " with changes" * one.commit.dirty
        for name, value in values.items():
            found.setdefault(name, set()).add(value)
    return {name: ", ".join(sorted(values)) for name, values in sorted(found.items())}


def changed(published: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return in words what results were made with that the published ones were not."""
    lines, codes = [], []
    for name, was in published.items():
        now = here.get(name, was)  # what is not known is no difference
        if was == now:
            continue
        if name.startswith("code of "):
            codes.append(name.removeprefix("code of "))
        else:
            lines.append(f"{name} {was}, now {now}")
    return lines + ([f"the code of {', '.join(codes)} is another one"] if codes else [])


def flat(tree: Mapping, above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the leaves of nested mappings by dotted name."""
    for key, value in tree.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from flat(value, name)
        else:
            yield name, value


def as_json(value: object) -> str:
    """Return a value as JSON, as the published references hold it."""
    return json.dumps(value, sort_keys=True)
