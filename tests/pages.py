"""What a browser would make of a page: its tags, and its texts outside style and script."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, and texts, of a page or of a part of one."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if self._open and self._open[-1] == "wbr":  # a place to break, not a place to read
            self._open.pop()
            self.texts[-1] += data
        elif not {"style", "script"} & set(self._open):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag, **wanted):
        """Attributes of every such tag that has these."""
        found = [attrs for name, attrs in self.tags if name == tag]
        return [one for one in found if wanted.items() <= one.items()]
