# Equivalent filters at each kind of site.
if "filters" in study.config.evaluation.analyses:
    FIGURES += ["mechanism"]


rule filters:
    input:
        networks=[study.made_by(name) for name in study.filtered() if "." in name],
        shipped=[str(path) for name in study.config.shipped for path in released.files(name)],
        frames="results/frames/test.h5",
        pairs="results/structures/pairs.csv",
    output:
        report(
            "results/tables/filters.csv",
            caption="../report/mechanism.rst",
            category="6 Tables",
            labels={"table": "equivalent filters, as CSV"},
        ),
        report(
            "results/tables/filter_changes.csv",
            caption="../report/mechanism.rst",
            category="6 Tables",
            labels={"table": "how filters change with a column, as CSV"},
        ),
    log:
        "results/logs/filters.log",
    benchmark:
        "results/logs/filters.jsonl"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(60),
    params:
        spec=study.spec_of("filters"),
        code=study.code_of_several("filters", study.filtered()),
        libraries=study.libraries_of("filters"),
    shell:
        "python -m lowdose --threads {threads} filters --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_mechanism with:
    input:
        "results/tables/filters.csv",
        "results/tables/filter_changes.csv",
    output:
        report(
            "results/figures/mechanism.png",
            caption="../report/mechanism.rst",
            category="3 Mechanism",
            labels={"figure": "filters at each kind of site", "show": "figure"},
        ),
        "results/figures/mechanism.svg",
        report(
            "results/figures/mechanism.csv",
            caption="../report/mechanism.rst",
            category="3 Mechanism",
            labels={"figure": "filters at each kind of site", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/mechanism.log",
    benchmark:
        "results/logs/figures/mechanism.jsonl"
    params:
        spec=study.spec_of("figure", figure="mechanism"),
        figure="mechanism",
        code=study.code_of("figure", "lowdose.report.figure_mechanism"),
        libraries=study.libraries_of("figure"),
