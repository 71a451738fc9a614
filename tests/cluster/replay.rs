//! Rules over a case, over its export, and over its export on a cluster give the same alerts.

use crate::fleet::Fleet;
use crate::nodes::Nodes;
use crate::run::{Ran, ctrace};

const RULES: [&str; 2] = ["samples/attack/rules.yaml", "samples/rules"];

fn replay(rules: &str, place: &[&str]) -> Ran {
    let fixed = ["replay", "--json", "--quiet", "-r", rules];
    let wanted = ctrace(fixed.into_iter().chain(["--"]).chain(place.iter().copied()));
    assert!(wanted.code <= 1, "{rules}: {}", wanted.err);
    wanted
}

/// Alerts as lines, sorted; each with its host, for hosts of a fleet are replayed one after the other.
fn alerts(ran: &Ran) -> Vec<String> {
    let mut lines: Vec<String> = ran.out.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_case_its_export_and_the_cluster_alert_alike() {
    let (fleet, nodes) = (Fleet::of(&[("shop-1", "samples/attack/case")]), Nodes::start(2, &[]));
    let address = nodes.address();
    for rules in RULES {
        let case = alerts(&replay(rules, &["samples/attack/case"]));
        assert!(!case.is_empty(), "{rules}");
        let export = alerts(&replay(rules, &[fleet.arg()]));
        let fixed = [
            "replay",
            "--json",
            "--quiet",
            "--cluster",
            &address,
            "-r",
            rules,
            "--",
            fleet.arg(),
        ];
        let cluster = alerts(&ctrace(fixed).code(1));
        assert_eq!(export, case, "{rules}");
        assert_eq!(cluster, case, "{rules}");
    }
}

#[test]
fn a_fleet_alerts_as_its_cases_do() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(2, &[]));
    let rules = RULES[1];
    let of_case = |case: &str| replay(rules, &[case]).out.lines().count();
    let cases = of_case("samples/attack/case") + of_case("samples/attacks/exec-shell/case");
    let fixed = [
        "replay",
        "--json",
        "--quiet",
        "--cluster",
        &nodes.address(),
        "-r",
        rules,
        "--",
        fleet.arg(),
    ];
    let cluster = ctrace(fixed).code(1);
    assert_eq!(cluster.out.lines().count(), cases);
    for host in ["web-1", "db-1"] {
        assert!(cluster.out.contains(&format!("\"hostname\":\"{host}\"")), "{host}");
    }
    let told = ctrace([
        "replay",
        "--cluster",
        &nodes.address(),
        "-r",
        rules,
        "--",
        "samples/attack/case",
    ])
    .code(2);
    assert!(told.err.contains("run `ctrace export` first"), "{}", told.err);
}
