# Comparisons of trainings: tables and figures of those sweeps that the configuration has.
from lowdose.cli.compare import TABLES

SWEEPS = study.sweeps()
FIGURES += SWEEPS


rule compare:
    input:
        lambda wildcards: expand(
            ["results/evaluation/{name}/frames.parquet", "results/networks/{folder}/card.json"],
            zip,
            name=study.compared(wildcards.table),
            folder=[name.replace(".", "/") for name in study.compared(wildcards.table)],
        ),
    output:
        report(
            "results/tables/{table}.csv",
            caption="../report/sweeps.rst",
            category="6 Tables",
            labels={"table": "{table}, as CSV"},
        ),
    log:
        "results/logs/compare/{table}.log",
    benchmark:
        "results/logs/compare/{table}.jsonl"
    wildcard_constraints:
        table="field|field_law|field_law_fit|geometry|geometry_paper",
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("compare"),
        code=lambda wildcards: study.code_of(
            "compare", f"lowdose.evaluation.{TABLES[wildcards.table][0]}"
        ),
        libraries=study.libraries_of("compare"),
    shell:
        "python -m lowdose --threads {threads} compare --table {wildcards.table}"
        " --spec {params.spec:q} 2> {log:q}"


if "field" in SWEEPS:

    use rule figure_images as figure_field with:
        input:
            "results/tables/field.csv",
            CARDS,
        output:
            report(
                "results/figures/field.png",
                caption="../report/field.rst",
                category="2 Accuracy",
                labels={"figure": "field, all else equal", "show": "figure"},
            ),
            "results/figures/field.svg",
            report(
                "results/figures/field.csv",
                caption="../report/field.rst",
                category="2 Accuracy",
                labels={"figure": "field, all else equal", "show": "numbers (CSV)"},
            ),
        log:
            "results/logs/figures/field.log",
        benchmark:
            "results/logs/figures/field.jsonl"
        params:
            spec=study.spec_of("figure", figure="field"),
            figure="field",
            code=study.code_of("figure", "lowdose.report.figure_field"),
            libraries=study.libraries_of("figure"),


if "field_law" in SWEEPS:

    use rule figure_images as figure_field_law with:
        input:
            "results/tables/field_law.csv",
            "results/tables/field_law_fit.csv",
        output:
            report(
                "results/figures/field_law.png",
                caption="../report/field_law.rst",
                category="2 Accuracy",
                labels={"figure": "nanometres or pixels", "show": "figure"},
            ),
            "results/figures/field_law.svg",
            report(
                "results/figures/field_law.csv",
                caption="../report/field_law.rst",
                category="2 Accuracy",
                labels={"figure": "nanometres or pixels", "show": "numbers (CSV)"},
            ),
        log:
            "results/logs/figures/field_law.log",
        benchmark:
            "results/logs/figures/field_law.jsonl"
        params:
            spec=study.spec_of("figure", figure="field_law"),
            figure="field_law",
            code=study.code_of("figure", "lowdose.report.figure_field_law"),
            libraries=study.libraries_of("figure"),


if "geometry" in SWEEPS:

    use rule figure_images as figure_geometry with:
        input:
            "results/tables/geometry.csv",
            "results/tables/geometry_paper.csv",
        output:
            report(
                "results/figures/geometry.png",
                caption="../report/geometry.rst",
                category="4 Training",
                labels={"figure": "trained on one kind", "show": "figure"},
            ),
            "results/figures/geometry.svg",
            report(
                "results/figures/geometry.csv",
                caption="../report/geometry.rst",
                category="4 Training",
                labels={"figure": "trained on one kind", "show": "numbers (CSV)"},
            ),
        log:
            "results/logs/figures/geometry.log",
        benchmark:
            "results/logs/figures/geometry.jsonl"
        params:
            spec=study.spec_of("figure", figure="geometry"),
            figure="geometry",
            code=study.code_of("figure", "lowdose.report.figure_geometry"),
            libraries=study.libraries_of("figure"),
