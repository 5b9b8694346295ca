"""The evaluator: walks the syntax tree of one policy or module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iaclab.sentinel import builtins, limits, operators
from iaclab.sentinel.errors import Place, SentinelError, Source
from iaclab.sentinel.parse import Node, parse, place, unquote
from iaclab.sentinel.state import Function, Leave, Rule, Run, Scope
from iaclab.sentinel.values import Builtin, Namespace, Undefined, Value, a, both, either, equal, show, type_of


class Evaluator:
    """One source, its global scope, and how each kind of node is evaluated."""

    def __init__(self, source: Source, run: Run, given: dict[str, Value] | None = None, top: bool = True) -> None:
        self.source, self.run, self.top = source, run, top
        known = Scope()
        known.names = {**builtins.functions(self._print), **(given or {})}
        self.scope = Scope(known)

    def execute(self) -> dict[str, Value]:
        """Run all statements; returns the global names.

        Raises:
            SentinelError: the text is not in the language, or something in it does not work.
        """
        tree = parse(self.source)
        try:
            for statement in tree.children:
                self._statement(statement, self.scope)
        except Leave as leave:
            raise SentinelError(
                f"`{leave.kind}` outside of a {'func' if leave.kind == 'return' else 'for'}", self.at(leave.node)
            ) from None
        return self.scope.names

    def at(self, node: Any) -> Place:
        """The place of a node."""
        return place(self.source, node)

    def fail(self, node: Any, what: str, hint: str = "") -> SentinelError:
        """An error at a node."""
        return SentinelError(what, self.at(node), hint)

    def value(self, node: Any, scope: Scope) -> Value:
        """Evaluate an expression."""
        self._count(node)
        try:
            found = getattr(self, f"_{node.data}")(node, scope)
        except operators.Problem as problem:
            raise self.fail(node, problem.what, problem.hint) from None
        except RecursionError:
            raise self.fail(node, "this is nested too deeply") from None
        if isinstance(found, Rule):
            found = found.force(self.at(node))
        if isinstance(found, Undefined) and found.place is None:
            return Undefined(self.at(node), found.why)
        return found

    def truth(self, node: Any, scope: Scope) -> bool | Undefined:
        """Evaluate what must be true, false or undefined."""
        value = self.value(node, scope)
        if isinstance(value, bool | Undefined):
            return value
        raise self.fail(node, f"a bool is needed here, not {a(value)}", "compare it: `x is …`, `length(x) > 0`")

    def call(self, function: Value, arguments: list[Value], node: Any) -> Value:
        """Call a function of the policy or one in Python."""
        if isinstance(function, Builtin):
            unknown = [a for a in arguments if isinstance(a, Undefined)]
            if unknown and not function.lenient:
                return unknown[0]
            try:
                return function.call(*arguments)
            except TypeError:
                raise self.fail(node, f"{function.name} does not take {len(arguments)} such arguments") from None
        if isinstance(function, Undefined):
            return function
        if not isinstance(function, Function):
            raise self.fail(node, f"{a(function)} cannot be called")
        if len(arguments) != len(function.parameters):
            wanted = ", ".join(function.parameters)
            raise self.fail(node, f"{function.name or 'this func'} takes ({wanted}), {len(arguments)} are given")
        if self.run.depth >= limits.DEPTH:
            raise self.fail(node, f"more than {limits.DEPTH} calls within calls", "does the recursion end?")
        scope = Scope(function.scope)
        scope.names = dict(zip(function.parameters, arguments, strict=True))
        self.run.depth += 1
        try:
            function.owner._block(function.body, scope)
        except Leave as leave:
            if leave.kind == "return":
                return leave.value
            raise function.owner.fail(leave.node, f"`{leave.kind}` outside of a for") from None
        finally:
            self.run.depth -= 1
        return Undefined(why=f"{function.name or 'the func'} returns nothing")

    def _print(self, text: str) -> None:
        if len(self.run.printed) < limits.SIZE // 100:
            self.run.printed.append(text)

    def _count(self, node: Any) -> None:
        self.run.steps -= 1
        if self.run.steps < 0:
            raise self.fail(node, f"the policy was stopped after {limits.STEPS} steps", "does every loop end?")

    # --- statements --------------------------------------------------------------------------------

    def _block(self, node: Node, scope: Scope) -> None:
        for statement in node.children:
            self._statement(statement, scope)

    def _statement(self, node: Any, scope: Scope) -> None:
        self._count(node)
        try:
            getattr(self, f"_do_{node.data.rstrip('_')}")(node, scope)
        except operators.Problem as problem:
            raise self.fail(node, problem.what, problem.hint) from None
        except RecursionError:
            raise self.fail(node, "this is nested too deeply") from None

    def _do_import(self, node: Any, scope: Scope) -> None:
        path, alias = unquote(self.source, node.children[0]), node.children[1]
        found = self.run.find(path)
        if found is None:
            hint = "a standard one (strings, types, json, …), or what the configuration names as mock or module"
            raise self.fail(node.children[0], f'there is no import "{path}"', hint)
        scope.assign(str(alias) if alias else path.rsplit("/", 1)[-1], found)

    def _do_param(self, node: Any, scope: Scope) -> None:
        name, default = node.children
        if name in self.run.params:
            scope.assign(name, self.run.params[name])
        elif default is not None:
            scope.assign(name, self.value(default, scope))
        else:
            raise self.fail(name, f"the parameter {name} has no value", f"-param {name}=…, or a default")

    def _do_assign(self, node: Any, scope: Scope) -> None:
        target, operator, expression = node.children
        value = self._bind(target, expression, scope)
        if operator != "=":
            old = self.value(target, scope)
            unknown = next((v for v in (old, value) if isinstance(v, Undefined)), None)
            value = unknown or operators.arithmetic(str(operator)[0], old, value)
        if target.data == "name":
            scope.assign(str(target.children[0]), value)
        elif target.data in ("index", "select"):
            self._put(target, value, scope)
        else:
            raise self.fail(target, "nothing can be assigned to this", "a name, a field or an element can")

    def _bind(self, target: Any, expression: Any, scope: Scope) -> Value:
        """The value to assign; a rule is kept for later, and learns its name."""
        name = str(target.children[0]) if target.data == "name" else ""
        if expression.data == "rule":
            self._count(expression)
            when, body = expression.children
            return Rule(self, scope, when, body, self.at(target), name)
        value = self.value(expression, scope)
        if isinstance(value, Function) and not value.name:
            return Function(value.owner, value.scope, value.parameters, value.body, name)
        return value

    def _put(self, target: Any, value: Value, scope: Scope) -> None:
        holder: Value = self.value(target.children[0], scope)
        last = target.children[1]
        key: Value = str(last) if target.data == "select" else self.value(last, scope)
        if isinstance(holder, dict) and isinstance(key, str | int | float):
            holder[key] = value
            operators.bounded(holder)
        elif isinstance(holder, list) and type_of(key) == "int" and -len(holder) <= key < len(holder):
            holder[key] = value
        else:
            raise self.fail(target, f"{a(holder)} has no place {show(key, False)} to assign to")

    def _do_if(self, node: Any, scope: Scope) -> None:
        condition, then, otherwise = node.children
        if self.truth(condition, scope) is True:
            self._block(then, scope)
        elif otherwise is not None:
            self._do_if(otherwise, scope) if otherwise.data == "if_" else self._block(otherwise, scope)

    def _do_for(self, node: Any, scope: Scope) -> None:
        collection, names, body = node.children
        items = self.value(collection, scope)
        if not isinstance(items, list | dict):
            raise self.fail(collection, f"`for` needs a list or a map, not {a(items)}", "(x else [])")
        for pair in self._pairs(items):
            inner = Scope(scope, frame=False)
            inner.names = self._names(names, items, pair)
            try:
                self._block(body, inner)
            except Leave as leave:
                if leave.kind == "return":
                    raise
                if leave.kind == "break":
                    break

    def _do_case(self, node: Any, scope: Scope) -> None:
        subject, *clauses = node.children
        value = True if subject is None else self.value(subject, scope)
        for clause in filter(None, clauses):
            if clause.data == "otherwise":
                return self._block(clause.children[0], scope)
            tests, lines = clause.children
            if any(equal(self.value(test, scope), value) for test in tests.children):
                return self._block(lines, scope)

    def _do_return(self, node: Any, scope: Scope) -> None:
        value = Undefined(self.at(node)) if node.children[0] is None else self.value(node.children[0], scope)
        raise Leave("return", node, value)

    def _do_break(self, node: Any, scope: Scope) -> None:
        raise Leave("break", node)

    def _do_continue(self, node: Any, scope: Scope) -> None:
        raise Leave("continue", node)

    def _do_expression(self, node: Any, scope: Scope) -> None:
        self.value(node.children[0], scope)

    # --- literals ----------------------------------------------------------------------------------

    def _int(self, node: Any, scope: Scope) -> int:
        text = str(node.children[0])
        octal = len(text) > 1 and text[0] == "0" and text.isdigit()
        try:
            return int(operators.bounded(int(text, 8) if octal else int(text, 0)))
        except ValueError:
            raise self.fail(node, f"{text} is no integer", "a leading 0 means octal digits") from None

    def _float(self, node: Any, scope: Scope) -> float:
        return float(node.children[0])

    def _string(self, node: Any, scope: Scope) -> str:
        return unquote(self.source, node.children[0])

    def _true(self, node: Any, scope: Scope) -> bool:
        return True

    def _false(self, node: Any, scope: Scope) -> bool:
        return False

    def _null(self, node: Any, scope: Scope) -> None:
        return None

    def _undefined(self, node: Any, scope: Scope) -> Undefined:
        return Undefined(self.at(node), "written here")

    def _list(self, node: Any, scope: Scope) -> list[Value]:
        return [self.value(item, scope) for item in node.children if item is not None]

    def _map(self, node: Any, scope: Scope) -> dict[Value, Value]:
        found = {}
        for pair in filter(None, node.children):
            key = self.value(pair.children[0], scope)
            if not isinstance(key, str | int | float):
                raise self.fail(pair, f"{a(key)} cannot be a key")
            found[key] = self.value(pair.children[1], scope)
        return found

    def _function(self, node: Any, scope: Scope) -> Function:
        *parameters, body = node.children
        return Function(self, scope, tuple(map(str, filter(None, parameters))), body)

    def _rule(self, node: Any, scope: Scope) -> Rule:
        when, body = node.children
        return Rule(self, scope, when, body, self.at(node))

    # --- expressions -------------------------------------------------------------------------------

    def _name(self, node: Any, scope: Scope) -> Value:
        name = str(node.children[0])
        holder = scope.find(name)
        if holder is None:
            raise self.fail(node, f"{name} is not known here", "assign it before it is used; text needs quotes")
        return holder.names[name]

    def _select(self, node: Any, scope: Scope) -> Value:
        return self._element(node, self.value(node.children[0], scope), str(node.children[1]))

    def _index(self, node: Any, scope: Scope) -> Value:
        return self._element(node, *(self.value(child, scope) for child in node.children))

    def _element(self, node: Any, holder: Value, key: Value) -> Value:
        if isinstance(holder, Undefined) or holder is None:
            return holder or Undefined(self.at(node), f"{show(key, False)} of null")
        if isinstance(key, Undefined):
            return key
        if isinstance(holder, dict | Namespace):
            known = isinstance(key, str | int | float) and key in holder
            if not known and isinstance(holder, Namespace) and holder.complete:
                raise self.fail(node, f"{holder.name} has no {key}", f"it has {', '.join(holder)}")
            return holder[key] if known else Undefined(self.at(node), f"there is no {show(key, False)}")
        if isinstance(holder, list | str) and type_of(key) == "int":
            inside = -len(holder) <= key < len(holder)
            return holder[key] if inside else Undefined(self.at(node), f"there is no element {key}")
        raise self.fail(node, f"{a(holder)} has no {show(key, False)}")

    def _slice(self, node: Any, scope: Scope) -> Value:
        holder, *bounds = (None if child is None else self.value(child, scope) for child in node.children)
        unknown = next((v for v in (holder, *bounds) if isinstance(v, Undefined)), None)
        if unknown is not None:
            return unknown
        if not isinstance(holder, list | str) or not all(b is None or type_of(b) == "int" for b in bounds):
            raise self.fail(node, f"{a(holder)} cannot be cut with these bounds")
        start, end = bounds[0] or 0, len(holder) if bounds[1] is None else bounds[1]
        inside = 0 <= start <= end <= len(holder)
        return holder[start:end] if inside else Undefined(self.at(node), f"[{start}:{end}] is out of range")

    def _call(self, node: Any, scope: Scope) -> Value:
        function, *arguments = (self.value(child, scope) for child in node.children if child is not None)
        return self.call(function, arguments, node)

    def _unary(self, node: Any, scope: Scope) -> Value:
        operator, operand = node.children
        if operator in ("not", "!"):
            truth = self.truth(operand, scope)
            return truth if isinstance(truth, Undefined) else not truth
        value = self.value(operand, scope)
        return value if isinstance(value, Undefined) else operators.arithmetic(str(operator), 0, value)

    def _arithmetic(self, node: Any, scope: Scope) -> Value:
        left, right = (self.value(node.children[i], scope) for i in (0, 2))
        unknown = next((v for v in (left, right) if isinstance(v, Undefined)), None)
        return unknown or operators.arithmetic(str(node.children[1]), left, right)

    def _compare(self, node: Any, scope: Scope) -> Value:
        left, right = (self.value(node.children[i], scope) for i in (0, 2))
        unknown = next((v for v in (left, right) if isinstance(v, Undefined)), None)
        return unknown or operators.compare(" ".join(node.children[1].split()), left, right)

    def _state(self, node: Any, scope: Scope) -> Value:
        """`is defined`, `is empty`, and their opposites."""
        value, (_, *words) = self.value(node.children[0], scope), node.children[1].split()
        if words[-1] == "defined":
            return isinstance(value, Undefined) == ("not" in words)
        if isinstance(value, Undefined):
            return value
        return (builtins.length(value) == 0) != ("not" in words)

    def _logic(self, node: Any, scope: Scope) -> bool | Undefined:
        left, operator, right = node.children
        first = self.truth(left, scope)
        if operator in ("and", "&&"):
            return both(first, lambda: self.truth(right, scope))
        if operator in ("or", "||"):
            if first is True and _is_print(left):  # so that a message can stand before what it speaks of
                return self.truth(right, scope)
            return either(first, lambda: self.truth(right, scope))
        second = self.truth(right, scope)
        return next((v for v in (first, second) if isinstance(v, Undefined)), first != second)

    def _recover(self, node: Any, scope: Scope) -> Value:
        value = self.value(node.children[0], scope)
        return self.value(node.children[1], scope) if isinstance(value, Undefined) else value

    def _quantifier(self, node: Any, scope: Scope) -> Value:
        kind, collection, names, body = node.children
        items = self.value(collection, scope)
        if isinstance(items, Undefined) or items is None:
            return items or Undefined(self.at(collection), f"`{kind}` over null")
        if not isinstance(items, list | dict):
            raise self.fail(collection, f"`{kind}` needs a list or a map, not {a(items)}")

        def ask(pair: tuple[Value, Value], test: bool) -> Value:
            inner = Scope(scope, frame=False)
            inner.names = self._names(names, items, pair)
            return self.truth(body, inner) if test else self.value(body, inner)

        pairs = self._pairs(items)
        if kind == "map":
            return [ask(pair, False) for pair in pairs]
        if kind == "filter":
            return self._filter(items, pairs, ask)
        result: bool | Undefined = kind == "all"
        for pair in pairs:
            join, before = (both if kind == "all" else either), result
            result = join(before, lambda pair=pair: ask(pair, True))  # type: ignore[misc]
            if result is (kind == "any") or (kind == "all" and isinstance(result, Undefined)):
                break
        return result

    def _filter(self, items: Value, pairs: list[tuple[Value, Value]], ask: Callable[..., Value]) -> Value:
        kept = []
        for pair in pairs:
            wanted = ask(pair, True)
            if isinstance(wanted, Undefined):
                return wanted
            if wanted:
                kept.append(pair)
        return dict(kept) if isinstance(items, dict) else [value for _, value in kept]

    def _pairs(self, items: Value) -> list[tuple[Value, Value]]:
        return list(items.items()) if isinstance(items, dict) else list(enumerate(items))

    def _names(self, names: Any, items: Value, pair: tuple[Value, Value]) -> dict[str, Value]:
        """The variables of one turn: key and value; a single one is the value of a list, the key of a map."""
        first, second = names.children
        if second is not None:
            return {str(first): pair[0], str(second): pair[1]}
        return {str(first): pair[0] if isinstance(items, dict) else pair[1]}


def _is_print(node: Any) -> bool:
    return bool(node.data == "call" and node.children[0].data == "name" and node.children[0].children[0] == "print")
