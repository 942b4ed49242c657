"""Charset labels of mail and how to decode them.

Strangers choose these labels. Python's own look-up would take any of its codecs (among them ones that are no
charsets), import modules by name and remember every unknown label for ever; so the labels that mail uses are listed.
"""

from __future__ import annotations

_CODECS: dict[str, str] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "ansi_x3.4-1968": "ascii",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-7": "utf-7",
    "unicode-1-1-utf-7": "utf-7",
    "iso8859-1": "cp1252",
    "iso-8859-1": "cp1252",  # what readers do: windows-1252 is the same with more characters
    "latin1": "cp1252",
    "iso-8859-8-i": "iso8859-8",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-2022-kr": "iso2022_kr",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "windows-31j": "cp932",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "macintosh": "mac_roman",
}
_CODECS |= {
    f"iso-8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)
}
_CODECS |= {f"windows-{page}": f"cp{page}" for page in range(1250, 1259)}
_CODECS |= {f"cp{page}": f"cp{page}" for page in (437, 850, 852, 866, 932, 949, 950, *range(1250, 1259))}


def decode(octets: bytes, label: str) -> tuple[str, bool]:
    """The text of `octets` in the charset that `label` names, and whether all of it could be read.

    An unknown charset is read as ASCII with replacement characters, and counts as not read.
    """
    codec = _CODECS.get(label.lower())
    if codec is None:
        return octets.decode("ascii", "replace"), False
    try:
        return octets.decode(codec), True
    except (UnicodeError, ValueError):
        return octets.decode(codec, "replace"), False
