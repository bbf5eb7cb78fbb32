#!/usr/bin/env python3
"""Debug info that no compiler writes: loops, cycles, huge counts, missing abbreviations, every operation of location
expressions. Each question must be answered, with a value or with an error, within a second or so.

And what compilers write rarely: there the answers are known. A DWARF 4 unit is written as assembler data, and PEEK is
asked about it. Prints `ok NAME`, `FAIL NAME: why`, and
`N passed, N failed, N skipped` last. Arguments are parts of names to run."""
import os, re, shlex, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from peek import Peek

WORK = tempfile.mkdtemp(prefix="pickglass-synthetic-")
MOST_MEMORY = 64 if "build-release" in os.environ.get("PEEK", "") else 768  # MiB: a sanitizer keeps what was freed
SLOWEST = 2.0 if "build-release" in os.environ.get("PEEK", "") else 6.0

UNIT, BASE, POINTER, TYPEDEF, STRUCT, MEMBER, ARRAY, SUBRANGE, VARIABLE, SUBPROGRAM, INLINED, CONST, ENUM, ENUMERATOR = \
    0x11, 0x24, 0x0f, 0x16, 0x13, 0x0d, 0x01, 0x21, 0x34, 0x2e, 0x1d, 0x26, 0x04, 0x28
NAME, SIZE, ENCODING, TYPE, LOCATION, OFFSET, UPPER, LOW, HIGH, LANGUAGE, ORIGIN, SPECIFICATION, VALUE, SIBLING = \
    0x03, 0x0b, 0x3e, 0x49, 0x02, 0x38, 0x2f, 0x11, 0x12, 0x13, 0x31, 0x47, 0x1c, 0x01
STRING, DATA1, DATA8, DATA16, REF4, EXPRLOC, ADDR, OFFSET_OF = 0x08, 0x0b, 0x07, 0x1e, 0x13, 0x18, 0x01, 0x17
NAMESPACE, IMPORTED, IMPORT, LINES = 0x39, 0x3a, 0x18, 0x10
CODE = " xorl %eax,%eax\n ret\n"


class Unit:
    """Entries as assembler text; a reference is to another entry's label."""

    def __init__(self, code=CODE):
        self.abbrevs, self.lines, self.depth, self.code, self.data = [], [], 0, code, ""

    def entry(self, tag, *attributes, label=None, children=False, code=None):
        shape = (tag, children, tuple((at, form) for at, form, _ in attributes))
        if shape not in self.abbrevs:
            self.abbrevs.append(shape)
        if label:
            self.lines.append(f"{label}:")
        self.lines.append(f" .uleb128 {code or self.abbrevs.index(shape) + 1}")
        for _, form, value in attributes:
            self.lines.append(self.form(form, value))
        return self

    @staticmethod
    def form(form, value):
        if form == STRING:
            return f' .asciz "{value}"'
        if form == EXPRLOC:
            sizes, forms = {int: 1, str: 4, tuple: 8}, {int: " .byte {}\n", str: " .long {} - .Lunit\n", tuple: " .quad {0[0]}\n"}
            return f" .uleb128 {sum(sizes[type(part)] for part in value)}\n" + "".join(forms[type(part)].format(part) for part in value)
        if form == REF4:
            return f" .long {value} - .Lunit" if isinstance(value, str) else f" .long {value}"
        if form == DATA16:
            return f" .octa {value}"
        return {OFFSET_OF: " .long ", DATA1: " .byte ", DATA8: " .quad ", ADDR: " .quad "}[form] + str(value)

    def end(self):
        self.lines.append(" .byte 0")
        return self

    def text(self):
        abbrevs = "".join(
            f" .uleb128 {number}, {tag}\n .byte {int(children)}\n" + "".join(f" .uleb128 {at}, {form}\n" for at, form in shape)
            + " .byte 0, 0\n" for number, (tag, children, shape) in enumerate(self.abbrevs, 1))
        return (' .globl main\n .type main,@function\nmain:\n' + self.code + '.Lend:\n .size main,.-main\n .data\n'
                ' .globl data\ndata: .fill 64,1,1\n' + self.data + ' .section .debug_abbrev,"",@progbits\n.Labbrev:\n' + abbrevs +
                ' .byte 0\n .section .debug_line,"",@progbits\n.Llines:\n .section .debug_info,"",@progbits\n.Lunit:\n .long .Lstop - .Lversion\n.Lversion:\n .short 4\n'
                ' .long .Labbrev\n .byte 8\n' + "\n".join(self.lines) + "\n .byte 0\n.Lstop:\n .section .note.GNU-stack\n")


