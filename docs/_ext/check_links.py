"""Check that every link inside the built site leads to a file and an anchor that exist.

python docs/_ext/check_links.py build/site
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and anchors of a page, and what it loads from other hosts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what a tag names."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.links.append(value)
                if tag in ("script", "img") or (tag == "link" and ("rel", "stylesheet") in attrs):
                    self.loaded.append(value)


def main() -> int:
    """Print what is wrong; return the exit status."""
    site = Path(sys.argv[1]).resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    problems: list[str] = []
    link_count = 0
    for path, page in pages.items():
        name = path.relative_to(site)
        problems += [f"{name} loads {url}" for url in page.loaded if urlsplit(url).netloc]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            link_count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                problems.append(f"{name}: no file {link}")
            elif target in pages and unquote(parts.fragment) not in {*pages[target].anchors, ""}:
                problems.append(f"{name}: no anchor {link}")
    print(
        *problems, f"{link_count} links on {len(pages)} pages, {len(problems)} problems", sep="\n"
    )
    return 1 if problems or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
