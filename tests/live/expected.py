"""What a gdb.Value should look like as JSON, compared with what came. Runs inside gdb."""
import base64, math, re
import gdb

POINTERS = (gdb.TYPE_CODE_PTR,)
REFERENCES = (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF)
RECORDS = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
OPAQUE = (gdb.TYPE_CODE_MEMBERPTR, gdb.TYPE_CODE_METHODPTR, gdb.TYPE_CODE_METHOD)
CHARS = re.compile(r"^(const |volatile )*((un)?signed )?char$")
WIDE_CHARS = re.compile(r"^(wchar_t|char16_t|char32_t|char8_t)$")
# Libraries' types that may be shown in a better way than by their members; nobody said which.
FREE_FORM = re.compile(r"^(std::|__gnu_cxx::)(__cxx11::)?(map|set|multimap|_Rb_tree|tuple|unique_ptr|shared_ptr|"
                       r"__shared_ptr|__uniq_ptr)")
VIEW = re.compile(r"^std::basic_string_view<char,")
STRING = re.compile(r"^std::(__cxx11::)?basic_string<char,")
MOST_ELEMENTS = 4096
VECTOR = re.compile(r"^std::vector<")


class Differs(Exception):
    """Where (a path below the expression), gdb's, ours."""

    def __init__(self, where, theirs, ours):
        super().__init__(where)
        self.where, self.theirs, self.ours = where, theirs, ours


def squeeze(text):
    """Spaces only where two words meet: `char * *` and `char **` are one. So are `const T` and `T const`."""
    text = re.sub(r"\s+", " ", str(text)).strip()
    text = re.sub(r" ?([^\w ]) ?", r"\1", text)
    return const_in_front(text) if "const" in text else text


def const_in_front(text):
    kept = []

    def one(part):
        head, tail = re.match(r"([^*&(]*)(.*)", part, re.DOTALL).groups()
        words = re.sub(r"\bconst\b", " ", head)
        return ("const " if words != head else "") + re.sub(r"\s+", " ", words).strip() + tail

    def keep(found):
        kept.append("<" + ",".join(one(part) for part in found.group(1).split(",")) + ">")
        return f"\x01{len(kept) - 1}\x02"

    # An operator's own signs are no brackets.
    text = re.sub(r"\boperator(->\*?|<=>|<<=?|>>=?|[<>]=?)",
                  lambda found: "operator" + "".join(f"\x03{ord(sign)}\x04" for sign in found.group(1)), text)
    while True:
        shorter = re.sub(r"<([^<>]*)>", keep, text)
        if shorter == text:
            break
        text = shorter
    text = one(text)
    while "\x01" in text:
        text = re.sub("\x01(\\d+)\x02", lambda found: kept[int(found.group(1))], text)
    return re.sub("\x03(\\d+)\x04", lambda found: chr(int(found.group(1))), text)


def without_parameters(name):
    """ns::f<int>(char) const -> ns::f<int>, and (anonymous namespace)::f stays."""
    if not name:
        return name
    name = re.sub(r"( const| volatile| &|\[clone [^]]*\]| \[[^]]*\])*$", "", name)
    if name.endswith(")") and not name.endswith("operator()"):
        depth = 0
        for at in range(len(name) - 1, -1, -1):
            depth += {")": 1, "(": -1}.get(name[at], 0)
            if depth == 0:
                return without_result(name[:at].strip()) or name
    return name


def without_result(name):
    """int f<int> -> f<int>: a demangled template's name begins with what it returns."""
    if "operator" in name or not name.endswith(">"):
        return name
    depth = 0
    for at in range(len(name) - 1, -1, -1):
        depth += {">": 1, ")": 1, "<": -1, "(": -1}.get(name[at], 0)
        if depth == 0 and name[at] == " ":
            return name[at + 1:]
    return name


def real(value_type):
    return value_type.strip_typedefs().unqualified()


def type_name(value_type):
    return str(real(value_type).name or "")