def unit(code=CODE, language=12, *more):
    made = Unit(code).entry(UNIT, (NAME, STRING, "made.c"), (LANGUAGE, DATA1, language), (LOW, ADDR, "main"), (HIGH, ADDR, ".Lend"),
                            *more, children=True)
    return made.entry(BASE, (NAME, STRING, "int"), (SIZE, DATA1, 4), (ENCODING, DATA1, 5), label=".Lint")


def at_data(*more):
    return [0x03] + [0] * 8 + list(more)  # DW_OP_addr 0: nothing is there


def variable(made, name, kind, location=None):
    return made.entry(VARIABLE, (NAME, STRING, name), (TYPE, REF4, kind), (LOCATION, EXPRLOC, location or at_data()))


def function(made):
    return made.entry(SUBPROGRAM, (NAME, STRING, "main"), (LOW, ADDR, "main"), (HIGH, ADDR, ".Lend"), label=".Lmain")


# ---- the cases: (unit, questions, what the answer must hold: a text of the error, or None for anything) ----

def typedef_of_itself():
    made = unit().entry(TYPEDEF, (NAME, STRING, "loop"), (TYPE, REF4, ".Lloop"), label=".Lloop")
    return variable(made, "v", ".Lloop"), ["v", "sizeof(v)", "v + 1", "(loop)1", "&v", "*v"]


def typedefs_in_a_ring():
    made = unit()
    for i in range(200):
        made.entry(TYPEDEF, (NAME, STRING, f"t{i}"), (TYPE, REF4, f".Lt{(i + 1) % 200}"), label=f".Lt{i}")
    return variable(made, "v", ".Lt0"), ["v", "sizeof(v)", "(t7)1", "v.x"]


def struct_in_itself():
    made = unit().entry(STRUCT, (NAME, STRING, "s"), (SIZE, DATA1, 16), label=".Ls", children=True)
    made.entry(MEMBER, (NAME, STRING, "s"), (TYPE, REF4, ".Ls"), (OFFSET, DATA1, 0))
    made.entry(MEMBER, (TYPE, REF4, ".Ls"), (OFFSET, DATA1, 8)).end()
    return variable(made, "v", ".Ls"), ["v", "v.s", "v.s.s.s", "v.nothing", "sizeof(v)", "v == v"]


def pointer_to_itself():
    made = unit().entry(POINTER, (TYPE, REF4, ".Lp"), label=".Lp")
    return variable(made, "v", ".Lp"), ["v", "*v", "**v", "v[1]", "sizeof(*v)"]


def array_of_itself():
    made = unit().entry(ARRAY, (TYPE, REF4, ".La"), label=".La", children=True)
    made.entry(SUBRANGE, (UPPER, DATA8, 9)).end()
    return variable(made, "v", ".La"), ["v", "v[1]", "v[1][1]", "sizeof(v)"]


def huge_counts():
    made = unit().entry(ARRAY, (TYPE, REF4, ".Lint"), label=".La", children=True)
    made.entry(SUBRANGE, (UPPER, DATA8, "0xfffffffffffffff0")).end()
    made.entry(ARRAY, (TYPE, REF4, ".La"), label=".Lb", children=True)
    made.entry(SUBRANGE, (UPPER, DATA8, "0x7fffffffffffffff")).end()
    variable(made, "w", ".Lb")
    return variable(made, "v", ".La"), ["v", "v[0]", "v[-1]", "v[0x7fffffffffffffff]", "sizeof(v)", "w", "w[3]", "v[1:9]"]


