"""The card of a network as a text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lowdose.sampling import REFERENCE_PIXEL_SIZE_NM, dose_e_per_a2, dose_e_per_px


def describe(card: Mapping[str, Any]) -> str:
    """Write the card of a trained network as Markdown.

    Parameters
    ----------
    card : mapping
        From :func:`lowdose.denoisers.cards.read_card`.  Beside what that needs, these are
        shown where they are there: ``parameters``, ``receptive_field_nm``,
        ``effective_field_px``, ``own_pixel_size_nm``, ``contrast_factor`` (low, high),
        ``training_set`` (its ``name`` and ``contrast``), ``training_data_digest``, ``training``
        (``steps``, ``minutes``, ``batch``, ``crop_px``), ``device``, ``seed``,
        ``licence``, ``limits`` (sentences), and ``metrics``, ``shifts`` and ``conditions``: the
        rows of :func:`lowdose.evaluation.release_metrics.for_card`.

    Returns
    -------
    str
        Heading, a table of what the network is, and those of its metrics if it has any.
    """
    pixel = card.get("own_pixel_size_nm")
    rows = [
        ("Architecture", _architecture(card["architecture"])),
        ("Parameters", _shown(card, "parameters", "{:,}")),
        ("Receptive field", _field(card)),
        ("Effective field", _shown(card, "effective_field_px", "{:.0f} px (90 % of the gradient)")),
        ("Own pixel size", None if pixel is None else f"{1000 * pixel:.3g} pm"),
        ("Pixel sizes", _range([1000 * p for p in card["pixel_size_nm"]], "pm")),
        ("Dose", _dose(card["dose_e_per_a2"], pixel or REFERENCE_PIXEL_SIZE_NM)),
        ("Contrast", card.get("training_set", {}).get("contrast")),
        ("Contrast factor", _range(card.get("contrast_factor"), "")),
        ("Training set", card.get("training_set", {}).get("name")),
        ("Training data (digest)", card.get("training_data_digest")),
        ("Trained", _trained(card)),
        ("Seed", _shown(card, "seed", "{}")),
        ("Weights (SHA-256)", card["weights_sha256"]),
        ("Licence", card.get("licence")),
    ]
    table = _table(("Property", "Value"), [row for row in rows if row[1] is not None])
    parts = [f"# {card['name']}", table]
    if card.get("metrics"):
        parts += ["## Measured on held-out structures", _measured(card)]
    if card.get("conditions"):
        parts += ["## At other doses and on other pixels", _conditions(card)]
    if card.get("limits"):
        parts += ["## Limits", *card["limits"]]
    return "\n\n".join(parts) + "\n"


def _architecture(spec: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{k} {v}" for k, v in spec.items() if k != "architecture")
    return f"{spec['architecture']} ({rest})" if rest else spec["architecture"]


def _field(card: Mapping[str, Any]) -> str:
    if card["receptive_field_px"] is None:
        return "the whole frame"
    return f"{card['receptive_field_px']} px" + _shown(
        card, "receptive_field_nm", " ({:.3g} nm)", ""
    )


def _dose(doses: list[float], pixel_size_nm: float) -> str:
    shown = _range([dose_e_per_px(d, pixel_size_nm) for d in doses], "e/px")
    return f"{_range(doses, 'e/Å²')} ({shown} at {1000 * pixel_size_nm:.3g} pm)"


def _trained(card: Mapping[str, Any]) -> str | None:
    """How long, and on what: "8,500 steps of 4 crops of 512 px on CUDA (...)"."""
    if (how := card.get("training")) is None:
        return None
    budget = f"{how['steps']:,} steps" if how["minutes"] is None else f"{how['minutes']:g} minutes"
    place = f" on {card['device']}" if "device" in card else ""
    return f"{budget} of {how['batch']} crops of {how['crop_px']} px{place}"


def _range(ends: list[float] | None, unit: str) -> str | None:
    return None if ends is None else f"{ends[0]:.4g} to {ends[1]:.4g} {unit}".strip()


def _shown(card: Mapping[str, Any], key: str, form: str, absent: str | None = None) -> str | None:
    return absent if card.get(key) is None else form.format(card[key])


def _measured(card: Mapping[str, Any]) -> str:
    """Table of the metrics: mean over frames, 95 % interval over base shapes."""
    head = ("Frames", "Number", "PSNR [dB]", "Above a constant image [dB]", "SSIM",
            "Constant, raw [dB]", "False columns per 100 nm² of vacuum")  # fmt: skip
    rows = [
        (
            row.get("set") or f"shifted: {row['shift']}",
            f"{row['n_rows']} of {row['n_units']} shapes",
            _interval(row, "psnr_db", 2),
            _interval(row, "contrast_psnr_db", 2),
            _interval(row, "ssim", 4),
            f"{row['constant_psnr_db']:.2f}, {row['raw_psnr_db']:.2f}",
            "" if row.get("false_per_100_nm2") is None else _interval(row, "false_per_100_nm2", 2),
        )
        for row in (*card["metrics"], *card.get("shifts", ()))
    ]
    return f"At {card['metrics_at_e_per_px']:g} e/pixel.\n\n{_table(head, rows)}"


def _conditions(card: Mapping[str, Any]) -> str:
    """Table of the metrics over dose and pixel size."""
    head = ("Pixel [pm]", "Dose [e/px]", "Dose [e/Å²]", "PSNR [dB]",
            "Above a constant image [dB]", "SSIM")  # fmt: skip
    rows = [
        (
            f"{1000 * row['pixel_size_nm']:.3g}",
            f"{row['dose_e_per_px']:.3g}",
            f"{dose_e_per_a2(row['dose_e_per_px'], row['pixel_size_nm']):.3g}",
            *(_interval(row, key, 2) for key in ("psnr_db", "contrast_psnr_db")),
            _interval(row, "ssim", 4),
        )
        for row in card["conditions"]
    ]
    first = card["conditions"][0]
    about = f"{first['n_rows']} frames without defects, {first['n_units']} shapes."
    return f"{about}\n\n{_table(head, rows)}"


def _interval(row: Mapping[str, Any], key: str, digits: int) -> str:
    value, low, high = (f"{row[key + end]:.{digits}f}" for end in ("", "_low", "_high"))
    return f"{value} ({low} to {high})"


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