def trouble(value):
    """Why gdb cannot show the value: 'optimized out', 'memory', or None."""
    try:
        if value.is_optimized_out:
            return "optimized out"
        value.fetch_lazy()
    except gdb.MemoryError:
        return "memory"
    except gdb.error as error:
        if beyond_measure(error):
            raise
        return "optimized out" if "optimized out" in str(error) else "memory"
    return None


def beyond_measure(error):
    """Uninitialised arrays of variable length can be larger than any memory."""
    return "max-value-size" in str(error)


def whole_trouble(value):
    """The trouble, where no part of the value can be shown."""
    kind = real(value.type)
    if kind.code in RECORDS:
        fields = [field for field in kind.fields() if is_data(field)]
        parts = [base(value, field) if field.is_base_class else member(value, field) for field in fields]
        parts = [part for part in parts if part is not None]
    elif kind.code == gdb.TYPE_CODE_ARRAY and bounds(kind)[1] >= 0:
        first, last = bounds(kind)
        parts = [value[i] for i in range(first, min(last, first + 63) + 1)]
    else:
        return trouble(value)
    found = [whole_trouble(part) for part in parts] or [trouble(value)]
    return found[0] if all(found) else None


def is_data(field):
    return hasattr(field, "bitpos") and not (field.name or "").startswith("_vptr")


def member(value, field):
    try:
        return value[field]
    except TypeError:
        # gdb means another copy of the same class, from another unit.
        return value[field.name]


def base(value, field):
    """None for a value that is not in memory: gdb 13 aborts where it casts one that is in pieces."""
    return value.cast(field.type) if value.address is not None else None


def bounds(array):
    try:
        return array.range()
    except gdb.error:
        return (0, -1)


def integer(value):
    if value.type.sizeof <= 8:
        return int(value)
    return int(re.match(r"-?\d+", value.format_string(symbols=False)).group())


def number(ours, where, theirs):
    """A JSON number, or a decimal string: only where it must be one."""
    if isinstance(ours, str) and re.fullmatch(r"-?\d+", ours) and abs(int(ours)) > 2 ** 53 - 1:
        return int(ours)
    if isinstance(ours, int) and not isinstance(ours, bool):
        return ours
    raise Differs(where, theirs, ours)


def expect(where, theirs, ours):
    if type(theirs) is not type(ours) or theirs != ours:
        raise Differs(where, theirs, ours)


def in_short(value):
    try:
        return value.format_string(max_elements=8, max_depth=2)
    except gdb.error as error:
        if beyond_measure(error):
            raise
        return str(error)


def compare_error(why, ours, where):
    ours, truncated = cut(ours)
    if truncated and not ours:
        return
    said = ours.get("$error") if isinstance(ours, dict) else None
    if said is None and isinstance(ours, (dict, list)) and ours:
        # An object each of whose parts has the trouble says the same.
        for part in ours.values() if isinstance(ours, dict) else ours:
            compare_error(why, part, where)
        return
    if said is None or (why == "optimized out") != ("optimized out" in said):
        raise Differs(where, f"<{why}>", ours)


def compare_float(value, ours, where):
    theirs = float(value)
    if math.isnan(theirs) or math.isinf(theirs):
        return expect(where, "NaN" if math.isnan(theirs) else "+Inf" if theirs > 0 else "-Inf", ours)
    if isinstance(ours, bool) or not isinstance(ours, (int, float)):
        raise Differs(where, theirs, ours)
    digits = 6e-8 if value.type.sizeof == 4 else 3e-16
    if theirs != ours and not math.isclose(theirs, ours, rel_tol=digits, abs_tol=5e-324):
        raise Differs(where, theirs, ours)


def compare_complex(value, ours, where):
    part = value.type.strip_typedefs().target()
    text = value.format_string()
    found = re.match(r"(.+?) ([+-]) (.+?)i$", text)
    theirs = [float(found.group(1)), float(found.group(3)) * (-1 if found.group(2) == "-" else 1)]
    came = ours.get("$complex") if isinstance(ours, dict) else None
    digits = 6e-8 if part.sizeof == 4 else 3e-16
    if not isinstance(came, list) or len(came) != 2 or not all(
            isinstance(b, (int, float)) and math.isclose(a, b, rel_tol=digits) for a, b in zip(theirs, came)):
        raise Differs(where, theirs, ours)