def origins_in_a_ring():
    made = unit()
    made.entry(SUBPROGRAM, (SPECIFICATION, REF4, ".Lf2"), (LOW, ADDR, "main"), (HIGH, ADDR, ".Lend"), label=".Lf1")
    made.entry(SUBPROGRAM, (ORIGIN, REF4, ".Lf1"), label=".Lf2")
    made.entry(SUBPROGRAM, (ORIGIN, REF4, ".Lf3"), label=".Lf3", children=True)
    made.entry(INLINED, (ORIGIN, REF4, ".Lf3"), (LOW, ADDR, "main"), (HIGH, ADDR, ".Lend")).end()
    made.entry(VARIABLE, (ORIGIN, REF4, ".Lv"), label=".Lv")
    return made, ["main", "v", "f"]


def references_to_nowhere():
    made = unit().entry(TYPEDEF, (NAME, STRING, "t"), (TYPE, REF4, 0x7ffffff0), label=".Lt")
    variable(made, "w", 3)
    return variable(made, "v", ".Lt"), ["v", "w", "(t)1", "sizeof(t)", "v.x"]


def missing_abbreviation():
    made = variable(unit(), "v", ".Lint")
    return made.entry(VARIABLE, (NAME, STRING, "lost"), code=777), ["v", "lost", "main"]


def deep_nesting():
    made = unit()
    for i in range(600):
        made.entry(STRUCT, (NAME, STRING, f"s{i}"), (SIZE, DATA1, 8), children=True)
    for i in range(600):
        made.end()
    return variable(made, "v", ".Lint"), ["v", "(struct s599 *)0", "s0::s1::s2"]


def endless_bytecode():
    made = unit()
    made = variable(made, "loop", ".Lint", [0x2f, 0xfd, 0xff])  # DW_OP_skip -3: itself
    made = variable(made, "grow", ".Lint", [0x30, 0x2f, 0xfc, 0xff])  # lit0, skip back to it
    made = variable(made, "outside", ".Lint", [0x2f, 0x00, 0x70])
    made = variable(made, "empty", ".Lint", [0x96])
    made = variable(made, "division", ".Lint", [0x31, 0x30, 0x1b])
    made = variable(made, "pieces", ".Lint", [0x30, 0x93, 1] * 200)
    made = variable(made, "entries", ".Lint", [0xa3, 3, 0xa3, 1, 0xa3])
    made = variable(made, "rotations", ".Lint", [0x30, 0x31, 0x32, 0x17] * 300)
    return made, ["loop", "grow", "outside", "empty", "division", "pieces", "entries", "rotations"]


IMPLICIT = 0xf2  # DW_OP_GNU_implicit_pointer: an entry, and how far in


def pointers_without_values():
    """To themselves, to each other, to nothing, to what is no variable, and far outside."""
    made = unit().entry(POINTER, (TYPE, REF4, ".Lp"), label=".Lp").entry(POINTER, (TYPE, REF4, ".Lint"), label=".Lpi")
    questions = []
    for name, kind, target, offset in (("own", ".Lp", ".Lown", [0]), ("ping", ".Lp", ".Lpong", [0]), ("pong", ".Lp", ".Lping", [0]),
                                       ("kind", ".Lpi", ".Lint", [0]), ("far", ".Lpi", ".Lown", [0xff] * 9 + [0]),
                                       ("before", ".Lpi", ".Lseven", [0x7c]), ("fine", ".Lpi", ".Lseven", [0])):
        made.entry(VARIABLE, (NAME, STRING, name), (TYPE, REF4, kind), (LOCATION, EXPRLOC, [IMPLICIT, target] + offset), label=f".L{name}")
        questions += [name, f"*{name}", f"**{name}", f"{name}[1]", f"{name}[-1]", f"{name} == 0", f"&*{name}", f"***{name}"]
    made.entry(VARIABLE, (NAME, STRING, "seven"), (TYPE, REF4, ".Lint"), (LOCATION, EXPRLOC, [0x37, 0x9f]), label=".Lseven")
    variable(made, "nowhere", ".Lpi", [IMPLICIT, 0xff, 0xff, 0xff, 0x7f, 0])
    variable(made, "cut", ".Lpi", [IMPLICIT, 1])
    return made, questions + ["nowhere", "*nowhere", "cut", "*cut"], {"*fine": 7, "fine[0]": 7}


