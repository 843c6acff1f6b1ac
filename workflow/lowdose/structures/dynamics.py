"""A particle whose surface changes: states over time, and the structure of each state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from ase import Atoms
from scipy.spatial import cKDTree

from lowdose.config_world import Structures
from lowdose.runtime import UserError
from lowdose.structures import plan as planning
from lowdose.structures.changing_sites import Site, candidates, choose_sites
from lowdose.structures.checks import check_model
from lowdose.structures.fit import recipe_of
from lowdose.structures.library import build_structure
from lowdose.structures.particles import cut
from lowdose.structures.switching import Process, drawn_states
from lowdose.structures.truth import (
    NEIGHBOUR_REACH,
    column_means,
    columns_of,
    group_columns,
    missing_neighbours,
    project,
)

# Lattice constants: between the distances of a column's four nearest neighbours, 0.612, and of
# the other two, 0.707.
NEAREST = 0.66


class ChangingParticle:
    """A particle on its support, whose columns come, go, thin out or lose their order.

    Column numbers are those of the library for the same base shape and support; columns that
    come have numbers after the last.  They stay the same over all states.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration (lengths in nm).
    base_shape : str
        One of those that ``structures.base_shapes`` has.
    layers : int
        Of the support.
    seed : int
        Root seed of the library.
    tilt_deg : (float, float)
        Tilts that carry columns along x and along y [degrees]; for their positions.
    surface_displacement_nm : float
        How far each column of the surface layer is moved away from its neighbours, in the image
        plane [nm].

    Attributes
    ----------
    processes : tuple of Process
        From :meth:`add_processes`; none before.
    places : DataFrame
        By number, the columns of the particle with nothing gone and all come: ``n_atoms,
        is_surface, site, x_nm, y_nm`` (in the cell, y down).

    Raises
    ------
    UserError
        If there is no such base shape, or it does not fit its cell.
    """

    def __init__(
        self,
        structures: Mapping,
        base_shape: str,
        layers: int,
        seed: int,
        *,
        tilt_deg: tuple[float, float] = (0.0, 0.0),
        surface_displacement_nm: float = 0.0,
    ) -> None:
        section = Structures.model_validate(dict(structures)).model_dump()
        shapes = {name: (family, index) for name, family, index in planning.base_shapes(section)}
        if base_shape not in shapes:
            raise UserError(
                f"structures.base_shapes has no {base_shape}; it has {', '.join(shapes)}."
            )
        family, index = shapes[base_shape]
        name = f"{base_shape}-D0-{layers}L"
        model = planning.Model(name, name, base_shape, family, "D0", layers, 0.0, 0.0)
        self.base_shape, self.tilt_deg = base_shape, tilt_deg
        self.processes: tuple[Process, ...] = ()
        self._section, self._lattice = section, section["particle_lattice_nm"] * 10
        # Atoms of all that ever is there; `_own` are those of the particle.
        self._atoms = build_structure(section, model, seed)
        missing = self._atoms.arrays["missing"]
        self._own = np.flatnonzero(missing >= 0)
        self._surface = np.unique(self._atoms.arrays["column"][missing > 0])
        sites = cut(recipe_of(section, family, index), self._lattice).positions
        label = group_columns(sites[:, :2])
        self._full = np.bincount(label)
        lacking = missing_neighbours(column_means(sites, label)[:, :2], self._lattice)[label]
        inside = self._atoms.positions[missing == 0]
        self._ideal, self._carry = _on_lattice(
            self._atoms.positions[self._own], sites, inside, lacking
        )
        self._moves = self._outward() * 10 * surface_displacement_nm
        if surface_displacement_nm:
            self._atoms.positions[self._own] += self._moves
            check_model(self._atoms, name, section)
        self._shifts = np.zeros((1, len(self._own), 3))
        self.places = self._table(self._atoms).set_index("column")

    @property
    def cell_nm(self) -> tuple[float, float]:
        """Height and width of the cell [nm]."""
        width, height, _ = self._atoms.cell.lengths() / 10
        return float(height), float(width)

    def add_processes(
        self,
        processes: Sequence[Mapping],
        frames: int,
        seen: Callable[[np.ndarray], np.ndarray],
        rng: Callable[[str], np.random.Generator],
    ) -> None:
        """Choose, once, where things change, and when.

        Parameters
        ----------
        processes : sequence of mapping
            As :class:`lowdose.config_movies.MovieProcess`.
        frames : int
            Length of the movie.
        seen : callable
            Returns, of positions x, y in the cell (n, 2) [nm, y down], the share of the frames
            that show each.
        rng : callable
            Returns the random numbers of a purpose, so that one process does not change
            another's: ``sites``, ``configurations``, ``disorder frames``, or a process's name.

        Raises
        ------
        UserError
            If the movie shows no such place, or not enough of them.
        """
        local = [p for p in processes if p["kind"] != "disorder" for _ in range(p["sites"])]
        kinds = [p["kind"] for p in local]
        sites = self._choose(kinds, seen, rng("sites"))
        last, made = int(self._atoms.arrays["column"].max()), []
        for i, (process, site) in enumerate(zip(local, sites, strict=True)):
            name = f"{kinds[i]}{kinds[: i + 1].count(kinds[i])}"
            if kinds[i] == "adatom":
                last += 1
                self._append(site, last)
            numbers = (last,) if kinds[i] == "adatom" else tuple(n + 1 for n in site.columns)
            made.append(Process(name, kinds[i], numbers, drawn_states(process, frames, rng(name))))
        self._shifts = np.zeros((1, len(self._own), 3))
        for process in (p for p in processes if p["kind"] == "disorder"):
            layer = (*map(int, self._surface), *(p.columns[0] for p in made if p.kind == "adatom"))
            self._shifts = self._configurations(process, layer, rng("configurations"))
            which = rng("disorder frames").integers(1, len(self._shifts), frames)
            states = np.where(drawn_states(process, frames, rng("disorder")), which, 0)
            made.append(Process("disorder", "disorder", layer, states))
        self.processes = tuple(made)
        self.places = self._table(self._atoms).set_index("column")

    def states(self, frames: int) -> np.ndarray:
        """Return the state of each process in each frame: int (frames, processes)."""
        return np.array([p.states for p in self.processes], dtype=int).reshape(-1, frames).T

    def structure_of(self, state: Sequence[int]) -> Atoms:
        """Return the atoms of a joint state of all processes, in the cell of the library.

        Parameters
        ----------
        state : sequence of int
            One of each of `processes`.

        Returns
        -------
        ase.Atoms
            ``arrays`` has ``column`` and ``missing``, as the structures of the library have;
            ``missing`` is counted in this state.
        """
        kept, shift = np.ones(len(self._own), dtype=bool), self._shifts[0]
        for process, now in zip(self.processes, state, strict=True):
            if process.kind == "disorder":
                shift = self._shifts[now]
            elif (process.kind == "adatom") != bool(now):
                lost = np.isin(self._numbers, process.columns)
                kept &= ~(self._upper_half(lost) if process.kind == "partial" else lost)
        atoms = self._atoms.copy()
        atoms.positions[self._own] += shift
        _, index = np.unique(self._numbers[kept], return_inverse=True)
        points = column_means(self._ideal[kept], index)[:, :2]
        atoms.arrays["missing"][self._own[kept]] = missing_neighbours(points, self._lattice)[index]
        del atoms[self._own[~kept]]
        return atoms

    def columns_of(self, state: Sequence[int]) -> pd.DataFrame:
        """Return the true metal columns of the particle in a joint state of all processes.

        Returns
        -------
        pandas.DataFrame
            ``column``, ``x_nm, y_nm`` (in the cell, y down, referred to the exit plane, tilt
            followed), ``n_atoms`` (0 where absent), ``n_full`` (with nothing gone, a column that
            comes included), ``is_surface``, ``site`` (as the library names them; ``vacancy`` for
            a column that is gone, ``vacuum`` for one that has not come), ``state`` (``present``,
            ``partial``, ``absent`` or ``disordered``) and ``process`` (what acts on it; none is
            empty, and a process of a single column goes before ``disorder``).  An absent column
            stands where it would be.
        """
        table = self._table(self.structure_of(state)).set_index("column")
        table = table.reindex(self.places.index)
        absent = table["n_atoms"].isna()
        table.loc[absent, ["x_nm", "y_nm"]] = self.places.loc[absent, ["x_nm", "y_nm"]]
        table["n_atoms"] = table["n_atoms"].fillna(0).astype(int)
        table["is_surface"] = table["is_surface"].eq(True)
        table["state"], table["process"] = "present", ""
        table["n_full"] = self.places["n_atoms"]
        # Those of single columns last: they say more than that the layer is disordered.
        for process, now in sorted(zip(self.processes, state, strict=True),
                                   key=lambda p: p[0].kind != "disorder"):  # fmt: skip
            own = table.index.isin(process.columns)
            table.loc[own, "process"] = process.name
            if process.kind == "adatom":
                table.loc[own, "site"] = "adatom" if now else "vacuum"
            elif process.kind == "disorder":
                table.loc[own & bool(now), "state"] = "disordered"
            elif process.kind == "partial":
                table.loc[own & bool(now), "state"] = "partial"
            else:
                table.loc[own & bool(now), "site"] = "vacancy"
        table.loc[absent, "state"] = "absent"
        order = ["column", "x_nm", "y_nm", "n_atoms", "n_full", "is_surface", "site", "state",
                 "process"]  # fmt: skip
        return table.reset_index()[order]

    @property
    def _numbers(self) -> np.ndarray:
        return self._atoms.arrays["column"][self._own]

    def _choose(
        self,
        kinds: Sequence[str],
        seen: Callable[[np.ndarray], np.ndarray],
        rng: np.random.Generator,
    ) -> list[Site]:
        """Choose the places of processes, those that the movie always shows first."""
        label = self._numbers - 1
        possible = {kind: candidates(kind, self._ideal, label, self._full, self._lattice)
                    for kind in dict.fromkeys(kinds)}  # fmt: skip

        # Before anything is added, the columns' numbers are 1, 2, ... without a gap.
        of_columns = seen(self.places[["x_nm", "y_nm"]].to_numpy())

        def shown(site: Site) -> tuple[bool, bool]:
            share = of_columns[list(site.columns)]
            if len(site.added):
                x, y, z = self._carried(site.added).mean(axis=0)
                share = seen(self._in_image(pd.DataFrame({"x": [x], "y": [y], "z_mean": [z]})))
            return bool(share.min() >= 1), bool(share.min() > 0)

        return choose_sites(kinds, possible, shown, self._lattice, rng, self.base_shape)

    def _append(self, site: Site, number: int) -> None:
        """Add a column that comes, moved with those that it rests on."""
        reach = NEIGHBOUR_REACH * self._lattice
        resting = cKDTree(self._ideal[:, :2]).query_ball_point(site.points[0], reach)
        moves = np.tile(self._moves[resting].mean(axis=0), (len(site.added), 1))
        came = Atoms([self._section["particle_element"]] * len(moves),
                     positions=self._carried(site.added) + moves)  # fmt: skip
        came.set_array("column", np.full(len(came), number))
        came.set_array("missing", np.zeros(len(came), dtype=int))
        self._own = np.concatenate([self._own, len(self._atoms) + np.arange(len(came))])
        self._atoms += came
        self._ideal = np.concatenate([self._ideal, site.added])
        self._moves = np.concatenate([self._moves, moves])

    def _configurations(
        self, process: Mapping, layer: tuple[int, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """Return the displacements of all atoms [Å]: order first, then each configuration."""
        count = process["configurations"]
        drawn = rng.normal(0.0, 10 * process["disorder_nm"], (count, len(self._own), 3))
        drawn[:, ~np.isin(self._numbers, layer)] = 0.0
        return np.concatenate([np.zeros_like(drawn[:1]), drawn])

    def _outward(self) -> np.ndarray:
        """Return for each atom (n, 3) the unit vector, in the image plane, out of the surface.

        It points against the sum of the bonds, which is the normal of a {111} or {100} facet; an
        atom has two bonds with each of the four nearest columns and one with each of the other
        two.  Columns on the support move sideways only, others than of the surface layer not at
        all.
        """
        numbers, index = np.unique(self._numbers, return_inverse=True)
        points = column_means(self._ideal, index)[:, :2]
        outward = np.zeros((len(points), 3))
        near = cKDTree(points).query_ball_point(points, NEIGHBOUR_REACH * self._lattice)
        for i in np.flatnonzero(np.isin(numbers, self._surface)):
            delta = points[i] - points[[j for j in near[i] if j != i]]
            bonds = np.where(np.linalg.norm(delta, axis=1) < NEAREST * self._lattice, 2, 1)
            away = bonds @ delta
            if points[i, 1] < points[:, 1].min() + 0.5:
                away[1] = 0.0
            outward[i, :2] = away / max(float(np.linalg.norm(away)), 1e-9)
        return outward[index]

    def _upper_half(self, atoms: np.ndarray) -> np.ndarray:
        """Return the half of some atoms (n,) of bool that the defect Dh takes, too."""
        chosen = np.flatnonzero(atoms)
        chosen = chosen[np.argsort(self._ideal[chosen, 2])]
        taken = np.zeros_like(atoms)
        taken[chosen[(len(chosen) + 1) // 2 :]] = True
        return taken

    def _carried(self, ideal: np.ndarray) -> np.ndarray:
        """Return where the particle's strain, turn and shift take points of the ideal lattice."""
        return np.column_stack([ideal, np.ones(len(ideal))]) @ self._carry

    def _in_image(self, columns: pd.DataFrame) -> np.ndarray:
        """Return x and y (down) in the cell [nm] of columns with ``x, y, z_mean`` [Å]."""
        width, height, depth = self._atoms.cell.lengths()
        xy = project(columns, self.tilt_deg, depth)
        return np.column_stack([xy[:, 0] % width, height - xy[:, 1]]) / 10

    def _table(self, atoms: Atoms) -> pd.DataFrame:
        """Return the particle's columns of a structure, by number, with their place in the cell."""
        found = columns_of(atoms)
        found = found[found["is_particle"]].sort_values("column", ignore_index=True)
        xy = self._in_image(found)
        keep = ["column", "n_atoms", "is_surface", "site"]
        return found[keep].assign(x_nm=xy[:, 0], y_nm=xy[:, 1])


def _on_lattice(
    atoms: np.ndarray, sites: np.ndarray, inside: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the site of each atom of a particle that was strained, turned, shifted or thinned.

    Parameters
    ----------
    atoms : array (n, 3)
        Of the particle in its cell [Å].
    sites : array (m, 3)
        Of the perfect particle on its ideal lattice [Å].
    inside : array (k, 3)
        Those atoms whose column lacks no neighbour: no occupancy takes any of them [Å].
    missing : array (m,) of int
        Neighbours that the column of each site lacks.

    Returns
    -------
    array (n, 3)
        Site of each atom [Å].
    array (4, 3)
        The affine map that takes (site, 1) to its place.
    """
    pairs = (sites, atoms) if len(sites) == len(atoms) else (sites[missing == 0], inside)
    extended = np.column_stack([pairs[0], np.ones(len(pairs[0]))])
    carry = np.linalg.lstsq(extended, pairs[1], rcond=None)[0]
    carried = np.column_stack([sites, np.ones(len(sites))]) @ carry
    return sites[cKDTree(carried).query(atoms)[1]], carry
