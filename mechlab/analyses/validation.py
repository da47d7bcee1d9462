"""The analysis `datamodeling` under its first name."""

from __future__ import annotations

from mechlab.analyses.datamodeling import Datamodeling


class Validation(Datamodeling):
    """The analysis `datamodeling`, as runs have recorded it under the name `validation`."""
