"""The gains by which a network was adapted to the frames of a file, beside what was denoised."""

from __future__ import annotations

import shutil
from pathlib import Path

from lowdose.denoisers.adaptation.gain_tuning import GainTuned
from lowdose.denoisers.adaptation.gains import save_gains
from lowdose.runtime import UserError


class KeptGains:
    """Keeps the gains of each frame while a file is denoised.

    For a denoiser that is not adapted nothing is kept, and what is replaced goes.

    Parameters
    ----------
    record : Path
        Of the file's outputs; the folder of the gains lies beside it.
    denoiser : Denoiser
    overwrite : bool
        Replace gains that are there.

    Raises
    ------
    UserError
        If they are there, and must not be replaced.
    """

    def __init__(self, record: Path, denoiser, overwrite: bool) -> None:
        self.folder, self.overwrite = record.with_suffix(".gains"), overwrite
        self.denoiser = denoiser if isinstance(denoiser, GainTuned) else None
        if self.denoiser and self.folder.exists() and not overwrite:
            raise UserError(f"{self.folder} exists; replace it by --overwrite.")

    def keep(self, partial: Path, first: int) -> None:
        """Keep the gains of the frames that were denoised last, from number `first` on."""
        if self.denoiser is None:
            return
        for number, tuned in enumerate(self.denoiser.last, first):
            if tuned.steps:  # others have gains of one
                path = partial / "gains" / f"frame{number:05d}.safetensors"
                save_gains(path, tuned.gains, self.denoiser.about(tuned))

    def write(self, partial: Path) -> dict:
        """Put the gains beside the outputs; return what the record shall say of them."""
        if self.denoiser is None:
            if self.overwrite:  # those of what was replaced explain nothing any more
                shutil.rmtree(self.folder, ignore_errors=True)
            return {}
        kept = partial / "gains"
        number = len(list(kept.glob("*.safetensors")))
        shutil.rmtree(self.folder, ignore_errors=True)
        if number:
            kept.replace(self.folder)
        print(f"  the network was adapted to {number} frames, and left as it is for the others",
              flush=True)  # fmt: skip
        return {"frames_adapted": number, "gains": self.folder.name if number else None}
