"""What every yaml promises, and every parameter."""

from __future__ import annotations

import pytest

from mechlab.core.constraints import invalid_values
from mechlab.core.errors import ConfigError


def test_every_yaml_composes_and_builds(registry, group, name, tmp_path):
    """What it names is built and checked, up to where training would begin."""
    overrides = [*registry.choices(group, name), f"paths.root={tmp_path / 'runs'}", "trainer.accelerator=cpu"]
    setup = registry.setup(*overrides)
    assert setup.recipe.max_steps >= (0 if setup.recipe.make_model.target.solve else 1)
    if group == "analysis":
        assert [*setup.analyses, *setup.sets] == registry.attached(name)
    if group == "callbacks":
        assert list(setup.callbacks) == [name]
    assert not (tmp_path / "runs").exists()


def test_what_a_parameter_does_not_accept_is_refused(registry, group, name, parameter):
    """Every parameter declares what it accepts, and each value outside it is refused by an error that names its key."""
    values = invalid_values(registry.parameters(group, name)[parameter])
    assert values, f"the hint of {parameter} refuses nothing"
    for value in values:
        with pytest.raises(ConfigError) as caught:
            registry.prepared(group, name, **{parameter: value})
        assert caught.value.key == f"{registry.key(group, name)}.{parameter}"
        assert caught.value.key in str(caught.value) and "given:" in str(caught.value)


def test_every_parameter_is_in_the_yaml_with_a_valid_value(registry, group, name, parameter):
    """A person who reads the yaml sees everything that can be set."""
    assert parameter in registry.node(group, name)
