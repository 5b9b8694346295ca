"""The Sentinel language: what each construct yields, undefined's logic, laziness, and where errors are shown."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from iaclab.sentinel import limits, policy
from iaclab.sentinel.config import Config
from iaclab.sentinel.values import Undefined

HELPERS = """
import "strings"
import "types"
import "json"
import "decimal"
import "collection"
import "collection/maps"
xs = [1, 2, 3]
m = {"a": 1, "b": {"c": [true, null]}, 4: "four",}
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(text: str, **config: Any) -> policy.Outcome:
        path = tmp_path / "p.sentinel"
        path.write_text(text)
        return policy.run(path, Config(**config))

    return run


def value(run: Any, expression: str) -> Any:
    outcome = run(f"{HELPERS}main = rule {{ {expression} }}")
    assert outcome.error is None, outcome.error
    return outcome.main


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # arithmetic, and how tightly it binds
        ("4 + 5 * 2", 14),
        ("(4 + 5) * 2 - -1", 19),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2", 3.5),
        ("0x1f + 010", 39),
        ("1.5e2", 150.0),
        ('"a" + "b"', "ab"),
        ("xs + [4]", [1, 2, 3, 4]),
        ("m.none else 1 + 1", 2),
        ("m.none else 2 is 2", True),
        # comparison
        ("1 is 1.0 and 1 == 1 and 1 != 2", True),
        ("true is 1", False),
        ('"1" is 1', False),
        ("null is null", True),
        ("[1, {\"a\": 2}] is [1, {\"a\": 2}]", True),
        ("1 is not 2", True),
        ('"a" < "b" and 2 >= 2', True),
        ("2 in xs and 5 not in xs and xs contains 3 and xs not contains 4", True),
        ('"a" in m and m not contains "z" and 4 in m', True),
        ("true in [1]", False),
        ('"ell" in "hello" and "hello" contains "ell"', True),
        ('"g5.xlarge" matches "^g[45]\\\\." and "p4d" not matches "^g"', True),
        ("[] is empty and xs is not empty", True),
        ("m.none is not defined and m.a is defined", True),
        # logic
        ("true and not false or false", True),
        ("true xor true", False),
        ("!false && (false || true)", True),
        # elements and slices
        ("m.b.c[0]", True),
        ("m.b.c[1]", None),
        ("m[4]", "four"),
        ("xs[-1] + xs[0]", 4),
        ("xs[1:]", [2, 3]),
        ("xs[:2]", [1, 2]),
        ("xs[1:2]", [2]),
        ('"hello"[1:3]', "el"),
        ("xs[1:9] else []", []),
        # collections
        ("any xs as x { x > 2 }", True),
        ("all xs as x { x > 2 }", False),
        ("any [] as x { true }", False),
        ("all [] as x { false }", True),
        ("filter xs as x { x is not 2 }", [1, 3]),
        ("filter xs as i, x { i > 0 and x < 3 }", [2]),
        ('filter m as k, v { v is 1 }', {"a": 1}),
        ('filter {"a": 1, "b": 2} as k { k is "b" }', {"b": 2}),
        ("map xs as x { x * 2 }", [2, 4, 6]),
        ('map {"a": 1} as k, v { k + string(v) }', ["a1"]),
        # functions of every policy
        ("length(xs) + length(m) + length(\"äöü\")", 9),
        ('keys({"a": 1})', ["a"]),
        ('values({"a": 1})', [1]),
        ("range(3) + range(2, 4) + range(5, 0, -2)", [0, 1, 2, 2, 3, 5, 3, 1]),
        ('int("42") + int(1.9)', 43),
        ('int("x") else "none"', "none"),
        ('float("1.5") + float(1)', 2.5),
        ('string(1) + string(true) + string(1.5)', "1true1.5"),
        ('bool("true") and bool(1)', True),
        ('print("x", xs)', True),
        # imports
        ('strings.split("a,b", ",")', ["a", "b"]),
        ('strings.join(["a", "b"], "-") + strings.to_upper("c") + strings.to_lower("D")', "a-bCd"),
        ('strings.has_prefix("abc", "ab") and strings.has_suffix("abc", "bc")', True),
        ('strings.trim_prefix("v1", "v") + strings.trim_suffix("1%", "%") + strings.trim(" 1 ", " ")', "111"),
        ('strings.replace("a.b.c", ".", "-")', "a-b-c"),
        ("map [1, 1.0, \"\", [], {}, null, true, m.none] as v { types.type_of(v) }",
         ["int", "float", "string", "list", "map", "null", "bool", "undefined"]),
        ('json.unmarshal("{\\"a\\": [1, null]}").a', [1, None]),
        ('json.marshal({"a": [1]})', '{"a": [1]}'),
        ('decimal.new("0.1").add(0.2).is(0.3)', True),
        ('decimal.new("12.50").greater_than(decimal.new(12))', True),
        ('maps.get(m, "b.c.0", false)', True),
        ('maps.get(m, "b.z", "none")', "none"),
        ("collection.reject(xs, func(x) { return x > 1 })", [1]),
        ("collection.find(xs, func(x) { return x > 1 })", 2),
        # literals
        (r'"tab\t quote\" \\ \x41é \101"', 'tab\t quote" \\ Aé A'),
        ("[1, 2,]", [1, 2]),
        ("{}", {}),
    ],
)  # fmt: skip
def test_an_expression_yields(run: Any, expression: str, expected: Any) -> None:
    found = value(run, expression)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a = 1\nif a is 2 { print(1) } else if a is 1 { print(2) } else { print(3) }", "2"),
        ("if {}.x > 1 { print(1) } else { print(2) }", "2"),
        ('for [1, 2, 3, 4] as x {\n if x is 2 { continue }\n if x is 4 { break }\n print(x)\n}', "1 3"),
        ('for {"a": 1} as k, v { print(k, v) }', "a 1"),
        ('for {"a": 1} as k { print(k) }', "a"),
        ('case 3 {\n when 1, 2:\n  print("few")\n when 3:\n  print("three")\n else:\n  print("many")\n}', "three"),
        ('case {\n when 1 is 2:\n  print(1)\n else:\n  print(2)\n}', "2"),
        ("f = func(n) { if n is 0 { return 1 } else { return n * f(n - 1) } }\nprint(f(5))", "120"),
        ("f = func() { }\nprint(f())", "undefined"),
        ("a = 1\nf = func() { a = 2; return a }\nprint(f(), a)", "2 1"),
        ("n = 0\nfor [1, 2] as x { n += x }\nprint(n)", "3"),
        ("m = {}\nm.a = {}\nm.a.b = 1\nm[\"c\"] = [0]\nm.c[0] = 5\nm.a.b += 1\nprint(m)", '{"a": {"b": 2}, "c": [5]}'),
        ("x = [1]\nm = {1: 2}\ndelete(m, 1)\ndelete(m, 9)\nprint(append(x, 2), x, m)", "undefined [1, 2] {}"),
        ("x = 10\nx -= 1\nx *= 4\nx /= 3\nx %= 5\nprint(x)", "2"),
        ("# one\n// two\n/* three\n four */ print(1) // five", "1"),
        ('print("a # b // c", "d")', "a # b // c d"),
        ("a = [\n 1,\n 2\n]\nb = (1 +\n 2)\nprint(\n a,\n b\n)", "[1, 2] 3"),
        ("a = {\n \"k\": 1\n}\nprint(a)", '{"k": 1}'),
        ("r = rule { 1 is\n 1 and\n (2 is 2\n or 3 is 4)\n}\nprint(r)", "true"),
    ],
)  # fmt: skip
def test_statements_print(run: Any, text: str, printed: str) -> None:
    outcome = run(text + "\nmain = true")
    assert outcome.error is None, outcome.error
    assert " ".join(outcome.printed) == printed


