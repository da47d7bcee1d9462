"""Finite groups: multiplication tables, irreducible representations, and networks compared with them."""

from mechlab.groups.characters import CharacterTable, character_table
from mechlab.groups.finite_group import Group
from mechlab.groups.group_metrics import GroupMetrics, metrics, network_metrics
from mechlab.groups.names import group
from mechlab.groups.network import PairNetwork
from mechlab.groups.representations import Irrep, irreps

__all__ = [
    "CharacterTable",
    "Group",
    "GroupMetrics",
    "Irrep",
    "PairNetwork",
    "character_table",
    "group",
    "irreps",
    "metrics",
    "network_metrics",
]
