"""Numbers that name a person: phones, cards, accounts and identity numbers, told from prices, volumes and dates.

A number counts when its form and its check digits say so: Luhn for cards (ISO/IEC 7812), mod 97 for IBAN
(ISO 13616), mod 11-2 for Chinese resident identity numbers (GB 11643). Links are left alone: their long numbers
are ids of posts and pages.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import partial

MAYBE_PERSONAL = r"(?:\d[ .\-()/]{0,2}){7}|[A-Z]{2}\d{2} ?[A-Z0-9]{4}|[0-9A-Fa-f]:[0-9A-Fa-f:]*:"
"""Rust regex: the texts that are worth a closer look."""

MONEY_BEFORE = r"(?<![\d.,$€£¥￥#])"
GOES_ON = r"(?![\d%％]|[.,]\d|\s?(?:shares|股|手(?!机)|元|万|亿|美元|million|billion|USD|CNY|bps))"
LINK = r"(?P<link>(?:https?://|www\.)\S+)"
IBAN = r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"
IPV6 = r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])"
RESIDENT = r"(?<![A-Za-z0-9])[1-9]\d{16}[\dXx](?![A-Za-z0-9])"
SSN = r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"
CARD = (
    rf"{MONEY_BEFORE}(?:\d{{13,19}}|\d{{4}}(?P<four>[ -])\d{{4}}(?P=four)\d{{4}}(?P=four)\d{{1,7}}"
    r"|\d{4}(?P<six>[ -])\d{6}(?P=six)\d{4,5})(?!\d)"
)
MOBILE = rf"{MONEY_BEFORE}(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}{GOES_ON}"
ABROAD = (
    r"(?<![\w+.])(?:\+|00(?=[1-9]))\d{1,15}(?:[ .-]?\(\d{1,5}\)[ .-]?\d{1,11})?(?:[ .-]\d{1,8}){0,6}(?!\d)"
    rf"{GOES_ON}"
)
AMERICAN = (
    rf"{MONEY_BEFORE}(?<!-)(?:1[ .-])?(?:\([2-9]\d\d\) ?[2-9]\d\d[ .-]|[2-9]\d\d(?P<mark>[.-])\d{{3}}(?P=mark))"
    rf"\d{{4}}(?!-){GOES_ON}"
)
NATIONAL = rf"{MONEY_BEFORE}(?<![-/])\(?0[1-9]\d{{0,4}}\)?(?:[ ./-]\d{{2,8}}){{1,4}}(?![/-]){GOES_ON}"
SAID = (
    r"(?i:\b(?:tel|phone|mobile|whatsapp|fax|telegram)|电话|手机|热线|联系)\.?\s?(?:no\.?|number|号码?|is)?\s?[:：]?\s?"
    rf"\+?\d[\d -]{{5,14}}\d{GOES_ON}"
)
DATE = re.compile(r"\b\d{1,2}([./-])\d{1,2}\1(?:19|20)?\d{2}\b|\b(?:19|20)\d{2}([./-])\d{1,2}\2\d{1,2}\b")
DECIMALS = re.compile(r"\d\.\d{1,2}(?!\d)")
SAID_NUMBER = re.compile(r"\+?\d[\d -]{5,14}\d$")
RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_CHECKS = "10X98765432"
CARD_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}|62\d{14,17}|35\d{14}"
)


def mask_numbers(text: str) -> str:
    """Replace the numbers that name a person by what they are.

    >>> mask_numbers("card 4111 1111 1111 1111, call +44 20 7946 0958 or (415) 555-2671")
    'card <card>, call <phone> or <phone>'
    >>> mask_numbers("volume 13812345678 shares, 4111111111111112, 0.1381, 2026-01-05 09:30:00")
    'volume 13812345678 shares, 4111111111111112, 0.1381, 2026-01-05 09:30:00'
    """
    for pattern, mask in MASKS:
        text = pattern.sub(partial(_unless_link, mask), text)
    return text


def luhn(digits: str) -> bool:
    """Say whether the last digit is the Luhn check digit of the others.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = "0246813579"
    total = sum(
        int(digit) if place % 2 == 0 else int(doubled[int(digit)]) for place, digit in enumerate(reversed(digits))
    )
    return total % 10 == 0