# ---- Go's runtime: hash tables and interfaces that lie ----

GO = 22


def struct(made, name, size, *members):
    """A struct, and the pointer to it: labels .LNAME and .LpNAME, with what is no letter left out."""
    label = "".join(letter for letter in name if letter.isalnum())
    made.entry(POINTER, (TYPE, REF4, f".L{label}"), label=f".Lp{label}")
    made.entry(STRUCT, (NAME, STRING, name), (SIZE, DATA1, size), label=f".L{label}", children=True)
    for member, kind, offset in members:
        made.entry(MEMBER, (NAME, STRING, member), (TYPE, REF4, kind), (OFFSET, DATA1, offset))
    made.end()


def array(made, label, kind):
    made.entry(ARRAY, (TYPE, REF4, kind), label=label, children=True).entry(SUBRANGE, (UPPER, DATA8, 7)).end()


def words(*values):
    return "".join(f" .quad {value}\n" for value in values)


def of_go(maps, kind):
    """A variable of each map's name, which is a pointer to its label."""
    made = unit(CODE, GO)
    made.entry(BASE, (NAME, STRING, "uint8"), (SIZE, DATA1, 1), (ENCODING, DATA1, 7), label=".Lbyte")
    for name, text in maps.items():
        made.entry(VARIABLE, (NAME, STRING, name), (TYPE, REF4, kind), (LOCATION, EXPRLOC, [0x03, (f"of_{name}",)]))
        made.data += f" .balign 8\nof_{name}: .quad {name}\n{name}:\n{text}"
    return made


def questions_of(maps):
    return [form.format(name) for name in maps for form in ("{}", "len({})", "{}[1]", "{}[77]", "{} == nil")]


def buckets_that_lie():
    """hash<int,int>: count, B, buckets, oldbuckets; a bucket: eight marks, keys, values, the next."""
    bucket = words(0x0605) + words(*range(1, 9)) + words(*range(11, 19))
    def table(count, b, first, old=0, flags=0):
        return f" .quad {count}\n .byte {flags}, {b}\n .balign 8\n" + words(first, old)
    maps = {"fine": table(2, 0, "bucket"), "grows": table(4, 1, "empty", "bucket"), "moved": table(0, 1, "empty", "gone"),
            "huge": table(1 << 62, 63, "bucket"), "wide": table(1 << 40, 40, "bucket"), "negative": table(-1, 0, "bucket"),
            "ring": table(1000, 0, "ring_bucket"), "nowhere": table(5, 0, "0xfffffffffffffff8"), "short": table(7, 0, "bucket"),
            "self": table(3, 3, "self"), "old_self": table(3, 3, 0, "old_self", 8), "none": table(4, 2, 0)}
    made = of_go(maps, ".Lphashintint")
    array(made, ".Lmarks", ".Lbyte")
    array(made, ".Lints", ".Lint")
    struct(made, "bucket<int,int>", 80, ("tophash", ".Lmarks", 0), ("keys", ".Lints", 8), ("values", ".Lints", 40), ("overflow", ".Lpbucketintint", 72))
    struct(made, "hash<int,int>", 32, ("count", ".Lint", 0), ("flags", ".Lbyte", 8), ("B", ".Lbyte", 9), ("buckets", ".Lpbucketintint", 16),
           ("oldbuckets", ".Lpbucketintint", 24))
    ints = "".join(f" .long {n}\n" for n in [*range(1, 9), *range(11, 19)])
    made.data += f"bucket: .quad 0x0605\n{ints}" + words(0) + f"empty: .fill 160, 1, 0\ngone: .quad 0x0202\n{ints}" + words(0)
    made.data += f"ring_bucket: .quad 0x0505\n{ints}" + words("ring_bucket")
    return made, questions_of(maps), {"fine": [[1, 11], [2, 12]], "len(fine)": 2, "fine[2]": 12, "moved": [], "len(grows)": 4}


