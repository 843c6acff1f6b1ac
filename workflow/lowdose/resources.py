"""What a job asks of a cluster: more of it each time that it was not enough."""

from __future__ import annotations

from collections.abc import Callable


def grown(first: int) -> Callable[..., int]:
    """Return the resource of a rule that grows with every attempt: `first`, twice, three times...

    A job that a cluster has ended for its memory or its time is sent again by Snakemake
    (``retries`` of workflow/profiles/slurm) and so gets what it lacked.  Resources are no reason
    for Snakemake to run a job anew.

    Parameters
    ----------
    first : int
        Memory [MB] or time [minutes] of the first attempt.
    """

    def resource(wildcards: object, attempt: int) -> int:
        return first * attempt

    return resource
