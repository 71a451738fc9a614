"""The notebooks in samples/notebooks run as they are, and show what they talk about."""

import nbclient
import nbformat
import pytest

from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "samples/notebooks").glob("*.ipynb"))


def outputs(cells, kind):
    """What the cells put out in a format."""
    data = [output.get("data", {}).get(kind) for cell in cells for output in cell.outputs]
    printed = [output.get("text") for cell in cells for output in cell.outputs] if kind == "text/plain" else []
    return [one for one in data + printed if one]


SHOWN = {
    "incident": ["Dropped binary executed", "172.18.0.3:54834->172.18.0.2:4444", "runc", "damaged: []  losses: 0"],
    "rule-tuning": ["/etc/localtime", "ENOENT", "does not fire on event", "/etc/shadow"],
}


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    notebook = nbformat.read(path, 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "notebooks are kept without outputs"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    text = "\n".join(outputs(code, "text/plain") + outputs(code, "text/html"))
    for shown in SHOWN[path.stem]:
        assert shown in text or shown.replace(">", "&gt;") in text
    assert len(outputs(code, "image/png")) == 2
    assert len(outputs(code, "text/html")) >= 5
    assert not [o for cell in code for o in cell.outputs if o.get("name") == "stderr"], "no warnings"
