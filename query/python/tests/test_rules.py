"""Replay, explanations, trees and timelines."""

import json
import re

import pytest

import ctrace
from conftest import ATTACK, ROOT, run

RULES = ATTACK / "rules.yaml"
EXPECTED = [json.loads(line) for line in (ATTACK / "expected.jsonl").read_text().splitlines()]


def test_replay_gives_the_expected_alerts(case):
    alerts = case.replay(RULES).to_pyarrow().to_pylist()
    assert len(alerts) == len(EXPECTED) == 5
    for alert, expected in zip(alerts, EXPECTED):
        assert alert["rule"] == expected["rule"]
        assert alert["priority"] == expected["priority"]
        assert alert["tags"] == expected["tags"]
        assert expected["output"].endswith(alert["output"])
        assert json.loads(alert["fields"]) == expected["output_fields"]
        assert alert["ts"].value == expected["output_fields"]["evt.time"]


def test_replay_is_the_function_in_sql(case):
    direct = case.replay([RULES]).to_pyarrow()
    in_sql = case.sql(f"SELECT * FROM alerts('{RULES}')").to_pyarrow()
    assert direct.to_pylist() == in_sql.to_pylist()
    assert direct.schema.equals(in_sql.schema)


def test_selection(case):
    def rules(**options):
        return set(case.replay(RULES, **options).to_pyarrow()["rule"].to_pylist())

    assert rules(priority="critical") == {"Dropped binary executed", "Outgoing connection by a dropped binary"}
    assert rules(tags=["T1059"]) == {"Shell started in a running container"}
    assert len(rules(without_tags=["T1059"])) == 3
    assert len(rules(disable=["Shell*"])) == 3
    with pytest.raises(ctrace.Error, match="priority"):
        rules(priority="x")


def test_several_cases_have_the_alerts_of_each():
    attacks = ROOT / "samples/attacks"
    pack = ROOT / "samples/rules"
    both = ctrace.open(attacks / "shadow-read/case", attacks / "passwd-write/case")
    each = [ctrace.open(attacks / n / "case").replay(pack) for n in ("shadow-read", "passwd-write")]
    assert all(len(r) > 0 for r in each)
    assert both.replay(pack).to_pyarrow().num_rows == sum(map(len, each))


def test_suppressions(case, tmp_path):
    known = tmp_path / "known.yaml"
    known.write_text("- suppress: Shell started*\n  reason: the nightly check\n  expires: never\n")
    left = case.replay(RULES, suppress=known).to_pyarrow()["rule"].to_pylist()
    assert len(left) == 3 and "Shell started in a running container" not in left
    known.write_text("- suppress: x\n  expires: never\n")
    with pytest.raises(ctrace.RulesError, match="known.yaml:1:3: error"):
        case.replay(RULES, suppress=known)


def test_explanations_are_those_of_the_command(case):
    for alert in case.replay(RULES).to_pyarrow().to_pylist():
        text = case.explain(RULES, alert["rule"], alert["seq"])
        first, *rest = text.splitlines()
        assert first == f"rule '{alert['rule']}' fires on event {alert['seq']}"
        assert rest == run("explain", alert["rule"], alert["seq"], ATTACK / "case", "-r", RULES).splitlines()[1:]
    assert "does not fire" in case.explain(RULES, "Dropped binary executed", 4555)


def test_the_beginning_of_a_name_is_enough(case):
    text = case.explain(RULES, "secret read", 4653)
    assert text.splitlines()[0] == "rule 'Secret read in a container' fires on event 4653"
    with pytest.raises(ctrace.RulesError, match="no rule is called 'in a container'"):
        case.explain(RULES, "in a container", 4653)
    with pytest.raises(ctrace.RulesError, match="'' may be 'Secret read in a container', 'Dropped"):
        case.explain(RULES, "", 4653)


def test_the_explanation_in_the_readme_is_of_an_alert(case):
    readme = (ROOT / "query/python/README.md").read_text()
    rules, rule, event = re.search(r'case\.explain\("(.*)", "(.*)", (\d+)\)', readme).groups()
    assert " fires on event " in case.explain(ROOT / rules, rule, int(event)).splitlines()[0]


def test_trees_are_those_of_the_command(case):
    shown = run("tree", ATTACK / "case").splitlines()
    assert str(case.tree()).splitlines() == shown
    with_alerts = run("tree", ATTACK / "case", "--rules", RULES).splitlines()
    assert str(case.tree(rules=RULES)).splitlines() == with_alerts != shown
    objects = [json.loads(line) for line in run("tree", ATTACK / "case", "--json").splitlines()]
    assert case.tree().processes == objects
    pid = case.sql("SELECT pid FROM processes WHERE exe_path = '/tmp/.x'").to_pyarrow()["pid"][0].as_py()
    one = case.tree(pid)
    assert one.processes[0]["pid"] == pid and len(one) < len(case.tree())
    at = "2026-11-21T17:27:54.4Z"
    assert str(case.tree(at=at)).splitlines() == run("tree", ATTACK / "case", "--at", at).splitlines()
    assert len(case.tree(at=0)) == 0


def test_timelines_count_everything(case):
    timeline = case.timeline(rules=RULES, bins=30)
    counts = timeline.data.to_pyarrow().to_pylist()
    assert sum(c["events"] for c in counts) == len(case.sql("SELECT seq FROM events"))
    assert all(0 <= c["bin"] < 30 for c in counts) and len({c["bin"] for c in counts}) > 5
    assert len(timeline.alerts) == 5
    axes = timeline.plot()
    drawn = sum(bar.get_height() for bar in axes.patches)
    assert drawn == sum(c["events"] for c in counts)
    assert timeline._repr_png_().startswith(b"\x89PNG")


def test_timelines_of_some_events(case):
    timeline = case.timeline("source = 'docker' -- all of them", by="docker_action", bins=1)
    by_action = {c["value"]: c["events"] for c in timeline.data.to_pyarrow().to_pylist()}
    sql = "SELECT action, count(*) AS n FROM docker_events GROUP BY action"
    assert by_action == {r["action"]: r["n"] for r in case.sql(sql).to_pyarrow().to_pylist()}
    assert len(case.timeline("false").data) == 0
    assert case.timeline("false")._repr_png_()
    with pytest.raises(ctrace.StatementError):
        case.timeline(by="no_such_column")
    with pytest.raises(ctrace.Error):
        case.timeline(bins=0)
