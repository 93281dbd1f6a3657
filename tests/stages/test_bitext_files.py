"""Bitext from PO, MO, TMX and XLIFF: the pairs there are, and a reason for every unit that is none."""

import gzip

import polib
import pytest

from operators.corpus.language_codes import read_language
from stages.corpus_bitext import Bitext

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en" segtype="sentence"/><body>
<tu><tuv xml:lang="EN-us"><seg>The <bpt i="1">&lt;b&gt;</bpt>mill<ept i="1">&lt;/b&gt;</ept> grinds &amp; sings.</seg></tuv>
    <tuv xml:lang="de"><seg>Die Mühle <hi>mahlt</hi> und singt.</seg></tuv>
    <tuv xml:lang="fr"><seg>Le moulin tourne.</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>No German here.</seg></tuv>
    <tuv xml:lang="fr"><seg>Pas d'allemand.</seg></tuv></tu>
<tu><tuv lang="eng_Latn"><seg>Empty.</seg></tuv><tuv lang="deu"><seg>  </seg></tuv></tu>
<tu><tuv xml:lang="en_GB"><seg>Last.</seg></tuv><tuv xml:lang="de-AT"><seg>Letzter.</seg></tuv></tu>
</body></tmx>
"""
XLIFF_1 = """<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file original="a" source-language="en-US" target-language="de"><body>
<trans-unit id="1"><source>Open <x id="1"/>it</source><target>Öffne <g id="2">es</g></target></trans-unit>
<trans-unit id="2"><source>Not yet</source></trans-unit>
</body></file>
<file original="b" source-language="en-US" target-language="fr"><body>
<trans-unit id="1"><source>Open</source><target>Ouvrir</target></trans-unit>
</body></file></xliff>
"""
XLIFF_2 = """<xliff version="2.0" srcLang="en" trgLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0">
<file id="f"><unit id="1"><segment><source>One</source><target>Eins</target></segment>
<segment><source>Two <pc id="1">big</pc></source><target>Zwei <pc id="1">große</pc></target></segment>
</unit></file></xliff>
"""
PO = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Language: de_DE\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Open the file"
msgstr "Datei öffnen"

msgid "Untouched"
msgstr ""

#, fuzzy
msgid "Perhaps"
msgstr "Vielleicht"

msgid "One mill"
msgid_plural "%d mills"
msgstr[0] "Eine Mühle"
msgstr[1] "%d Mühlen"

#~ msgid "Old"
#~ msgstr "Alt"
"""
BOMB = """<?xml version="1.0"?>
<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c SYSTEM "file:///etc/hostname">]>
<tmx><header srclang="en"/><body><tu><tuv xml:lang="en"><seg>&b;</seg></tuv>
<tuv xml:lang="de"><seg>&c;</seg></tuv></tu></body></tmx>
"""


@pytest.fixture
def read(run_stage, tmp_path):
    def read(name, content, **settings):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return run_stage(Bitext, sources=[str(path)], **{"target_language": "deu_Latn", **settings})

    return read


def pairs(ran):
    return [(row["source_text"], row["target_text"]) for row in ran.rows("bitext")]


def reasons(ran):
    return [(row["id"].rpartition("#")[2], row["reason"]) for row in ran.rows("dropped")]


def test_tmx_gives_units_that_have_both_languages_however_they_are_spelled(read):
    ran = read("memory.tmx", TMX)
    assert pairs(ran) == [
        ("The mill grinds & sings.", "Die Mühle mahlt und singt."),
        ("Last.", "Letzter."),
    ]
    assert reasons(ran) == [("2", "missing_language"), ("3", "untranslated")]
    row = ran.rows("bitext")[1]
    assert row["id"].endswith("memory.tmx#4")
    assert (row["source_language"], row["target_language"]) == ("eng_Latn", "deu_Latn")
    assert row["score"] is None


def test_a_tmx_without_a_language_says_where_and_what_it_has(read):
    with pytest.raises(ValueError, match=r"memory\.tmx:7: has no text in deu_Latn; it has en, fr"):
        read("memory.tmx", TMX, on_bad_input="fail")


def test_either_direction_can_be_read(read):
    ran = read("memory.tmx", TMX, source_language="fr", target_language="en")
    assert pairs(ran)[0] == ("Le moulin tourne.", "The mill grinds & sings.")


