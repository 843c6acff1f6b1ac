"""A benchmark on disk: written once, verified whenever it is read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lowdose import __version__
from lowdose.data.frames import FrameSet
from lowdose.evaluation.benchmark import CountedSet
from lowdose.provenance import canonical_json, modules_of
from lowdose.runtime import UserError, atomic_path, write_text
from lowdose.sampling import dose_e_per_a2

VERSION = 1
MANIFEST = "benchmark.json"
LARGEST_BYTES = 100e6
# Of what names a benchmark these are no part: who made it, and the name itself.
_NOT_NAMED = ("sha256", "made_by")
_KEEP = (
    "frame", "model_id", "base_shape", "family", "defect", "layers", "tilt_x_deg", "tilt_y_deg",
    "c1_nm", "contrast", "shift", "interface_y_nm",
)  # fmt: skip
CONVENTIONS = {
    "axes": "(image, y, x), row 0 at the top: vacuum above, support below",
    "order": "image = realisation * frames + frame",
    "counts": "electrons per pixel, Poisson, independent from image to image",
    "estimates": "expected electrons per pixel, shape and order of the counts",
    "clean": "expectation, vacuum = 1; float16",
    "places": "nm from the centre of the upper left pixel, x to the right, y downwards",
    "dose": "electrons per pixel in vacuum",
    "c1_nm": "defocus, positive = overfocus",
}


@dataclass(frozen=True)
class Benchmark:
    """A verified benchmark.

    Attributes
    ----------
    folder : Path
    manifest : dict
        ``benchmark.json``.
    """

    folder: Path
    manifest: dict

    @property
    def name(self) -> str:
        """The SHA-256 that names it."""
        return self.manifest["sha256"]

    @property
    def size(self) -> int:
        """Bytes of arrays and tables."""
        return sum((self.folder / path).stat().st_size for path in self.manifest["files"])

    @property
    def sets(self) -> dict:
        """What is in each set, by name."""
        return self.manifest["sets"]

    @property
    def doses(self) -> list[float]:
        """In vacuum [e/px]."""
        return self.manifest["doses_e_per_px"]

    def counts(self, kind: str, dose: float) -> np.ndarray:
        """Return the counts of a set at a dose, (image, y, x)."""
        return _array(self.folder / f"inputs/{stem(kind, dose)}.npz", "counts")

    def frames(self, kind: str) -> FrameSet:
        """Return frames and truth of a set."""
        return FrameSet(
            self.table(kind, "frames"),
            _array(self.folder / f"truth/{kind}.npz", "clean").astype(np.float32),
            self.table(kind, "columns"),
            self.manifest["pixel_size_nm"],
            self.name,
        )

    def table(self, kind: str, what: str) -> pd.DataFrame:
        """Return a table of a set: ``frames``, ``columns`` or ``sites``."""
        path = self.folder / f"truth/{kind}-{what}.csv"
        # "none" is a shift and no missing value.
        return pd.read_csv(path, keep_default_na=False)


def stem(kind: str, dose: float) -> str:
    """Return the name of a file of counts or estimates, without its ending: ``test-0.45``."""
    return f"{kind}-{dose:g}"


def scorer_digest() -> str:
    """Return a digest of the code that decides a score: metrics, columns, evaluation."""
    total = hashlib.sha256()
    for name, path in modules_of("lowdose.evaluation.score").items():
        # How frames are simulated is no part of it: they are there.
        if name.startswith(("lowdose.columns.", "lowdose.evaluation.", "lowdose.metrics")):
            total.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def write_benchmark(
    folder: Path,
    sets: Mapping[str, CountedSet],
    about: Mapping,
    log: Callable[[str], None] = lambda line: None,
) -> Benchmark:
    """Write a benchmark; the manifest comes last, so that a half-written one is none.

    Parameters
    ----------
    folder : Path
    sets : mapping of str to CountedSet
        From :func:`lowdose.evaluation.benchmark.counted_sets`.
    about : mapping
        ``study, seed, spec, spec_digest``, and ``scoring``: ``sigma_nm, gate_nm, draws``.
    log : callable

    Raises
    ------
    UserError
        If it would be larger than 100 MB.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    files, described = {}, {}
    for kind, one in sets.items():
        truth = one.frames
        for dose, counts in one.counts.items():
            path = f"inputs/{stem(kind, dose)}.npz"
            files[path] = {
                **_write_array(folder / path, "counts", counts),
                "set": kind,
                "dose_e_per_px": dose,
                "dose_e_per_a2": round(dose_e_per_a2(dose, truth.pixel_size_nm), 6),
            }
        path = f"truth/{kind}.npz"
        files[path] = _write_array(folder / path, "clean", truth.clean.astype(np.float16))
        keep = [name for name in _KEEP if name in truth.table]
        for what, table in (("frames", truth.table[keep]), ("columns", truth.columns),
                            ("sites", one.sites)):  # fmt: skip
            path = f"truth/{kind}-{what}.csv"
            files[path] = _write_table(folder / path, table)
        described[kind] = _described(one)
        log(f"{kind} written")
    some = next(iter(sets.values()))
    manifest = {
        "version": VERSION,
        **about,
        "pixel_size_nm": some.frames.pixel_size_nm,
        "doses_e_per_px": list(some.counts),
        "shape": list(some.frames.clean.shape[1:]),
        "conventions": CONVENTIONS,
        "sets": described,
        "files": files,
    }
    manifest["sha256"] = _name(manifest)
    manifest["made_by"] = {"lowdose": __version__, "scorer": scorer_digest()}
    made = Benchmark(folder, manifest)
    if made.size > LARGEST_BYTES:
        raise UserError(
            f"The benchmark would take {made.size / 1e6:.0f} MB, and {LARGEST_BYTES / 1e6:.0f} are "
            "allowed; lower --realisations or the number of --doses."
        )
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    log(f"{made.size / 1e6:.1f} MB, SHA-256 {made.name}")
    return made


