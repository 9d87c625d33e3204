"""From a feed's bytes to entries: encodings, broken and hostile XML, HTML, dates."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamwatch.errors import FeedError
from streamwatch.feeds.charset import decode
from streamwatch.feeds.document import MAX_ENTRIES, read_document
from streamwatch.feeds.language import language_of
from streamwatch.feeds.plain_text import one_line, plain_text, shorten
from streamwatch.feeds.reading import read_apart
from streamwatch.feeds.wellformed import make_safe
from tests.feed_server import item, rss

CHINESE = "特斯拉下调全年交付指引，股价盘前大跌百分之五，多家机构下调目标价"
FRENCH = "Société Générale: dégâts à prévoir, résultat décevant, marché inquiet"
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="zh-Hans"><title>x</title>
<entry><id>tag:1</id><title type="html">A&amp;amp;B &lt;b&gt;up&lt;/b&gt;</title><link href="https://example.com/1"/>
<author><name>Li Wei</name></author><updated>2026-01-05T09:30:00+08:00</updated>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>One.</p><p>Two.</p></div></content></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>t</title></channel>
<item rdf:about="y"><title>T</title><link>http://example.com/y</link><dc:date>2026-01-05T09:30:00Z</dc:date></item>
</rdf:RDF>"""
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY l0 "lol">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    + "]>"
    + rss(item(1, "&l9;")).partition("?>")[2]
)


def titles(body: bytes, content_type: str = "") -> list[str]:
    return [entry.title for entry in read_document(body, content_type).entries]


def test_an_rss_item_becomes_an_entry() -> None:
    more = (
        "<link>https://example.com/1</link><author>joe@example.com (Joe)</author>"
        "<description><![CDATA[<p>Sales <b>fell</b>&nbsp;5%.</p><script>x()</script><img src='x'>]]></description>"
    )
    date = "Mon, 05 Jan 2026 17:30:00 +0800"
    document = read_document(rss(item(1, "AT&amp;amp;T cuts", date=date, more=more), language="en-GB").encode())
    (entry,) = document.entries
    assert (entry.key, entry.title, entry.summary) == ("entry-1", "AT&T cuts", "Sales fell 5%.")
    assert (entry.link, document.lang, document.warnings) == ("https://example.com/1", "en-GB", [])
    assert entry.published_at == datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


def test_an_atom_entry_becomes_an_entry() -> None:
    document = read_document(ATOM.encode())
    (entry,) = document.entries
    assert (entry.key, entry.title, entry.summary, entry.author) == ("tag:1", "A&B up", "One. Two.", "Li Wei")
    assert entry.published_at == datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
    assert document.lang == "zh-Hans"


def test_an_item_of_rss_1_becomes_an_entry() -> None:
    (entry,) = read_document(RDF.encode()).entries
    assert (entry.title, entry.link) == ("T", "http://example.com/y")
    assert entry.published_at == datetime(2026, 1, 5, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("date", ["", "soon", "0000-00-00", "Mon, 99 Jan 2026 09:30:00 GMT"])
def test_a_date_that_is_none_is_none(date: str) -> None:
    assert read_document(rss(item(1, date=date)).encode()).entries[0].published_at is None


@pytest.mark.parametrize(
    ("text", "encoding", "declared", "content_type", "claimed"),
    [
        (CHINESE, "utf-8", "utf-8", "", ""),
        (CHINESE, "gb18030", "gb2312", "text/xml", ""),
        (CHINESE, "gb18030", "utf-8", "application/xml", "utf-8"),
        (CHINESE, "utf-8", "gb2312", "text/xml; charset=gbk", "gbk"),
        (CHINESE, "gb18030", "utf-8", "text/xml; charset=ISO-8859-1", "iso-8859-1"),
        (CHINESE, "utf-16", "utf-16", "application/xml; charset=utf-8", ""),
        (CHINESE, "big5", "big5", "", ""),
        (FRENCH, "utf-8", "iso-8859-1", "", "iso-8859-1"),
        (FRENCH, "cp1252", "iso-8859-1", "", ""),
        (FRENCH, "cp1252", "utf-8", "text/xml; charset=utf-8", "utf-8"),
        (FRENCH, "cp1252", "klingon", "", "klingon"),
    ],
)
def test_a_declared_encoding_counts_only_where_it_is_true(
    text: str, encoding: str, declared: str, content_type: str, claimed: str
) -> None:
    if encoding == "big5":
        text = "台積電下調全年資本支出"
    body = rss(item(1, text), encoding=declared).encode(encoding)
    document = read_document(body, content_type)
    assert document.entries[0].title == text
    assert [claimed in warning for warning in document.warnings] == [True] * bool(claimed)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["utf-8", "gb18030", "utf-16", "utf-32"]))
def test_what_is_declared_truly_is_read_truly(text: str, encoding: str) -> None:
    document = f'<?xml version="1.0" encoding="{encoding}"?>{CHINESE}{text}'
    assert decode(document.encode(encoding)).text == document


@settings(deadline=None)
@given(st.binary(), st.text(max_size=40))
def test_any_bytes_are_some_text(body: bytes, content_type: str) -> None:
    assert isinstance(decode(body, content_type).text, str)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_billion_laughs_are_refused(encoding: str) -> None:
    with pytest.raises(FeedError, match="declares entities of its own"):
        read_document(BOMB.encode(encoding))


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ("<a>" * 101, "elements in one another"),
        ("<a/>" * 100_001, "elements"),
        ("<a " + " ".join(f'a{n}="x"' for n in range(10_001)) + "/>", "attributes"),
        ("<a " + " ".join(f'xmlns:a{n}="x"' for n in range(1_000)) + "/>", "namespace declarations"),
    ],
)
def test_xml_that_is_built_to_exhaust_is_refused(inside: str, found: str) -> None:
    with pytest.raises(FeedError, match=f"XML with more than .* {found}"):
        make_safe(rss(inside), 10)