# --- undefined ----------------------------------------------------------------------------------------------

U = "undefined"
AND = {
    ("true", "true"): "true", ("true", "false"): "false", ("true", U): U,
    ("false", "true"): "false", ("false", "false"): "false", ("false", U): "false",
    (U, "true"): U, (U, "false"): U, (U, U): U,
}  # fmt: skip
OR = {
    ("true", "true"): "true", ("true", "false"): "true", ("true", U): "true",
    ("false", "true"): "true", ("false", "false"): "false", ("false", U): U,
    (U, "true"): "true", (U, "false"): U, (U, U): U,
}  # fmt: skip
XOR = {pair: U if U in pair else str(pair[0] != pair[1]).lower() for pair in AND}
NOT = {"true": "false", "false": "true", U: U}


def word(found: Any) -> str:
    return U if isinstance(found, Undefined) else str(found).lower()


@pytest.mark.parametrize(("operator", "table"), [("and", AND), ("or", OR), ("xor", XOR)])
def test_the_truth_tables_with_undefined(run: Any, operator: str, table: dict[tuple[str, str], str]) -> None:
    found = {(a, b): word(value(run, f"{a} {operator} {b}")) for a, b in table}
    assert found == table


def test_long_expressions_follow_the_tables(run: Any) -> None:
    chance = random.Random(7)

    def grow(depth: int) -> tuple[str, str]:
        if depth == 0:
            leaf = chance.choice(["true", "false", U])
            return leaf, leaf
        if chance.random() < 0.25:
            text, answer = grow(depth - 1)
            return f"not ({text})", NOT[answer]
        (left, a), (right, b) = grow(depth - 1), grow(depth - 1)
        operator, table = chance.choice([("and", AND), ("or", OR), ("xor", XOR)])
        return f"({left}) {operator} ({right})", table[a, b]

    for _ in range(150):
        text, answer = grow(4)
        assert word(value(run, text)) == answer, text


