#!/usr/bin/env python3
"""Debug info that no compiler writes: loops, cycles, huge counts, missing abbreviations, every operation of location
expressions. Each question must be answered, with a value or with an error, within a second or so.

A DWARF 4 unit is written as assembler data, and PEEK is asked about it. Prints `ok NAME`, `FAIL NAME: why`, and
`N passed, N failed, N skipped` last. Arguments are parts of names to run."""
import os, shlex, shutil, subprocess, sys, tempfile, time

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
STRING, DATA1, DATA8, REF4, EXPRLOC, ADDR = 0x08, 0x0b, 0x07, 0x13, 0x18, 0x01


class Unit:
    """Entries as assembler text; a reference is to another entry's label."""

    def __init__(self):
        self.abbrevs, self.lines, self.depth = [], [], 0

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
            return f" .uleb128 {len(value)}\n" + "".join(f" .byte {byte}\n" for byte in value)
        if form == REF4:
            return f" .long {value} - .Lunit" if isinstance(value, str) else f" .long {value}"
        return {DATA1: " .byte ", DATA8: " .quad ", ADDR: " .quad "}[form] + str(value)

    def end(self):
        self.lines.append(" .byte 0")
        return self

    def text(self):
        abbrevs = "".join(
            f" .uleb128 {number}, {tag}\n .byte {int(children)}\n" + "".join(f" .uleb128 {at}, {form}\n" for at, form in shape)
            + " .byte 0, 0\n" for number, (tag, children, shape) in enumerate(self.abbrevs, 1))
        return (' .globl main\n .type main,@function\nmain:\n xorl %eax,%eax\n ret\n.Lend:\n .size main,.-main\n .data\n'
                ' .globl data\ndata: .fill 64,1,1\n .section .debug_abbrev,"",@progbits\n.Labbrev:\n' + abbrevs +
                ' .byte 0\n .section .debug_info,"",@progbits\n.Lunit:\n .long .Lstop - .Lversion\n.Lversion:\n .short 4\n'
                ' .long .Labbrev\n .byte 8\n' + "\n".join(self.lines) + "\n .byte 0\n.Lstop:\n .section .note.GNU-stack\n")


def unit():
    made = Unit().entry(UNIT, (NAME, STRING, "made.c"), (LANGUAGE, DATA1, 12), (LOW, ADDR, "main"), (HIGH, ADDR, ".Lend"),
                        children=True)
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


def every_operation():
    made, names = unit(), []
    for operation in range(1, 256):
        for tail in ([], [1], [1] * 9):
            names.append(f"o{operation}_{len(tail)}")
            variable(made, names[-1], ".Lint", [0x31, 0x32, 0x33, operation] + tail)
    return made, names


CASES = [typedef_of_itself, typedefs_in_a_ring, struct_in_itself, pointer_to_itself, array_of_itself, huge_counts,
         origins_in_a_ring, references_to_nowhere, missing_abbreviation, deep_nesting, endless_bytecode, every_operation]


def build(case, made):
    source, binary = (os.path.join(WORK, case.__name__ + end) for end in (".s", ""))
    with open(source, "w") as out:
        out.write(made.text())
    subprocess.run(["gcc", "-no-pie", source, "-o", binary], check=True, capture_output=True, timeout=60)
    return binary


def told(case, command):
    made, questions = case()
    peek = Peek(command, build(case, made))
    requests = [{"do": "eval", "expr": question} for question in questions]
    requests += [{"do": "place", "location": "main"}, {"do": "line", "pc": "0x401110"}, {"do": "type", "name": "s0"},
                 {"do": "variables"}, {"do": "stack", "max": 16}]
    wrong = []
    for request in requests:
        began = time.monotonic()
        answer = peek.ask(request)
        if str(answer.get("error", "")).startswith(("crash", "evaluation did not come to an end")):
            wrong.append(f"{request}: {answer}")
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
