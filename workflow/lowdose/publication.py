"""What a repository can hold of a study: tables, figures, cards, how it was made, its reference."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image

from lowdose import __version__, cost, manifest, records
from lowdose.evaluation.arms import network_folder
from lowdose.provenance import canonical_json
from lowdose.records import Record
from lowdose.runtime import UserError, translated, write_text
from lowdose.stages import Study
from lowdose.verification.extract import extract
from lowdose.verification.made_with import circumstances
from lowdose.verification.reference import INDEX, write_reference

RUN = "run.json"
SUMMARY = "tables/results.csv"
TABLES = (".csv", ".md", ".json")
COLOURS = 256  # of a figure: a third of the bytes, and no difference that is seen


def publish(results: Path, folder: Path, study: Study, command: str, note: str = "") -> dict:
    """Write what a repository can hold of a finished run.

    Parameters
    ----------
    results : Path
        What ``./study run`` has made.
    folder : Path
        Gets ``tables/``, ``figures/`` (PNG of 256 colours), ``networks/`` (cards), ``verify/``
        (what :func:`lowdose.verification.compare.compare` compares a rerun with) and ``run.json``.
        It does not exist, or was made by this function and is replaced when the new one is whole.
    study : lowdose.stages.Study
        The study that was run.
    command : str
        Which has run it.
    note : str
        What a reader shall know beside.

    Returns
    -------
    dict
        What is in ``run.json``; see :func:`about`.

    Raises
    ------
    UserError
        If the run is not finished, results are not what their records say, or `folder` holds
        something else.
    """
    results, folder = Path(results).absolute(), Path(folder).absolute()
    if folder.exists() and not _is_ours(folder):
        raise UserError(f"{folder} is there and holds no published study; give another name.")
    if not (results / SUMMARY).is_file():
        raise UserError(f"{results} holds no {SUMMARY}; run the study first.")
    listed = manifest.as_recorded(results, whole=True)
    told = about(results, study, command, note)
    unexplained = {results.parent / name for name in listed.unexplained}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent
        ) as beside:
            made = Path(beside) / "made"
            _copy(results, made, study.networks(), unexplained)
            how = {"lowdose": __version__, "made_with": circumstances(results)}
            write_reference(made / "verify", extract(results), how)
            write_text(made / RUN, json.dumps(told, indent=1) + "\n")
            _replace(folder, made, Path(beside) / "earlier")
    except OSError as error:
        raise translated(error, folder) from error
    return told


def about(results: Path, study: Study, command: str, note: str = "") -> dict:
    """Return how a finished run was made: commit, machine, libraries, minutes.

    Returns
    -------
    dict
        ``commit`` (all that made results, by time), ``machine``, ``python``, ``torch``, ``started``
        (UTC), ``minutes`` in which some job was at work (of one that was stopped and went on, the
        last time), ``core_minutes`` (of all jobs and by rule;
        see :func:`lowdose.cost.core_seconds`), ``jobs``.

    Raises
    ------
    UserError
        If the results are another study's, a job has no benchmark, or no result has a record.
    """
    known = sorted(manifest.records_in(results).values(), key=lambda one: one.run.started)
    if not known:
        raise UserError(f"{results} holds no result with a record; run the study first.")
    summary = records.read(results / SUMMARY).compared.spec
    if canonical_json(summary) != canonical_json(study.spec("summarise")):
        raise UserError(
            f"{results / SUMMARY} is of another study than {study.config.study}, or of other "
            "settings; name the configuration files of its run."
        )
    trained = {
        ".".join(path.parts[-4:-1]) for path in (results / "networks").glob("*/*/*/card.json")
    }
    if others := sorted(trained - {*study.networks()}):
        raise UserError(
            f"{results} has a network of another study, {others[0]}; run this one in a folder of "
            "its own."
        )
    jobs = cost.jobs_of(study)
    seconds = cost.measured(jobs, results)
    if missing := [job for job in jobs if job not in seconds]:
        raise UserError(
            f"{results} has no logs/{missing[0].log}.jsonl: the study was not run to its end; "
            "run it."
        )
    by_rule = cost.by_rule(seconds).set_index("rule")["core_s"].sort_values(ascending=False) / 60
    libraries = [record.compared.libraries for record in known]
    return {
        "study": study.config.study,
        "command": command,
        "commit": list(dict.fromkeys(map(_commit, known))),
        "machine": {
            "processor": sorted({record.compared.machine.processor for record in known}),
            "system": sorted({record.run.system for record in known}),
            "cores": max(record.run.cores for record in known),
            "gpu": sorted({record.compared.machine.gpu or "none" for record in known}),
        },
        **{name: sorted({of[name] for of in libraries if name in of})
           for name in ("python", "torch")},
        "started": known[0].run.started,
        "minutes": round(at_work(known) / 60, 1),
        "jobs": len(jobs),
        "core_minutes": round(float(by_rule.sum()), 1),
        "core_minutes_by_rule": {rule: round(float(m), 1) for rule, m in by_rule.items()},
        **({"note": note} if note else {}),
    }  # fmt: skip


def at_work(known: Iterable[Record]) -> float:
    """Return the seconds in which at least one of the jobs was at work."""
    spans = sorted(
        (began, began + timedelta(seconds=record.run.seconds))
        for record in known
        for began in [datetime.fromisoformat(record.run.started)]
    )
    total, until = timedelta(), spans[0][0]
    for began, ended in spans:
        if ended > until:
            total += ended - max(began, until)
            until = ended
    return total.total_seconds()


def _commit(record: Record) -> str:
    commit = record.compared.commit
    return "unknown" if commit is None else commit.id + " with changes" * commit.dirty


def _is_ours(folder: Path) -> bool:
    """Return whether a folder was made here: nobody else's is replaced."""
    try:
        told = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    own = isinstance(told, dict) and {"study", "command", "core_minutes"} <= set(told)
    return own and (folder / "verify" / INDEX).is_file()


def _replace(folder: Path, made: Path, earlier: Path) -> None:
    """Put a new folder in the place of an earlier one, which comes back if that fails."""
    if not folder.exists():
        os.rename(made, folder)
        return
    os.rename(folder, earlier)
    try:
        os.rename(made, folder)
    except BaseException:
        os.rename(earlier, folder)
        raise


def _copy(results: Path, folder: Path, networks: Sequence[str], unexplained: set[Path]) -> None:
    """Copy what this study has made: no file without a record, no network of another one."""
    for name in ("tables", "figures", "networks"):
        (folder / name).mkdir(parents=True)
    for path in sorted((results / "tables").iterdir()):
        if path.suffix in TABLES and path not in unexplained:
            shutil.copyfile(path, folder / "tables" / path.name)
    for path in sorted((results / "figures").glob("*.png")):
        if path in unexplained:
            continue
        with Image.open(path) as image:
            fewer = image.convert("RGB").quantize(
                COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
            )
            fewer.save(folder / "figures" / path.name, optimize=True)
    for name in networks:
        card = network_folder(results / "networks", name) / "card.json"
        shutil.copyfile(card, folder / "networks" / f"{name}.json")
