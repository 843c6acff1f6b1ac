"""Which models the library holds: a pure function of the configuration, no atoms needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from lowdose.runtime import UserError

BLANKS = ("vacuum", "support")  # models without a particle


@dataclass(frozen=True)
class Model:
    """One model: a shape with a defect on a support of a thickness, seen under a tilt.

    The structure (everything but the tilt) is shared by all models of one ``structure_id``.
    """

    model_id: str
    structure_id: str
    base_shape: str
    family: str
    defect: str
    layers: int
    tilt_x_deg: float
    tilt_y_deg: float


def base_shapes(structures: Mapping) -> list[tuple[str, str, int]]:
    """Return (name, family, index in the family) of every base shape, e.g. ``PtNp1a``."""
    return [
        (f"{family}{chr(ord('a') + index)}", family, index)
        for family, count in sorted(structures["base_shapes"].items())
        for index in range(count)
    ]


def index_of(base_shape: str) -> int:
    """Return the index of a base shape in its family from its name."""
    return ord(base_shape[-1]) - ord("a")


def plan(structures: Mapping) -> list[Model]:
    """Choose the models from the full factorial by a stated rule, not by chance.

    For each support thickness the quota is filled in rounds.  A round visits every base shape
    once and adds it with all its defects at one tilt; the tilt moves on by one from shape to
    shape, from round to round and from thickness to thickness.  So every shape and every tilt
    is met equally often, and a shape with a defect always has its perfect partner at the same
    thickness and tilt (a matched pair), but for the last shape where the quota cuts it.

    Blank models follow after the quota.  Number i of n thicknesses has thickness ``i mod n`` and
    tilt ``(i // n + i mod n) mod (number of tilts)``: thicknesses in turn, tilts too, no
    combination twice.

    Parameters
    ----------
    structures : mapping
        Section ``structures`` of the configuration.

    Returns
    -------
    list of Model
        Sorted so that models of one structure follow each other; blank models last.

    Raises
    ------
    UserError
        If a quota or a number of blanks exceeds what shapes, defects and tilts give.
    """
    shapes = base_shapes(structures)
    tilts = [tuple(t) for t in structures["tilts_deg"]]
    defects = structures["defects"]
    a_round = sum(len(defects[family]) for _, family, _ in shapes)
    models = []
    quotas = sorted((int(k), v) for k, v in structures["thickness_quota"].items())
    for t, (layers, quota) in enumerate(quotas):
        if quota > a_round * len(tilts):
            raise UserError(
                f"structures.thickness_quota asks for {quota} models of {layers} layers, but "
                f"{len(shapes)} base shapes with their defects and {len(tilts)} tilts give "
                f"{a_round * len(tilts)}; lower the quota or add shapes or tilts."
            )
        chosen: list[Model] = []
        turn = 0
        while len(chosen) < quota:
            for s, (base, family, _) in enumerate(shapes):
                tilt = tilts[(turn + s + t) % len(tilts)]
                chosen += [_model(base, family, d, layers, tilt) for d in defects[family]]
            turn += 1
        models += chosen[:quota]
    blanks = [m for kind, n in (structures.get("blanks") or {}).items()
              for m in _blanks(kind, n, [layers for layers, _ in quotas], tilts)]  # fmt: skip
    return [
        *sorted(models, key=lambda m: (m.structure_id, m.model_id)),
        *sorted(blanks, key=lambda m: (m.structure_id, m.model_id)),
    ]


def shards(structures: Mapping, models_per_shard: int) -> list[list[Model]]:
    """Cut the plan into shards; a structure is not split unless it alone is larger."""
    groups: dict[str, list[Model]] = {}
    for model in plan(structures):
        groups.setdefault(model.structure_id, []).append(model)
    result: list[list[Model]] = [[]]
    for group in groups.values():
        if result[-1] and len(result[-1]) + len(group) > models_per_shard:
            result.append([])
        result[-1].extend(group)
    return result


def rows(models: list[Model]) -> list[dict]:
    """Return the models as plain dictionaries."""
    return [asdict(model) for model in models]


def _blanks(
    kind: str, count: int, layers: list[int], tilts: list[tuple[float, float]]
) -> list[Model]:
    if count > len(layers) * len(tilts):
        raise UserError(
            f"structures.blanks asks for {count} models of {kind}, but {len(layers)} thicknesses "
            f"and {len(tilts)} tilts give {len(layers) * len(tilts)}; "
            f"{len(layers) * len(tilts)} works."
        )
    found = []
    for i in range(count):
        turn, which = divmod(i, len(layers))
        found.append(_model(kind, kind, "D0", layers[which], tilts[(turn + which) % len(tilts)]))
    return found


def _model(base: str, family: str, defect: str, layers: int, tilt: tuple[float, float]) -> Model:
    structure = f"{base}-{defect}-{layers}L"
    return Model(
        model_id=f"{structure}-x{tilt[0]:g}y{tilt[1]:g}",
        structure_id=structure,
        base_shape=base,
        family=family,
        defect=defect,
        layers=layers,
        tilt_x_deg=float(tilt[0]),
        tilt_y_deg=float(tilt[1]),
    )
