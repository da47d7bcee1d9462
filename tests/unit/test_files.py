"""Files that are whole or not there, JSON for every reader, and tensors whose bytes do not depend on the process."""

import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mechlab.core.errors import RunError
from mechlab.core.printable import printable
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import atomic, read_json, read_yaml, remove_temporaries, write_json, write_text, writing
from mechlab.record.spreadsheet import as_text, from_text
from mechlab.record.tensors import load_metadata, load_tensors, save_tensors


def test_a_file_appears_whole_under_its_name(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists() and temporary.parent == path.parent
    assert path.read_text() == "all of it"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_inside_leaves_the_old_file_and_no_temporary(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_closed_pipe_is_no_fault_of_the_folder(tmp_path):
    with pytest.raises(RunError, match="what is printed"), writing(tmp_path):
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(RunError, match="must be writable"), writing(tmp_path):
        raise PermissionError(13, "Permission denied")


def test_others_may_read_what_was_written(tmp_path):
    write_text(tmp_path / "file.txt", "x")
    assert os.stat(tmp_path / "file.txt").st_mode & 0o777 == 0o644


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / "a.txt", tmp_path / "below" / ".lock", tmp_path / "below" / "x.tmp"]
    left = [tmp_path / ".a.txt.abc.tmp", tmp_path / "below" / ".b.tmp"]
    (tmp_path / "below").mkdir()
    for path in kept + left:
        path.touch()
    remove_temporaries(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_json_holds_scalars_of_every_library_and_null_for_what_is_not_finite(tmp_path):
    value = {
        "nan": math.nan,
        "infinite": [-math.inf, (math.inf, 1.5)],
        "torch": torch.tensor(2.0),
        "torch nan": torch.tensor(math.nan),
        "numpy": [np.float32(0.5), np.int64(3), np.float64("nan"), np.bool_(True)],
        7: None,
    }
    write_json(tmp_path / "a.json", value)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "a.json").read_text()
    assert text.endswith("\n")
    json.loads(text, parse_constant=refuse)
    assert read_json(tmp_path / "a.json") == {
        "nan": None,
        "infinite": [None, [None, 1.5]],
        "torch": 2.0,
        "torch nan": None,
        "numpy": [0.5, 3, None, True],
        "7": None,
    }


NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe\x00"])
def test_a_damaged_json_is_refused_by_name(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match="valid JSON") as caught:
        read_json(path)
    assert caught.value.key == str(path)
    with pytest.raises(RunError, match="must exist"):
        read_json(tmp_path / "b.json")


BOMB = "a: &a [x, x]\nb: [*a, *a]\n"


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (BOMB, "an alias"),
        ("[" * 100_000, "more than 64 containers"),
        ("a: !!python/object/apply:os.getcwd []", "a tag"),
        ("a: 2020-01-01", "neither text nor a number"),
        ("a: 0x" + "f" * 20_000, "thousands of digits"),
        ("a: " + "9" * 20_000, "thousands of digits"),
        ("{a: 1", "flow mapping"),
        ("a: 0x_", "invalid literal"),
    ],
)
def test_yaml_with_more_than_plain_data_is_refused_by_name(tmp_path, content, got):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(RunError, match="valid YAML") as caught:
        read_yaml(path)
    assert caught.value.key == str(path) and got in caught.value.got


@given(PLAIN)
def test_what_a_configuration_writes_is_read_as_yaml(tmp_path_factory, value):
    assume(not re.search(r"\$|\\x85|\\u202[89]", ascii(value)))  # interpolations; line breaks that PyYAML writes as is
    path = tmp_path_factory.mktemp("yaml") / "value.yaml"
    shared = OmegaConf.create({"a": value, "b": [value, "1e-3", "2020-01-01", "yes", "*a", "&b", "!c", "=", "<<"]})
    path.write_text(OmegaConf.to_yaml(shared), encoding="utf-8")
    assert read_yaml(path) == OmegaConf.to_container(shared)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 900 + "1" + "}" * 900, "9" * 5000])
def test_json_without_end_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(RunError, match="valid JSON") as caught:
        read_json(tmp_path / "a.json")
    assert len(caught.value.brief) <= 200


def test_files_beyond_their_limit_are_not_read(tmp_path):
    for name, read in (("a.json", read_json), ("a.yaml", read_yaml)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 2**40)  # a hole, which takes no room
        with pytest.raises(RunError, match="at most"):
            read(tmp_path / name)


