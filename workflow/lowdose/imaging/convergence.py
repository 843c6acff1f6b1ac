"""How far the images are from those of a finer simulation, setting by setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from ase import Atoms

from lowdose.imaging.convergence_bench import C1_NM, TILTS_DEG, Bench, Row, differences
from lowdose.imaging.fourier import fast_length
from lowdose.imaging.phonons import GRID_RATIO
from lowdose.imaging.waves import exit_waves
from lowdose.runtime import UserError
from lowdose.structures.lattices import fcc_sites
from lowdose.structures.library import build_structure
from lowdose.structures.plan import plan
from lowdose.structures.support import layer_spacing, support_slab

GRIDS = (256, 512, 640, 720, 768, 1024)
SLICES_NM = (0.2, 0.1, 0.05, 0.0167)
ABTEM = ((512, 0.2), (512, 0.1), (1024, 0.2), (1024, 0.1))  # grid, slice [nm]
EXACT_NM = 1e-5  # each atomic plane is a slice
# Of the wave studies: 1024 points differ from it by less than a hundredth of the limit below.
REFERENCE_GRID = 1280
FOCI = (1, 7, 15)
THERMAL = ("transmission", "potential")  # what the Debye-Waller factors smear
REFERENCE_FOCI = 31
LAYERS = 26  # of the middling model's support: nominally 5 nm
THICKNESSES_NM = (1, 2, 3, 4, 5, 6)
CONFIGURATIONS = 16
SLAB_PERIODS = 3  # of a slab along x
SLAB_TILES = 3  # a slab is repeated before the lens, which displaces beams by up to 2 nm
Log = Callable[[str], None]


def measure(spec: Mapping, log: Log) -> tuple[str, list[Row]]:
    """Run all studies on a middling model of the library and on slabs.

    Images are the expected counts on the camera's pixels, with the configured lens and camera,
    over the whole cell of the model (structure, support and vacuum).  Seconds are those of one
    core for one wave of a structure simulated at two tilts, and in the study ``coherence``
    for one image.

    Parameters
    ----------
    spec : mapping
        Sections ``structures, simulation, optics, camera`` of the configuration, and ``seed``.
    log : callable
        Takes one line of progress.

    Returns
    -------
    model_id : str
        Of the model.
    rows : list of Row
    """
    simulation = {**spec["simulation"], "phonon_configurations": 0}
    name, atoms = middling(spec["structures"], spec["seed"])
    log(f"model {name}: {len(atoms)} atoms")
    bench = Bench(atoms, spec, simulation)
    rows = []
    for study in (_wave_rows, _parametrization_rows, _coherence_rows, _phonon_rows):
        for found in study(bench, spec, log):
            log(f"{found[0].study}: {found[0].setting}: rms up to "
                f"{max(r.error_rms_percent for r in found):.2f} % of the contrast")  # fmt: skip
            rows += found
    return name, rows


def middling(structures: Mapping, seed: int) -> tuple[str, Atoms]:
    """Return a perfect particle from the middle of the first family, on 26 layers or nearly."""
    models = [m for m in plan(structures) if m.defect == "D0" and m.family in structures["defects"]]
    family = min(m.family for m in models)
    layers = min({m.layers for m in models}, key=lambda n: abs(n - LAYERS))
    models = sorted({m.structure_id: m for m in models}.items())
    models = [m for _, m in models if (m.family, m.layers) == (family, layers)]
    model = models[len(models) // 2]
    return model.structure_id, build_structure(structures, model, seed)


def _wave_rows(bench: Bench, spec: Mapping, log: Log) -> Iterator[list[Row]]:
    """Grid, slices and engine against exact planes on a fine grid."""
    configured = bench.simulation
    default = {k: configured[k] for k in ("engine", "grid", "slice_thickness_nm")}
    studies = [("grid", "torch", grid, EXACT_NM) for grid in GRIDS]
    studies += [("slice", "torch", configured["grid"], thickness) for thickness in SLICES_NM]
    studies += [("engine", "abtem", *pair) for pair in ABTEM]
    known = {
        bench.key({"engine": engine, "grid": grid, "slice_thickness_nm": thickness})
        for _, engine, grid, thickness in studies
    }
    if bench.key(default) not in known:
        studies.append(("grid" if default["engine"] == "torch" else "engine", *default.values()))
    fine = max(REFERENCE_GRID, fast_length(3 * configured["grid"] // 2))
    bench.waves(engine="torch", grid=256, slice_thickness_nm=1.0)  # untimed: libraries load
    references = {
        thermal: [
            bench.images(wave)[0]
            for wave in bench.waves(
                engine="torch", grid=fine, slice_thickness_nm=EXACT_NM, thermal=thermal
            )[0]
        ]
        for thermal in THERMAL
    }
    reference = f"torch, grid {fine}, exact planes"
    for study, engine, grid, thickness in studies:
        settings = {"engine": engine, "grid": grid, "slice_thickness_nm": thickness}
        # abTEM smears the potential: what its grid and slices do is seen beside the like.
        thermal = "potential" if engine == "abtem" else configured["thermal"]
        names = f"{reference}, {thermal} smeared"
        waves, seconds = bench.waves(**settings)
        cut = "exact planes" if thickness == EXACT_NM else f"slices of {10 * thickness:g} Å"
        try:
            images = [bench.images(wave)[0] for wave in waves]
        except UserError as error:
            log(f"{engine}, grid {grid} left out: {error}")
            continue
        own = bench.key(settings) == bench.key(default)
        yield bench.rows((study, f"{engine}, grid {grid}, {cut}", names), images,
                         references[thermal], seconds, own)  # fmt: skip


def _parametrization_rows(bench: Bench, spec: Mapping, log: Log) -> Iterator[list[Row]]:
    """The other fit of the scattering factors against the configured one."""
    own = bench.simulation["parametrization"]
    other = {"lobato": "kirkland", "kirkland": "lobato"}[own]
    references = [bench.images(wave)[0] for wave in bench.waves()[0]]
    waves, seconds = bench.waves(parametrization=other)
    images = [bench.images(wave)[0] for wave in waves]
    yield bench.rows(("parametrization", other, own), images, references, seconds, False)


def _coherence_rows(bench: Bench, spec: Mapping, log: Log) -> Iterator[list[Row]]:
    """The envelope and sums over few foci against a sum over many."""
    waves, own = bench.waves()[0], spec["optics"]["focal_points"]
    references = [bench.images(wave, REFERENCE_FOCI)[0] for wave in waves]
    for foci in sorted({*FOCI, own}):
        images, seconds = zip(*(bench.images(wave, foci) for wave in waves), strict=True)
        setting = "quasi-coherent envelope" if foci == 1 else f"{foci} foci"
        names = ("coherence", setting, f"{REFERENCE_FOCI} foci")
        yield bench.rows(names, list(images), references, float(np.mean(seconds)), foci == own)


def _phonon_rows(bench: Bench, spec: Mapping, log: Log) -> Iterator[list[Row]]:
    """The Debye-Waller factor against frozen phonons: what thermal diffuse scattering does."""
    own = bench.simulation["grid"]
    simulation = {**bench.simulation, "grid": fast_length(round(GRID_RATIO * own))}
    depth = bench.atoms.cell.lengths()[2] / 10
    model = Bench(bench.atoms, spec, simulation)
    for thermal in THERMAL:
        name = f"model, cell {depth:.1f} nm deep, {thermal} smeared"
        yield _diffuse(model, spec, name, thermal)
    spacing = max(bench.cell_nm) / simulation["grid"]
    for material, make in (("particle", metal_slab), ("support", oxide_slab)):
        for thickness in THICKNESSES_NM:
            slab = make(spec["structures"], 10 * thickness)
            slab.info = {"structure_id": f"{material}-{thickness}nm", "seed": spec["seed"]}
            grid = fast_length(int(np.ceil(slab.cell.lengths()[:2].max() / 10 / spacing)))
            other = Bench(slab, spec, {**simulation, "grid": grid}, tiles=SLAB_TILES)
            own = simulation["thermal"]
            name = f"{material}, {thickness} nm, {own} smeared"
            yield _diffuse(other, spec, name, own, TILTS_DEG[:1])


def _diffuse(
    bench: Bench, spec: Mapping, setting: str, thermal: str, tilts: tuple = TILTS_DEG
) -> list[Row]:
    """Compare with the mean over configurations, its own noise taken off.

    The images of two halves of the configurations have independent noise: the mean product of
    their differences from the Debye-Waller image is free of it.
    """
    still = exit_waves(bench.atoms, tilts, {**bench.simulation, "thermal": thermal})
    start = time.process_time()
    phonons = {**bench.simulation, "phonon_configurations": CONFIGURATIONS}
    moving = exit_waves(bench.atoms, tilts, phonons)
    seconds = (time.process_time() - start) / len(tilts)
    rows = []
    for tilt, wave, waves in zip(tilts, still, moving, strict=True):
        images = bench.images(wave)[0]
        halves = [bench.images(half)[0] for half in np.array_split(waves, 2)]
        for c1, image, first, second in zip(C1_NM, images, *halves, strict=True):
            reference = (first + second) / 2
            rms, mean = differences(image, reference)
            square = np.mean((image - first) * (image - second)) / reference.var()
            clean = 100 * float(np.sqrt(max(square, 0.0)))
            names = ("phonons", setting, f"{CONFIGURATIONS} frozen-phonon configurations")
            configured = spec["simulation"]
            own = configured["phonon_configurations"] == 0 and thermal == configured["thermal"]
            rows.append(Row(*names, c1, tilt[0], clean, mean * clean / rms, seconds, own))
    return rows


def metal_slab(structures: Mapping, thickness: float) -> Atoms:
    """Return five (111) layers of the particle's metal in a vacuum, about this thick along the
    beam [Å].
    """
    a = structures["particle_lattice_nm"] * 10
    width = SLAB_PERIODS * a * np.sqrt(1.5)
    layers = round(thickness / (a / np.sqrt(8)))
    high = np.array([width, 5 * a / np.sqrt(3), layers * a / np.sqrt(8)])
    positions = fcc_sites(a, np.full(3, -0.01), high - 0.01)
    return _in_vacuum(
        Atoms([structures["particle_element"]] * len(positions), positions=positions), width,
        thickness,
    )  # fmt: skip


def oxide_slab(structures: Mapping, thickness: float) -> Atoms:
    """Return three layers of the support in a vacuum, about this thick along the beam [Å]."""
    narrow = {**structures, "periods": SLAB_PERIODS, "trilayers": 3}
    slab = support_slab(narrow, round(thickness / layer_spacing(structures)))
    return _in_vacuum(slab, slab.cell.lengths()[0], thickness)


def _in_vacuum(slab: Atoms, width: float, thickness: float) -> Atoms:
    slab.positions += [0, 4.0, 1.0]
    slab.set_cell([width, slab.positions[:, 1].max() + 4.0, thickness + 2.0])
    return slab
