"""Variable binding: linear rules, their companion matrices and spectra, and recurrent networks compared with them."""

from mechlab.binding.decoder import ObservabilityDecoder, observability_decoder
from mechlab.binding.linearisation import Linearisation, linearise
from mechlab.binding.published import published_basis, published_spectral_error
from mechlab.binding.rules import companion_matrix, rule_of_id, theoretical_spectrum
from mechlab.binding.spectrum import SpectrumComparison, spectral_distance

__all__ = [
    "Linearisation",
    "ObservabilityDecoder",
    "SpectrumComparison",
    "companion_matrix",
    "linearise",
    "observability_decoder",
    "published_basis",
    "published_spectral_error",
    "rule_of_id",
    "spectral_distance",
    "theoretical_spectrum",
]
