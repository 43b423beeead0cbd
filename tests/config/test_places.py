"""The line index of TOML documents, against documents whose lines are known because they were written line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from musicfs.config.places import KeyPath, index_lines

DOCUMENT = '''\
top = 1            # a comment with = and [brackets]
"quoted \\u0041" . inner = """
not = "a key"
[nor.a.table] ""\\"
"""
literal = \'\'\'
x = 1 \'\'\'
[table]
list = [1, 2, # one more ]
  {a = 1, b = 'x]y' },
]
[[array]]
id = "a" # "
[[array]]
id = 1979-05-27 07:32:00
[array.sub]
deep = { x = { y = 1 } }
[ a . "b.c" ]
empty = {}
nothing = []
'''
LINES: dict[KeyPath, int] = {
    ("top",): 1,
    ("quoted A",): 2,
    ("quoted A", "inner"): 2,
    ("literal",): 6,
    ("table",): 8,
    ("table", "list"): 9,
    ("table", "list", 0): 9,
    ("table", "list", 1): 9,
    ("table", "list", 2): 10,
    ("table", "list", 2, "a"): 10,
    ("table", "list", 2, "b"): 10,
    ("array",): 12,
    ("array", 0): 12,
    ("array", 0, "id"): 13,
    ("array", 1): 14,
    ("array", 1, "id"): 15,
    ("array", 1, "sub"): 16,
    ("array", 1, "sub", "deep"): 17,
    ("array", 1, "sub", "deep", "x"): 17,
    ("array", 1, "sub", "deep", "x", "y"): 17,
    ("a", "b.c"): 18,
    ("a", "b.c", "empty"): 19,
    ("a", "b.c", "nothing"): 20,
}


def test_every_key_of_a_document() -> None:
    assert dict(index_lines(DOCUMENT)) == LINES


def test_line_ends_of_windows() -> None:
    assert dict(index_lines(DOCUMENT.replace("\n", "\r\n"))) == LINES


def test_nothing() -> None:
    assert index_lines("") == {}
    assert index_lines("# only a comment") == {}


_VALUES = st.sampled_from(
    ("1", "-1.5e3", "true", '"a = b"', "'[x]'", '""', "''", '"\\""', '"""a\nb"c"""', "'''\n[x]\n'''", "[]", "[1,\n2]",
     "[[1], ['x']]", "1979-05-27", "inf", "0x1F", '""""quoted""""', "[ # comment ]\n 1, ]")
)  # fmt: skip
_GAPS = st.sampled_from(("", "\n", '# comment [x] = "\n', "\n\n", "  \t\n"))
_KEYS = st.sampled_from(("{}", '"{}"', "'{}'", "  {}", "t.{}", 't . "{}" '))


@given(st.lists(st.tuples(_GAPS, st.booleans(), _KEYS, _VALUES), max_size=20))
def test_documents_written_line_by_line(parts: list[tuple[str, bool, str, str]]) -> None:
    text = ""
    expected: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, (gap, is_header, key, value) in enumerate(parts):
        text += gap
        if is_header:
            table = (f"table{number}",)
            expected[table] = text.count("\n") + 1
            text += f"[table{number}]\n"
        name = f"key{number}"
        path = (*table, "t", name) if "t" in key else (*table, name)
        expected[path] = text.count("\n") + 1
        text += f"{key.format(name)} = {value}\n"
    found = index_lines(text)
    assert {path: found.get(path) for path in expected} == expected
