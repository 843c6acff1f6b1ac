"""Gather what the page of a denoised file shows, and write it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import lowdose
from lowdose.denoisers.learned import LearnedDenoiser
from lowdose.microscope.inspection import Inspection
from lowdose.report.frame_page import Page, ShownFrame, frame_page
from lowdose.runtime import write_text
from lowdose.sampling import dose_e_per_a2

MOST_SPREADS = 2  # frames of a stack whose spread over orientations is shown: it costs eight views


def write_page(
    path: Path, images: np.ndarray, found: Inspection, denoiser, weighed: Sequence,
    tables: Sequence[pd.DataFrame], verdicts: Sequence[str], verdict: str, wishes,
) -> None:  # fmt: skip
    """Write the page of a denoised file.

    Parameters
    ----------
    path : Path
    images : array (frame, y, x)
        Denoised frames [e/px].
    found : Inspection
    denoiser : Denoiser
    weighed : sequence of lowdose.columns.weighing.Weighed
        Of each frame.
    tables : sequence of DataFrame
        Columns of each frame, as they are written.
    verdicts : sequence of str
        Of each frame.
    verdict : str
        Of the file.
    wishes : lowdose.cli._denoised_file.Wishes
    """
    pixel, total = found.pixel_size_nm, len(images)
    shown = np.unique(np.linspace(0, total - 1, min(total, wishes.page_frames)).round().astype(int))
    frames = []
    for place, number in enumerate(shown):
        counts = np.asarray(found.counts[number])
        spread = None
        if isinstance(denoiser, LearnedDenoiser) and place < MOST_SPREADS:
            spread = denoiser.spread(counts, pixel)
        own = weighed[number]
        frames.append(
            ShownFrame(
                number=int(number),
                counts=counts,
                denoised=np.asarray(images[number]),
                spread=spread,
                columns=tables[number],
                verdict=verdicts[number],
                vacuum=own.seen.vacuum if own.seen.vacuum_nm2 else None,
            )
        )
    page = Page(
        title=f"{found.recording.path.name}, denoised",
        source=found.recording.path.name,
        frames=frames,
        n_frames=total,
        pixel_size_nm=pixel,
        facts=_facts(found, denoiser, weighed),
        findings=[(one.kind, one.what) for one in found.findings],
        verdict=verdict,
        level=wishes.level,
        trained_on=_trained_on(denoiser),
        how=_how(wishes.level),
        citation=f"lowdose {lowdose.__version__}, denoiser {denoiser.info.name}; "
        f"{denoiser.info.citation}",
        version=lowdose.__version__,
    )
    write_text(path, frame_page(page))


def _facts(found: Inspection, denoiser, weighed) -> list[tuple[str, str]]:
    recording, pixel = found.recording, found.pixel_size_nm
    number, height, width = found.counts.shape
    mean = float(found.counts.mean(dtype=np.float64))
    vacuum = float(np.mean([one.seen.vacuum for one in weighed]))
    seen = any(one.seen.vacuum_nm2 for one in weighed)
    gain = found.gain
    facts = [
        ("file", f"{recording.format}, {number} frame{'s' if number > 1 else ''} of "
                 f"{height} x {width} pixels"),
        ("pixel size", f"{pixel:.5g} nm"),
    ]  # fmt: skip
    facts += recording.stated()
    facts += [
        ("mean dose", f"{mean:.4g} electrons a pixel, {dose_e_per_a2(mean, pixel):.4g} per Å²"),
        ("vacuum", f"{vacuum:.4g} electrons a pixel" if seen else "none is seen"),
        ("electrons per stored unit", f"{gain.electrons_per_unit:.4g}, {gain.source}"),
        ("columns are", " or ".join(
            sorted({"bright" if one.seen.polarity == 1 else "dark" for one in weighed}))),
        ("denoiser", denoiser.info.title),
    ]  # fmt: skip
    return facts


def _trained_on(denoiser) -> list[tuple[str, str]]:
    """Say in words what a network has seen; nothing of a method that learns from nothing."""
    from lowdose.denoisers import released
    from lowdose.denoisers.cards import read_card

    if denoiser.info.name == "udvd":
        return [("specimens", "this recording alone, without any truth")]
    name = denoiser.parameters.get("network", denoiser.info.name)
    if name not in released.names():
        return []
    card = read_card(released.folder(name))
    seen = card["training_set"]

    def ends(values, unit: str) -> str:
        return f"{values[0]:g} to {values[1]:g} {unit}"

    contrast = {"all": "bright, dark and between"}.get(seen["contrast"], seen["contrast"])
    rows = [
        ("specimens", "simulated Pt nanoparticles on CeO2, along [110]"),
        ("columns", contrast),
        ("defocus C1", ends(seen["c1_nm"], "nm, C3 = -13 µm, 300 kV")),
        (
            "dose",
            ends([float(f"{v:.2g}") for v in card["dose_e_per_a2"]], "electrons per Å² a frame"),
        ),
        ("pixel size", ends([1000 * v for v in card["pixel_size_nm"]], "pm")),
        ("rotation of the frame", f"up to {seen['rotation_deg']:g}°"),
        ("contrast of the images", ends(card["contrast_factor"], "of the ideal microscope's")),
    ]
    return rows + [("limit", text) for text in card.get("limits", [])]


def _how(level: float) -> list[str]:
    return [
        "Columns are blobs of the denoised image; the surface is the outline of the particle's "
        "columns, without the layer on the support.",
        "A network draws what was usual where the counts say little, so that the image cannot "
        "bear witness for itself.  The frame's electrons are therefore dealt by coin into two "
        "independent halves: one is denoised and proposes columns, the other tests each of them "
        "against vacuum.  The p-value is the chance that vacuum counts so many (dark columns: so "
        "few) electrons there.",
        f"Benjamini and Hochberg keep columns at {100 * level:g} % false discoveries among all "
        "that the half proposes; a q-value is the least such rate at which a column is kept.",
        "The log-likelihood ratio that colours the columns is computed on the counts from which "
        "the image was made; it is optimistic and no test.",
    ]