def is_iban(account: str) -> bool:
    """Say whether an account number without spaces has the form and the check digits of an IBAN.

    >>> is_iban("DE89370400440532013000"), is_iban("DE88370400440532013000")
    (True, False)
    """
    if not 15 <= len(account) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def is_resident_id(number: str) -> bool:
    """Say whether 18 characters are a Chinese resident identity number: born in a real month, check digit right.

    >>> is_resident_id("11010519491231002X"), is_resident_id("110105194912310021")
    (True, False)
    """
    year, month, day = int(number[6:10]), int(number[10:12]), int(number[12:14])
    born = 1900 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= 31
    total = sum(weight * int(digit) for weight, digit in zip(RESIDENT_WEIGHTS, number[:17], strict=True))
    return born and RESIDENT_CHECKS[total % 11] == number[17].upper()


def _unless_link(mask: Callable[[str], str], match: re.Match[str]) -> str:
    return match.group() if match["link"] else mask(match.group())


def _iban(found: str) -> str:
    """Mask the longest start of what was found that is an IBAN; what stands after it is text."""
    for end in range(len(found), 14, -1):
        whole = end == len(found) or not found[end].isalnum()
        if whole and is_iban(found[:end].replace(" ", "")):
            return "<iban>" + found[end:]
    return found


def _ip(found: str) -> str:
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        return found
    return "<ip>" if len(found) > len("::1") else found


def _resident(found: str) -> str:
    return "<id>" if is_resident_id(found) else found


def _card(found: str) -> str:
    digits = _digits(found)
    return "<card>" if CARD_ISSUERS.fullmatch(digits) and luhn(digits) else found


def _ssn(found: str) -> str:
    area, group, serial = found.split("-")
    possible = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return "<ssn>" if possible else found


def _mobile(found: str) -> str:
    return found if found.endswith("00000") else "<phone>"


def _abroad(found: str) -> str:
    """Mask a number with its country code: 8 to 15 digits, no decimals, no thousands set apart.

    Groups past 15 digits are something else that follows.
    """
    most = 17 if found.startswith("00") else 15
    number = found
    while len(_digits(number)) > most and (cut := re.search(r"[ .-][^ .-]*$", number)):
        number = number[: cut.start()]
    count = len(_digits(number))
    thousands = re.fullmatch(r"\+\d{1,3}(?:[ .]\d{3})+|\+\d+", number) is not None and count < 10
    fits = (11 if found.startswith("00") else 8) <= count <= most
    codes = found.startswith("00") and all(len(part) in (5, 6) for part in re.findall(r"\d+", number))
    if not fits or codes or thousands or DECIMALS.search(number) or DATE.search(number):
        return found
    return "<phone>" + found[len(number) :]


def _american(found: str) -> str:
    return found if DATE.search(found) else "<phone>"


def _national(found: str) -> str:
    """Mask a number with its trunk 0: 9 to 12 digits, neither dates nor two codes of Hong Kong shares."""
    parts = re.findall(r"\d+", found)
    codes = all(len(part) == 5 for part in parts)
    if (
        not 9 <= sum(map(len, parts)) <= 12
        or codes
        or DATE.search(found)
        or DECIMALS.search(found)
        and "." not in found[:4]
    ):
        return found
    return "<phone>"


def _said(found: str) -> str:
    number = SAID_NUMBER.search(found)
    if number is None or not 7 <= len(_digits(number.group())) <= 15 or DATE.search(number.group()):
        return found
    return found[: number.start()] + "<phone>"


def _digits(found: str) -> str:
    return "".join(char for char in found if char.isascii() and char.isdigit())


MASKS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = tuple(
    (re.compile(f"{LINK}|{pattern}"), mask)
    for pattern, mask in (
        (IBAN, _iban),
        (IPV6, _ip),
        (RESIDENT, _resident),
        (SSN, _ssn),
        (CARD, _card),
        (MOBILE, _mobile),
        (ABROAD, _abroad),
        (AMERICAN, _american),
        (NATIONAL, _national),
        (SAID, _said),
    )
)
