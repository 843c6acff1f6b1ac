"""Words of a command line that are longer than one may be: they go by file.

A rule's command is one word of ``bash -c``, and Linux holds 128 KiB in a word.  The
specification of a table over a thousand trainings is longer.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from lowdose.runtime import UserError, write_text

LONGEST = 60_000  # bytes; leaves room for the names of files beside it
FOLDER = Path(".snakemake") / "lowdose-words"


class Word(str):
    """A text that a command line shows as ``@FILE`` where it is too long for it.

    To Snakemake, which compares parameters, it is the text itself.  The file is named by its
    content and written, relative to the working directory, when the command line is formed.
    """

    __slots__ = ()

    def __format__(self, how: str) -> str:
        data = str(self).encode()
        if len(data) <= LONGEST:
            return format(str(self), how)
        path = FOLDER / f"{hashlib.sha256(data).hexdigest()}.json"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, str(self))
        return f"@{path}"


def text_of(word: str) -> str:
    """Return the text that a word of the command line stands for.

    Raises
    ------
    UserError
        If it is ``@FILE`` and the file cannot be read.
    """
    if not word.startswith("@"):
        return word
    path = Path(word[1:])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--spec {word}: {path} cannot be read ({type(error).__name__}); give a file of JSON."
        ) from None
