"""The closed sets of names of a study: shards, networks, denoisers."""

from __future__ import annotations

from lowdose import config as configuration
from lowdose import contest, films, sweeps
from lowdose.config_networks import field_estimate
from lowdose.denoisers import released
from lowdose.runtime import UserError
from lowdose.structures import plan


class Names:
    """A configuration with the names that follow from it.

    Parameters
    ----------
    config : lowdose.config.Config
    """

    def __init__(self, config: configuration.Config) -> None:
        contest.check(config)
        films.check(config)
        for name in config.shipped:
            released.folder(name)
        self.config = config
        self.values = config.model_dump(mode="json")
        released.folder(config.experiment.denoiser)
        for name in config.evaluation.full_grid:
            if name not in (known := self.denoisers()):
                raise UserError(
                    f"evaluation.full_grid names {name}, which is not evaluated; there are "
                    f"{', '.join(known)}."
                )

    @property
    def shards(self) -> list[str]:
        """Names of the wave shards."""
        count = len(plan.shards(self.values["structures"], self.per_shard))
        return [f"shard{i:03d}" for i in range(count)]

    @property
    def per_shard(self) -> int:
        """Models of a shard."""
        return self.config.simulation.models_per_shard

    def networks(self) -> list[str]:
        """Trained networks as denoisers: ``<network>.<training set>.seed<k>``, in order."""
        return self.config.training_names()

    def denoisers(self) -> list[str]:
        """Everything that is evaluated, in the order of the tables."""
        return [*contest.REFERENCES, *self.config.baselines, *self.config.shipped, *self.networks()]

    def shown(self) -> list[str]:
        """Denoisers of figures with room for few: of each network its first training."""
        first = sweeps.first_of_each(self.networks())
        return [n for n in self.denoisers() if "." not in n or n in first]

    def filtered(self) -> list[str]:
        """Networks whose equivalent filters are described: those of the camera's pixels."""
        native = self.config.camera.pixel_size_nm
        own = {t["denoiser"] for t in sweeps.trainings(self.config)
               if t["own_pixel_size_nm"] == native}  # fmt: skip
        return [n for n in self.shown() if n in own or n in self.config.shipped]

    def ready(self) -> list[str]:
        """Denoisers that can be evaluated at once: neither tuned nor trained by the study."""
        return [*contest.REFERENCES, *self.config.shipped]

    def tuned(self) -> list[str]:
        """Everything that is tuned: baselines, and methods of the comparison."""
        return list(dict.fromkeys([*self.config.baselines, *contest.methods(self.config)]))

    def judged(self) -> list[str]:
        """Denoisers of the experiment's frames, of which no expectation is known."""
        own = [self.widest()] if self.config.experiment.files else []
        return ["raw", "constant", *self.config.baselines, *self.judged_shipped(), *own]

    def judged_shipped(self) -> list[str]:
        """Of these, the networks of the package."""
        return list(dict.fromkeys([*self.config.shipped, self.config.experiment.denoiser]))

    def films(self) -> list[str]:
        """Films with truth that are simulated."""
        return films.names(self.config)

    def is_made(self, denoiser: str) -> bool:
        """Whether the study tunes or trains a denoiser before it can be used."""
        return denoiser in self.config.baselines or denoiser in self.networks()

    def pooled(self) -> dict[str, list[str]]:
        """Trainings that differ in their seed alone, by ``<network>.<training set>``."""
        return {name: members for name, members in self._trained().items() if len(members) > 1}

    def contrasts(self) -> list[dict]:
        """What is compared at the columns at stake: the widest network with all the others.

        Other networks answer whether the receptive field matters, baselines whether a network is
        needed, those of the package whether longer training helps: a question each.
        """
        names = {one: name if len(members) > 1 else one
                 for name, members in self._trained().items() for one in members}  # fmt: skip
        reference = names[self.widest()]
        networks = [n for n in dict.fromkeys(names.values()) if n != reference]
        questions = {
            "networks": networks,
            "filters": list(self.config.baselines),
            "package": list(self.config.shipped),
        }
        return [
            {"question": question, "reference": reference, "others": others}
            for question, others in questions.items()
        ]

    def _trained(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in self.networks():
            found.setdefault(one.rpartition(".seed")[0], []).append(one)
        return found

    def widest(self) -> str:
        """The trained network with the largest receptive field, first seed."""
        return max(
            self.networks(),
            key=lambda name: field_estimate(self.config.networks[name.split(".")[0]].spec),
        )
