"""The text of a web page, without its navigation and other boilerplate."""

from __future__ import annotations

_UNREAD = ("head", "script", "style", "noscript", "template")
_BLOCKS = (
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption"),
    *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li"),
    *("main", "nav", "ol", "option", "p", "pre", "section", "table", "td", "th", "tr", "ul"),
)


def html_text(html: str) -> str:
    """The main text of an HTML page, one paragraph a line; "" if the page has none.

    The main text is what trafilatura (Barbaresi 2021, ACL demo) finds, without comments by
    readers. Where it finds nothing, as on very short pages, the result is all text of the page
    except of scripts, styles and the head, one block element a line. The text depends on
    trafilatura's version.
    """
    import trafilatura

    if not html.strip():
        return ""
    # `deduplicate` would drop paragraphs seen in earlier calls: the result of a page would then
    # depend on the pages before it.
    text: str | None = trafilatura.extract(html, include_comments=False, deduplicate=False)
    return text.strip() if text and text.strip() else _all_text(html)


def _all_text(html: str) -> str:
    from lxml import etree  # type: ignore[import-untyped]
    from lxml import html as lxml_html

    # As bytes with the encoding given: lxml refuses a str that declares an encoding of its own.
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        page = lxml_html.document_fromstring(html.encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:  # a page without a single element
        return ""
    etree.strip_elements(page, *_UNREAD, with_tail=False)
    for block in page.iter(*_BLOCKS):
        block.text = "\n" + (block.text or "")
        block.tail = "\n" + (block.tail or "")
    lines = (" ".join(line.split()) for line in page.text_content().split("\n"))
    return "\n".join(line for line in lines if line)
