"""Fill in the generated parts of README.md: the catalogue, and the published study of digits."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from repgeo import registry
from repgeo.catalogue import KINDS

ROOT = Path(__file__).resolve().parent.parent


def catalogue() -> str:
    """One table of all built-in names."""
    lines = ["| kind | name | what |", "|---|---|---|"]
    for kind in KINDS:
        own = [record for record in registry.records(kind) if record.origin == "repgeo"]
        lines += [f"| {kind.rstrip('s')} | `{r.name}` | {r.summary} |" for r in own]
    return "\n".join(lines)


def digits() -> str:
    """The tables of the published study, and its figures."""
    folder = ROOT / "results" / "digits"
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    body = summary.partition("\n\n")[2].partition("\n\n")[2].strip()
    # Headings of the summary stand one level deeper here.
    body = re.sub(r"^#", "###", body, flags=re.MULTILINE)
    figures = sorted((folder / "figures").glob("*.png"))
    pictures = [f"![{path.stem}](results/digits/figures/{path.name})" for path in figures]
    return "\n\n".join([body, *pictures])


def fill(text: str, name: str, content: str) -> str:
    """The text with what stands between the markers of `name` replaced."""
    pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no markers for {name!r}.")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def main() -> None:
    """Write README.md, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args()
    path = ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    after = fill(fill(before, "catalogue", catalogue()), "digits", digits())
    if options.check:
        if after != before:
            sys.exit("README.md is out of date: run python scripts/make_readme.py")
        return
    path.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
