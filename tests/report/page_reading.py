"""A strict reader of the pages made here: every tag closed in order, text and attributes kept."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = {"meta", "br", "input", "link", "img", "hr"}


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        self.unclosed += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data):
        self.text += data

    def having(self, tag: str, name: str) -> list[str | None]:
        """The values of an attribute on all tags of a kind."""
        return [found[name] for kind, found in self.attributes if kind == tag and name in found]
