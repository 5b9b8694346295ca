"""What evaluation works with: the run, scopes, and the values that hold code (rules and functions)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iaclab.sentinel import limits
from iaclab.sentinel.errors import Place, SentinelError
from iaclab.sentinel.parse import Node
from iaclab.sentinel.values import Value

if TYPE_CHECKING:
    from iaclab.sentinel.evaluate import Evaluator

Finder = Callable[[str], Value]  # gives what `import "name"` names; None where it is not known


@dataclass
class Run:
    """What a policy and its modules share: the bounds, what was printed, which rules were asked."""

    find: Finder
    params: dict[str, Value] = field(default_factory=dict)
    steps: int = limits.STEPS
    depth: int = 0
    printed: list[str] = field(default_factory=list)
    rules: dict[str, Rule] = field(default_factory=dict)  # of the policy itself, in the order they were asked


@dataclass
class Rule:
    """An expression that is evaluated when it is first asked for, and once."""

    owner: Evaluator
    scope: Scope
    when: Node | None
    body: Node
    place: Place
    name: str = ""
    value: Value = None
    state: str = "new"

    def force(self, at: Place) -> Value:
        """Its value; `at` is who asks."""
        if self.state == "running":
            raise SentinelError(f"the rule {self.name or 'here'} needs its own value", at)
        if self.state == "new":
            self.state = "running"
            if self.name and self.owner.top:
                self.owner.run.rules[self.name] = self
            applies = self.when is None or self.owner.truth(self.when, self.scope) is True
            self.value = self.owner.value(self.body, self.scope) if applies else True
            self.state = "done"
        return self.value


@dataclass(frozen=True)
class Function:
    """A `func` with the scope that it was written in."""

    owner: Evaluator
    scope: Scope
    parameters: tuple[str, ...]
    body: Node
    name: str = ""

    def __str__(self) -> str:
        return f"func {self.name}".rstrip()


class Scope:
    """Names and values. Writing never reaches beyond `frame`: the function's own scope, or the policy's."""

    def __init__(self, parent: Scope | None = None, frame: bool = True) -> None:
        self.parent, self.frame, self.names = parent, frame, dict[str, Value]()

    def find(self, name: str) -> Scope | None:
        """The nearest scope that has the name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.parent
        return scope

    def assign(self, name: str, value: Value) -> None:
        """Set a name here, or in the frame that a loop stands in."""
        scope = self
        while name not in scope.names and not scope.frame and scope.parent is not None:
            scope = scope.parent
        scope.names[name] = value


class Leave(Exception):
    """`break`, `continue` or `return` on its way out."""

    def __init__(self, kind: str, node: Node, value: Value = None) -> None:
        super().__init__(kind)
        self.kind, self.node, self.value = kind, node, value
