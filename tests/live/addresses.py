#!/usr/bin/env python3
"""Files, lines, functions and inlined calls of addresses that are spread over real programs, beside those who know:
gdb, binutils' addr2line, LLVM's symbolizer, Go's own addr2line.

An address agrees with a judge when all that the judge tells is the same. The judges differ among themselves; where we
differ from one and another says what we say, it is told and fails nothing. Alone we may be nowhere.

PEEK is the engine's command line tool, PICKGLASS the program. Arguments are parts of names; --count says how many
addresses of each program. Last come `addresses N, judged N, agreed N` and `N passed, N failed, N skipped`."""
import collections, os, re, shutil, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from differential import last_word, run, spread
from peek import Peek
from programs import ask_gdb, compiled, each, go_program, own

COUNT = 2000
SHOWN = 8


PROGRAMS = {"pickglass": own("pickglass"), "worker": own("pickglass-worker"), "c++/gcc": compiled("g++", "-O2"),
            "c++/clang": compiled("clang++", "-O1"), "c++/static": compiled("g++", "-O2", "-static"), "go": go_program}


# ---- the judges: address -> {functions: [...], file, line, lines: [(file, line)...]}, each but `functions` perhaps None ----

OPERATORS = re.compile(r"\boperator(<<=?(?![\w:])|>>=?|<=>?|>=|->\*?|<|>)")


def word(name):
    """The name alone; what is an operator's is no template's bracket."""
    name = OPERATORS.sub(lambda found: "operator" + found.group(1).translate(str.maketrans("<>-=*", "lgmes")), name)
    return last_word(re.sub(r"\s+<", "<", name))


def said(functions, places):
    return {"functions": [word(name) for name in functions], "places": places}


def by_gdb(binary, addresses, work):
    found = ask_gdb("addresses_side.py", binary, {"addresses": addresses}, work)
    return {int(pc): said(functions or ([symbol] if symbol else []), [(file, line)] if line else [])
            for pc, (functions, file, line, symbol) in found.items()}


def by_symbolizer(command):
    def ask(binary, addresses, _):
        text = "\n".join(hex(address) for address in addresses) + "\n"
        lines = subprocess.run(command + ["-a", "-f", "-i", "-C", "-e", binary], input=text, capture_output=True, text=True,
                               timeout=600).stdout.splitlines()
        found, at = {}, None
        for line in filter(None, lines):
            if re.fullmatch(r"0x[0-9a-f]+", line):
                at, name = int(line, 16), None
                found[at] = said([], [])
            elif name is None:
                name = line
            else:
                file, _, number = re.sub(r" \(discriminator \d+\)", "", line).rpartition(":")
                if name != "??":
                    found[at]["functions"].append(word(name))
                if number.isdigit() and int(number) and not file.startswith("?"):
                    found[at]["places"].append((file, int(number)))
                name = None
        return found
    return ask


def by_go(binary, addresses, _):
    """It knows the function that was called, and the innermost line."""
    text = "\n".join(hex(address) for address in addresses) + "\n"
    lines = subprocess.run(["go", "tool", "addr2line", binary], input=text, capture_output=True, text=True, timeout=600).stdout.splitlines()
    found = {}
    for address, name, place in zip(addresses, lines[::2], lines[1::2]):
        file, _, number = place.rpartition(":")
        found[address] = {"outermost": name, "places": [(file, int(number))] if number.isdigit() and file != "?" else []}
    return found


JUDGES = {"gdb": ("gdb", by_gdb), "addr2line": ("addr2line", by_symbolizer(["addr2line"])),
          "llvm-symbolizer": ("llvm-symbolizer", by_symbolizer(["llvm-symbolizer", "--output-style=GNU"])), "go tool addr2line": ("go", by_go)}


def judges_of(name):
    if name == "go":
        return ["gdb", "llvm-symbolizer", "go tool addr2line"]  # binutils 2.40 gives up on the line tables of new Go programs
    return ["gdb", "addr2line", "llvm-symbolizer"]


# ---- comparing ----

def same_place(theirs, ours):
    file, line = theirs
    return line == ours[1] and os.path.normpath(file) == os.path.normpath(ours[0] or "")


# Inherited constructors: the debug info has the class's own name, the linker's name has its base's.
INHERITED = {("__uniq_ptr_impl", "__uniq_ptr_data")}


def same_name(theirs, ours):
    return theirs == ours or (theirs, ours) in INHERITED