@pytest.mark.parametrize(
    ("body", "found", "advice"),
    [
        (b"", "an empty body", "tried again"),
        (b" \n ", "an empty body", "tried again"),
        (b"\0" * 100, "no XML", "only RSS"),
        (b'{"version": "https://jsonfeed.org/version/1"}', "JSON that begins", "only RSS"),
        (b"<!DOCTYPE html><html><head></head></html>", "an HTML page", "look in the page"),
        (b"<html><link type='application/rss+xml' href='/feed.xml'></html>", "an HTML page", "feed is at /feed.xml"),
        (b"<urlset><url/></urlset>", "XML with the root <urlset>", "not that of a feed"),
        (b"<rss><channel", "broken XML: unclosed token in line 1", "tell"),
    ],
)
def test_what_is_no_feed_is_told_with_advice(body: bytes, found: str, advice: str) -> None:
    with pytest.raises(FeedError) as caught:
        read_document(body)
    assert found in caught.value.found
    assert advice in caught.value.advice


def test_a_feed_without_entries_is_told() -> None:
    document = read_document(rss().encode())
    assert (document.entries, document.warnings) == ([], ["no entries: if it stays so, check the address"])


def test_small_faults_are_mended() -> None:
    body = rss(item(1, "A & B&nbsp;C &copy; &nonsense; \x0b&#1;&#xD800;"), item(2, "&#x4e2d;&#169; fine"))
    document = read_document(body.encode())
    assert [entry.title for entry in document.entries] == ["A & B C © &nonsense;", "中© fine"]
    assert "broken XML" in document.warnings[0]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_feed_cut_anywhere_gives_its_whole_entries(data: st.DataObject) -> None:
    body = rss(*(item(n) for n in range(4)))
    cut = data.draw(st.integers(body.index("<rss"), len(body)))
    whole = body[:cut].count("</item>")
    try:
        found = titles(body[:cut].encode())
    except FeedError:
        found = []
    assert found == [f"Headline number {n}" for n in range(whole)]


def test_only_the_first_entries_of_an_archive_are_read() -> None:
    document = read_document(rss(*(item(n) for n in range(MAX_ENTRIES + 5))).encode())
    assert len(document.entries) == MAX_ENTRIES
    assert document.entries[0].key == "entry-0"
    assert f"more than {MAX_ENTRIES} entries" in document.warnings[0]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["C"], exclude_characters="&<")))
@example("profit > 5 %")
def test_text_without_html_stays_as_it_is(text: str) -> None:
    assert plain_text(text) == one_line(text)
    assert plain_text(f"<p>{escape(text)}</p>") == one_line(text)


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(1, 30))
def test_a_shortened_text_is_its_beginning(text: str, most: int) -> None:
    kept = shorten(text, most)
    assert len(kept) <= most
    assert text == kept or text.lstrip().startswith(kept)


HOSTILE = ("<", "<a ", "<!--", "&", "&#", "&#9", "<a b='", '<a b="x', "<![CDATA[", "<script></script", "<x'\"", "</")


def test_hostile_html_is_read_in_time() -> None:
    """A second or so; Python's own HTML parser would take minutes."""
    bodies = [f"<description>{escape(hostile * (50_000 // len(hostile)))}</description>" for hostile in HOSTILE]
    items = [item(number, more=body) for number, body in enumerate(bodies)]
    assert len(read_apart(rss(*items).encode()).entries) == len(HOSTILE)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p title='a > b'>x</p>", "x"),
        ("<p title='it\"s>x</p>", "x"),
        ("x<br/>y<br>z", "x y z"),
        ("x<!-- y -->z", "x z"),
        ("<style>p > a {}</style>x <SCRIPT>if (a < b) y()</SCRIPT>z", "x z"),
        ("x <a href='https://exa", "x"),
        ("EPS <consensus", "EPS <consensus"),
        ("1&nbsp;000 &euro; &#8364; &#x20AC; &#99999999999999999999;", "1 000 € € € \ufffd"),
        ("a<o:p>b</o:p>", "a b"),
    ],
)
def test_html_is_read_as_a_browser_shows_it(source: str, text: str) -> None:
    assert plain_text(source) == text


def test_what_takes_too_long_is_ended() -> None:
    """feedparser looks for e-mail addresses with an expression that a long text keeps busy for minutes."""
    more = f"<author>{'a.' * 1_000_000}</author>"
    with pytest.raises(FeedError, match="more than 1 s"):
        read_apart(rss(item(1, more=more)).encode(), max_cpu_s=1)


def test_apart_reads_and_refuses_the_same() -> None:
    body = rss(item(1, CHINESE), encoding="gb2312").encode("gb18030")
    assert read_apart(body, "text/xml") == read_document(body, "text/xml")
    with pytest.raises(FeedError, match="an empty body") as caught:
        read_apart(b"")
    assert "check the address" in caught.value.advice


@pytest.mark.parametrize(
    ("text", "declared", "lang"),
    [
        ("Apple 下调业绩指引", "en", "zh"),
        ("Apple cuts guidance 苹果", "en", "en"),
        ("Apple cuts guidance", "zh-CN", None),
        ("The shares of the company fell after it cut its guidance", "zh-CN", "en"),
        ("삼성전자 영업이익 급감", None, "ko"),
        ("トヨタ、業績予想を下方修正", "en", "ja"),
        ("Le bénéfice recule", "fr-FR", "fr"),
        ("", None, None),
    ],
)
def test_a_language_is_what_the_script_says(text: str, declared: str | None, lang: str | None) -> None:
    assert language_of(text, declared) == lang