def groups_that_lie():
    """map<int,int>: used, dirPtr, dirLen; a table: groups and how many less one; a group: marks, slots."""
    maps = {"fine": words(2, "group", 0), "tables": words(4, "directory", 2), "huge": words(1 << 62, "directory", 1 << 60),
            "same": words(9, "twice", 2), "endless": words(1 << 50, "endless_directory", 1), "nowhere": words(3, 8, 1 << 40),
            "empty": words(0, 0, 0), "lost": words(3, 0, 0), "negative": words(-1, "group", 0), "self": words(2, "self", 2)}
    made = of_go(maps, ".Lpmapintint")
    made.entry(POINTER, (TYPE, REF4, ".Lptableintint"), label=".Lpptable")
    struct(made, "slot", 8, ("key", ".Lint", 0), ("elem", ".Lint", 4))
    array(made, ".Lslots", ".Lslot")
    array(made, ".Lmarks", ".Lbyte")
    struct(made, "group<int,int>", 72, ("ctrl", ".Lmarks", 0), ("slots", ".Lslots", 8))
    struct(made, "groupReference<int,int>", 16, ("data", ".Lpgroupintint", 0), ("lengthMask", ".Lint", 8))
    struct(made, "table<int,int>", 16, ("groups", ".LgroupReferenceintint", 0))
    struct(made, "map<int,int>", 24, ("used", ".Lint", 0), ("dirPtr", ".Lpptable", 8), ("dirLen", ".Lint", 16))
    slots = "".join(f" .long {n}, {n + 10}\n" for n in range(1, 9))
    made.data += f"group: .quad 0x8080808080808001, 0\n{slots}".replace("8001, 0", "0101") + f" .quad 0x8080808080800101\n{slots}"
    made.data += "directory: .quad table_a, table_a\ntwice: .quad table_a, table_a\nendless_directory: .quad table_b\n"
    made.data += "table_a: .quad group, 1\ntable_b: .quad group, -1\n"
    return made, questions_of(maps), {"fine": [[1, 11], [2, 12]], "fine[2]": 12, "len(tables)": 4, "empty": []}


def interfaces_that_lie():
    made = of_go({}, "")
    struct(made, "runtime.record", 8, ("Type", ".Lprecord", 0))
    made.entry(POINTER, (TYPE, REF4, ".Lbyte"), label=".Lprecord")
    struct(made, "runtime.eface", 16, ("_type", ".Lprecord", 0), ("data", ".Lprecord", 8))
    struct(made, "runtime.iface", 16, ("tab", ".Lpruntimerecord", 0), ("data", ".Lprecord", 8))
    for name, kind, text in (("none", ".Lruntimeeface", words(0, 7)), ("odd", ".Lruntimeeface", words("main", 7)),
                             ("far", ".Lruntimeeface", words(-1, -1)), ("tab", ".Lruntimeiface", words("tab", 7)),
                             ("no_tab", ".Lruntimeiface", words(0, 7)), ("far_tab", ".Lruntimeiface", words(-8, 7))):
        made.entry(VARIABLE, (NAME, STRING, name), (TYPE, REF4, kind), (LOCATION, EXPRLOC, [0x03, (name,)]))
        made.data += f" .balign 8\n{name}: {text}"
    names = ["none", "odd", "far", "tab", "no_tab", "far_tab"]
    return made, [form.format(name) for name in names for form in ("{}", "{}.(int)", "{}.(*uint8)", "{} != nil")], {"none": None, "no_tab": None}


