"""The command `sentinel`: apply, test, version."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from iaclab.sentinel import config as configuration
from iaclab.sentinel import policy, testing
from iaclab.sentinel.errors import SentinelError
from iaclab.sentinel.values import Value, show

PASSED, FAILED, UNDEFINED, ERROR = 0, 1, 2, 3  # exit codes
_VERSION = "IaC Lab's interpreter of a subset of the Sentinel language (not HashiCorp's sentinel)"
_TRACE = "Execution trace: the rules that were evaluated. One that nothing asked for is missing."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ERROR, f"{self.prog}: {message}\n{self.format_usage()}")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code: 0 passed, 1 failed, 2 undefined, 3 an error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except SentinelError as error:
        print(error)
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="sentinel", description=_VERSION, allow_abbrev=False)
    parser.add_argument("-v", "--version", action="version", version=_VERSION)
    commands = parser.add_subparsers(required=True, metavar="apply | test | version", parser_class=_Parser)
    apply = commands.add_parser("apply", help="evaluate a policy, or all of a sentinel.hcl", allow_abbrev=False)
    apply.add_argument("-config", "--config", type=Path, help="sentinel.hcl of this folder unless said")
    apply.add_argument("-trace", "--trace", action="store_true", help="show rules and prints of a policy that passes")
    for kind in ("param", "global"):
        apply.add_argument(f"-{kind}", f"--{kind}", dest=kind, action="append", default=[], metavar="NAME=VALUE")
    apply.add_argument("policy", nargs="?", type=Path)
    apply.set_defaults(run_command=_apply)
    test = commands.add_parser("test", help="run the cases in test/<policy>/", allow_abbrev=False)
    test.add_argument("-run", "--run", default="", metavar="PATTERN", help="POLICY or POLICY/CASE, regular expressions")
    test.add_argument("-verbose", "--verbose", action="store_true", help="traces and prints of cases that pass, too")
    test.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    test.set_defaults(run_command=_test)
    commands.add_parser("version").set_defaults(run_command=_version)
    commands.add_parser("fmt").set_defaults(run_command=_fmt)
    return parser


def _version(options: argparse.Namespace) -> int:
    print(_VERSION)
    return PASSED


def _fmt(options: argparse.Namespace) -> int:
    raise SentinelError("`sentinel fmt` is not part of this subset", hint="HashiCorp's own sentinel has it")


def _apply(options: argparse.Namespace) -> int:
    config = configuration.Config()
    path = options.config or Path("sentinel.hcl")
    if options.config or path.exists():
        config = configuration.load(path)
    config = policy.with_params(config, dict(map(_pair, options.param)))
    config.globals.update(map(_pair, getattr(options, "global")))
    if options.policy:
        return _report(policy.run(options.policy, config), options.trace)
    if not config.policies:
        raise SentinelError("no policy is named", hint="sentinel apply POLICY, or policy blocks in sentinel.hcl")
    codes = []
    for entry in config.policies:
        codes.append(_report(policy.run(entry.path, policy.with_params(config, entry.params)), options.trace))
        print()
    return max(codes)


def _report(outcome: policy.Outcome, trace: bool) -> int:
    if outcome.error:
        print(f"Error - {outcome.name}\n\n{outcome.error}")
        print(_printed(outcome))
        return ERROR
    print(f"{'Pass' if outcome.passed else 'Fail'} - {outcome.name}")
    if trace or not outcome.passed:
        print(f"{_printed(outcome)}\n{_TRACE}\n\n{outcome.trace() or _main(outcome)}")
    return PASSED if outcome.passed else UNDEFINED if outcome.undefined else FAILED


def _printed(outcome: policy.Outcome) -> str:
    return "\n".join(["", "Print messages:", "", *outcome.printed, ""]) if outcome.printed else ""


def _main(outcome: policy.Outcome) -> str:
    return f"main = {show(outcome.main)}"


def _test(options: argparse.Namespace) -> int:
    failed = ran = 0
    for path in testing.policies(options.paths or [Path()]):
        done = list(testing.run(path, options.run))
        if not done:
            if not options.run:
                print(f"no test files - {path}")
            continue
        bad = [case for case in done if case.problems]
        ran, failed = ran + len(done), failed + len(bad)
        print(f"{'FAIL' if bad else 'PASS'} - {path}")
        for case in done:
            print(f"  {'FAIL' if case.problems else 'PASS'} - {case.name}")
            if case.problems or options.verbose:
                print(_details(case), end="")
    if not ran:
        print("No test was run: cases lie in test/<policy>/*.hcl beside <policy>.sentinel.")
        return FAILED if options.run else PASSED
    return FAILED if failed else PASSED


def _details(case: testing.Case) -> str:
    parts = ["\n".join(case.problems)] if case.problems else []
    if case.outcome and case.outcome.printed:
        parts.append("\n".join(["logs:", *(f"  {line}" for line in case.outcome.printed)]))
    if case.outcome and case.outcome.rules:
        parts.append("\n".join(["trace:", *(f"  {line}" for line in case.outcome.trace().splitlines())]))
    text = "\n\n".join(parts)
    return "".join(f"    {line}".rstrip() + "\n" for line in text.splitlines()) + "\n"


def _pair(text: str) -> tuple[str, Value]:
    """NAME=VALUE of the command line; what is JSON is read as that, the rest as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SentinelError(f"{text} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
