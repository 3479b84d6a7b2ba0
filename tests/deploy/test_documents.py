"""What the documentation names is there, and the tutorials say the same in both languages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.image import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
TUTORIALS = ("tutorial.md", "tutorial.ru.md")


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def blocks(document: Path) -> Iterator[str]:
    """Indented blocks: what is typed and what is answered."""
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text_of(document), re.MULTILINE):
        yield re.sub(r"^    ", "", block.strip("\n"), flags=re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text_of(document))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_of_deploy_that_are_named_exist(document: Path) -> None:
    named = set(re.findall(r"\bdeploy/[\w./-]*\w", text_of(document)))
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_both_tutorials_have_the_same_steps() -> None:
    english, russian = (list(blocks(REPOSITORY / "docs" / name)) for name in TUTORIALS)
    assert len(english) > 10
    assert english == russian


def test_the_tutorials_show_the_objects_as_they_are() -> None:
    (shown,) = (block for block in blocks(REPOSITORY / "docs" / "tutorial.md") if "kind: ConfigMap" in block)
    there = text_of(REPOSITORY / "deploy" / "tutorial" / "vip-configmap.yaml")
    assert yaml.safe_load(shown.partition("\n\n")[0]) == yaml.safe_load(there)


def test_what_the_tutorials_quote_of_the_role_is_what_it_grants() -> None:
    (role,) = (
        one
        for one in yaml.safe_load_all(text_of(REPOSITORY / "deploy" / "tutorial" / "rbac.yaml"))
        if one["kind"] == "ClusterRole"
    )
    (rule,) = role["rules"]
    for name in TUTORIALS:
        prose = text_of(REPOSITORY / "docs" / name)
        assert all(word in prose for word in (*rule["resources"], *rule["verbs"]))