def every_operation():
    made, names = unit(), []
    for operation in range(1, 256):
        for tail in ([], [1], [1] * 9):
            names.append(f"o{operation}_{len(tail)}")
            variable(made, names[-1], ".Lint", [0x31, 0x32, 0x33, operation] + tail)
    return made, names


# ---- the same with answers: {question: the value, or a part of the error's text} ----

def wide_constants():
    made = unit().entry(BASE, (NAME, STRING, "__int128"), (SIZE, DATA1, 16), (ENCODING, DATA1, 5), label=".Lwide")
    made.entry(BASE, (NAME, STRING, "unsigned __int128"), (SIZE, DATA1, 16), (ENCODING, DATA1, 7), label=".Luwide")
    made.entry(BASE, (NAME, STRING, "long double"), (SIZE, DATA1, 16), (ENCODING, DATA1, 4), label=".Lld")
    made.entry(VARIABLE, (NAME, STRING, "top"), (TYPE, REF4, ".Luwide"), (VALUE, DATA16, 1 << 127))
    made.entry(VARIABLE, (NAME, STRING, "below"), (TYPE, REF4, ".Lwide"), (VALUE, DATA8, "0xfffffffffffffffe"))
    made.entry(VARIABLE, (NAME, STRING, "eighth"), (TYPE, REF4, ".Lld"), (VALUE, EXPRLOC, [0] * 7 + [0x80, 0xfc, 0x3f]))
    made.entry(VARIABLE, (NAME, STRING, "none"), (TYPE, REF4, ".Lld"), (VALUE, EXPRLOC, [1] * 7 + [0x40, 0xfc, 0x3f]))
    return made, {"top": str(1 << 127), "below": -2, "eighth": 0.125, "none": "NaN"}


def lost_lengths():
    made = unit().entry(ARRAY, (TYPE, REF4, ".Lint"), label=".La", children=True)
    made.entry(SUBRANGE, (UPPER, DATA1, 2)).entry(SUBRANGE, (TYPE, REF4, ".Lint")).end()
    variable(made, "rows", ".La")
    unknown = "an array without a known length has no size"
    return made, {question: unknown for question in ("rows[1]", "rows[1][2]", "rows[1:2]", "sizeof(rows)", "sizeof(rows[0])", "rows")}


def imported_namespace():
    """How an inline namespace is written before DWARF 4."""
    made = unit(CODE, 4).entry(NAMESPACE, (NAME, STRING, "outer"), children=True)
    for name in ("inlined", "plain"):
        made.entry(NAMESPACE, (NAME, STRING, name), label=".L" + name, children=True)
        made.entry(VARIABLE, (NAME, STRING, "in_" + name), (TYPE, REF4, ".Lint"), (VALUE, DATA1, 7)).end()
    made.entry(IMPORTED, (IMPORT, REF4, ".Linlined")).end()
    return made, {"outer::in_inlined": 7, "outer::inlined::in_inlined": 7, "outer::in_plain": "there is no", "outer::plain::in_plain": 7}


def epilogue_rows():
    """A row that begins an epilogue is one like others: libdwarf took it for the end of the rows."""
    code = ' .file 1 "made.c"\n .loc 1 3\n nop\n .loc 1 4 epilogue_begin\n nop\n nop\n .loc 1 5\n' + CODE
    made = unit(code, 12, (LINES, OFFSET_OF, ".Llines"))
    return function(made), {("main", 0): 3, ("main", 1): 4, ("main", 2): 4, ("main", 3): 5}


def stubs():
    """The last label of .init does not reach into .plt behind it."""
    return function(unit(" call puts@plt\n" + CODE)), {(".plt", 0): ""}


