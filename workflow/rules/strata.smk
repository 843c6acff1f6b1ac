# Where denoisers err.
if "strata" in study.config.evaluation.analyses:
    FIGURES += ["strata"]


use rule figure_images as figure_strata with:
    input:
        "results/tables/strata.csv",
    output:
        report(
            "results/figures/strata.png",
            caption="../report/strata.rst",
            category="2 Accuracy",
            labels={"figure": "where denoisers err", "show": "figure"},
        ),
        "results/figures/strata.svg",
        report(
            "results/figures/strata.csv",
            caption="../report/strata.rst",
            category="2 Accuracy",
            labels={"figure": "where denoisers err", "show": "numbers (CSV)"},
        ),
    log:
        "results/logs/figures/strata.log",
    benchmark:
        "results/logs/figures/strata.jsonl"
    params:
        spec=study.spec_of("figure", figure="strata"),
        figure="strata",
        code=study.code_of("figure", "lowdose.report.figure_strata"),
        libraries=study.libraries_of("figure"),
