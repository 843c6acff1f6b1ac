"""One microscope file, denoised: frames, columns and what the counts say of them, the page."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
import psutil

import lowdose
from lowdose import seeds
from lowdose.cli import log
from lowdose.cli._kept_gains import KeptGains
from lowdose.columns.likelihood import thin
from lowdose.columns.weighing import SHARE, Weighed, weigh
from lowdose.denoisers.unsupervised.udvd import MovieDenoiser
from lowdose.microscope import column_files
from lowdose.microscope.aligned import align, running_sums
from lowdose.microscope.denoising import Partial, denoise_frames, forget
from lowdose.microscope.drift import SURE_NATS, measure_drift
from lowdose.microscope.gain import can_be_dealt
from lowdose.microscope.inspection import Inspection, inspect, lines
from lowdose.microscope.outputs import check_room, targets, write_images, write_record
from lowdose.provenance import digest, file_digest
from lowdose.report.frame_verdict import verdict, verdict_of_all
from lowdose.runtime import UserError, one_torch_thread
from lowdose.structures.truth import sites_of

TELL_EVERY_S = 10.0
MOST_PX = 25_000_000  # of a frame, for its columns and page
COPIES = 8  # of a frame in float32 that are in memory while it is denoised
OF_COLUMNS = ("csv", "hdf5", "html")


@dataclass(frozen=True)
class Wishes:
    """What the user asks for, beside what concerns the reading of the file.

    Attributes
    ----------
    formats : tuple of str
    folder : Path or None
        Where to write; beside the file unless given.
    name : str
        Of the outputs; the file's unless given.
    overwrite : bool
    aligned : bool
        Take out the drift of a stack.
    summed : int
        Frames of each running sum.
    level : float
        False-discovery rate at which a column counts as supported.
    page_frames : int
        Most frames of a stack that the page shows.
    threads : int
    """

    formats: tuple[str, ...]
    folder: Path | None = None
    name: str = ""
    overwrite: bool = False
    aligned: bool = False
    summed: int = 1
    level: float = 0.05
    page_frames: int = 8
    threads: int = 1


def denoise_file(path: Path, denoiser, of_files: Mapping, wishes: Wishes) -> dict[str, Path]:
    """Denoise a file and write what is wished.

    Parameters
    ----------
    path : Path
    denoiser : lowdose.denoisers.contract.Denoiser
    of_files : mapping
        As :func:`lowdose.microscope.inspection.inspect` takes it.
    wishes : Wishes

    Returns
    -------
    dict
        Format -> path of what was written.

    Raises
    ------
    UserError
        If the file cannot be denoised, or an output not be written.
    """
    begun = time.monotonic()
    found = inspect(path, denoiser.info, **of_files)
    print("\n".join(lines(found)), flush=True)
    found.require()
    paths = targets(path, wishes.formats, wishes.folder, wishes.name)
    gains = KeptGains(paths["json"], denoiser, wishes.overwrite)
    found, moved = prepared(found, wishes.aligned, wishes.summed)
    check_memory(found.counts)
    # What was stored is in electrons now, and long stacks need the room.
    first = found.recording.frames[:1].copy()
    found = replace(found, recording=replace(found.recording, frames=first))
    if found.counts[0].size > MOST_PX and (left := set(OF_COLUMNS) & set(paths)):
        paths = {kind: one for kind, one in paths.items() if kind not in left}
        print(f"  note: frames of more than {MOST_PX / 1e6:.0f} million pixels are too large for "
              f"{', '.join(sorted(left))}; --bin sums pixels", flush=True)  # fmt: skip
    size = check_room(paths, found.counts.shape, wishes.overwrite)
    names = ", ".join(one.name for kind, one in paths.items() if kind != "json")
    print(f"  writes {names} ({size / 1e6:.1f} MB of images)", flush=True)
    options = _options(path, found, denoiser, of_files, wishes)
    said = [f"{one.kind}: {one.what}" for one in found.findings]
    history = {
        **options,
        **moved,
        "mean_electrons_per_px": float(found.counts.mean(dtype=np.float64)),
        "said": said,
    }
    partial = Partial(paths["json"].with_suffix(".partial"), digest(options), found.counts.shape)
    # Less than no electrons is readout noise, which was warned of above.
    counts = np.maximum(found.counts, 0, out=found.counts)
    if isinstance(denoiser, MovieDenoiser):
        denoiser.state_path, denoiser.told = partial.folder / "training.safetensors", log
    denoise_frames(
        counts, found.pixel_size_nm, denoiser, partial, log, temporal=denoiser.info.temporal,
        before_kept=lambda first: gains.keep(partial.folder, first),
    )  # fmt: skip
    forget(partial.frames)
    write_images(paths, partial.frames, found, history)
    forget(partial.frames)
    if set(OF_COLUMNS) & set(paths):
        history |= _columns_and_page(paths, partial.frames, found, denoiser, wishes, options)
        print(f"  {history['verdict']}", flush=True)
    history |= gains.write(partial.folder)
    write_record(paths, history)
    partial.remove()
    print(f"  done in {time.monotonic() - begun:.1f} s", flush=True)
    return paths


def prepared(found: Inspection, aligned: bool, summed: int) -> tuple[Inspection, dict]:
    """Return a recording without its drift and summed, and what was done.

    Parameters
    ----------
    found : Inspection
    aligned : bool
    summed : int
        Frames of each running sum.
    """
    done: dict = {}
    counts = found.counts
    if (aligned or summed > 1) and len(counts) < 2:
        raise UserError("--align and --sum need a stack; this file has one frame.")
    if aligned:
        moved = measure_drift(counts, found.pixel_size_nm)
        if not moved.reliable:
            doubtful = int(np.sum(moved.margin < SURE_NATS))
            raise UserError(
                f"--align: {doubtful} of {len(counts)} frames show too little to tell how they "
                "drift; leave it out, sum pixels by --bin, or choose --frames."
            )
        shifts = moved.shifts
        counts, first = align(counts, shifts)
        way = float(np.abs(shifts).max()) * found.pixel_size_nm
        print(f"  drift of up to {way:.3g} nm taken out by whole pixels; {counts.shape[1]} x "
              f"{counts.shape[2]} pixels are in all frames", flush=True)  # fmt: skip
        done["drift_px"] = np.round(shifts, 3).tolist()
        done["first_row"], done["first_column"] = map(int, first)
    if summed > 1:
        counts = running_sums(counts, summed)
        print(f"  each frame is the sum of {summed}; neighbouring ones share electrons",
              flush=True)  # fmt: skip
    return replace(found, counts=counts), done


def check_memory(counts: np.ndarray) -> None:
    """Raise a `UserError` if a frame has no room in memory while it is denoised."""
    needed, free = COPIES * 4 * counts[0].size, psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"Frames of {counts.shape[1]} x {counts.shape[2]} pixels need about "
            f"{needed / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} GB are free; sum pixels "
            "by --bin, or cut the frame into parts."
        )


def _options(path: Path, found: Inspection, denoiser, of_files: Mapping, wishes: Wishes) -> dict:
    """Return all that decides what is written: what a stopped run is told by."""
    return {
        "source": path.name,
        # A zspy file is a folder of files.
        "source_sha256": file_digest(path) if path.is_file() else None,
        "pixel_size_nm": found.pixel_size_nm,
        "electrons_per_unit": found.gain.electrons_per_unit,
        "electrons_per_unit_from": found.gain.source,
        "offset": found.gain.offset,
        "frames": of_files["frames"],
        "signal": of_files["signal"],
        "pixels_summed": of_files["binning"],
        "aligned": wishes.aligned,
        "frames_summed": wishes.summed,
        "denoiser": denoiser.info.name,
        "parameters": denoiser.parameters,
        "citation": denoiser.info.citation,
        "lowdose": lowdose.__version__,
    }


def _columns_and_page(paths, images, found: Inspection, denoiser, wishes: Wishes, options) -> dict:
    """Weigh the columns of all frames, write what is wished of them, and say what was found."""
    from lowdose.cli._denoised_page import write_page

    weighed = weigh_frames(found.counts, images, denoiser, found.pixel_size_nm, wishes.threads)
    tables = [
        as_listed(one, number, found.pixel_size_nm, wishes.level)
        for number, one in enumerate(weighed)
    ]
    untested = [one.untested for one in weighed]
    said = {
        "verdict": verdict_of_all(tables, untested, wishes.level),
        "false_discovery_rate": wishes.level,
        "vacuum_electrons_per_px": [round(one.seen.vacuum, 6) for one in weighed],
        "columns_are": ["bright" if one.seen.polarity == 1 else "dark" for one in weighed],
    }
    every = pd.concat(tables, ignore_index=True)
    about = {"source": options["source"], "denoiser": options["denoiser"],
             "pixel_size_nm": found.pixel_size_nm, "lowdose": lowdose.__version__,
             "verdict": said["verdict"]}  # fmt: skip
    if "csv" in paths:
        column_files.write_csv(paths["csv"], every, about)
    if "hdf5" in paths:
        column_files.write_hdf5(paths["hdf5"], every, images, found.pixel_size_nm, about)
    if "html" in paths:
        verdicts = [
            verdict(table, why, wishes.level) for table, why in zip(tables, untested, strict=True)
        ]
        write_page(paths["html"], images, found, denoiser, weighed, tables, verdicts,
                   said["verdict"], wishes)  # fmt: skip
    return said


def weigh_frames(
    counts: np.ndarray, images: np.ndarray, denoiser, pixel_size_nm: float, threads: int
) -> list[Weighed]:
    """Weigh the columns of all frames, several at a time.

    Parameters
    ----------
    counts, images : array (frame, y, x)
        Frames and denoised frames [e/px].
    denoiser : Denoiser
    pixel_size_nm : float
    threads : int
        Frames at a time.
    """
    dealt = can_be_dealt(counts)
    # Some methods have a worker process or a plan, which two threads must not share.
    busy = Lock()

    def frame_and_coin(number: int) -> tuple[np.ndarray, np.random.Generator | None]:
        own = np.rint(counts[number]) if dealt else counts[number]
        # The coin is the frame's: in whatever file and place it comes, the verdict is the same.
        coin = hashlib.sha256(np.ascontiguousarray(own)).hexdigest()
        return own, seeds.rng(0, "thin", coin) if dealt else None

    halves = None
    if dealt and denoiser.info.temporal:
        # A frame's first half is denoised with its neighbours' ones: no second half has part in it.
        log("the first halves of all frames, which propose columns")
        firsts = [thin(own, SHARE, rng)[0] for own, rng in map(frame_and_coin, range(len(counts)))]
        halves = denoiser.denoise(np.stack(firsts), pixel_size_nm)

    def one(number: int) -> Weighed:
        own, rng = frame_and_coin(number)

        def denoise(frame: np.ndarray) -> np.ndarray:
            if halves is not None:
                return halves[number]
            with busy:
                return denoiser.denoise(frame[None], pixel_size_nm)[0]

        # A copy: pages of the file that are looked at stay in memory.
        return weigh(own, np.array(images[number]), denoise, pixel_size_nm, rng)

    result, told = [], time.monotonic()
    # Frames side by side, each on one thread, which also makes them the same whatever --threads.
    with one_torch_thread(), ThreadPoolExecutor(max(threads, 1)) as pool:
        for number, weighed in enumerate(pool.map(one, range(len(counts)))):
            result.append(weighed)
            forget(images)
            if time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                log(f"columns of frame {number + 1} of {len(counts)}")
    return result


def as_listed(weighed: Weighed, number: int, pixel_size_nm: float, level: float) -> pd.DataFrame:
    """Return the columns of a frame as they are written.

    Parameters
    ----------
    weighed : Weighed
    number : int
        Of the frame, from 0.
    pixel_size_nm : float
    level : float
        False-discovery rate.

    Returns
    -------
    DataFrame
        ``frame, id`` (from 1, top to bottom), ``x_nm, y_nm, x_px, y_px``, those of
        :func:`lowdose.columns.weighing.weigh`, ``site`` and ``supported``.
    """
    table = weighed.columns
    # A step lacks one neighbour; a column with six that is surface is as good as that.
    sites = np.array(sites_of(np.maximum(table["n_missing"], 1)), dtype=object)
    surface = table["is_surface"].to_numpy()
    front = pd.DataFrame({
        "frame": number, "id": np.arange(1, len(table) + 1),
        "x_nm": table["x_nm"], "y_nm": table["y_nm"],
        "x_px": table["x_nm"] / pixel_size_nm, "y_px": table["y_nm"] / pixel_size_nm,
    })  # fmt: skip
    rest = table.drop(columns=["x_nm", "y_nm", "n_missing"])
    site = np.where(surface, sites, "")
    supported = surface & (table["q_value"] <= level).to_numpy()
    return front.join(rest).assign(site=site, supported=supported)