def is_answer(wanted, answer):
    if isinstance(wanted, str) and ("error" in answer or isinstance(answer.get("value"), dict)):
        return wanted in str(answer.get("error") or answer["value"].get("$error"))
    return answer.get("value") == wanted


def address_of(binary, name):
    """Of a symbol or a section."""
    for command in (["nm", binary], ["readelf", "-SW", binary]):
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"^([0-9a-f]+) \w " + name + "$", text, re.MULTILINE) or re.search(r" " + re.escape(name) + r" +\w+ +([0-9a-f]+)", text)
        if found:
            return int(found.group(1), 16)
    raise LookupError(name)


def not_as_wanted(peek, binary, wanted):
    wrong = []
    for question, value in wanted.items():
        if isinstance(question, str):
            answer = peek.ask({"do": "eval", "expr": question})
            fine = is_answer(value, answer)
        else:
            answer = peek.ask({"do": "line", "pc": hex(address_of(binary, question[0]) + question[1])})
            fine = (answer.get("function", "") if isinstance(value, str) else answer.get("line")) == value
        if not fine:
            wrong.append(f"{question}: wanted {value}, got {answer}")
    return wrong


KNOWN = [wide_constants, lost_lengths, imported_namespace, epilogue_rows, stubs]
CASES = [typedef_of_itself, typedefs_in_a_ring, struct_in_itself, pointer_to_itself, array_of_itself, huge_counts,
         origins_in_a_ring, references_to_nowhere, missing_abbreviation, deep_nesting, endless_bytecode, pointers_without_values,
         buckets_that_lie, groups_that_lie, interfaces_that_lie, every_operation] + KNOWN


def build(case, made):
    source, binary = (os.path.join(WORK, case.__name__ + end) for end in (".s", ""))
    with open(source, "w") as out:
        out.write(made.text())
    subprocess.run(["gcc", "-no-pie", source, "-o", binary], check=True, capture_output=True, timeout=60)
    return binary


def told(case, command):
    made, questions, *known = case()
    known = known[0] if known else {}
    binary = build(case, made)
    peek = Peek(command, binary)
    requests = [{"do": "eval", "expr": question} for question in [*known, *questions] if isinstance(question, str)]
    requests += [{"do": "place", "location": "main"}, {"do": "line", "pc": "0x401110"}, {"do": "type", "name": "s0"},
                 {"do": "variables"}, {"do": "stack", "max": 16}]
    wrong = not_as_wanted(peek, binary, questions) if case in KNOWN else []
    for request in requests:
        began = time.monotonic()
        answer = peek.ask(request)
        if str(answer.get("error", "")).startswith(("crash", "evaluation did not come to an end")):
            wrong.append(f"{request}: {answer}")
        elif request.get("expr") in known and answer.get("value") != known[request["expr"]]:
            wrong.append(f"{request}: {answer}, not {known[request['expr']]}")
        elif time.monotonic() - began > SLOWEST:
            wrong.append(f"{request}: {time.monotonic() - began:.1f}s")
    with open(f"/proc/{peek.child.pid}/status") if peek.child else open(os.devnull) as status:
        peak = [int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM")]
    peek.close()
    if peak and peak[0] > MOST_MEMORY:
        wrong.append(f"{peak[0]} MiB")
    return len(requests), wrong, peak[0] if peak else 0


def main():
    command = shlex.split(os.environ.get("PEEK", ""))
    if not command or not shutil.which("gcc"):
        print("skip synthetic: no PEEK or no gcc\n0 passed, 0 failed, 1 skipped")
        return 0
    passed = failed = 0
    for case in CASES:
        if sys.argv[1:] and not any(part in case.__name__ for part in sys.argv[1:]):
            continue
        count, wrong, peak = told(case, command)
        passed, failed = passed + (not wrong), failed + bool(wrong)
        print(f"FAIL {case.__name__}: " + "\n    ".join(wrong[:5]) if wrong else f"ok {case.__name__} ({count} answers, {peak} MiB)")
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
