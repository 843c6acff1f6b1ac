# What adapting the networks of the package to single frames gains.
if study.config.adaptation.frames:
    FIGURES += ["adaptation"]


rule adaptation:
    input:
        networks=[str(path) for name in study.config.shipped for path in released.files(name)],
        frames="results/frames/test.h5",
        shifted=["results/frames/shifted.h5"] if study.config.shifted.shapes else [],
    output:
        report(
            "results/tables/adaptation.csv",
            caption="../report/adaptation.rst",
            category="6 Tables",
            labels={"table": "adapting to a frame, as CSV"},
        ),
        report(
            "results/tables/natural_images.csv",
            caption="../report/adaptation.rst",
            category="6 Tables",
            labels={"table": "adapting to photographs, as CSV"},
        ),
        "results/tables/adaptation_frames.csv",
    log:
        "results/logs/adaptation.log",
    benchmark:
        "results/logs/adaptation.jsonl"
    conda:
        "../../envs/adapt.yaml"
    threads: 1
    resources:
        mem_mb=grown(3000),
        runtime=grown(120),
    params:
        spec=study.spec_of("adaptation"),
        code=study.code_of_several("adaptation", list(study.config.shipped)),
        libraries=study.libraries_of("adaptation"),
    shell:
        "python -m lowdose --threads {threads} adaptation --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_adaptation with:
    input:
        "results/tables/adaptation.csv",
        "results/tables/natural_images.csv",
        "results/tables/adaptation_frames.csv",
    output:
        report(
            "results/figures/adaptation.png",
            caption="../report/adaptation.rst",
            category="2 Accuracy",
            labels={"figure": "adapting to a frame", "show": "figure"},
        ),
        "results/figures/adaptation.svg",
        report(
            "results/figures/adaptation.csv",
            caption="../report/adaptation.rst",
            category="2 Accuracy",
            labels={"figure": "adapting to a frame", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/adaptation.log",
    benchmark:
        "results/logs/figures/adaptation.jsonl"
    params:
        spec=study.spec_of("figure", figure="adaptation"),
        figure="adaptation",
        code=study.code_of("figure", "lowdose.report.figure_adaptation"),
        libraries=study.libraries_of("figure"),