@pytest.mark.parametrize(
    "expression",
    [
        "m.none", "m.none.deeper[3].still", "xs[7]", "m.b.c[1].of_null", "undefined + 1", "undefined is 1",
        "undefined is undefined", "1 in undefined", "undefined > 2", "-undefined", "not undefined", "length(m.none)",
        "keys(undefined)", "m.none(1)", "xs[undefined]", "xs[0:undefined]", "any m.none as x { true }",
        "all undefined as x { true }", "filter undefined as x { true }", "filter xs as x { undefined }",
        "all xs as x { x.y is 1 else undefined }", "strings.join(undefined, 1)", "string([1])",
    ],
)  # fmt: skip
def test_undefined_spreads(run: Any, expression: str) -> None:
    if "x.y" in expression:
        expression = 'all [{"y": 1}, {}] as x { x.y is 1 }'
    assert isinstance(value(run, expression), Undefined)


def test_undefined_lets_nothing_pass_and_says_where_it_came_from(run: Any) -> None:
    outcome = run('plan = {"a": {}}\nlimit = rule { plan.a.size < 4 }\nmain = rule {\n\tlimit\n}')
    assert not outcome.passed
    assert outcome.undefined is not None
    assert str(outcome.undefined.place) == "p.sentinel:2:16"
    assert 'undefined since p.sentinel:2:16: there is no "size"' in outcome.trace()


def test_one_true_is_enough_for_any_and_one_false_for_all(run: Any) -> None:
    assert value(run, 'any [{}, {"y": 1}] as x { x.y is 1 }') is True
    assert value(run, 'all [{"y": 2}, {}] as x { x.y is 1 }') is False


# --- rules --------------------------------------------------------------------------------------------------


def test_a_rule_is_evaluated_when_it_is_asked_for_and_once(run: Any) -> None:
    outcome = run(
        'noisy = rule { print("noisy") }\nunasked = rule { print("never") and error("never") }\n'
        'print("first")\nmain = rule { noisy and noisy and (true or unasked) }'
    )
    assert outcome.printed == ("first", "noisy")
    assert list(outcome.rules) == ["main", "noisy"]
    assert outcome.passed


def test_and_and_or_look_no_further_than_they_must(run: Any) -> None:
    assert value(run, 'false and error("not reached")') is False
    assert value(run, 'true or error("not reached")') is True
    assert value(run, '1 else error("not reached")') == 1


def test_print_before_or_does_not_hide_what_follows(run: Any) -> None:
    outcome = run('main = rule { print("seen") or false }')
    assert (outcome.main, outcome.printed) == (False, ("seen",))


@pytest.mark.parametrize(("when", "passed"), [("true", False), ("false", True), ("undefined", True)])
def test_a_rule_with_when_is_true_where_it_does_not_apply(run: Any, when: str, passed: bool) -> None:
    assert run(f"main = rule when {when} {{ false }}").passed is passed


@pytest.mark.parametrize(
    ("main", "passed"),
    [("true", True), ("false", False), ("[]", True), ("[1]", False), ("{}", True), ('""', True), ('"x"', False),
     ("0", True), ("3", False), ("null", False), ("undefined", False)],
)  # fmt: skip
def test_what_main_may_be(run: Any, main: str, passed: bool) -> None:
    assert run(f"main = {main}").passed is passed
    assert run(f"main = rule {{ {main} }}").passed is passed


