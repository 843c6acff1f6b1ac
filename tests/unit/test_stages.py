"""What a stage depends on: specifications, code, libraries."""

import argparse
import json
from pathlib import Path

import pytest

from lowdose import config, contest
from lowdose.provenance import canonical_json, modules_of
from lowdose.runtime import UserError
from lowdose.stages import ENVIRONMENT, Study, spec_from, study_of
from lowdose.structures import plan

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "config" / "tiny.yaml"
WORLD = (
    "dataset",
    "shifted",
    "converge",
    "film",
)  # these use atoms, waves, lens and camera at once


FILMED = {
    "films": {"one": {"base_shape": "PtNp1a", "frames": 48}},
    "switching": {"base_shape": "PtNp1a", "processes": [{"kind": "disorder"}]},
    "methods": {"raw": {"denoiser": "raw"}, "sum": {"denoiser": "gaussian", "sum": [3, 5]}},
}
RECORDED = {"files": {"movie": {"file": "movie.dm4"}}}


def study(**overrides):
    return Study(config.load([TINY], {"experiment": RECORDED, "movies": FILMED, **overrides}))


def every_spec(one):
    """Return the specification of every job of a study, by (stage, job)."""
    config_ = one.config
    specs = {("structures", ""): one.spec("structures"), ("frames", ""): one.spec("frames")}
    specs |= {("simulate", s): one.spec("simulate", shard=s) for s in one.shards}
    specs |= {
        ("train", f"{n}.{t}.seed{k}"): one.spec("train", network=n, training_set=t, seed=k)
        for n, t, k in config_.trainings()
    }
    specs |= {("tune", b): one.spec("tune", baseline=b) for b in one.tuned()}
    specs |= {("evaluate", d): one.spec("evaluate", denoiser=d) for d in one.denoisers()}
    specs |= {("contest", d): one.spec("contest", contender=d) for d in contest.contenders(config_)}
    specs |= {(s, r): one.spec(s, recording=r)
              for s in ("recording", "judge") for r in config_.experiment.files}  # fmt: skip
    specs |= {("film", f): one.spec("film", film=f) for f in one.films()}
    specs |= {("movie", m): one.spec("movie", method=m) for m in config_.movies.methods}
    once = ("adaptation", "movies", "positions", "dynamics", "summarise", "columns",
            "mechanism", "methods", "limits", "credibility", "risk",
            "verdicts", "filters", *WORLD[:3])  # fmt: skip
    specs |= {(s, ""): one.spec(s) for s in once}
    specs[("compare", "")] = one.spec("compare", table="field")
    return specs | {("figure", "dose"): one.spec("figure", figure="dose")}


def changed(**overrides):
    """Return the jobs whose specification differs from the tiny study's."""
    before, after = every_spec(study()), every_spec(study(**overrides))
    return {job for job in before | after if before.get(job) != after.get(job)}


def stages(jobs):
    return {stage for stage, _ in jobs}