def last_name(text):
    return text.rsplit("::", 1)[-1]


def compare_enum(value, ours, where):
    text = value.format_string().strip("()")
    plain = int(value)
    if re.fullmatch(r"-?\d+", text) or text.startswith("unknown"):
        if number(ours, where, plain) != plain:
            raise Differs(where, plain, ours)
    elif "unknown: " in text:
        # Some bits have names: either way of saying it will do.
        names = [last_name(part) for part in text.split(" | ") if "unknown" not in part]
        if ours != plain and not (isinstance(ours, str) and ours.split("|")[0] in names):
            raise Differs(where, text, ours)
    else:
        theirs = "|".join(last_name(part) for part in text.split(" | "))
        came = "|".join(last_name(part.strip()) for part in ours.split("|")) if isinstance(ours, str) else ours
        expect(where, theirs, came)


def cut(ours):
    """The part that came and whether it was cut."""
    if isinstance(ours, dict) and "$truncated" in ours:
        inner = ours["$truncated"]
        return (inner.get("value") if isinstance(inner, dict) else inner), True
    return ours, False


def compare_text(raw, ours, where, unsigned=False):
    ours, truncated = cut(ours)
    if unsigned and isinstance(ours, list):
        return expect(where, list(raw[:len(ours)]), [b & 255 for b in ours])
    if isinstance(ours, dict) and "$bytes" in ours:
        came = base64.b64decode(ours["$bytes"])
    elif isinstance(ours, str):
        came = ours.encode("utf-8", "surrogatepass")
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            raw = raw.decode("utf-8", "replace").encode()
    else:
        raise Differs(where, raw.decode("utf-8", "replace"), ours)
    if came != raw and not (truncated and raw.startswith(came)):
        raise Differs(where, raw.decode("utf-8", "replace"), ours)


def is_char(kind):
    return kind.sizeof == 1 and CHARS.match(str(real(kind))) is not None


def is_wide(kind):
    """By its name, which in C is one of an integer."""
    while not WIDE_CHARS.match(str(kind.unqualified())):
        if kind.code != gdb.TYPE_CODE_TYPEDEF:
            return False
        kind = kind.target()
    return real(kind).sizeof > 1


def wide_text(units, size):
    """Up to the first NUL, as UTF-8."""
    units = units[:units.index(0)] if 0 in units else units
    raw = b"".join(unit.to_bytes(size, "little") for unit in units)
    return raw.decode({2: "utf-16-le", 4: "utf-32-le"}[size], "replace").encode()


def pointed_units(value, size):
    units = []
    while (not units or units[-1]) and len(units) < MOST_ELEMENTS:
        units.append(integer(value[len(units)]) & ((1 << 8 * size) - 1))
    return units


def pointed_text(value):
    """The bytes up to the first NUL, or None where they cannot be read."""
    inferior, at, got = gdb.selected_inferior(), int(value), b""
    try:
        while b"\0" not in got and len(got) < 65536:
            step = 4096 - (at + len(got)) % 4096
            got += bytes(inferior.read_memory(at + len(got), step))
    except gdb.error:
        return None if b"\0" not in got else got.split(b"\0")[0]
    return got.split(b"\0")[0]


def without_clone(name):
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv|llvm)\b.*$", "", name)


def function_name(address):
    found = re.match(r"(.*?)( \+ \d+)? in section ", gdb.execute(f"info symbol {address:#x}", to_string=True))
    if found:
        return without_clone(without_parameters(found.group(1)))
    block = gdb.block_for_pc(address)
    while block and not (block.function and not block.superblock.function):
        block = block.superblock
    return without_parameters(block.function.name) if block else None


def plain_name(name):
    return without_clone(without_parameters(re.sub(r"\+(0x)?[0-9a-f]+$", "", name)))