@pytest.mark.parametrize("name", ["memory.tmx", "memory.tmx.gz"])
def test_a_file_that_is_cut_gives_the_units_before_the_cut(read, name):
    cut = TMX[: TMX.index("<tu><tuv lang=")].encode()
    ran = read(name, gzip.compress(cut) if name.endswith("gz") else cut)
    assert len(pairs(ran)) == 1
    assert reasons(ran) == [("2", "missing_language"), ("3", "invalid_xml")]


def test_entities_are_neither_expanded_nor_fetched(read):
    ran = read("bomb.tmx", BOMB)
    assert pairs(ran) == []
    assert [row["reason"] for row in ran.rows("dropped")] == ["entities_declared"]


def test_an_xml_file_without_units_says_so(read):
    ran = read("other.tmx", "<svg/>")
    assert [row["reason"] for row in ran.rows("dropped")] == ["no_units"]


def test_a_long_memory_is_read_unit_by_unit(read):
    unit = (
        '<tu><tuv xml:lang="en"><seg>n {}</seg></tuv><tuv xml:lang="de"><seg>N {}</seg></tuv></tu>'
    )
    units = "".join(unit.format(n, n) for n in range(3000))
    ran = read("long.tmx", f'<tmx><header srclang="en"/><body>{units}</body></tmx>')
    assert pairs(ran) == [(f"n {n}", f"N {n}") for n in range(3000)]


def test_xliff_1_gives_translated_units_of_files_in_the_languages(read):
    ran = read("app.xlf", XLIFF_1)
    assert pairs(ran) == [("Open it", "Öffne es")]
    assert reasons(ran) == [("2", "untranslated"), ("3", "missing_language")]


def test_xliff_2_gives_segments(read):
    assert pairs(read("app.xliff", XLIFF_2)) == [("One", "Eins"), ("Two big", "Zwei große")]


def test_a_catalog_gives_translated_entries_and_both_forms_of_a_plural(read):
    ran = read("de.po", PO)
    assert pairs(ran) == [
        ("Open the file", "Datei öffnen"),
        ("One mill", "Eine Mühle"),
        ("%d mills", "%d Mühlen"),
    ]
    assert [reason for _, reason in reasons(ran)] == ["untranslated", "fuzzy", "obsolete"]
    assert ("Perhaps", "Vielleicht") in pairs(read("de.po", PO, fuzzy=True))


def test_a_compiled_catalog_gives_what_the_source_gives(read, tmp_path):
    polib.pofile(PO).save_as_mofile(str(tmp_path / "made"))
    content = (tmp_path / "made").read_bytes()
    assert sorted(pairs(read("de.mo", content))) == sorted(pairs(read("de.po", PO)))
    broken = read("broken.mo", content[:40])
    assert [row["reason"] for row in broken.rows("dropped")] == ["unreadable"]


def test_a_catalog_in_another_language_is_set_aside(read):
    ran = read("de.po", PO, target_language="fra_Latn")
    assert pairs(ran) == []
    assert [row["reason"] for row in ran.rows("dropped")] == ["language_not_wanted"]


def test_a_catalog_that_is_none_or_no_utf8_is_set_aside(read):
    assert [r["reason"] for r in read("x.po", "this is no catalog").rows("dropped")] == [
        "unreadable"
    ]
    latin = PO.encode("latin-1")
    assert [r["reason"] for r in read("y.po", latin).rows("dropped")] == ["invalid_utf8"]


@pytest.mark.parametrize("name", ["en", "EN", "eng", "en-US", "en_GB", "eng_Latn", "en-Latn-US"])
def test_spellings_of_one_language_fit_each_other(name):
    assert read_language(name).fits(read_language("eng_Latn"))


@pytest.mark.parametrize(
    ("a", "b"), [("zh-TW", "zho_Hans"), ("sr-Latn", "srp_Cyrl"), ("en", "deu")]
)
def test_other_languages_and_scripts_do_not_fit(a, b):
    assert not read_language(a).fits(read_language(b))


@pytest.mark.parametrize("name", ["", "e", "12", "-"])
def test_what_names_no_language_is_refused(name):
    with pytest.raises(ValueError, match="names no language"):
        read_language(name)