def agrees(theirs, ours):
    if "outermost" in theirs:
        functions = not theirs["outermost"] or theirs["outermost"] == "?" or theirs["outermost"] == (ours["names"] or [""])[-1]
    else:
        functions = not theirs["functions"] or (len(theirs["functions"]) == len(ours["functions"])
                                                and all(map(same_name, theirs["functions"], ours["functions"])))
    return functions and all(same_place(a, b) for a, b in zip(theirs["places"], ours["places"] or [("", 0)]))


def knows(theirs):
    return bool(theirs.get("functions") or theirs.get("outermost", "?") != "?" or theirs["places"])


def ask_engine(peek, address):
    answer = peek.ask({"do": "line", "pc": hex(address)})
    lines = answer.get("all", [])
    names = [line["function"] for line in lines if line["function"]]
    return {"names": names, "functions": [word(name) for name in names],
            "places": [(line["file"], line["line"]) for line in lines if line["line"]]}


PADDING = "padding between functions belongs to none of them, for gdb and for us"


ALIASES = "several symbols at one address: each tells another of them"


def symbols_of(binary):
    """Name -> the addresses that have it."""
    found = collections.defaultdict(set)
    for line in run("readelf", "-sW", binary).stdout.splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[3] in ("FUNC", "NOTYPE", "IFUNC", "OBJECT"):
            found[fields[7].split("@")[0]].add(fields[1])
    return found


class Tally:
    def __init__(self, symbols):
        self.symbols = symbols
        self.judged, self.agreed = collections.Counter(), collections.Counter()
        self.alone, self.known = [], collections.Counter()

    def add(self, address, verdicts, ours):
        fits = {judge: agrees(theirs, ours) for judge, theirs in verdicts.items() if knows(theirs)}
        if not knows(ours) and "gdb" not in fits:
            self.known[PADDING] += bool(fits)
            return
        for judge, fit in fits.items():
            self.judged[judge] += 1
            self.agreed[judge] += fit
        if fits and not any(fits.values()):
            if any(self.alike(ours, verdicts[judge]) for judge in fits):
                self.known[ALIASES] += 1
                return
            self.alone.append(f"{address:#x}: ours {brief(ours)} | " + " | ".join(f"{judge} {brief(verdicts[judge])}" for judge in fits))


    def alike(self, ours, theirs):
        names = [told["functions"][0] if told.get("functions") else "" for told in (ours, theirs)]
        return not ours["places"] and self.symbols[names[0]] & self.symbols[names[1]]


def brief(told):
    names = told.get("functions") or [told.get("outermost", "")]
    return f"{' < '.join(names)} {' < '.join(f'{os.path.basename(file)}:{line}' for file, line in told['places'])}"


def compare(name, binary, options, work):
    addresses = sorted(set(spread(binary, options.count, f"{name}/{options.seed}")))
    verdicts = {judge: JUDGES[judge][1](binary, addresses, work) for judge in judges_of(name) if shutil.which(JUDGES[judge][0])}
    peek, tally = Peek(options.peek, binary), Tally(symbols_of(binary))
    for address in addresses:
        tally.add(address, {judge: told[address] for judge, told in verdicts.items() if address in told}, ask_engine(peek, address))
    crashes = peek.crashes
    peek.close()
    return len(addresses), tally, crashes


def told(name, count, tally, crashes):
    by_judge = ", ".join(f"{judge} {tally.agreed[judge]} of {tally.judged[judge]}" for judge in tally.judged)
    if tally.alone or crashes:
        print(f"FAIL {name}: alone at {len(tally.alone)} of {count} addresses ({by_judge})", *crashes, *tally.alone[:SHOWN], sep="\n    ", flush=True)
    else:
        print(f"ok {name} ({count} addresses: {by_judge})", flush=True)
    for why, times in tally.known.items():
        print(f"  known: {times} x {why}")
    return not (tally.alone or crashes)


def main():
    sums = collections.Counter()

    def one(name, binary, options, work):
        count, tally, crashes = compare(name, binary, options, work)
        sums.update(addresses=count, judged=sum(tally.judged.values()), agreed=sum(tally.agreed.values()))
        return told(name, count, tally, crashes)

    def summed():
        return f"addresses {sums['addresses']}, judged {sums['judged']}, agreed {sums['agreed']}"
    return each(PROGRAMS, "addresses", COUNT, one, summed)


if __name__ == "__main__":
    sys.exit(main())
