# What the simulated world holds: three figures, a table and a card, in one job.
rule dataset:
    input:
        "results/structures/models.csv",
        "results/structures/columns.parquet",
        "results/structures/pairs.csv",
        "results/frames/classes.parquet",
        frozen=["results/frames/validation.h5", "results/frames/test.h5"]
        + (["results/frames/shifted.h5"] if study.config.shifted.shapes else []),
    output:
        report(
            "results/figures/library.png",
            caption="../report/library.rst",
            category="5 Data",
            labels={"figure": "every shape of the library", "show": "figure"},
        ),
        "results/figures/library.svg",
        report(
            "results/figures/library.csv",
            caption="../report/library.rst",
            category="5 Data",
            labels={"figure": "every shape of the library", "show": "numbers (CSV)"},
        ),
        report(
            "results/figures/defocus.png",
            caption="../report/defocus.rst",
            category="5 Data",
            labels={"figure": "contrast against defocus", "show": "figure"},
        ),
        "results/figures/defocus.svg",
        report(
            "results/figures/defocus.csv",
            caption="../report/defocus.rst",
            category="5 Data",
            labels={"figure": "contrast against defocus", "show": "numbers (CSV)"},
        ),
        report(
            "results/figures/dataset.png",
            caption="../report/dataset.rst",
            category="5 Data",
            labels={"figure": "contrast, counts, information limit", "show": "figure"},
        ),
        "results/figures/dataset.svg",
        report(
            "results/figures/dataset.csv",
            caption="../report/dataset.rst",
            category="5 Data",
            labels={
                "figure": "contrast, counts, information limit",
                "show": "numbers (CSV)",
            },
        ),
        report(
            "results/tables/classes.csv",
            caption="../report/defocus.rst",
            category="5 Data",
            labels={"figure": "contrast classes", "show": "numbers (CSV)"},
        ),
        report(
            "results/tables/dataset.md",
            caption="../report/dataset_card.rst",
            category="5 Data",
            labels={"figure": "data set card", "show": "text (Markdown)"},
        ),
    log:
        "results/logs/dataset.log",
    benchmark:
        "results/logs/dataset.jsonl"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("dataset"),
        code=study.code_of("dataset"),
        libraries=study.libraries_of("dataset"),
    shell:
        "python -m lowdose --threads {threads} dataset --spec {params.spec:q}"
        " --frozen {input.frozen:q} 2> {log:q}"
