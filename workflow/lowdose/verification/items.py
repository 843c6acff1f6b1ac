"""One line of a verification."""

from __future__ import annotations

from typing import NamedTuple

AGREES, DIFFERS, MISSING, ADDED = VERDICTS = ("agrees", "differs", "missing", "added")


class Item(NamedTuple):
    """One line of a verification.

    Attributes
    ----------
    kind : str
        See :data:`lowdose.verification.rules.KEYS`.
    item : str
        Which one.
    verdict : {"agrees", "differs", "missing", "added"}
        Missing: the reference has it, the rerun has not; added: the other way round.
    detail : str
        What differs, the published value first; empty where all agrees.
    """

    kind: str
    item: str
    verdict: str
    detail: str = ""

    @property
    def is_unlike(self) -> bool:
        """Whether the rerun is not what was published; what it has besides is no difference."""
        return self.verdict in (DIFFERS, MISSING)
