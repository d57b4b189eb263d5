"""The machines that a dataset is planned for, and what they cost."""

from __future__ import annotations

import os

import yaml
from pydantic import Field

from curation.errors import UserError
from curation.recipe import MANIFEST_SUFFIXES
from curation.validate import Config, load, parse


class Cluster(Config):
    """So many processors, rented for as long as the run takes."""

    cpus: float = Field(gt=0)
    """Cores that work on units; each as fast as one of this machine's."""
    gpus: float = Field(0, ge=0)
    """GPUs."""
    cpu_price: float | None = Field(None, ge=0)
    """Of one core. Dollars an hour."""
    gpu_price: float | None = Field(None, ge=0)
    """Of one GPU. Dollars an hour."""
    gpu_speed: float | None = Field(None, gt=0)
    """How many of this machine's cores one GPU replaces in scoring and captioning, where there is no GPU here to
    measure one; without it, such phases are planned for the cores."""


def here() -> Cluster:
    """This machine alone, without a price."""
    return Cluster(cpus=os.cpu_count() or 1)


def cluster(given: str) -> Cluster:
    """From `cpus=64,gpus=4,cpu_price=0.04,gpu_price=2.5`, or a YAML file with the same keys.

    Raises:
        UserError: a key is unknown, or a value does not fit.
    """
    if given.endswith(MANIFEST_SUFFIXES):
        return load(given, Cluster)
    values = {}
    for pair in given.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--cluster {given}: expected keys and values such as cpus=64,gpus=4, or a .yaml file")
        values[key.strip()] = yaml.safe_load(value)
    return parse(values, Cluster, name="--cluster")
