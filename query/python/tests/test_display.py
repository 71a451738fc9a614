"""What a terminal and a notebook show. Recorded names are hostile."""

import html.parser

import pytest

import ctrace


class Reader(html.parser.HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        assert {name for name, _ in attributes} <= {"style"}

    def handle_data(self, data):
        self.text += data


ALLOWED = {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}


def is_safe(text):
    return all(c == "\n" or c.isprintable() for c in text)


def test_hostile_names_are_only_text(hostile, capsys):
    name, case = hostile
    sql = "SELECT proc_cmdline, fd_name FROM events ORDER BY seq"
    result = case.sql(sql)
    assert any(name in (value or "") for value in result.to_pyarrow()["fd_name"].to_pylist()), "it was recorded"
    tree = case.tree()
    for shown in (result, tree):
        page = Reader(shown._repr_html_())
        assert page.tags <= ALLOWED
        assert '<script>alert("x")</script>&\\x1b[2J' in page.text
        assert is_safe(page.text) and is_safe(repr(shown))
        assert "\\x1b[2J\\u{202e}" in repr(shown)
        shown.show()
    out = capsys.readouterr().out
    assert is_safe(out) and "\\x1b[2J" in out


def test_hostile_names_of_columns_tables_and_files(case, tmp_path):
    result = case.sql('SELECT 1 AS "<b onclick=x>\x1b[0m"')
    page = Reader(result._repr_html_())
    assert page.tags <= ALLOWED and "<b onclick=x>\\x1b[0m" in page.text
    assert is_safe(repr(result)) and all(map(is_safe, result.columns))
    with pytest.raises(ctrace.DataError) as caught:
        ctrace.open(tmp_path / "\x1b[2J")
    assert is_safe(str(caught.value))


def test_hostile_names_in_plots(hostile):
    _, case = hostile
    timeline = case.timeline(by="fd_name")
    assert timeline._repr_png_().startswith(b"\x89PNG")
    labels = [text.get_text() for text in timeline.plot().get_legend().get_texts()]
    assert any("script" in label for label in labels) and all(map(is_safe, labels))


def test_long_results_and_values_are_cut(case):
    result = case.sql("SELECT *, repeat('x', 5000) AS long FROM events")
    page = result._repr_html_()
    assert page.count("<tr>") == 51 and f"the first 50 of {len(result)} rows" in page
    assert "x" * 301 not in page and "…" in page
    assert repr(case.sql("SELECT seq FROM events")).endswith(f"the first of {len(result)} rows")
    assert "0 rows" in case.sql("SELECT 1 WHERE false")._repr_html_()
