# All methods on the same few frames, where the configuration compares them: slow ones, too.
from lowdose import contest

METHODS = []
if study.config.comparison.methods:
    METHODS += ["results/tables/methods.html", "results/tables/methods.csv"]
    FIGURES += ["methods"]
CONTESTED = expand(
    "results/comparison/{name}/{file}",
    name=contest.contenders(study.config),
    file=["frames.parquet", "images.h5"],
)


rule contest:
    input:
        denoiser=lambda wildcards: study.made_by(wildcards.contender),
        frames=["results/frames/validation.h5", "results/frames/test.h5"],
    output:
        "results/comparison/{contender}/frames.parquet",
        "results/comparison/{contender}/images.h5",
    log:
        "results/logs/contest/{contender}.log",
    benchmark:
        "results/logs/contest/{contender}.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(60),
    params:
        spec=study.spec_of("contest"),
        code=lambda wildcards: study.code_of("contest", *study.modules_of(wildcards.contender)),
        libraries=lambda wildcards: study.libraries_of("contest", wildcards.contender),
    shell:
        "python -m lowdose --threads {threads} contest --spec {params.spec:q} 2> {log:q}"


# References and the networks of the package, which wait for nothing: one job.
use rule contest as contest_ready with:
    input:
        networks=[str(path) for name in study.config.shipped for path in released.files(name)],
        frames=["results/frames/validation.h5", "results/frames/test.h5"],
    output:
        expand(
            "results/comparison/{name}/{file}",
            name=study.ready(),
            file=["frames.parquet", "images.h5"],
        ),
    log:
        "results/logs/contest/ready.log",
    benchmark:
        "results/logs/contest/ready.jsonl"
    params:
        spec=study.spec_of("contest", contenders=study.ready()),
        code=study.code_of_several("contest", study.ready()),
        libraries=study.libraries_of("contest"),


rule methods:
    input:
        CONTESTED,
        tuned=expand("results/baselines/{name}/tuned.json", name=contest.methods(study.config)),
        cards=expand(
            "results/networks/{name}/card.json",
            name=[name.replace(".", "/") for name in contest.networks(study.config)],
        ),
    output:
        report(
            "results/tables/methods.csv",
            caption="../report/methods.rst",
            category="6 Tables",
            labels={"table": "all methods, as CSV"},
        ),
        report(
            "results/tables/methods.html",
            caption="../report/methods.rst",
            category="6 Tables",
            labels={"table": "all methods"},
        ),
        report(
            "results/tables/methods_paper.csv",
            caption="../report/methods.rst",
            category="6 Tables",
            labels={"table": "all methods and the paper's rows, as CSV"},
        ),
    log:
        "results/logs/methods.log",
    benchmark:
        "results/logs/methods.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("methods"),
        code=study.code_of("methods"),
        libraries=study.libraries_of("methods"),
    shell:
        "python -m lowdose --threads {threads} methods --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_methods with:
    input:
        "results/frames/test.h5",
        CONTESTED,
    output:
        report(
            "results/figures/methods.png",
            caption="../report/methods_figure.rst",
            category="1 Images",
            labels={"figure": "every method", "show": "figure"},
        ),
        "results/figures/methods.svg",
        report(
            "results/figures/methods.csv",
            caption="../report/methods_figure.rst",
            category="1 Images",
            labels={"figure": "every method", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/methods.log",
    benchmark:
        "results/logs/figures/methods.jsonl"
    params:
        spec=study.spec_of("figure", figure="methods"),
        figure="methods",
        code=study.code_of("figure", "lowdose.report.figure_methods"),
        libraries=study.libraries_of("figure"),
