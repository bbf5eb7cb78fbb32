#!/usr/bin/env python3
"""Where a breakpoint on a function goes, for the functions of real programs: ours beside gdb's (C, C++) and Delve's (Go).

PEEK is the engine's command line tool, PICKGLASS the program, whose `list` says which functions there are. Arguments are
parts of names of programs; --count bounds the functions of each. Last come `functions N, agreed N` and
`N passed, N failed, N skipped`."""
import collections, json, os, random, re, shlex, shutil, socket, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from differential import run
from peek import Peek
from programs import Missing, ask_gdb, compiled, each, go_program, own

COUNT = 1500
SHOWN = 8
MOST = 256  # places of one function that the engine tells

PROGRAMS = {"pickglass": own("pickglass"), "worker": own("pickglass-worker"), "c++/gcc-O0": compiled("g++", "-O0"),
            "c++/gcc-O2": compiled("g++", "-O2"), "c++/clang-O2": compiled("clang++", "-O2"),
            "c++/clang-dwarf64": compiled("clang++", "-O2", "-gdwarf64"), "go": go_program}


def functions_of(binary):
    pickglass = shlex.split(os.environ["PICKGLASS"])
    return run(*pickglass, "list", binary, "functions", timeout=120).stdout.splitlines()


# ---- the judges: name -> addresses ----

def by_gdb(binary, names, work):
    return ask_gdb("places_side.py", binary, {"names": names}, work)


AMBIGUOUS = [-1]  # an address that no function has


