# One rule a figure: editing one redraws it alone.
FIGURES = [
    "images",
    "receptive_field",
    "dose",
    "filters",
    "learning_curves",
    "likelihood",
]
EVALUATED = expand(
    "results/evaluation/{name}/{file}",
    name=study.denoisers(),
    file=["frames.parquet", "images.h5"],
)
CARDS = expand(
    "results/networks/{name}/{file}",
    name=[name.replace(".", "/") for name in study.networks()],
    file=["card.json", "history.jsonl", "timing.jsonl"],
)


rule figure_images:
    input:
        "results/frames/test.h5",
        EVALUATED,
        "results/tables/results.csv",
    output:
        report(
            "results/figures/images.png",
            caption="../report/images.rst",
            category="1 Images",
            labels={"figure": "clean, noisy and denoised", "show": "figure"},
        ),
        "results/figures/images.svg",
        report(
            "results/figures/images.csv",
            caption="../report/images.rst",
            category="1 Images",
            labels={"figure": "clean, noisy and denoised", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/images.log",
    benchmark:
        "results/logs/figures/images.jsonl"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(10),
    params:
        spec=study.spec_of("figure", figure="images"),
        figure="images",
        code=study.code_of("figure", "lowdose.report.figure_images"),
        libraries=study.libraries_of("figure"),
    shell:
        "python -m lowdose --threads {threads} figure --figure {params.figure}"
        " --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_receptive_field with:
    input:
        "results/tables/results.csv",
    output:
        report(
            "results/figures/receptive_field.png",
            caption="../report/receptive_field.rst",
            category="2 Accuracy",
            labels={"figure": "against receptive field", "show": "figure"},
        ),
        "results/figures/receptive_field.svg",
        report(
            "results/figures/receptive_field.csv",
            caption="../report/receptive_field.rst",
            category="2 Accuracy",
            labels={"figure": "against receptive field", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/receptive_field.log",
    benchmark:
        "results/logs/figures/receptive_field.jsonl"
    params:
        spec=study.spec_of("figure", figure="receptive_field"),
        figure="receptive_field",
        code=study.code_of("figure", "lowdose.report.figure_receptive_field"),
        libraries=study.libraries_of("figure"),


use rule figure_images as figure_dose with:
    input:
        "results/tables/results.csv",
    output:
        report(
            "results/figures/dose.png",
            caption="../report/dose.rst",
            category="2 Accuracy",
            labels={"figure": "against dose", "show": "figure"},
        ),
        "results/figures/dose.svg",
        report(
            "results/figures/dose.csv",
            caption="../report/dose.rst",
            category="2 Accuracy",
            labels={"figure": "against dose", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/dose.log",
    benchmark:
        "results/logs/figures/dose.jsonl"
    params:
        spec=study.spec_of("figure", figure="dose"),
        figure="dose",
        code=study.code_of("figure", "lowdose.report.figure_dose"),
        libraries=study.libraries_of("figure"),


use rule figure_images as figure_filters with:
    input:
        "results/mechanism/filters.h5",
        "results/frames/test.h5",
        CARDS,
    output:
        report(
            "results/figures/filters.png",
            caption="../report/filters.rst",
            category="3 Mechanism",
            labels={"figure": "equivalent filters", "show": "figure"},
        ),
        "results/figures/filters.svg",
        report(
            "results/figures/filters.csv",
            caption="../report/filters.rst",
            category="3 Mechanism",
            labels={"figure": "equivalent filters", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/filters.log",
    benchmark:
        "results/logs/figures/filters.jsonl"
    params:
        spec=study.spec_of("figure", figure="filters"),
        figure="filters",
        code=study.code_of("figure", "lowdose.report.figure_filters"),
        libraries=study.libraries_of("figure"),


use rule figure_images as figure_learning_curves with:
    input:
        CARDS,
    output:
        report(
            "results/figures/learning_curves.png",
            caption="../report/learning_curves.rst",
            category="4 Training",
            labels={"figure": "learning curves", "show": "figure"},
        ),
        "results/figures/learning_curves.svg",
        report(
            "results/figures/learning_curves.csv",
            caption="../report/learning_curves.rst",
            category="4 Training",
            labels={"figure": "learning curves", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/learning_curves.log",
    benchmark:
        "results/logs/figures/learning_curves.jsonl"
    params:
        spec=study.spec_of("figure", figure="learning_curves"),
        figure="learning_curves",
        code=study.code_of("figure", "lowdose.report.figure_learning_curves"),
        libraries=study.libraries_of("figure"),


use rule figure_images as figure_likelihood with:
    input:
        "results/columns/likelihood.parquet",
        "results/frames/test.h5",
        EVALUATED,
    output:
        report(
            "results/figures/likelihood.png",
            caption="../report/likelihood.rst",
            category="1 Images",
            labels={"figure": "credibility of each column", "show": "figure"},
        ),
        "results/figures/likelihood.svg",
        report(
            "results/figures/likelihood.csv",
            caption="../report/likelihood.rst",
            category="1 Images",
            labels={"figure": "credibility of each column", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/likelihood.log",
    benchmark:
        "results/logs/figures/likelihood.jsonl"
    params:
        spec=study.spec_of("figure", figure="likelihood"),
        figure="likelihood",
        code=study.code_of("figure", "lowdose.report.figure_likelihood"),
        libraries=study.libraries_of("figure"),
