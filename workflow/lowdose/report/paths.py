"""Where the results lie that figures are drawn from, unless a command says otherwise."""

FILES = {
    "frames": "results/frames/test.h5",
    "evaluation": "results/evaluation",
    "comparison": "results/comparison",
    "networks": "results/networks",
    "tables": "results/tables",
    "columns": "results/columns/likelihood.parquet",
    "limits": "results/limits",
    "mechanism": "results/mechanism/filters.h5",
    "structures": "results/structures",
    "classes": "results/frames/classes.parquet",
    "experiment": "results/experiment",
    "movies": "results/movies",
}
