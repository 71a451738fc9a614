#!/usr/bin/env python3
"""Rules of Falco over one capture: ctrace beside `sysdig -r` (Debian package `sysdig`).

    apt install sysdig python3-yaml
    cargo build --release -p ctrace-benches --examples
    benches/compare/beside_sysdig.py [--times N] [--rounds N] [--rules FILE…] [--sample FILE]

A small `.scap` capture, so many times over, is written for sysdig and imported for ctrace. The conditions of the rules,
with macros and lists expanded, become one filter: those that this sysdig accepts, joined with `or`. ctrace runs the same
rules, and then all of them, on one thread. Rounds are interleaved, medians and ratios are printed. sysdig's time is the
CPU time of its process less that for the sample alone; ctrace's is that of opening the case and replaying it.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r"""'[^']*'|"[^"]*"|[\w.\-/*\[\]]+|\s+|.""", re.S)

LISTING = ("in", "intersects", "pmatch")


def shared():
    return Path(os.environ.get("CTRACE_SHARED", ROOT.parent / "shared")) / "data"


def load(files):
    """Macros, lists and enabled rules on syscalls, in order."""
    import yaml

    macros, lists, rules = {}, {}, []
    for file in files:
        for item in yaml.safe_load(Path(file).read_text()):
            if "macro" in item:
                macros[item["macro"]] = item["condition"]
            elif "list" in item:
                lists[item["list"]] = item["items"]
            elif "rule" in item and item.get("source", "syscall") == "syscall" and item.get("enabled", True):
                rules.append((item["rule"], item["condition"]))
    return macros, lists, rules


def quoted(value):
    value = str(value)
    return value if re.fullmatch(r"[\w.\-/]+", value) or value[:1] in "'\"" else f'"{value}"'


def items(name, lists):
    out = []
    for item in lists[name]:
        out += items(item, lists) if item in lists else [quoted(item)]
    return out


def expand(condition, macros, lists):
    """A condition without names of macros and lists. In parentheses of values a name is a list or a value."""
    out, last, values = [], "", False
    for token in TOKEN.findall(condition):
        if token.isspace():
            out.append(" ")
            continue
        values = (values or token == "(" and last in LISTING) and token != ")"
        if values and token in lists:
            out.append(", ".join(items(token, lists)) or '""')
        elif not values and token in macros:
            out.append("(" + expand(macros[token], macros, lists) + ")")
        else:
            out.append(token)
        last = token
    return "".join(out).strip()


def sysdig(capture, condition):
    """CPU seconds, and how many events passed; `None` where the filter is refused."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(["sysdig", "-r", capture, "-p", "%evt.num", condition], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != 0:
        return None
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, len(run.stdout.splitlines())


def ctrace(example, case, files, names=()):
    run = subprocess.run([example, case, ",".join(map(str, files)), "1", "3", *names], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    runs = [json.loads(line) for line in run.stdout.splitlines()][1:]
    return statistics.median(r["seconds"] for r in runs), runs[0]["alerts"], runs[0]["events"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=1500, help="how many times over the sample is taken")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules", type=Path, nargs="+", default=[shared() / "falco/falco_rules.yaml"])
    parser.add_argument("--sample", type=Path, default=shared() / "scap/libs_curl_google.scap")
    parser.add_argument("--examples", type=Path, help="folder of the built examples")
    args = parser.parse_args()
    if shutil.which("sysdig") is None:
        sys.exit("SKIP: sysdig is not installed (Debian package `sysdig`)")
    if not args.sample.exists():
        sys.exit(f"SKIP: {args.sample} is not there")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    examples = args.examples or target / "release/examples"

    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run([examples / "multiply", args.sample, str(args.times), folder], capture_output=True, text=True)
        if made.returncode != 0:
            sys.exit(made.stderr)
        capture, case, events = f"{folder}/capture.scap", f"{folder}/case", int(made.stdout)
        compare(args, examples / "replay", capture, case, events)


def compare(args, example, capture, case, events):
    macros, lists, rules = load(args.rules)
    expanded = {name: expand(condition, macros, lists) for name, condition in rules}
    accepted = {name: c for name, c in expanded.items() if sysdig(args.sample, c) is not None}
    refused = [name for name in expanded if name not in accepted]
    condition = " or ".join(f"({c})" for c in accepted.values())
    version = subprocess.run(["sysdig", "--version"], capture_output=True, text=True).stdout.strip()
    print(f"{events} events (entries and ends), {os.path.getsize(capture) >> 20} MiB for {version}")
    print(f"{len(expanded)} rules run, sysdig accepts {len(accepted)}; not: {', '.join(refused) or 'none'}")

    start, took, same, every = [], [], [], []
    for _ in range(args.rounds):
        start.append(sysdig(args.sample, condition)[0])
        took.append(sysdig(capture, condition))
        same.append(ctrace(example, case, args.rules, list(accepted)))
        every.append(ctrace(example, case, args.rules))
    theirs = statistics.median(t[0] for t in took) - statistics.median(start)
    print(f"sysdig, {len(accepted)} rules: {theirs:.2f} s, {events / theirs / 1e6:.2f} M events/s, {took[0][1]} passed")
    for name, runs in ((f"{len(accepted)} rules", same), ("all rules", every)):
        seconds = statistics.median(r[0] for r in runs)
        ratio = statistics.median((t[0] - s) / r[0] for t, s, r in zip(took, start, runs))
        print(
            f"ctrace, {name}: {seconds:.3f} s, {events / seconds / 1e6:.1f} M events/s of the capture, "
            f"{runs[0][2] / seconds / 1e6:.1f} M of the case, {runs[0][1]} alerts; sysdig takes {ratio:.0f} times as long"
        )


if __name__ == "__main__":
    main()
