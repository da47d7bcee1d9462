"""The runs that one configuration makes: itself, or with `trainer.seeds` one for each seed."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from mechlab.config.schema import TrainerConfig, typed
from mechlab.core.errors import ConfigError


def members(cfg: DictConfig) -> list[DictConfig]:
    """Return the composed configuration of each run: with `trainer.seeds`, one for each seed, which name all of them.

    Raises:
        ConfigError: trainer.seeds is neither a number of at least 1 nor a list of different seeds, or seed is another.
    """
    seeds = seeds_of(OmegaConf.to_container(cfg.trainer, resolve=True).get("seeds"), cfg.seed)
    if seeds is None:
        return [cfg]
    configs = []
    for seed in seeds:
        member = OmegaConf.merge(cfg)  # a copy, which keeps interpolations of the seed
        member.seed, member.trainer.seeds = seed, list(seeds)
        configs.append(member)
    return configs


def seeds_of(given: object, seed: int) -> list[int] | None:
    """Return the seeds that are trained together: those given, or this many from `seed` on; None for a single run."""
    seeds = typed(TrainerConfig, {"seeds": given}, "trainer.").seeds
    if seeds is None:
        return None
    listed = list(range(seed, seed + seeds)) if isinstance(seeds, int) else list(seeds)
    if len(set(listed)) < len(listed):
        twice = next(number for number in listed if listed.count(number) > 1)
        must = "trainer.seeds must be a number, or a list of different seeds"
        raise ConfigError(must, got=f"{twice} twice", key="trainer.seeds", fix="trainer.seeds=[0,1,2]")
    if seed not in (0, *listed):
        must = "a list of seeds names all of them, so seed must be one of the list or left out"
        raise ConfigError(must, got=f"seed={seed} with trainer.seeds={listed}", key="seed", fix="trainer.seeds=[...]")
    return listed
