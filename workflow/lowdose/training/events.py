"""The history of a training as TensorBoard event files (optional package ``tensorboard``)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lowdose.runtime import UserError


class Events:
    """Writes each record of a history as scalars, at the time that training had taken by then.

    The files of an earlier piece of the same training are replaced: `rewrite` writes its records
    again, so that no step stands there twice.

    Parameters
    ----------
    folder : Path
        Folder of this one training.

    Raises
    ------
    UserError
        If the package ``tensorboard`` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "--tensorboard needs the package tensorboard, which is not installed; run "
                "`pip install tensorboard`, or leave the option out (history.jsonl holds the same)."
            ) from None
        for old in Path(folder).glob("events.out.tfevents.*"):
            old.unlink()
        # The purge tells a TensorBoard that is already open to forget what it has read.
        self._writer = SummaryWriter(str(folder), purge_step=0)
        self._begun = time.time()

    def rewrite(self, history: Sequence[Mapping]) -> None:
        """Write the records of earlier pieces."""
        if history:
            self._begun = time.time() - history[-1]["seconds"]
        for record in history:
            self.add(record)

    def add(self, record: Mapping) -> None:
        """Write one record: ``step``, ``seconds`` and any numbers."""
        at = self._begun + record["seconds"]
        for key, value in record.items():
            if key not in ("step", "seconds"):
                self._writer.add_scalar(key, value, record["step"], walltime=at)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
