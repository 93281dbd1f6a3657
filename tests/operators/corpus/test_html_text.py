"""Text of web pages: the article, not the menu; something rather than nothing."""

import pytest

from operators.corpus import html_text

PARAGRAPHS = [
    "Sentence alignment links the sentences of a document with those of its translation, and it "
    "is the first step in making a parallel corpus out of translated books and web pages.",
    "The earliest methods compare only the lengths of sentences, since a long sentence tends to "
    "have a long translation; they need no dictionary and work for most pairs of languages.",
    "Later methods embed sentences of all languages in one space, and find the cheapest path "
    "through the matrix of distances between the sentences on the two sides.",
]
PAGE = f"""<!DOCTYPE html><html><head><title>Alignment</title><style>p {{color: red}}</style></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/login">Log in</a></li></ul></nav>
<article><h1>On alignment</h1>{"".join(f"<p>{p}</p>" for p in PARAGRAPHS)}</article>
<script>track("visitor")</script><footer>All rights reserved</footer></body></html>"""


def test_paragraphs_stay_and_boilerplate_goes() -> None:
    text = html_text(PAGE)
    for paragraph in PARAGRAPHS:
        assert paragraph in text
    for boilerplate in ("Log in", "track", "color", "rights reserved", "<p>"):
        assert boilerplate not in text


def test_a_page_does_not_depend_on_the_pages_before_it() -> None:
    assert len({html_text(PAGE) for _ in range(5)}) == 1


def test_a_page_without_an_article_gives_all_its_text_block_by_block() -> None:
    page = (
        "<html><head><title>T</title></head><body><!-- c --><div>one <b>b</b>old</div>"
        "<ul><li>two</li><li>three</li></ul>x<br>y<script>z()</script></body></html>"
    )
    from operators.corpus.html_text import _all_text

    assert _all_text(page) == "one bold\ntwo\nthree\nx\ny"


def test_a_short_page_is_not_lost() -> None:
    assert "hello" in html_text("<p>hello</p>")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("", id="empty"),
        pytest.param(" \n", id="blank"),
        pytest.param("<html></html>", id="no_body"),
        pytest.param("<!-- nothing -->", id="comment_only"),
        pytest.param("<script>only()</script>", id="script_only"),
    ],
)
def test_a_page_without_text_gives_an_empty_text(page: str) -> None:
    assert html_text(page) == ""


def test_a_declared_encoding_is_no_obstacle() -> None:
    page = '<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>Zürich 東京</p></body></html>'
    assert html_text(page) == "Zürich 東京"
