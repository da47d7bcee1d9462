"""Known programs are recovered from their networks with other weights, and never replaced by wrong ones."""

from __future__ import annotations

import pytest

from mechlab.distill.certificate import DistillError
from mechlab.distill.known_programs import orientation

CERTAIN = ("orientation 6 x 6", "rule 110, ring of 9", "random circuit")


@pytest.mark.parametrize("name", CERTAIN)
def test_recovered_with_noise(name):
    from benchmarks import distill

    known = distill.known_program(distill.KINDS[name](0))
    assert distill.round_trip(known, 1e-3, seed=0).outcome == "same"


def test_orientation_is_written_as_it_is_known():
    from benchmarks import distill

    assert distill.same_program(distill.known_program(orientation(5)), orientation(5))


def test_wrong_programs_are_noticed(monkeypatch):
    """Programs that differ from the network and from the known program, or from the network alone where it has more
    noise than the tolerance."""
    from benchmarks import distill

    rule, other = (distill.known_program(distill.KINDS[f"rule {number}, ring of 9"](0)) for number in (30, 110))
    monkeypatch.setattr(distill, "distill", lambda *_, **__: other)
    assert [distill.round_trip(rule, noise, 0).outcome for noise in (0, 1e-3, 0.1)] == ["wrong"] * 3
    assert distill.round_trip(other, 1e-3, 0).outcome == "same"
    assert distill.round_trip(other, 5.0, 0).outcome == "wrong"

    def refuse(*_, **__):
        raise DistillError("weights must have structure", got="none")

    monkeypatch.setattr(distill, "distill", refuse)
    assert distill.round_trip(rule, 0.1, 0).outcome == "refused"


@pytest.mark.ci
@pytest.mark.parametrize("name", CERTAIN)
def test_recovered_in_twenty_of_twenty(name):
    from benchmarks import distill

    known = [distill.known_program(distill.KINDS[name](seed)) for seed in range(20 if name.startswith("random") else 1)]
    made = [distill.round_trip(known[seed % len(known)], 1e-3, seed) for seed in range(20)]
    assert [trial.outcome for trial in made] == ["same"] * 20


@pytest.mark.ci
def test_every_kind_is_recovered_and_never_wrong():
    from benchmarks import distill

    for name, maker in distill.KINDS.items():
        known = distill.known_program(maker(1))
        for noise in (0.0, 1e-6, 1e-3):
            assert [distill.round_trip(known, noise, seed).outcome for seed in range(5)] == ["same"] * 5, name
        for noise in (0.03, 0.1):
            assert all(distill.round_trip(known, noise, seed).outcome != "wrong" for seed in range(2)), name