def test_text_of_a_record_prints_without_commands_to_the_terminal():
    assert printable("a\x1b[2J\u202eb\udc80\n") == "a\\x1b[2J\\u202eb\\udc80\\n"
    assert printable("two\nlines é 漢", lines=True) == "two\nlines é 漢"
    error = RunError("must", got="\x1b[2J", key="a\rb")
    assert str(error) == "must\n  given: \\x1b[2J\n  key:   a\\rb" and error.brief == "a b: must: \\x1b[2J"


@given(st.text("=+-@\t\r\n'1.ae", max_size=6))
def test_no_text_is_a_formula_and_all_of_it_comes_back(text):
    cell = as_text(text)
    assert from_text(cell) == text
    if len(text) > 1 and text[0] in "=+-@\t\r\n":
        assert cell[0] == "'" or float(cell) == float(text)


def test_tables_of_analyses_come_back_without_marks(tmp_path):
    table = pd.DataFrame({"=word": ["=1+1", "'=1", "+", "-0.5", None], "n": [1, -2, 3, 4, 5], "x": [-0.5] * 5})
    out = Artifacts(tmp_path)
    out.save_table("t", table)
    assert (tmp_path / "t.csv").read_text().splitlines()[:3] == ["'=word,n,x", "'=1+1,1,-0.5", "''=1,-2,-0.5"]
    assert out.table("t").equals(table)


def test_tensors_and_their_metadata_come_back(tmp_path):
    path = tmp_path / "a.safetensors"
    shared = torch.arange(6.0).view(2, 3)
    tensors = {"whole": shared, "turned": shared.T, "row": shared[1], "ids": torch.arange(3), "one": torch.tensor(2.0)}
    save_tensors(path, tensors, {"steps": [1, 2], "b": None})
    found = load_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in found)
    assert load_metadata(path) == {"steps": [1, 2], "b": None}
    assert set(load_tensors(path, ["row"])) == {"row"}
    save_tensors(path, {})
    assert load_tensors(path) == {} and load_metadata(path) is None


@pytest.mark.ci
def test_two_processes_write_the_same_bytes(tmp_path):
    """Whatever the order in which a process hashes."""
    code = (
        "import sys, torch; from mechlab.record.tensors import save_tensors\n"
        "names = sorted({'weight', 'bias', 'steps', 'rates'})\n"
        "save_tensors(sys.argv[1], {n: torch.arange(5.0) for n in names}, {n: [1, 'x'] for n in {*names}})"
    )
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, tmp_path / seed], env=environment, check=True)
    assert len({(tmp_path / seed).read_bytes() for seed in ("0", "1", "2")}) == 1


@pytest.mark.parametrize("damage", ["cut", "header", "missing"])
def test_damaged_tensors_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.zeros(100)})
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-10])
    elif damage == "header":
        path.write_bytes(b"\xff" * 20 + content[20:])
    else:
        path.unlink()
    with pytest.raises(RunError) as caught:
        load_tensors(path)
    assert caught.value.key == str(path)


def test_temporaries_inside_a_temporary_folder_are_removed_with_it(tmp_path):
    """A process can be killed while it writes a file into a folder that is temporary itself."""
    (tmp_path / "a" / ".x.tmp").mkdir(parents=True)
    for path in (tmp_path / "a" / ".x.tmp" / ".y.svg.tmp", tmp_path / "a" / "kept.txt"):
        path.write_text("text")
    remove_temporaries(tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept.txt"]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb:\n  c: [x, 2]\nd: {}\n",
        "a: 1\nb: 2\na: 3\n",
        "a: 'x\nb: y'\nc: 1\n",
        "a: [1,\n2, 3]\nb: 1\n",
        "a: |\n  b: 1\nc: 2\n",
        "# remark\na: 1\nb: 2\n",
        "a\nb\n",
        "- a\n- b\n",
        "1: a\n2: b\n",
    ],
)
def test_yaml_read_by_sections_is_that_read_as_a_whole(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    first = read_yaml(path)
    assert first == yaml.safe_load(text)
    if isinstance(first, dict):
        first.clear()  # a reader's own copy
    assert read_yaml(path) == yaml.safe_load(text)