class Delve:
    """A Delve that holds a program at its start, asked by JSON-RPC where its breakpoints would go."""

    def __init__(self, binary):
        self.child = subprocess.Popen(["dlv", "exec", "--headless", "--api-version=2", "--listen=127.0.0.1:0", binary],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        address = re.search(r"listening at: (\S+):(\d+)", self.child.stdout.readline())
        self.socket = socket.create_connection((address.group(1), int(address.group(2))), timeout=60)
        self.stream = self.socket.makefile("rw")

    def ask(self, method, argument):
        self.stream.write(json.dumps({"method": "RPCServer." + method, "params": [argument], "id": 1}) + "\n")
        self.stream.flush()
        return json.loads(self.stream.readline())

    def places(self, name):
        answer = self.ask("FindLocation", {"Scope": {"GoroutineID": -1}, "Loc": name, "IncludeNonExecutableLines": False})
        if "ambiguous" in str(answer.get("error")):
            return AMBIGUOUS
        found = (answer.get("result") or {}).get("Locations") or []
        return sorted({pc for place in found for pc in place.get("pcs") or [place.get("pc", 0)] if pc})

    def close(self):
        self.ask("Detach", {"Kill": True})
        self.child.wait(timeout=30)


def by_delve(binary, names, _):
    delve = Delve(binary)
    try:
        return {name: delve.places(name) for name in names}
    finally:
        delve.close()


# ---- comparing ----

def ours_of(peek, name):
    answer = peek.ask({"do": "place", "location": name})
    places = {int(place["pc"], 16): place for place in answer.get("places", [])}
    return places, answer.get("error", "")


def compare(name, binary, options, work):
    judge, ask = ("dlv", by_delve) if name == "go" else ("gdb", by_gdb)
    if not shutil.which(judge):
        raise Missing(f"no {judge}")
    names = sorted(set(functions_of(binary)))
    if len(names) > options.count:
        names = sorted(random.Random(f"{name}/{options.seed}").sample(names, options.count))
    theirs, peek = ask(binary, names, work), Peek(options.peek, binary)
    agreed, known, wrong, known_reasons = 0, collections.Counter(), [], Known(binary, names, "clang" in name, peek)
    for function in names:
        ours, error = ours_of(peek, function)
        if set(theirs[function]) == set(ours):
            agreed += 1
            continue
        why = known_reasons.reason(function, theirs[function], ours, judge)
        if why:
            known[why] += 1
        else:
            only, more = set(theirs[function]) - set(ours), set(ours) - set(theirs[function])
            wrong.append(f"{function}: {len(theirs[function])} places; {judge} alone {hexes(only)} | ours alone {hexes(more)} {error}")
    crashes = peek.crashes
    peek.close()
    return len(names), agreed, known, wrong + crashes


def hexes(addresses):
    return " ".join(map(hex, sorted(addresses)[:6])) or "none"


def sections_of(binary):
    """(name, begin, end)"""
    rows = re.findall(r"\] (\S+)\s+\S+\s+([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", run("readelf", "-SW", binary).stdout)
    return [(name, int(at, 16), int(at, 16) + int(size, 16)) for name, at, size in rows]


def entries_of(binary):
    told = run("readelf", "--debug-dump=info", binary, timeout=300).stdout
    return {int(pc, 16) for pc in re.findall(r"DW_AT_entry_pc\s+: 0x([0-9a-f]+)", told)}


def marked_in(binary):
    """Where the line table says that a prologue ends."""
    if not shutil.which("llvm-dwarfdump"):
        return set()
    told = run("llvm-dwarfdump", "--debug-line", binary, timeout=300).stdout
    return {int(pc, 16) for pc in re.findall(r"^0x([0-9a-f]+) .*prologue_end", told, re.M)}


class Known:
    """Why a judge's places may differ from ours."""

    def __init__(self, binary, names, clang, peek):
        self.names = names
        self.at = lambda pc: peek.ask({"do": "line", "pc": hex(pc)})
        self.stubs = [(low, high) for name, low, high in sections_of(binary) if name.startswith(".plt")]
        self.entries = entries_of(binary)
        self.marked = marked_in(binary) if clang else set()

    def reason(self, name, theirs, ours, judge):
        only, more = set(theirs) - set(ours), set(ours) - set(theirs)
        only -= {pc for pc in only if any(low <= pc < high for low, high in self.stubs)}
        if not only and not more:
            return "gdb stops in stubs of the linkage table too"
        if judge == "gdb" and more and more <= self.entries and len(only) <= len(more):
            return "gdb 13 does not read where an inlined copy is entered (DW_AT_entry_pc)"
        if judge == "gdb" and "<" in name and not only:
            return "gdb knows templates by all their arguments, in its own words"
        if judge == "gdb" and more and more <= self.marked:
            return "clang's own mark of the prologue's end is believed here"
        if judge == "gdb" and only and not more and all(self.at(pc).get("function") == "operator()" for pc in only):
            return "gdb takes what is local to a function, and put into it, for an overload of it"
        return self.reason_of_delve(name, theirs, ours) if judge == "dlv" else None

    def reason_of_delve(self, name, theirs, ours):
        if "[" in name:
            return "Delve takes no names with their type arguments"
        if theirs == AMBIGUOUS or name.startswith(("go:", "type:")):
            return "Delve finds several functions of that name's parts, or takes it for none"
        if set(theirs) <= set(ours) and any(other.endswith((f"/{name}", f".{name}")) for other in self.names):
            return "the end of a path names a function for us, and all of it for Delve"
        entries = [self.at(pc) for pc in theirs if pc not in ours]
        if len(theirs) == len(ours) and all(not at.get("line") or at["file"].endswith("<autogenerated>") for at in entries):
            return "Delve stops at the entry of what the compiler made, we behind its prologue"
        if not theirs and all(not place["file"] for place in ours.values()):
            return "Delve knows no functions without debug info"
        if not theirs and re.search(r"\.(func|deferwrap|gowrap|map\.init\.)\d", name):
            return "Delve takes no names of closures in methods, or made by the compiler"
        return None


def main():
    sums = collections.Counter()

    def one(name, binary, options, work):
        count, same, known, wrong = compare(name, binary, options, work)
        sums.update(functions=count, agreed=same)
        print(f"{'FAIL' if wrong else 'ok'} {name} ({same} of {count} functions agreed)", *wrong[:SHOWN], sep="\n    ", flush=True)
        for why, times in known.items():
            print(f"  known: {times} x {why}")
        return not wrong
    return each(PROGRAMS, "places", COUNT, one, lambda: f"functions {sums['functions']}, agreed {sums['agreed']}")


if __name__ == "__main__":
    sys.exit(main())
