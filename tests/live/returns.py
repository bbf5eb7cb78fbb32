#!/usr/bin/env python3
"""What functions return, on each architecture: natively, over gdbserver and over qemu, against what the program has
returned and what gdb's `finish` says.

Else as gdb.py."""
import os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from gdbtargets import *

TRUTH = {
    "one_char": {"a": 97}, "three_chars": {"a": "\x01\x02\x03"}, "two_ints": {"a": 1, "b": -2}, "three_ints": {"a": 1, "b": -2, "c": 3},
    "short_char": {"a": -300, "b": -4}, "two_longs": {"a": 1 << 40, "b": -2}, "bits": {"a": 5, "b": -9, "c": 70000},
    "text": {"a": "text", "b": 7}, "one_float": {"a": 0.5}, "two_floats": {"a": 0.5, "b": -1.5},
    "three_floats": {"a": [0.5, -1.5, 2.5]}, "four_floats": {"a": 0.5, "b": -1.5, "c": 2.5, "d": 3.5}, "one_double": {"a": 0.25},
    "two_doubles": {"a": 0.25, "b": -4}, "mixed_floats": {"a": 0.5, "b": 0.25}, "double_int": {"a": 0.25, "b": -7},
    "int_float": {"a": -7, "b": 0.5}, "char_double": {"a": 122, "b": 0.25}, "float_two_ints": {"a": 0.5, "b": 1, "c": 2},
    "float_bits": {"a": 0.5, "b": -3}, "nested": {"a": {"x": 1, "y": 2}, "b": 3},
    "points": {"a": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}, "with_union": {"a": {"i": 7}}, "with_alike": {"a": {"a": 0.5, "b": 0.5}, "b": 1.5},
    "complex_in": {"a": {"$complex": [1, -2]}},
    "char": -5, "short": 65000, "int": -6, "unsigned": 4000000000, "long": -(1 << 40), "float": 0.5, "double": -0.25,
    "long_double": -1.5, "wide": str((1 << 70) + 3), "complex": {"$complex": [1, -2]}, "small_complex": {"$complex": [1, -2]},
    "number": {"i": 7}, "four_ints": [1, -2, 3, 4], "pair": [0.5, -1.5],
}
LARGE = {"three_doubles": {"a": 1, "b": 2, "c": 3}, "four_doubles": {"a": [1, 2, 3, 4]}, "five_floats": {"a": [1, 2, 3, 4, 5]},
         "three_longs": {"a": 1, "b": 2, "c": 3}}
# What is too large for registers: its place is known only where the ABI says that it is returned, too.
KNOWN_LARGE = {"x86_64": set(LARGE), "aarch64": {"three_doubles", "four_doubles"}, "riscv64": set()}


def fits(want, got):
    if isinstance(want, dict):
        return isinstance(got, dict) and all(key in got and fits(value, got[key]) for key, value in want.items())
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(fits(a, b) for a, b in zip(want, got))
    return want == got


def probes(names):
    return "".join(f"  {name}: {{call: get_{name}, at_return: {{r: return}}}}\n" for name in names)


def judge(program, stub, machine):
    want = {**TRUTH, **{name: LARGE[name] for name in KNOWN_LARGE[machine]}}
    got = run(probes(want), stub(program))
    wrong = [f"{name}: {got.values(name, 'r')}, not {value}" for name, value in want.items()
             if len(got.hits(name)) != 1 or not fits(value, got.values(name, "r")[0])]
    check(not wrong, f"{machine}: " + "; ".join(wrong[:6]))
    for name in set(LARGE) - KNOWN_LARGE[machine]:
        told = pickglass("check", recipe(probes([name])), "--binary", program)
        check(told.code == 2 and "are not read yet" in told.err, f"{machine}: {name} is not refused: {told.out} {told.err}")


def on_qemu(machine):
    for level in "-O0", "-O2":
        judge(build("returned", level, machine=machine), lambda program: qemu(machine, program), machine)


def test_on_x86_64():
    for level in "-O0", "-O2":
        judge(build("returned", level), gdbserver, "x86_64")


def test_on_aarch64():
    on_qemu("aarch64")


def test_on_riscv64():
    on_qemu("riscv64")


def number_of(text):
    return re.findall(r"-?\d+(?:\.\d+)?", re.sub(r'0x[0-9a-f]+|"[^"]*"|\'.*?\'|\b[a-z]\b|<.*?>', "", text))


def flat(value):
    """The numbers of a value in their order, as gdb writes them."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in flat(part)]
    if isinstance(value, list):
        return [number for part in value for number in flat(part)]
    return [] if isinstance(value, str) and not re.fullmatch(r"-?\d+", value) else [f"{value:g}" if isinstance(value, float) else str(value)]


def test_as_gdb_finishes():
    """What gdb reads out of the same registers, of what has numbers alone."""
    need("gdb-multiarch")
    other_words = "text", "three_chars", "wide", "long_double", "bits", "with_union", "number"  # and with_alike is wrong in gdb 13
    names = [name for name in TRUTH if name not in (*other_words, "with_alike")]
    for machine in "aarch64", "riscv64":
        program = build("returned", "-O0", machine=machine)
        stub = qemu(machine, program)
        got = run(probes(names), qemu(machine, program))
        commands = []
        for name in names:
            commands += ["-ex", f"tbreak get_{name}", "-ex", "continue", "-ex", "finish"]
        done = subprocess.run(["gdb-multiarch", "-nx", "-batch", "-ex", f"file {program}", "-ex", "target remote " + stub.uri.split("//")[1],
                               *commands], capture_output=True, text=True, timeout=100)
        said = re.findall(r"Value returned is \$\d+ = (.*)", done.stdout)
        check(len(said) == len(names), f"{machine}: gdb has {len(said)} of {len(names)} results: {done.stdout[-300:]} {done.stderr[-300:]}")
        wrong = [f"{name}: {got.values(name, 'r')[0]}, gdb {text}" for name, text in zip(names, said)
                 if flat(got.values(name, "r")[0]) != number_of(text)]
        check(not wrong, f"{machine}: " + "; ".join(wrong[:6]))


if __name__ == "__main__":
    sys.exit(main([(name, test) for name, test in list(globals().items()) if name.startswith("test_")]))
