"""The words of a web page that are its subject, as Markdown."""

from collections.abc import Iterator
from typing import Any

from adapters.table_text import lines_of

_LEFT_OUT = (
    "script, style, template, noscript, nav, aside, footer, form, button, select, iframe, object, svg, canvas, dialog, "
    "[hidden], [aria-hidden=true], [role=navigation], [role=search], [role=banner], [role=contentinfo]"
)
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCK_NAMES = """
    address article blockquote body caption dd details div dl dt fieldset figcaption figure header hr html legend li
    main ol p pre section summary table tbody td tfoot th thead tr ul
    """
_BLOCKS = frozenset(_BLOCK_NAMES.split()) | frozenset(_HEADINGS)


def extract(content: bytes) -> tuple[str, str]:
    """The page's title and its Markdown."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "lxml")
    title = soup.title.get_text(" ") if soup.title else ""
    for each in soup.select(_LEFT_OUT):
        each.decompose()
    for each in soup.find_all("br"):
        each.replace_with("\n")
    root = soup.find("main") or soup.select_one("[role=main]") or _only_article(soup) or soup.body or soup
    for table in reversed(root.find_all("table")):  # those inside of others first
        _flatten(soup, table)
    return " ".join(title.split()), "\n\n".join(_blocks(root))


def _only_article(soup: Any) -> Any:
    articles = soup.find_all("article")
    return articles[0] if len(articles) == 1 else None


def _flatten(soup: Any, table: Any) -> None:
    """Its rows become a list."""
    rows = [[cell.get_text(" ") for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]
    first = table.find("tr")
    has_head = bool(first and first.find("th") and not first.find("td"))
    caption = table.find("caption")
    words = [caption.get_text(" ").strip()] if caption else []
    if rows and max(map(len, rows)) == 1:  # it only lays out the page
        table.name = "div"
        return
    flat = soup.new_tag("pre")
    flat.string = "\n".join([*words, *lines_of(rows, has_head)])
    table.replace_with(flat)


def _blocks(root: Any) -> Iterator[str]:
    """Each heading, paragraph and list item."""
    from bs4.element import CData, Comment, Declaration, Doctype, NavigableString, ProcessingInstruction

    unseen = (CData, Comment, Declaration, Doctype, ProcessingInstruction)
    block: Any = None
    words: list[str] = []
    for piece in root.descendants:
        if not isinstance(piece, NavigableString) or isinstance(piece, unseen):
            continue
        within = next(parent for parent in piece.parents if parent.name in _BLOCKS or parent is root)
        if within is not block:
            yield from _block(block, words)
            block, words = within, []
        words.append(str(piece))
    yield from _block(block, words)


def _block(block: Any, words: list[str]) -> Iterator[str]:
    if block is None:
        return
    text = "".join(words)
    lines = text.split("\n") if block.name == "pre" else [text]
    if said := "\n".join(filter(None, (" ".join(line.split()) for line in lines))):
        yield _HEADINGS.get(block.name, "- " if block.name == "li" else "") + said
