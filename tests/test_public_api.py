"""The public API equals the committed snapshot; a change needs a line in CHANGELOG.md."""

from __future__ import annotations

import difflib

from .public_api import CHANGELOG, SNAPSHOT, fingerprint, lines


def test_public_api_equals_its_snapshot() -> None:
    committed = SNAPSHOT.read_text("utf-8").splitlines()
    found = list(lines())
    difference = "\n".join(
        difflib.unified_diff(committed, found, "snapshot", "code", lineterm="", n=0)
    )
    assert not difference, (
        f"the public API changed; if that is meant, run `python -m tests.public_api`:\n{difference}"
    )


def test_changelog_names_the_snapshot_of_the_public_api() -> None:
    expected = f"Public API {fingerprint(SNAPSHOT.read_text('utf-8'))}"
    unreleased = CHANGELOG.read_text("utf-8").partition("\n## ")[2].partition("\n## ")[0]
    assert expected in unreleased, (
        f"describe the change in CHANGELOG.md's first section and write there: {expected}"
    )
