"""Variable binding: linear rules, their companion matrices and spectra, and recurrent models near the origin."""

from mechlab.binding.linearisation import Linearisation, linearise
from mechlab.binding.rules import companion_matrix, rule_of_id, theoretical_spectrum

__all__ = ["Linearisation", "companion_matrix", "linearise", "rule_of_id", "theoretical_spectrum"]