def test_params_globals_and_data(run: Any) -> None:
    text = 'import "site" as s\nparam limit default 4\nparam who\nmain = [limit, who, day, s.zones]'
    found = run(text, params={"who": "ml"}, globals={"day": "sunday"}, data={"site": {"zones": ["a"]}})
    assert found.main == [4, "ml", "sunday", ["a"]]
    assert "the parameter who has no value" in str(run("param who").error)


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("main = rule {\n  1 is\n}", "3:1", "unexpected }\n   3 | }\n     | ^\nHint: an expression is missing"),
        ("main = rule { x = 1 }", "1:17", "compare with `is`"),
        ("main = rule { 1 2 }", "1:17", "a rule holds one expression"),
        ("main = rule { 1 is 1", "1:13", "{ is never closed"),
        ("xs = [1,\nmain = 1", "2:6", "unexpected ="),
        ('a = "open\nmain = 1', "1:5", "a string is not closed"),
        ("a = 'x'", "1:5", "double quotes"),
        ("if true {\n}\nelse {\n}", "3:1", "} else {"),
        ("\n\nmain = rule { nothing }", "3:15", "nothing is not known here\n   3 | main = rule { nothing }"),
        ('main = rule { "a" > 1 }', "1:15", "a string and an int have no order"),
        ('main = "a" + 1', "1:8", 'string + int is not defined\n   1 | main = "a" + 1\n     |        ^^^^^^^'),
        ("main = 1 / 0", "1:8", "division by zero"),
        ("main = rule { not 3 }", "1:19", "a bool is needed here, not an int"),
        ("main = length(3)", "1:8", "an int has no length"),
        ("main = 3.x", "1:8", "an int has no"),
        ('main = "text".x', "1:8", 'a string has no "x"'),
        ("for 3 as x { }", "1:5", "`for` needs a list or a map"),
        ("for undefined as x { }", "1:5", "(x else [])"),
        ('import "nothing"', "1:8", "there is no import"),
        ('import "strings"\nmain = strings.uper("a")', "2:8", "strings has no uper"),
        ("f = func(a) { return a }\nmain = f(1, 2)", "2:8", "f takes (a), 2 are given"),
        ("return 1", "1:1", "outside of a func"),
        ("f = func() { break }\nmain = f()", "1:14", "outside of a for"),
        ('main = "\\q"', "1:8", "there is no escape"),
        ('error("stop", 1)', "1:1", "stop 1"),
        ("main = rule { main }", "1:15", "needs its own value"),
        ("x = 089", "1:5", "is no integer"),
        ("main = func() { return true }", "1:1", "main is a func"),
        ("", "1:1", "there is no main"),
        ('main = "a" matches "("', "1:8", "not a regular expression"),
        ("f = func() { return 1 }\nf() = 2", "2:1", "nothing can be assigned"),
    ],
)  # fmt: skip
def test_an_error_names_place_and_reason(run: Any, text: str, where: str, what: str) -> None:
    outcome = run(text)
    assert outcome.error is not None
    said = str(outcome.error)
    assert said.startswith(f"p.sentinel:{where}: "), said
    assert what in said
    assert not outcome.passed


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("f = func(x) { return f(x) }\nmain = f(1)", "calls within calls"),
        ("for range(100000) as a { for range(100000) as b { c = 1 } }", "steps"),
        ('a = "x"\nfor range(99) as i { a += a }', "grown beyond"),
        ("a = 3\nfor range(99) as i { a *= a }", "64 bits"),
        ("a = 2.0\nfor range(99) as i { a *= a * a }", "grown too large"),
        ("a = range(9000000)", "at most"),
        ("a = []\nappend(a, a)\nprint(a)", "nested too deeply"),
        (f"main = {'not ' * 3000}true", "nested too deeply"),
        (f"main = {'[' * 3000}{']' * 3000}", "nested too deeply"),
    ],
)
def test_a_policy_that_would_not_end_is_stopped(run: Any, text: str, what: str) -> None:
    outcome = run(text)
    assert outcome.error is not None and what in str(outcome.error)
    assert len(str(outcome.error)) < 700, "a long line is shown in part"


def test_a_pattern_that_would_not_end_is_stopped(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.5)
    outcome = run(f'main = "{"a" * 40}b" matches "^(a|a)*$"')
    assert "stopped after 0.5 s" in str(outcome.error)