def test_specifications_are_json_of_builtin_types():
    for job, spec in every_spec(study()).items():
        assert json.loads(canonical_json(spec)) == json.loads(json.dumps(spec)), job


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"structures": {"size_nm": [1.5, 2.1]}}, {"structures", *WORLD}),
        ({"simulation": {"slice_thickness_nm": 0.3}}, {"simulate", *WORLD}),
        ({"optics": {"c3_um": -12.0}}, {"frames", "train", *WORLD}),
        ({"camera": {"vibration_nm": 0.01}}, {"frames", "train", *WORLD}),
        ({"frames": {"c1_nm": [5, 6]}}, {"frames", "dataset"}),
        ({"shifted": {"drift_nm": 0.05}}, {"shifted"}),
        ({"training": {"batch": 3}}, {"train"}),
        ({"training_sets": {"white": {"rotation_deg": 3}}}, {"train", "dataset"}),
        ({"tuning_trials": 5}, {"tune", "methods"}),
        ({"comparison": {"doses_e_per_px": [10, 2.0]}}, {"contest", "methods"}),
        # Tuned for the surface, and more contenders.
        (
            {"comparison": {"methods": {"tv": {}}, "doses_e_per_px": [10]}},
            {"tune", "contest", "methods"},
        ),
        (
            {"evaluation": {"sigma_nm": 0.05}},
            {
                "evaluate",
                "summarise",
                "columns",
                "contest",
                "methods",
                "verdicts",
                "movie",
                "movies",
                "positions",
            },
        ),
        ({"movies": {**FILMED, "rate_sums": [1]}}, {"dynamics"}),
        ({"movies": {**FILMED, "position_frames": 3}}, {"positions"}),
        ({"movies": {**FILMED, "false_alarms": 0.02}}, {"movie", "movies"}),
        (
            {"movies": {**FILMED, "switching": None}},
            {"film"},
        ),
        (
            {"evaluation": {"bootstrap_draws": 300}},
            {"summarise", "compare", "methods", "credibility", "verdicts", "adaptation"},
        ),
        ({"adaptation": {"frames": 3}}, {"adaptation"}),
        ({"evaluation": {"null_draws": 9}}, {"verdicts", "summarise"}),
        (
            {"evaluation": {"false_discovery_rate": 0.1}},
            {"columns", "recording", "summarise", "figure"},
        ),
        (
            {"experiment": {"files": {"movie": {"file": "movie.dm4", "bin": 2}}}},
            {"recording", "judge"},
        ),
        ({"experiment": {**RECORDED, "compared_frames": 1}}, {"judge"}),
        ({"evaluation": {"full_grid": ["raw"]}}, {"evaluate", "limits", "summarise"}),
        (
            {"frames": {"realisations": 3}},
            {"frames", "dataset", "evaluate", "summarise", "figure", "limits"},
        ),
    ],
    # In an order that every process has: they share the tests between them.
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_value_changes_the_stages_that_use_it(overrides, expected):
    assert stages(changed(**overrides)) == expected


def test_the_seed_changes_all_but_the_waves():
    # Nor the coin of a recording's electrons, which its file decides.
    assert stages(changed(seed=4)) == set(ENVIRONMENT) - {"simulate", "recording"}


def test_swapped_values_change_both_jobs():
    training = {"narrow": {"training": {"steps": 300}}, "wide": {"training": {"steps": 20}}}
    before = study().config
    assert before.training_of("narrow").steps == 20 and before.training_of("wide").steps == 300
    jobs = changed(networks=training)
    trained = {job for stage, job in jobs if stage == "train"}
    assert trained == {"narrow.white.seed0", "wide.white.seed0"}


def test_a_further_network_adds_its_jobs_and_the_summaries():
    more = {"slim": {"spec": {"architecture": "dncnn", "layers": 2, "channels": 4}}}
    entry = {"networks": ["narrow", "medium", "wide", "slim"], "training_sets": ["white"],
             "seeds": [0]}  # fmt: skip
    jobs = changed(networks=more, sweep=[entry])
    assert jobs == {
        ("train", "slim.white.seed0"),
        ("evaluate", "slim.white.seed0"),
        ("contest", "slim.white.seed0"),
        ("methods", ""),
        ("summarise", ""),
        ("credibility", ""),
        ("risk", ""),
        ("mechanism", ""),
        ("filters", ""),
        ("figure", "dose"),
    }


def test_a_network_outside_the_sweep_changes_nothing():
    more = {"slim": {"spec": {"architecture": "dncnn", "layers": 2, "channels": 4}}}
    assert changed(networks=more) == set()


def test_the_shards_hold_every_model_once():
    one = study()
    models = [m for s in one.shards for m in one.spec("simulate", shard=s)["models"]]
    assert sorted(models) == sorted(m.model_id for m in plan.plan(one.values["structures"]))
    assert len(set(models)) == len(models) == 16
    assert one.shards == ["shard000", "shard001"]


