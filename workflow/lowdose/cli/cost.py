"""``lowdose cost``: what a study will cost, by what its jobs cost elsewhere."""

import argparse
from pathlib import Path

HELP = "predict the core-hours and GPU-hours of a study from measured jobs"

RATES = Path(__file__).parents[3] / "results" / "reference" / "benchmarks" / "cost.json"
# Name, cores, GPUs; a GPU is the H100 that the release networks were measured on.
MACHINES = (
    ("laptop, 2 cores", 2, 0),
    ("workstation, 16 cores, one GPU", 16, 1),
    ("cluster, 100 nodes of 32 cores and one GPU", 3200, 100),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="*", type=Path, metavar="FILE",
                        help="configuration files that overlay config/config.yaml")  # fmt: skip
    parser.add_argument("--measured", type=Path, metavar="RESULTS",
                        help="put what a run of it took beside the prediction")  # fmt: skip
    parser.add_argument("--fit", type=Path, metavar="RESULTS",
                        help="fit the rates to the jobs of a run of it; write them")  # fmt: skip
    parser.add_argument("--rates", type=Path, default=RATES, metavar="FILE",
                        help="seconds a unit of work (default: the published ones)")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    from lowdose import config, cost
    from lowdose.stages import Study

    study = Study(config.load(arguments.config))
    jobs = cost.jobs_of(study)
    if arguments.fit is not None:
        seconds = cost.measured(jobs, arguments.fit)
        cost.write_rates(arguments.rates, cost.fit(seconds, _source(study, len(seconds))))
        print(f"{arguments.rates}: rates of {len(seconds)} jobs")
        return
    rates = cost.read_rates(arguments.rates)
    table = cost.predicted(jobs, rates)
    taken = None
    if arguments.measured is not None:
        seconds = cost.measured(jobs, arguments.measured)
        table = cost.predicted(seconds, rates)  # of the jobs that were measured, and no others
        taken = cost.by_rule(seconds)
    _show(study.config.study, table, taken, rates.source)
    kinds = sorted({job.kind for job in jobs if rates.of(job) is None})
    if kinds:
        print(f"No rate is known of {', '.join(kinds)}: these count nothing.")
    if taken is None:
        _machines(table)


def _source(study, number: int) -> str:
    from lowdose.machine import processor_model

    return f"{number} jobs of the study {study.config.study}, {processor_model()}"


def _show(name: str, table, taken, source: str) -> None:
    print(f"The study {name}; rates from {source}.\n")
    titles = ["core-hours", "longest job [min]"] + ["measured"] * (taken is not None)
    print(f"{'rule':16s}{'jobs':>7s}" + "".join(f"{title:>20s}" for title in titles))
    measured = {} if taken is None else dict(zip(taken["rule"], taken["core_s"], strict=True))
    for row in table.sort_values("core_s", ascending=False).to_dict("records"):
        line = f"{row['rule']:16s}{row['jobs']:7d}{row['core_s'] / 3600:20.3f}"
        line += f"{row['longest_s'] / 60:20.1f}"
        if measured:
            line += f"{measured[row['rule']] / 3600:20.3f}"
        print(line)
    total = f"{'total':16s}{table['jobs'].sum():7d}{table['core_s'].sum() / 3600:20.3f}"
    if measured:
        total += f"{'':20s}{sum(measured.values()) / 3600:20.3f}"
    print(total)


def _machines(table) -> None:
    from lowdose.cost import CORE_SECONDS_OF_H100, least_hours

    trained = table.loc[table["rule"] == "train", "core_s"].sum()
    print(f"\n{'machine':44s}{'hours at the least':>20s}{'GPU-hours':>12s}")
    for name, cores, gpus in MACHINES:
        hours = least_hours(table, cores, gpus, CORE_SECONDS_OF_H100)
        of_gpu = f"{trained / CORE_SECONDS_OF_H100 / 3600:.2f}" if gpus else "-"
        print(f"{name:44s}{hours:20.2f}{of_gpu:>12s}")
    print(f"A GPU is taken to train as fast as {CORE_SECONDS_OF_H100:.0f} cores, as an H100 did "
          "with the networks of the package;\nof wide layers, as the paper's networks have, the "
          "hours are an estimate that may be off by several times.")  # fmt: skip
