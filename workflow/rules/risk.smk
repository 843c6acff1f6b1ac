# The error of a denoiser from counts alone.
if "risk" in study.config.evaluation.analyses:
    FIGURES += ["risk"]


rule risk:
    input:
        denoisers=[study.made_by(name) for name in study.shown() if name not in study.ready()],
        networks=[str(path) for name in study.config.shipped for path in released.files(name)],
        frames="results/frames/test.h5",
    output:
        report(
            "results/tables/risk.csv",
            caption="../report/risk.rst",
            category="6 Tables",
            labels={"table": "error without the truth, as CSV"},
        ),
    log:
        "results/logs/risk.log",
    benchmark:
        "results/logs/risk.jsonl"
    conda:
        "../../envs/evaluate.yaml"
    threads: 1
    resources:
        mem_mb=grown(1500),
        runtime=grown(60),
    params:
        spec=study.spec_of("risk"),
        code=study.code_of_several("risk", study.shown()),
        libraries=study.libraries_of("risk"),
    shell:
        "python -m lowdose --threads {threads} risk --spec {params.spec:q} 2> {log:q}"


use rule figure_images as figure_risk with:
    input:
        "results/tables/risk.csv",
    output:
        report(
            "results/figures/risk.png",
            caption="../report/risk.rst",
            category="2 Accuracy",
            labels={"figure": "error without the truth", "show": "figure"},
        ),
        "results/figures/risk.svg",
        report(
            "results/figures/risk.csv",
            caption="../report/risk.rst",
            category="2 Accuracy",
            labels={"figure": "error without the truth", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/risk.log",
    benchmark:
        "results/logs/figures/risk.jsonl"
    params:
        spec=study.spec_of("figure", figure="risk"),
        figure="risk",
        code=study.code_of("figure", "lowdose.report.figure_risk"),
        libraries=study.libraries_of("figure"),