def test_the_tiny_study_has_the_jobs_of_the_quick_one():
    quick, tiny = Study(config.load()), study()
    # But for the networks of the package, whose pixels are finer than those of its camera.
    shipped = set(quick.config.shipped)
    assert [name for name in quick.denoisers() if name not in shipped] == tiny.denoisers()
    assert quick.networks() == tiny.networks()
    assert quick.shards == tiny.shards


def test_the_papers_design_counts():
    paper = Study(config.load([ROOT / "config" / "paper.yaml"]))
    models = plan.plan(paper.values["structures"])
    assert len(models) == 855
    assert len(models) * len(paper.config.frames.c1_nm) == 17_955
    shapes = {(m.base_shape, m.defect) for m in models}
    assert len(shapes) == 101


def test_the_widest_network():
    assert study().widest() == "wide.white.seed0"
    only = [{"networks": ["narrow", "medium"], "training_sets": ["white"], "seeds": [2, 1]}]
    assert study(sweep=only).widest() == "medium.white.seed2"


def test_threads_and_gpus_follow_the_configuration():
    changed = {"networks": {"wide": {"training": {"device": "cuda", "threads": 2}}}}
    study = Study(config.load([], changed))
    names = ("narrow.white.seed0", "wide.white.seed0", "wide.", "gaussian")
    assert [study.gpus(name) for name in names] == [0, 1, 1, 0]
    assert [study.config.training_of(n).threads for n in ("narrow", "wide")] == [1, 2]


def test_modules_of_denoisers_are_their_own():
    one = study(networks={"slim": {"spec": {"architecture": "dncnn"}}})
    assert one.modules_of("gaussian") == ["lowdose.denoisers.classical.gaussian"]
    assert "lowdose.denoisers.networks.unet" in one.modules_of("wide.white.seed0")
    assert "lowdose.denoisers.networks.unet" not in one.modules_of("slim.white.seed0")
    for name in one.denoisers()[1:]:
        for module in one.modules_of(name):
            assert module in modules_of(module)


def test_the_code_of_a_stage_names_what_it_loads_by_name():
    one = study()
    plain = one.code_of("evaluate")
    assert one.code_of("evaluate", *one.modules_of("gaussian")).startswith(plain)
    assert one.code_of("evaluate", *one.modules_of("gaussian")) != one.code_of(
        "evaluate", *one.modules_of("wiener")
    )
    # A stage does not depend on what other stages load by name.
    loaded = modules_of("lowdose.cli.tune") | modules_of("lowdose.cli.evaluate")
    assert not [m for m in loaded if ".classical." in m or ".networks." in m]
    assert "lowdose.imaging.optics" not in modules_of("lowdose.cli.simulate")
    assert "lowdose.imaging.optics" in modules_of("lowdose.cli.train")


@pytest.mark.parametrize("stage", ENVIRONMENT)
def test_libraries_of_a_stage_have_a_digest(stage):
    assert study().libraries_of(stage).startswith(f"{stage} libraries ")


def test_a_stage_that_does_not_exist():
    with pytest.raises(UserError, match="no stage 'bake'; there are structures, simulate"):
        study().spec("bake")


def test_a_rule_and_a_person_get_the_same_specification():
    one = study()
    wildcards = {"network": "wide", "training_set": "white", "seed": "0"}
    text = one.spec_of("train")(wildcards)
    arguments = argparse.Namespace(spec=text, config=[])
    assert spec_from(arguments, "train") == json.loads(
        canonical_json(one.spec("train", **wildcards))
    )
    by_hand = spec_from(argparse.Namespace(spec=None, config=[TINY]), "train", **wildcards)
    assert canonical_json(by_hand) == text
    with pytest.raises(UserError, match="--spec is no valid JSON"):
        spec_from(argparse.Namespace(spec="{", config=[]), "train")


def test_a_wrong_configuration_is_refused():
    with pytest.raises(UserError, match="unknown key 'zzz'"):
        study_of({**config.load().model_dump(), "zzz": 1})