def compare_function(address, ours, where):
    """A pointer that points into no function, or into its middle, may be said in several ways."""
    theirs = function_name(address)
    came = ours.get("$func") if isinstance(ours, dict) else None
    if theirs is None and isinstance(ours, dict) and (came is None or came.startswith("0x")):
        return
    if theirs is None or squeeze(theirs) != squeeze(plain_name(came or "")):
        raise Differs(where, {"$func": theirs}, ours)


def is_synthetic(value):
    """A pointer that is gone, though what it points to is known: its number is 0, and following it works."""
    return "synthetic pointer" in value.format_string(max_elements=1)


def compare_synthetic(value, ours, where, level):
    target = real(value.type).target()
    why = trouble(value.dereference())
    if why:
        return compare_error(why, ours, where)
    if not is_char(target):
        return compare(value.dereference(), ours, "(*" + where + ")", level + 1)
    raw = b""
    while b"\0" not in raw and len(raw) < MOST_ELEMENTS:
        raw += bytes([integer(value[len(raw)]) & 255])
    return compare_text(raw.split(b"\0")[0], ours, where)


def compare_pointer(value, ours, where, level):
    kind = real(value.type)
    target = real(kind.target())
    address = int(value)
    if address == 0:
        return compare_synthetic(value, ours, where, level) if is_synthetic(value) else expect(where, None, ours)
    if target.code == gdb.TYPE_CODE_FUNC:
        return compare_function(address, ours, where)
    if target.code == gdb.TYPE_CODE_VOID:
        return expect(where, {"$ptr": hex(address)}, ours)
    if is_char(target):
        raw = pointed_text(value)
        return compare_error("memory", ours, where) if raw is None else compare_text(raw, ours, where)
    if is_wide(kind.target()):
        return compare_text(wide_text(pointed_units(value, target.sizeof), target.sizeof), ours, where)
    if target.code in RECORDS and (target.sizeof == 0 or not target.fields()):
        return None
    if level > 0 and ours == {"$ptr": hex(address)}:
        return None
    return compare(value.dereference(), ours, "(*" + where + ")", level + 1)


def compare_array(value, ours, where, level):
    kind = real(value.type)
    first, last = bounds(kind)
    element = real(kind.target())
    if is_char(element):
        if trouble(value):
            return None
        raw = bytes(integer(value[i]) & 255 for i in range(first, last + 1))
        text, signed = raw.split(b"\0")[0], str(element) != "char"
        return compare_text(raw if signed and raw[len(text):].strip(b"\0") else text, ours, where, unsigned=signed)
    if is_wide(kind.target()) and not trouble(value):
        units = [integer(value[i]) & ((1 << 8 * element.sizeof) - 1) for i in range(first, last + 1)]
        return compare_text(wide_text(units, element.sizeof), ours, where)
    ours, truncated = cut(ours)
    if last < first and ours in ([], None, ""):
        return None
    if not isinstance(ours, list) or (len(ours) != last - first + 1 and not truncated):
        raise Differs(where, f"{last - first + 1} elements", ours)
    for i, came in enumerate(ours):
        compare(value[first + i], came, f"{where}[{i}]", level + 1)


def is_garbage(value):
    """A string or a vector before its constructor ran, or of which the compiler told no more than the name."""
    try:
        return no_sense(value)
    except gdb.error:
        return True


def no_sense(value):
    name = type_name(value.type)
    if STRING.match(name):
        start, count = value["_M_dataplus"]["_M_p"], int(value["_M_string_length"])
    elif VECTOR.match(name):
        start = value["_M_impl"]["_M_start"]
        size = int(value["_M_impl"]["_M_finish"]) - int(start)
        count = size // start.type.target().sizeof
        if size % start.type.target().sizeof:
            return True
    else:
        return False
    if not 0 <= count <= MOST_ELEMENTS:
        return True
    return count > 0 and trouble(start.dereference()) is not None


def is_known_vector(value):
    """Its elements are known, whatever else of it is optimised away."""
    try:
        return bool(VECTOR.match(type_name(value.type))) and not any(
            trouble(value["_M_impl"][bound]) for bound in ("_M_start", "_M_finish"))
    except gdb.error:
        return False


