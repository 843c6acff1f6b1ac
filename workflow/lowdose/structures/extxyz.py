"""Writing structures as extended XYZ, with as many digits as they deserve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str

PROPERTIES = "species:S:1:pos:R:3:column:I:1:missing:I:1"


def write_extxyz(path: Path, structures: Sequence[Atoms]) -> None:
    """Write structures with ``arrays["column"]`` and ``arrays["missing"]`` to one file.

    Positions have four decimals (1e-4 Å, a thousandth of a thermal displacement), half of what
    :func:`ase.io.write` would take; :func:`ase.io.read` reads the file, a frame of no atoms too.

    Parameters
    ----------
    path : Path
        File to write.
    structures : sequence of ase.Atoms
        With what ``info`` holds in their second lines.
    """
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        for atoms in structures:
            about = {"Lattice": atoms.cell.array.T, **atoms.info}
            periodic = " ".join("T" if axis else "F" for axis in atoms.pbc)
            header = key_val_dict_to_str(about)
            stream.write(f'{len(atoms)}\n{header} Properties={PROPERTIES} pbc="{periodic}"\n')
            rows = zip(
                atoms.get_chemical_symbols(),
                atoms.positions.tolist(),
                atoms.arrays["column"].tolist(),
                atoms.arrays["missing"].tolist(),
                strict=True,
            )
            stream.writelines(
                f"{symbol} {x:.4f} {y:.4f} {z:.4f} {column} {missing}\n"
                for symbol, (x, y, z), column, missing in rows
            )
