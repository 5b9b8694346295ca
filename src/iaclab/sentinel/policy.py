"""Runs one policy with its imports, and says what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iaclab.sentinel import imports, limits, terraform
from iaclab.sentinel.config import Config, read_text
from iaclab.sentinel.errors import Place, SentinelError, Source
from iaclab.sentinel.evaluate import Evaluator
from iaclab.sentinel.state import Rule, Run
from iaclab.sentinel.values import Namespace, Undefined, Value, passes, show, type_of


@dataclass(frozen=True)
class Outcome:
    """What a policy has come to: the value of `main`, the rules that were asked, what was printed, or an error."""

    name: str
    main: Value = None
    rules: dict[str, Rule] = field(default_factory=dict)
    printed: tuple[str, ...] = ()
    error: SentinelError | None = None

    @property
    def passed(self) -> bool:
        """Whether it lets pass; undefined and an error do not."""
        return self.error is None and passes(self.main)

    @property
    def undefined(self) -> Undefined | None:
        """The undefined value that `main` has, with its place."""
        return self.main if isinstance(self.main, Undefined) else None

    def value(self, rule: str) -> Value:
        """The value of a rule by name; undefined where it was not asked for."""
        return self.rules[rule].value if rule in self.rules else Undefined(why=f"{rule} was not evaluated")

    def trace(self) -> str:
        """The rules that were asked, with their places and values, and where undefined came from."""
        parts = []
        for name, rule in self.rules.items():
            lines = [f'{rule.place} - Rule "{name}"', "  Value:", *_indented(rule.value)]
            if isinstance(rule.value, Undefined) and rule.value.place:
                lines.append(f"  undefined since {rule.value.place}: {rule.value.why or 'no value'}")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)


def run(path: Path, config: Config | None = None, given: dict[str, Value] | None = None, name: str = "") -> Outcome:
    """Run the policy in a file.

    Args:
        path: the file; it is read again on each run.
        config: where its parameters, globals, mocks and modules come from.
        given: further imports by name, stronger than the standard ones and weaker than mocks.
        name: what messages call the file.
    """
    config, name = config or Config(), name or path.name
    state = Run(find=lambda _: None, params=config.params)
    try:
        source = Source(name, read_text(path))
        with limits.in_time():
            finder = _Imports(config, given or {}, state)
            state.find = finder
            evaluator = Evaluator(source, state, dict(config.globals))
            names = evaluator.execute()
            if "main" not in names:
                raise SentinelError("there is no main", Place(source, 1, 1), "main = rule { … }")
            main = names["main"]
            if isinstance(main, Rule):
                main = main.force(main.place)
            if type_of(main) == "func":
                where = Place(source, 1, 1)
                raise SentinelError("main is a func; a rule or a value is needed", where, "main = rule { … }")
    except SentinelError as error:
        return Outcome(name, rules=_asked(state), printed=tuple(state.printed), error=error)
    except MemoryError:
        return Outcome(name, error=SentinelError(f"{name}: it takes too much memory"))
    except RecursionError:
        return Outcome(name, error=SentinelError(f"{name}: this is nested too deeply"))
    return Outcome(name, main, _asked(state), tuple(state.printed))


def _asked(state: Run) -> dict[str, Rule]:
    done = {name: rule for name, rule in state.rules.items() if rule.state == "done"}
    return dict(sorted(done.items(), key=lambda item: item[0] != "main"))


class _Imports:
    """Finds what `import` names: mocks and modules of the configuration, then what is given, then the standard ones."""

    def __init__(self, config: Config, given: dict[str, Value], state: Run) -> None:
        self.config, self.given, self.state = config, given, state
        self.loaded: dict[str, Namespace] = {}
        self.loading: list[str] = []

    def __call__(self, name: str) -> Namespace | None:
        if name not in self.loaded:
            found = self._find(name)
            if found is None:
                return None
            self.loaded[name] = found
        return self.loaded[name]

    def _find(self, name: str) -> Namespace | None:
        if name in self.config.modules:
            return self._module(name, self.config.modules[name])
        for values in (self.config.data, self.given):
            if name in values:
                return Namespace(name, values[name])
        if name in self.config.plans:
            return self._plan(name, self.config.plans[name])
        return imports.standard(name, self._call)

    def _module(self, name: str, path: Path) -> Namespace:
        if name in self.loading:
            raise SentinelError(f'"{name}" imports itself')
        self.loading.append(name)
        try:
            return Namespace(name, Evaluator(Source(path.name, read_text(path)), self.state, top=False).execute())
        finally:
            self.loading.pop()

    def _plan(self, name: str, path: Path) -> Namespace:
        try:
            found = terraform.imports(json.loads(read_text(path)))
        except (ValueError, KeyError, AttributeError, TypeError):
            raise SentinelError(f"{path}: not a plan in JSON", hint="terraform show -json plan > plan.json") from None
        if name not in found:
            raise SentinelError(f'a plan gives no "{name}"', hint=f"it gives {', '.join(found)}")
        return Namespace(name, found[name])

    def _call(self, function: Value, arguments: list[Value]) -> Value:
        owner = getattr(function, "owner", None)
        if owner is None:
            raise SentinelError("a func of the policy is needed here")
        return owner.call(function, arguments, function.body)


def with_params(config: Config, params: dict[str, Value]) -> Config:
    """The configuration with further parameters, which are stronger."""
    return replace(config, params={**config.params, **params})


def _indented(value: Value) -> list[str]:
    if isinstance(value, list | dict) and value:
        text = json.dumps(value, indent=2, default=show, ensure_ascii=False)
        lines = text.splitlines()
        return [f"    {line}" for line in lines[:40]] + (["    …"] if len(lines) > 40 else [])
    return [f"    {show(value, False)}"]


def document(outcome: Outcome) -> dict[str, Any]:
    """The outcome in the form that HCP Terraform's API has for a policy in a policy check."""
    rules = {
        name: {
            "desc": "",
            "ident": name,
            "position": {"filename": rule.place.source.name, "line": rule.place.line, "column": rule.place.column},
            "value": json.loads(json.dumps(rule.value, default=show)),
        }
        for name, rule in outcome.rules.items()
    }
    error = str(outcome.error) if outcome.error else None
    trace = {"description": "", "error": error, "print": "\n".join(outcome.printed), "result": outcome.passed}
    return {"policy": outcome.name, "result": outcome.passed, "error": error, "trace": trace | {"rules": rules}}