def read_benchmark(folder: Path) -> Benchmark:
    """Verify a benchmark and return it.

    Raises
    ------
    UserError
        If the folder holds none, or an array, a table or the manifest is not what it was when
        the benchmark was made; the sentence names it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} holds no {MANIFEST}; give the folder of a benchmark.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        same = _name(manifest) == manifest["sha256"]
        version = manifest["version"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _changed(path) from None
    if version != VERSION:
        raise UserError(
            f"{path} is of version {version!r} and this scorer reads version {VERSION}; take the "
            "lowdose that made it."
        )
    if not same:
        raise _changed(path)
    for name, about in manifest["files"].items():
        if _digest_of(folder / name) != about["sha256"]:
            raise _changed(folder / name)
    return Benchmark(folder, manifest)


def _changed(path: Path) -> UserError:
    return UserError(
        f"{path} is not what it was when the benchmark was made (its SHA-256 differs, or it "
        "cannot be read); get the benchmark anew."
    )


def _name(manifest: Mapping) -> str:
    named = {key: value for key, value in manifest.items() if key not in _NOT_NAMED}
    return hashlib.sha256(canonical_json(named).encode()).hexdigest()


def _described(one: CountedSet) -> dict:
    table = one.frames.table
    described = {
        "frames": len(table),
        "realisations": one.realisations,
        "images": len(table) * one.realisations,
        "base_shapes": int(table["base_shape"].nunique()),
        "pairs": one.sites.groupby("kind")["pair"].nunique().to_dict(),
        "frozen_frames": one.frames.digest,
    }
    if "shift" in table:
        described["shifts"] = list(table["shift"].unique())
    return described


def _write_array(path: Path, key: str, array: np.ndarray) -> dict:
    """Write one compressed array; return shape, type and the SHA-256 of it as a .npy file."""
    # Compressed, the file depends on the version of zlib; its content does not.
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **{key: array})
    return {"array": key, "shape": list(array.shape), "dtype": str(array.dtype),
            "sha256": _digest_of(path)}  # fmt: skip


def _write_table(path: Path, table: pd.DataFrame) -> dict:
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.9g", lineterminator="\n")
    write_text(path, text.getvalue())
    return {"rows": len(table), "sha256": _digest_of(path)}


def _digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a table, or of the .npy within an .npz; None if it cannot be read."""
    try:
        if path.suffix != ".npz":
            return hashlib.sha256(path.read_bytes()).hexdigest()
        total = hashlib.sha256()
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.namelist()
            with archive.open(member) as stream:
                while block := stream.read(1 << 20):
                    total.update(block)
        return total.hexdigest()
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None


def _array(path: Path, key: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as opened:
        return opened[key]