def compare_vector(value, ours, where, level):
    implementation = value["_M_impl"]
    start, finish = implementation["_M_start"], implementation["_M_finish"]
    ours, truncated = cut(ours)
    count = int(finish - start)
    if not isinstance(ours, list) or (len(ours) != count and not truncated):
        raise Differs(where, f"{count} elements", ours)
    for i, came in enumerate(ours):
        compare((start + i).dereference(), came, f"{where}[{i}]", level + 1)


def compare_string(value, ours, where):
    length = int(value["_M_string_length"])
    raw = b""
    if length:
        raw = bytes(gdb.selected_inferior().read_memory(int(value["_M_dataplus"]["_M_p"]), length))
    compare_text(raw, ours, where)


def compare_members(value, ours, where, level, truncated, seen):
    for field in real(value.type).fields():
        name = field.name
        if not is_data(field) or (field.is_base_class and name.startswith("std::__pair_base<")):  # a pair is two values
            seen.add(name)
        elif not name:
            compare_members(member(value, field), ours, where, level, truncated, seen)
        else:
            # A base class that is named by a typedef has its own name with us.
            names = (name, last_name(name), type_name(field.type)) if field.is_base_class else (name,)
            found = [key for key in names if key in ours]
            key = found[0] if found else name
            seen.add(key)
            if key in ours:
                part = base(value, field) if field.is_base_class else member(value, field)
                if part is not None:
                    compare(part, ours[key], f"{where}.{name}", level + 1)
            elif not truncated:
                raise Differs(f"{where}.{name}", "a member", "missing")


def compare_record(value, ours, where, level):
    name = type_name(value.type)
    if STRING.match(name):
        return compare_string(value, ours, where)
    if VIEW.match(name):
        size = int(value["_M_len"])
        return compare_text(bytes(gdb.selected_inferior().read_memory(int(value["_M_str"]), size)), ours, where)
    if VECTOR.match(name):
        return compare_vector(value, ours, where, level)
    if FREE_FORM.match(name):
        return None
    ours, truncated = cut(ours)
    if level > 1 and isinstance(ours, dict) and set(ours) == {"$ptr"}:
        return None
    if not isinstance(ours, dict):
        raise Differs(where, "an object", ours)
    seen = set()
    compare_members(value, ours, where, level, truncated, seen)
    more = [key for key in ours if key not in seen and not key.startswith("_vptr")]
    if more:
        raise Differs(where, "no such member", more)


def compare(value, ours, where="", level=0):
    """Raises Differs at the first leaf that is not the same."""
    why = whole_trouble(value)
    if why and not is_known_vector(value):
        return compare_error(why, ours, where)
    kind = value.type.strip_typedefs()
    code = kind.code
    if code in RECORDS and is_garbage(value):
        return None
    if isinstance(ours, dict) and "$error" in ours and code not in POINTERS and code not in REFERENCES:
        raise Differs(where, in_short(value), ours)
    if code in REFERENCES:
        return compare(value.referenced_value(), ours, where, level)
    if code == gdb.TYPE_CODE_BOOL:
        return expect(where, bool(int(value)), ours)
    if code == gdb.TYPE_CODE_FLT:
        return compare_float(value, ours, where)
    if code == gdb.TYPE_CODE_COMPLEX:
        return compare_complex(value, ours, where)
    if code == gdb.TYPE_CODE_ENUM:
        return compare_enum(value, ours, where)
    if code in POINTERS:
        return compare_pointer(value, ours, where, level)
    if code == gdb.TYPE_CODE_ARRAY:
        return compare_array(value, ours, where, level)
    if code in RECORDS:
        return compare_record(value, ours, where, level)
    if code == gdb.TYPE_CODE_FUNC:
        return compare_function(int(value.address), ours, where)
    if code in OPAQUE or kind.name == "decltype(nullptr)":
        return None
    theirs = integer(value)
    if number(ours, where, theirs) != theirs:
        raise Differs(where, theirs, ours)
    return None
