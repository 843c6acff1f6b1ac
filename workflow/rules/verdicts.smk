# Do the verdicts on columns keep what they promise?
if "verdicts" in study.config.evaluation.analyses:
    FIGURES += ["verdicts"]


rule verdicts:
    input:
        network=study.made_by(study.widest()),
        shipped=[str(path) for name in study.config.shipped for path in released.files(name)],
        frames=["results/frames/validation.h5", "results/frames/test.h5"],
    output:
        "results/columns/verdicts.parquet",
        report(
            "results/tables/verdicts.csv",
            caption="../report/verdicts.rst",
            category="6 Tables",
            labels={"table": "verdicts on columns, as CSV"},
        ),
    log:
        "results/logs/verdicts.log",
    benchmark:
        "results/logs/verdicts.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(2000),
        runtime=grown(120),
    params:
        spec=study.spec_of("verdicts"),
        code=study.code_of_several("verdicts", [study.widest(), *study.config.shipped]),
        libraries=study.libraries_of("verdicts"),
    shell:
        "python -m lowdose --threads {threads} verdicts --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_verdicts with:
    input:
        "results/tables/verdicts.csv",
    output:
        report(
            "results/figures/verdicts.png",
            caption="../report/verdicts.rst",
            category="2 Accuracy",
            labels={"figure": "verdicts on columns", "show": "figure"},
        ),
        "results/figures/verdicts.svg",
        report(
            "results/figures/verdicts.csv",
            caption="../report/verdicts.rst",
            category="2 Accuracy",
            labels={"figure": "verdicts on columns", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/verdicts.log",
    benchmark:
        "results/logs/figures/verdicts.jsonl"
    params:
        spec=study.spec_of("figure", figure="verdicts"),
        figure="verdicts",
        code=study.code_of("figure", "lowdose.report.figure_verdicts"),
        libraries=study.libraries_of("figure"),
