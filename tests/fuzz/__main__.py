"""Coverage-guided fuzzing of what reads foreign bytes: python -m tests.fuzz TARGET... --seconds N --work DIR [--json].

Needs atheris (pip install '.[fuzz]'). Each target is fuzzed for N seconds. A process that ends in a finding is started
again, so that one finding does not hide the next; their inputs lie in DIR/<target>/findings. --keep writes a small
corpus that reaches as much to tests/fuzz/corpora. Exits 1 if there are findings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz.corpus import LONGEST_KEPT, write_corpus
from tests.fuzz.cover import smallest_cover
from tests.fuzz.targets import LONGEST_SEED, TARGETS

SITTING_S = 300
INPUT_S = 10  # an input that takes longer is a finding
MEMORY_MIB = 2048
_EXECUTIONS = re.compile(r"^#(\d+)\s", re.MULTILINE)
_COVERAGE = re.compile(r"\bcov: (\d+)")


@dataclass
class Report:
    """What the fuzzing of one target came to. executions: inputs tried. coverage: as libFuzzer counts edges."""

    target: str
    seconds: float
    executions: int = 0
    coverage: int = 0
    corpus: int = 0
    findings: tuple[str, ...] = ()


def fuzz(name: str, seconds: float, work: Path) -> Report:
    """Fuzz one target, going on from the corpus that `work` holds."""
    corpus, findings = work / name / "corpus", work / name / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[name].seeds():
        if len(seed) <= LONGEST_SEED:
            (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    before = set(findings.iterdir())
    report = Report(name, 0.0)
    began = time.monotonic()
    while (left := seconds - (time.monotonic() - began)) >= 1.0:
        done = _loop(
            name,
            f"-max_total_time={min(SITTING_S, round(left))}",
            f"-timeout={INPUT_S}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-max_len={LONGEST_SEED}",
            f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
            str(corpus),
        )
        (work / name / "log.txt").open("a").write(done.stdout)
        report.executions += max(map(int, _EXECUTIONS.findall(done.stdout)), default=0)
        report.coverage = max([report.coverage, *map(int, _COVERAGE.findall(done.stdout))])
        if done.returncode and not set(findings.iterdir()) - before:
            raise SystemExit(f"{name}: the fuzzer ended with {done.returncode}:\n{done.stdout[-2000:]}")
    report.seconds = round(time.monotonic() - began, 1)
    report.corpus = sum(1 for _ in corpus.iterdir())
    report.findings = tuple(sorted(path.name for path in set(findings.iterdir()) - before))
    return report


def keep(name: str, work: Path) -> int:
    """Write the inputs of the corpus, short ones first, that reach what none before reached. Returns how many."""
    inputs = sorted(path.read_bytes() for path in (work / name / "corpus").iterdir())
    return write_corpus(name, smallest_cover(TARGETS[name].check, [one for one in inputs if len(one) <= LONGEST_KEPT]))


def _loop(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.atheris_loop", name, *arguments]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )


def main() -> None:
    """Fuzz what the command line names and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, required=True, help="for each target")
    parser.add_argument("--work", type=Path, required=True, help="folder of corpora and findings; goes on from there")
    parser.add_argument("--keep", action="store_true", help="write the small corpus that the tests read")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = False
    for name in arguments.targets:
        report = fuzz(name, arguments.seconds, arguments.work)
        found |= bool(report.findings)
        print(json.dumps(asdict(report)) if arguments.json else report, flush=True)
        if arguments.keep:
            print(f"{name}: {keep(name, arguments.work)} inputs kept", file=sys.stderr)
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
