"""Ways to damage a file: each takes its bytes and gives others."""

import json
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

ODD = [
    "\u0000", "\u0007", "\u001b[31m", "\u007f", "\u0085", "\u00a0", "\u00ad", "\u0301", "\u200b", "\u2028",
    "\u202e", "\u3000", "\ufeff", "\ufffd", "\uffff", "\U0001f600", "\U0010ffff", "İ", "ſ", "ß", "٣", "²", "｜",
    "\u000b", "\u000c", "\u001c", "\r", "\t", "|", '"', "\\",
]  # fmt: skip
"""Characters that programs take for something else: ends of lines, digits, nothing, marks of direction."""
HUGE = [
    "0", "1", "-1", "00", "2147483648", "4294967296", "999999999", "9223372036854775807", "9223372036854775808",
    "18446744073709551617", "1" + "0" * 30, "1" + "0" * 400, "9" * 5_000, "1e400", "-1e400", "1.0", "0.5", "1_0",
    "NaN", "Infinity", "+1", " 1", "0x10", "١",
]  # fmt: skip
"""What stands in place of a number."""
_NUMBER = re.compile(rb"-?[0-9]+")


# Bytes


def flip_bit(raw: bytes, random: Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(random.choice([1, 1, 1, 3, 8])):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def replace_byte(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, bytes([random.randrange(256)]), over=1)


def insert_byte(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, bytes([random.randrange(256)]))


def remove_bytes(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, b"", over=random.choice([1, 1, 2, 5, 40]))


def insert_nul(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, b"\0")


def insert_odd(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, random.choice(ODD).encode())


def insert_half_a_pair(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, random.choice([b"\xed\xa0\xbd", b"\\ud83d", b"\\udc00"]))


def byte_order_mark(raw: bytes, random: Random) -> bytes:
    return random.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf\xef\xbb\xbf"]) + raw


def latin_1(raw: bytes, random: Random) -> bytes:
    return raw.decode("utf-8", "replace").encode("latin-1", "replace")


def utf_16(raw: bytes, random: Random) -> bytes:
    return raw.decode("utf-8", "replace").encode("utf-16", "replace")


def cut_short(raw: bytes, random: Random) -> bytes:
    return raw[: random.randrange(len(raw) + 1)]


def cut_beginning(raw: bytes, random: Random) -> bytes:
    return raw[random.randrange(len(raw) + 1) :]


def double_file(raw: bytes, random: Random) -> bytes:
    return raw + raw


def _at(raw: bytes, random: Random, new: bytes, over: int = 0) -> bytes:
    place = random.randrange(len(raw) + 1)
    return raw[:place] + new + raw[place + over :]


# Lines and fields


def remove_line(raw: bytes, random: Random) -> bytes:
    return _lines(raw, random, lambda lines, at: lines[:at] + lines[at + 1 :])


def double_line(raw: bytes, random: Random) -> bytes:
    return _lines(raw, random, lambda lines, at: [*lines[: at + 1], *lines[at:]])


def swap_lines(raw: bytes, random: Random) -> bytes:
    def swapped(lines: list[bytes], at: int) -> list[bytes]:
        other = random.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
        return lines

    return _lines(raw, random, swapped)


def break_line(raw: bytes, random: Random) -> bytes:
    return _at(raw, random, random.choice([b"\n", b"\r\n", b"\r", b"\n\n"]))


def join_lines(raw: bytes, random: Random) -> bytes:
    places = [place for place, byte in enumerate(raw) if byte == 10]
    place = random.choice(places) if places else 0
    return raw[:place] + random.choice([b"", b" ", b"\t"]) + raw[place + 1 :]


def windows_lines(raw: bytes, random: Random) -> bytes:
    return raw.replace(b"\n", b"\r\n", random.choice([1, 3, -1]))


def empty_field(raw: bytes, random: Random) -> bytes:
    return _fields(raw, random, lambda fields, at: [*fields[:at], b"", *fields[at + 1 :]])


def remove_field(raw: bytes, random: Random) -> bytes:
    return _fields(raw, random, lambda fields, at: fields[:at] + fields[at + 1 :])


def double_field(raw: bytes, random: Random) -> bytes:
    return _fields(raw, random, lambda fields, at: [*fields[: at + 1], *fields[at:]])


def swap_fields(raw: bytes, random: Random) -> bytes:
    def swapped(fields: list[bytes], at: int) -> list[bytes]:
        other = random.randrange(len(fields))
        fields[at], fields[other] = fields[other], fields[at]
        return fields

    return _fields(raw, random, swapped)


def move_offset(raw: bytes, random: Random) -> bytes:
    """A number becomes one that is near."""
    return _number(raw, random, lambda number: str(int(number[:18]) + random.choice([-2, -1, 1, 2, 10])))


def huge_number(raw: bytes, random: Random) -> bytes:
    return _number(raw, random, lambda number: random.choice(HUGE))


def _lines(raw: bytes, random: Random, change: Callable[[list[bytes], int], list[bytes]]) -> bytes:
    lines = raw.splitlines(keepends=True)
    return b"".join(change(lines, random.randrange(len(lines)))) if lines else raw


def _fields(raw: bytes, random: Random, change: Callable[[list[bytes], int], list[bytes]]) -> bytes:
    """A change of the fields of one line, between whatever separates most of it."""

    def changed(lines: list[bytes], at: int) -> list[bytes]:
        line = lines[at].rstrip(b"\n")
        separator = max((b"\t", b",", b"|", b";", b" "), key=line.count)
        fields = line.split(separator)
        lines[at] = separator.join(change(fields, random.randrange(len(fields)))) + lines[at][len(line) :]
        return lines

    return _lines(raw, random, changed)


def _number(raw: bytes, random: Random, change: Callable[[str], str]) -> bytes:
    found = list(_NUMBER.finditer(raw))
    if not found:
        return raw
    number = random.choice(found)
    return raw[: number.start()] + change(number.group().decode()).encode() + raw[number.end() :]


BYTES: tuple[Mutation, ...] = (
    *(flip_bit, replace_byte, insert_byte, remove_bytes, insert_nul, insert_odd, insert_half_a_pair),
    *(byte_order_mark, latin_1, utf_16, cut_short, cut_beginning, double_file),
)
LINES: tuple[Mutation, ...] = (
    *(remove_line, double_line, swap_lines, break_line, join_lines, windows_lines),
    *(empty_field, remove_field, double_field, swap_fields, move_offset, huge_number),
)


# Values

_RAW = "\ue000"  # around what stands in the JSON text without quotes
_DEEP = "[" * 100_000


def change_value(value: Any, random: Random) -> Any:
    """A value with one change, somewhere in it."""
    value = deepcopy(value)
    places = list(_places(value))
    if not places:
        return value
    holder, key = random.choice(places)
    old = holder[key]
    change = random.choice([*_CHANGES.get(type(old), ()), *_ANY])
    change(holder, key, old, random)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    out: list[tuple[Any, Any]] = []
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        out += [(value, key), *_places(value[key])]
    return out


def numbers_of(value: Any) -> Any:
    """A value of :func:`change_value` with numbers, as far as 64 bits hold them, for what JSON has as text."""
    if isinstance(value, dict):
        return {key: numbers_of(each) for key, each in value.items()}
    if isinstance(value, list):
        return [numbers_of(each) for each in value]
    if isinstance(value, str) and value.startswith(_RAW):
        try:
            number = json.loads(value.strip(_RAW))
        except (ValueError, RecursionError):
            return value
        return number if isinstance(number, float) or abs(number) < 2**63 else value
    return value


def _remove(holder: Any, key: Any, old: Any, random: Random) -> None:
    del holder[key]


def _empty(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = type(old)() if old is not None else ""


def _other_type(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = random.choice(
        [None, True, False, 0, 1, 0.5, "", "1", [], {}, [0], {"a": 1}, [[]], [old], {"id": old}]
    )


def _rename(holder: Any, key: Any, old: Any, random: Random) -> None:
    if isinstance(key, str):
        holder[random.choice(["", key + " ", key.upper(), "x", "\ud83d"])] = holder.pop(key)


def _deep(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = f"{_RAW}{_DEEP}{_RAW}" if random.random() < 0.1 else [[[[old]]]]


def _near(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = old + random.choice([-2, -1, 1, 2, 10])


def _far(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = f"{_RAW}{random.choice(HUGE)}{_RAW}"


def _as_text(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = str(old)


def _as_float(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = float(old) if abs(old) < 2**64 else 0.5


def _odd_text(holder: Any, key: Any, old: Any, random: Random) -> None:
    place = random.randrange(len(old) + 1)
    holder[key] = old[:place] + random.choice([*ODD, "\ud83d", "\udc00"]) + old[place:]


def _long_text(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = (old * random.choice([2, 50, 2_000]))[:20_000]


def _cut_text(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = old[: random.randrange(len(old) + 1)]


def _double(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = [*old, *old]


def _shuffle(holder: Any, key: Any, old: Any, random: Random) -> None:
    random.shuffle(old)


def _add_item(holder: Any, key: Any, old: Any, random: Random) -> None:
    old.append(deepcopy(random.choice(old)) if old else 0)


def _add_field(holder: Any, key: Any, old: Any, random: Random) -> None:
    old[random.choice(["x", "names", "evidence", "words", "extra", "threshold"])] = random.choice(
        [0, "a", []]
    )


def _damage(holder: Any, key: Any, old: Any, random: Random) -> None:
    holder[key] = random.choice(BYTES)(old, random)


_ANY = [_remove, _empty, _other_type, _rename, _deep]
_CHANGES: dict[type, Sequence[Any]] = {
    dict: [_add_field],
    list: [_double, _shuffle, _add_item],
    bytes: [_damage] * 5,
    str: [_odd_text, _odd_text, _long_text, _cut_text, _far],
    int: [_near, _near, _far, _as_text, _as_float],
    float: [_near, _far, _as_text],
    bool: [_as_text],
    type(None): [],
}


def json_text(value: Any, random: Random) -> bytes:
    """A value as JSON, with what :func:`change_value` has put into it, and half of a pair as an escape."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    text = re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half.group()):04x}", text)
    return re.sub(f'"(?:{_RAW}|\\\\ue000)(.*?)(?:{_RAW}|\\\\ue000)"', r"\1", text).encode()


def change_json(raw: bytes, random: Random) -> bytes:
    try:
        return json_text(change_value(json.loads(raw), random), random)
    except (ValueError, RecursionError):
        return raw


def change_json_line(raw: bytes, random: Random) -> bytes:
    def changed(lines: list[bytes], at: int) -> list[bytes]:
        lines[at] = change_json(lines[at], random) + b"\n"
        return lines

    return _lines(raw, random, changed)


def double_json_field(raw: bytes, random: Random) -> bytes:
    """An object has a field twice."""
    found = list(re.finditer(rb'("[a-z_]+"): *("[^"]*"|[0-9]+)', raw))
    if not found:
        return raw
    field = random.choice(found)
    return raw[: field.start()] + field[1] + b": 0, " + raw[field.start() :]


# Within what holds a file


def within(
    opened: Callable[[bytes], bytes], closed: Callable[[bytes], bytes], mutations: Sequence[Mutation]
) -> Mutation:
    """Changes of what is inside; what cannot be opened stays as it is."""

    def change(raw: bytes, random: Random) -> bytes:
        try:
            inner = opened(raw)
        except Exception:
            return raw
        return closed(random.choice(mutations)(inner, random))

    return change
