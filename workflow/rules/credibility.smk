# Columns at stake: what the electrons allow, and how often each denoiser is right.
if "credibility" in study.config.evaluation.analyses:
    FIGURES += ["credibility"]


rule limits:
    input:
        frames="results/frames/test.h5",
        pairs="results/structures/pairs.csv",
    output:
        "results/limits/sites.parquet",
        "results/limits/limits.parquet",
    log:
        "results/logs/limits.log",
    benchmark:
        "results/logs/limits.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        spec=study.spec_of("limits"),
        code=study.code_of("limits"),
        libraries=study.libraries_of("limits"),
    shell:
        "python -m lowdose --threads {threads} limits --spec {params.spec:q} 2> {log:q}"


rule credibility:
    input:
        limits=["results/limits/sites.parquet", "results/limits/limits.parquet"],
        sites=expand("results/evaluation/{name}/sites.parquet", name=study.denoisers()),
    output:
        report(
            "results/tables/credibility.csv",
            caption="../report/credibility_table.rst",
            category="6 Tables",
            labels={"table": "columns at stake, as CSV"},
        ),
        report(
            "results/tables/doses_needed.csv",
            caption="../report/credibility_table.rst",
            category="6 Tables",
            labels={"table": "dose at which 95 % of decisions are right, as CSV"},
        ),
        report(
            "results/tables/localisation.csv",
            caption="../report/credibility_table.rst",
            category="6 Tables",
            labels={"table": "scatter of positions beside its bound, as CSV"},
        ),
        report(
            "results/tables/contrasts.csv",
            caption="../report/contrasts.rst",
            category="6 Tables",
            labels={"table": "paired comparisons at columns at stake, as CSV"},
        ),
    log:
        "results/logs/credibility.log",
    benchmark:
        "results/logs/credibility.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("credibility"),
        code=study.code_of("credibility"),
        libraries=study.libraries_of("credibility"),
    shell:
        "python -m lowdose --threads {threads} credibility --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_credibility with:
    input:
        "results/tables/credibility.csv",
        "results/tables/doses_needed.csv",
        "results/limits/sites.parquet",
        expand("results/evaluation/{name}/sites.parquet", name=study.denoisers()),
    output:
        report(
            "results/figures/credibility.png",
            caption="../report/credibility.rst",
            category="2 Accuracy",
            labels={"figure": "columns at stake", "show": "figure"},
        ),
        "results/figures/credibility.svg",
        report(
            "results/figures/credibility.csv",
            caption="../report/credibility.rst",
            category="2 Accuracy",
            labels={"figure": "columns at stake", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/credibility.log",
    benchmark:
        "results/logs/figures/credibility.jsonl"
    params:
        spec=study.spec_of("figure", figure="credibility"),
        figure="credibility",
        code=study.code_of("figure", "lowdose.report.figure_credibility"),
        libraries=study.libraries_of("figure"),
