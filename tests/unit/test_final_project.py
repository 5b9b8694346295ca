"""The final project's text, its points and the parts of its checks that need no platform."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from iaclab import final_project, lessons
from iaclab.build.text import parse
from iaclab.checks.project import CHECKS, POINTS, governance, programme, secrecy

LESSON = lessons.lesson(final_project.LESSON)
TEXT = LESSON.source.read_text()


def test_the_rubric_names_every_check_with_its_points_and_adds_up_to_a_hundred() -> None:
    rubric = TEXT[TEXT.index("## Rubric") : TEXT.index("| **100**")]
    rows = re.findall(r"^\| \d (.*?)\|(.*?)\|(.*?)\|$", rubric, re.MULTILINE)
    automatic = dict(re.findall(r"([\w-]+) (\d+)", ", ".join(row[1] for row in rows)))
    by_hand = sum(int(points) for _, points in re.findall(r"(\w+) (\d+)", rows[-1][2]))
    assert {name: int(points) for name, points in automatic.items()} == {n: c.points for n, c in CHECKS.items()}
    assert POINTS + by_hand == 100
    assert f"| **100** | **{POINTS}** | **{by_hand}** |" in TEXT
    reader = TEXT[TEXT.index("A reader gives points") :]
    assert sum(map(int, re.findall(r"^\| (\d+) \| \*\*", reader, re.MULTILINE))) == by_hand


def test_every_check_stands_in_the_text_and_every_milestone_has_a_solution_and_a_way_in() -> None:
    named = set(re.findall(r'iaclab\.check\("project\.([\w-]+)"\)', TEXT))
    assert named == set(CHECKS)
    for number in range(1, 6):
        assert final_project._solution(number), f"milestone {number} has no solution"
    assert [int(n) for n in re.findall(r"final_project\.begin\((\d)\)", TEXT)] == [2, 3, 4, 5]


def test_the_solution_of_a_milestone_is_that_of_its_section_alone() -> None:
    cells = [cell.code for cell in parse(TEXT).cells if "solution" in cell.tags]
    found = [code for number in range(1, 6) for code in final_project._solution(number)]
    assert found == cells


def test_sections_are_headings_of_level_two_outside_of_fences() -> None:
    text = "# A title\n## On call \nwho\n### more\n```sh\n## no heading\n```\n## Decisions\n"
    assert programme.sections(text) == {
        "on call": "who\n### more\n```sh\n## no heading\n```\n",
        "decisions": "",
    }


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("kind: Secret", True),
        ('  "kind": "Secret",', True),
        ("kind: SealedSecret", False),
        ("kind: SecretStore", False),
        ("# kind: Secret is what we never commit", False),
        ("-----BEGIN EC PRIVATE KEY-----", True),
        ("-----BEGIN CERTIFICATE-----", False),
        ("token: eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlMTIz", True),
        ("apiVersion: v1", False),
    ],
)
def test_what_looks_like_a_secret(text: str, plain: bool) -> None:
    assert any(pattern.search(f"a: b\n{text}\n") for pattern in secrecy._PLAIN.values()) is plain


def test_of_argo_cds_secrets_only_credentials_are_secret() -> None:
    config = '{"bearerToken": "abc.def", "tlsClientConfig": {"caData": "public"}}'
    assert secrecy._secret_parts("argocd", "config", config) == ["abc.def"]
    assert secrecy._secret_parts("argocd", "config", '{"tlsClientConfig": {"insecure": false}}') == []
    assert secrecy._secret_parts("argocd", "url", "http://127.0.0.1:1234/platform.git") == []
    assert secrecy._secret_parts("fraud", "AWS_SECRET_ACCESS_KEY", "0123456789abcdef") == ["0123456789abcdef"]
    assert secrecy._secret_parts("fraud", "AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF") == []


def test_a_change_reaches_manifests_and_values_but_no_policy(tmp_path: Path) -> None:
    for name, text in {
        "apps/fraud/values.yaml": "image: registry.course.local/fraud-api\ntag: 1.0.0\n",
        "apps/vision/api.yaml": "image: registry.course.local/vision-api:1.0.0\n",
        "policy/allowed.yaml": "allow: registry.course.local/fraud-api:1.0.0\n",
        "notes.md": "fraud-api 1.0.0\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert governance._change(tmp_path, "fraud", "1.0.0", "latest")
    changed = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and "latest" in p.read_text()]
    assert changed == ["apps/fraud/values.yaml"]
    assert not governance._change(tmp_path, "fraud", "2.0.0", "latest")
