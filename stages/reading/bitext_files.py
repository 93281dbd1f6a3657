"""Files that hold ready-made bitext: gettext PO and MO, TMX, XLIFF 1.2 and 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.reading.files import FileSource, broken
from stages.reading.records import Bad, Limits, ReadPair, beginning, too_long
from stages.reading.streams import (
    COMPRESSIONS,
    BrokenStreamError,
    opened,
    plain_name,
    read_at_most,
)

if TYPE_CHECKING:
    from operators.corpus.language_codes import Language

GETTEXT = (".po", ".pot", ".mo", ".gmo")
XML = (".tmx", ".xlf", ".xliff")
# In these elements stand codes of the original's format, not words.
_CODES = frozenset({"bpt", "ept", "ph", "it", "ut", "x", "bx", "ex", "cp", "sc", "ec", "sm", "em"})
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True)
class Wanted:
    """Which pairs are wanted.

    Attributes:
        source, target: their languages.
        fuzzy: whether gettext entries that await a translator's look are taken.
    """

    source: Language
    target: Language
    fuzzy: bool = False


class BitextSource(FileSource):
    """Files and globs of bitext on any fsspec filesystem."""

    endings = (*GETTEXT, *XML, *(name + end for name in (*GETTEXT, *XML) for end in COMPRESSIONS))

    def pairs(self, wanted: Wanted) -> Iterator[ReadPair | Bad]:
        """All pairs in the languages asked for, and what could not be one."""
        for path, info in self._infos().items():
            address = self._address(path)
            with opened(self._filesystem, path) as stream:
                try:
                    name = plain_name(address)
                    size = info.get("size") if name == address else None
                    if name.endswith(GETTEXT):
                        yield from gettext_pairs(address, stream, wanted, self.limits, size)
                    else:
                        yield from xml_pairs(address, stream, wanted, self.limits)
                except BrokenStreamError as error:
                    yield broken(address, error)


def gettext_pairs(
    address: str, stream: Any, wanted: Wanted, limits: Limits, size: int | None = None
) -> Iterator[ReadPair | Bad]:
    """The entries of a catalog. The source language is that of its msgids, which no header says.

    Of an entry with plurals the first form goes with msgid and the last with msgid_plural.
    """
    import polib

    content, is_whole = read_at_most(stream, limits.max_bytes)
    if not is_whole:
        yield too_long(address, address, address, size, content[:1000], limits)
        return
    try:
        catalog = _catalog(address, content, limits)
    except UnicodeDecodeError as error:
        yield Bad(
            address, address, "invalid_utf8",
            f"{address}: is not {error.encoding} text ({error.reason} at byte {error.start})",
            float(error.start), beginning(content[max(0, error.start - 80) :]),
        )  # fmt: skip
        return
    except (OSError, ValueError, IndexError, LookupError) as error:
        yield Bad(address, address, "unreadable", f"{address}: is no gettext catalog: {error}",
                  text=beginning(content))  # fmt: skip
        return
    said = str(catalog.metadata.get("Language", "")).strip()
    if said and not _is(said, wanted.target):
        yield Bad(
            address, address, "language_not_wanted",
            f'{address}: is in "{said}", and target_language is {_spelled(wanted.target)}',
        )  # fmt: skip
        return
    for number, entry in enumerate(catalog, start=1):
        id_ = f"{address}#{number}"
        line = getattr(entry, "linenum", None)  # a compiled catalog has no lines
        place = f"{address}:{line}" if line else id_
        if entry.obsolete:
            yield Bad(id_, address, "obsolete", f"{place}: is marked as obsolete",
                      text=beginning(entry.msgid))  # fmt: skip
            continue
        if isinstance(entry, polib.POEntry) and entry.fuzzy and not wanted.fuzzy:
            yield Bad(id_, address, "fuzzy", f"{place}: is marked as fuzzy; fuzzy: true takes it",
                      text=beginning(entry.msgid))  # fmt: skip
            continue
        forms = [entry.msgstr_plural[form] for form in sorted(entry.msgstr_plural)]
        sides = [(id_, entry.msgid, forms[0] if forms else entry.msgstr)]
        if entry.msgid_plural:
            sides.append((f"{id_}p", entry.msgid_plural, forms[-1] if forms else ""))
        for side_id, source, target in sides:
            yield _pair(side_id, place, source, target, address)


def _catalog(address: str, content: bytes, limits: Limits) -> Any:
    import polib

    if plain_name(address).endswith((".mo", ".gmo")):
        return _read_mo(content)
    encoding = polib.detect_encoding(content)
    errors = "replace" if limits.invalid_utf8 == "replace" else "strict"
    text = content.decode(
        "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, errors
    )
    # polib takes a name of a file for a file: a line end tells it that this is content.
    return polib.pofile(text + "\n")


def _read_mo(content: bytes) -> Any:
    import tempfile
    from pathlib import Path

    import polib

    # polib reads .mo files by name alone.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "catalog.mo")
        path.write_bytes(content)
        try:
            return polib.mofile(str(path))
        except Exception as error:
            # A damaged table shows as whatever its numbers lead to.
            raise ValueError(f"{type(error).__name__}: {error}") from error


def xml_pairs(
    address: str, stream: Any, wanted: Wanted, limits: Limits
) -> Iterator[ReadPair | Bad]:
    """The units of TMX and XLIFF, one after the other: the file is never in memory whole.

    Entities are not expanded: a file that declares any is bad. Nothing is fetched.
    """
    from lxml import etree  # type: ignore[import-untyped]

    tags = ["{*}tu", "{*}trans-unit", "{*}segment", "{*}file", "{*}xliff", "{*}tmx", "{*}header"]
    units = etree.iterparse(
        stream, events=("start", "end"), tag=tags, resolve_entities=False, no_network=True,
        load_dtd=False, dtd_validation=False, huge_tree=False, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    number = 0
    languages: dict[str, str] = {}
    looked = False
    try:
        for event, element in units:
            if not looked:
                looked = True
                declared = _entities(element)
                if declared:
                    yield Bad(
                        address, address, "entities_declared",
                        f'{address}: declares the entity "{declared}", which is not expanded; '
                        "write its value in its place",
                    )  # fmt: skip
                    return
            tag = etree.QName(element).localname
            if event == "start":
                if tag in ("file", "xliff", "header"):
                    languages |= _languages(element)
                continue
            if tag not in ("tu", "trans-unit", "segment"):
                continue
            number += 1
            id_, place = f"{address}#{number}", f"{address}:{element.sourceline}"
            if tag == "tu":
                yield _translation_unit(id_, place, address, element, wanted)
            else:
                yield _xliff_unit(id_, place, address, element, languages, wanted)
            _forget(element)
    except etree.XMLSyntaxError as error:
        failure = getattr(stream, "failure", None)
        if failure is not None:
            raise failure from error
        yield Bad(
            f"{address}#{number + 1}", address, "invalid_xml",
            f"{address}: is not well-formed after unit {number}: {error}", float(number),
        )  # fmt: skip
        return
    if not number:
        yield Bad(address, address, "no_units",
                  f"{address}: has no translation unit (tu, trans-unit or segment)")  # fmt: skip


def _entities(element: Any) -> str:
    internal = element.getroottree().docinfo.internalDTD
    if internal is None:
        return ""
    return next((str(entity.name) for entity in internal.iterentities()), "")


def _languages(element: Any) -> dict[str, str]:
    names = {
        "source": ("source-language", "srcLang", "srclang"),
        "target": ("target-language", "trgLang"),
    }
    return {
        side: element.get(name) for side, spelled in names.items() for name in spelled
        if element.get(name)
    }  # fmt: skip


def _translation_unit(
    id_: str, place: str, address: str, unit: Any, wanted: Wanted
) -> ReadPair | Bad:
    texts: dict[str, str] = {}
    for variant in unit.iterchildren("{*}tuv"):
        language = variant.get(_XML_LANG) or variant.get("lang") or ""
        segment = next(variant.iterchildren("{*}seg"), None)
        if language and segment is not None:
            texts.setdefault(language, _text(segment))
    sides = []
    for side in (wanted.source, wanted.target):
        found = [text for language, text in texts.items() if _is(language, side)]
        if not found:
            there = ", ".join(texts) or "none"
            return Bad(
                id_, address, "missing_language",
                f"{place}: has no text in {_spelled(side)}; it has {there}",
                text=beginning(next(iter(texts.values()), "")),
            )  # fmt: skip
        sides.append(found[0])
    return _pair(id_, place, sides[0], sides[1], address)


def _xliff_unit(
    id_: str, place: str, address: str, unit: Any, languages: Mapping[str, str], wanted: Wanted
) -> ReadPair | Bad:
    source = next(unit.iterchildren("{*}source"), None)
    target = next(unit.iterchildren("{*}target"), None)
    for name, element, side in (
        ("source", source, wanted.source),
        ("target", target, wanted.target),
    ):
        said = (element.get(_XML_LANG) if element is not None else None) or languages.get(name, "")
        if not said or not _is(said, side):
            return Bad(
                id_, address, "missing_language",
                f"{place}: its {name} is in {said or 'no language that is said'}, and not in "
                f"{_spelled(side)}",
                text=beginning(_text(source) if source is not None else ""),
            )  # fmt: skip
    return _pair(
        id_, place,
        _text(source) if source is not None else "", _text(target) if target is not None else "",
        address,
    )  # fmt: skip


def _pair(id_: str, place: str, source: str, target: str, address: str) -> ReadPair | Bad:
    if not source.strip() or not target.strip():
        side = "source" if not source.strip() else "target"
        return Bad(id_, address, "untranslated", f"{place}: has no {side} text",
                   text=beginning(source or target))  # fmt: skip
    return ReadPair(id_, source, target, address)


def _text(element: Any) -> str:
    """The words of a segment: what stands in it and in its marked-up parts, but no codes."""
    pieces = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and child.tag.rpartition("}")[2] not in _CODES:
            pieces.append(_text(child))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _forget(element: Any) -> None:
    """Free a unit that was read, and its elder siblings, which else stay until the end."""
    element.clear(keep_tail=False)
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _is(name: str, language: Language) -> bool:
    from operators.corpus.language_codes import read_language

    try:
        return read_language(name).fits(language)
    except ValueError:
        return False


def _spelled(language: Language) -> str:
    return f"{language.code}_{language.script}" if language.script else language.code
