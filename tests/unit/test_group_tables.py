import os

import numpy as np
import pytest

from mechlab.core.errors import ConfigError
from mechlab.groups import group, tables
from mechlab.groups.tables import from_definition, read_group, to_definition


def written(path, table, words=None, first=0):
    """Write a .csv file of a table; with words, in a shuffled order of the rows."""
    if words is None:
        lines = [",".join(str(value + first) for value in row) for row in table]
    else:
        rows = [[words[a], *(words[product] for product in row)] for a, row in enumerate(table)]
        lines = [",".join(row) for row in [["", *words], *rows[1:], rows[0]]]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_files_of_all_kinds_give_the_same_table(tmp_path):
    of = group("Q8")
    np.save(tmp_path / "q8.npy", of.table.astype(np.uint8))
    words = ["1", "i", "-1", "-i", "j", "k", "-j", "-k"]
    read = [
        group(written(tmp_path / "zero.csv", of.table)),
        group(written(tmp_path / "one.csv", of.table, first=1)),
        group(written(tmp_path / "words.CSV", of.table, words)),
        group(str(tmp_path / "q8.npy")),
    ]
    for each in read:
        assert np.array_equal(each.table, of.table) and each.name == "table_8"
    assert read[2].labels == tuple(words) and read[0].elements == tuple(range(8))


@pytest.mark.parametrize("name", ["C1", "C7", "D4", "Q8", "A5", "C2xC2xC2"])
def test_a_definition_gives_the_table_back(name):
    of = group(name)
    back = from_definition(to_definition(of))
    assert np.array_equal(back.table, of.table) and back.labels == of.labels
    assert to_definition(from_definition(to_definition(back))) == to_definition(back)
    assert all(isinstance(number, int) for row in to_definition(of)["products"] for number in row)


def test_a_changed_file_is_read_again(tmp_path):
    path = written(tmp_path / "g.csv", group("C4").table)
    assert len(group(path)) == 4
    assert len(group(written(tmp_path / "g.csv", group("S3").table))) == 6


CSV = {
    "": "n rows of n cells",
    "0,1\n1": "n rows of n cells",
    "0,1\n1,0.5": "'0.5' among numbers",
    "0,1\n1,x": "'x' among numbers",
    "0.00,1.00\n1.00,0.00": "'0.00' among numbers",
    "0;1\n1;0": "separated by commas, and has 2 rows of 1 cells",
    "0,1\n1,99999999999": "'99999999999' among numbers",
    "0,1\n1,3": "from 0 to 1",
    "0,1\n0,1": "identity|one row",
    ",e,a\ne,e,a\na,a,b": "'b', which is not in the header row",
    ",e,e\ne,e,e\ne,e,e": "each once",
    ",e,a\ne,e,a\nb,a,e": "each once",
    "\udcff": "UTF-8",
}


@pytest.mark.parametrize("text", CSV, ids=range(len(CSV)))
def test_a_bad_text_file_is_refused(tmp_path, text):
    (tmp_path / "g.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=CSV[text]):
        read_group(tmp_path / "g.csv")


def test_a_bad_array_file_is_refused(tmp_path):
    path = tmp_path / "g.npy"
    for array, message in [
        (np.zeros((2, 2)), "float64"),
        (np.zeros((2, 3), int), r"\(2, 3\)"),
        (np.array([[0, 2**40], [1, 0]]), "from 0 to 1"),
    ]:
        np.save(path, array)
        with pytest.raises(ConfigError, match=message):
            read_group(path)
    np.save(path, np.array([[{}]]), allow_pickle=True)
    with pytest.raises(ConfigError, match="Python objects"):
        read_group(path)
    for content in (b"", b"not an array", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="multiplication table") as refused:
            read_group(path)
        assert "pickle" not in refused.value.got
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ConfigError, match="multiplication table"):
        read_group(path)


def test_what_is_no_regular_file_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="No such file"):
        group(str(tmp_path / "none.csv"))
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("folder.csv", "pipe.csv"):
        with pytest.raises(ConfigError, match="regular file"):
            group(str(tmp_path / name))
    monkeypatch.setattr(tables, "LARGEST", 10)
    with pytest.raises(ConfigError, match="at most 10 bytes"):
        group(written(tmp_path / "g.csv", group("S3").table))


DEFINITIONS = [
    ({}, "missing 'identity'"),
    ({"identity": 0, "products": [[1, 0]], "more": 1}, "unknown key more"),
    ({"identity": 2, "products": [[1, 0]]}, "from 0 to 1"),
    ({"identity": 0, "products": [[1, 2]]}, "from 0 to 1"),
    ({"identity": 0, "products": [[0, 1]]}, "generate all 2"),
    ({"identity": 0, "products": [[1, 1]]}, "one row|identity|inverse"),
    ({"identity": 0, "products": [[1, 0], [1]]}, "must have its identity"),
    ({"identity": 0.5, "products": [[1, 0]]}, "integers"),
    ({"identity": 0, "products": ["ab"]}, "integers"),
    ({"identity": 0, "products": [[1, 0]], "elements": ["e", "e"]}, "one word"),
    ({"identity": 0, "products": [[1, 0]], "elements": ["e"]}, "one word"),
    ({"identity": 1, "products": []}, "integers"),
]


@pytest.mark.parametrize(("definition", "message"), DEFINITIONS, ids=range(len(DEFINITIONS)))
def test_a_bad_definition_is_refused(definition, message):
    with pytest.raises(ConfigError, match=message):
        from_definition(definition)
