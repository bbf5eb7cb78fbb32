#!/usr/bin/env python3
"""`pickglass list FILE functions|types|variables|files` beside gdb's `info` of the same, name by name, in both directions.

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last. Arguments are
parts of test names to run. PICKGLASS is the program under test."""
import collections, functools, os, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
WORK = tempfile.mkdtemp(prefix="pickglass-lists-")
MISSING, MORE = "missing", "more"
WHAT = ("functions", "types", "variables", "files")

# Names that one side alone has: which list, which side, which name (spelled as `normal` does), and why.
KNOWN = [
    ("types", MORE, r"^_Guard$", "a class inside of a function: gdb lists what is outside of them"),
    ("functions|types", "", r"lambda|__assignable<", "names that gdb's reader of C++ does not take apart are as the linker or the compiler wrote them"),
    ("functions", "", r"(^|::)_Guard::|^operator\(\)", "what is inside of a function is named without it"),
    ("functions", MISSING, r"::_(Copy|Move)_(ctor|assign)_base<.*>::_Variant_storage<|::_Variant_base<.*>::_Variant_storage<", "an inherited constructor: gdb names the one that it was made from"),
    ("functions", MORE, r"::(_(Copy|Move)_(ctor|assign)_base|_Variant_base)<.*>::(_(Copy|Move)_(ctor|assign)_base<|_Variant_base<|_Variant_storage$)", "an inherited constructor: gdb names the one that it was made from"),
    ("variables", "", r"^std::in_place_(index|type)", "a variable template's arguments are in the linker's name alone"),
    ("variables", MORE, r"^__gnu_cxx::__default_lock_policy$", "gdb takes a constant of an enumeration for one of its enumerators"),
    ("functions", MORE, r"^runtime\.etext$", "the end of Go's code, which the linker marks as a function"),
    ("variables", "", r"_Base_manager<(int)?\(\*\)\(int\)>::", "gdb loses a function's result in a template's arguments"),
]
# The same, of what readelf finds with that tag in a Go program.
OF_GO = [
    ("variables", "constant", "gdb takes Go's constants for variables"),
    ("files", "compile_unit", "gdb takes a package, which is a unit of Go's, for a file"),
]


class Skipped(Exception):
    pass


# ---- what gdb says ----

def told(binary, command):
    """gdb's answer to a command of its machine interface."""
    gdb = shutil.which("gdb")
    if not gdb:
        raise Skipped("no gdb")
    done = subprocess.run([gdb, "-nx", "-q", "-i", "mi", binary], input=f"{command}\n-gdb-exit\n", capture_output=True, text=True, timeout=300)
    rows = [row for row in done.stdout.splitlines() if row.startswith("^done")]
    if not rows:
        raise AssertionError(f"{command}: {done.stdout[-300:]}")
    return rows[0]


def named(answer, key="name"):
    def plain(text):
        bytes = re.sub(rb"\\([0-7]{3}|.)", lambda found: found[1] if len(found[1]) == 1 else b"%c" % int(found[1], 8), text.encode())
        return bytes.decode(errors="replace")
    return [plain(text) for text in re.findall(rf'(?<=[{{,]){key}="((?:[^"\\]|\\.)*)"', answer)]


def without_parameters(name):
    bare = re.sub(r"( const| volatile| ?&&?| \[clone [^\]]*\]|@plt)*$", "", name)
    if not bare.endswith(")") or bare.endswith("operator()"):
        return bare
    depth = 0
    for at in range(len(bare) - 1, -1, -1):
        depth += (bare[at] == ")") - (bare[at] == "(")
        if not depth:
            return bare[:at]
    return bare


def by_gdb(binary, what):
    """Names that have debug info, and those that have none."""
    if what == "files":
        return {os.path.normpath(name) for name in named(told(binary, "-file-list-exec-source-files"), "fullname") if name}, set()
    if what == "types":
        return set(named(told(binary, "-symbol-info-types"))), set()
    described, _, bare = told(binary, f"-symbol-info-{what} --include-nondebug").partition("nondebug=[")
    strip = without_parameters if what == "functions" else str
    return {strip(name) for name in named(described)}, {strip(name) for name in named(bare)}


class Entries:
    """What readelf finds in the debug info: names of namespaces, constants and units, and of functions that were put
    into others."""
    def __init__(self, binary):
        self.named = {"namespace": {"(anonymous namespace)"}, "constant": set(), "compile_unit": set()}
        self.inlined, names, made_from, copied = set(), {}, {}, set()
        reader = subprocess.Popen(["readelf", "--debug-dump=info", binary], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
        tag = at = None
        for row in reader.stdout:
            begun = re.match(r" <\w+><(\w+)>: Abbrev Number: \d+ \(DW_TAG_(\w+)\)", row)
            if begun:
                at, tag = begun.groups()
            said = re.match(r"    <\w+>   DW_AT_(name|specification|abstract_origin) *: (?:\(.*?\): )?(.*)", row)
            if not said or tag not in ("subprogram", "inlined_subroutine", *self.named):
                continue
            what, value = said.group(1), said.group(2).strip()
            if what != "name":
                made_from[at] = value.strip("<>")[2:]
                if tag == "inlined_subroutine":
                    copied.add(made_from[at])
            elif tag in self.named:
                self.named[tag].add(value)
            else:
                names[at] = value
        reader.wait()
        for at in copied:
            for _ in range(4):
                if at not in names:
                    at = made_from.get(at)
            self.inlined.add(stem(normal(names.get(at) or "")))


def last_part(name):
    depth, last = 0, 0
    for at, sign in enumerate(name):
        if not depth and name.startswith("operator", at) and at == last:
            break
        depth += (sign in "<(") - (sign in ">)" and name[at - 1] != "-")
        if not depth and name.startswith("::", at):
            last = at + 2
    return name[last:]


def stem(name):
    """A function's own name, without a template's arguments."""
    found = re.match(r"operator\W+?(?=<\w|$)|[^<]*", last_part(name))
    return found.group().strip()


# ---- one spelling for both ----

DEFAULTS = ("std::allocator<", "std::char_traits<", "std::less<")
INTEGERS = r"\b(?:(?:unsigned|signed|long|short|int|char)\b ?)+"


def bracket_end(text, at):
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "<") - (text[i] == ">" and text[i - 1] != "-")
        if not depth:
            return i + 1
    return len(text)


def integer(words):
    kept = sorted(word for word in words.group().split() if word not in ("int", "signed"))
    return " ".join(kept or ["int"]) + (" " if words.group().endswith(" ") else "")


def normal(name):
    """Without what is said in several ways: spaces, a number's suffix, an ABI's tag, default arguments of the library,
    which gcc leaves out of functions' names."""
    name = re.sub(r"\[abi:\w+\]", "", name)
    name = re.sub(r"\((?:unsigned |signed )?char\)'\\x(\w\w)'", lambda found: str(int(found.group(1), 16)), name)
    name = re.sub(r"\((?:(?:un)?signed )?\w+\)(?=-?\d)", "", name)
    name = re.sub(r"(?<=\W)(-?\d+)(?:u?ll?|u)\b", r"\1", name, flags=re.I)
    name = re.sub(INTEGERS, integer, name)
    name = re.sub(r"(?<!\w) | (?!\w)", "", name)
    for default in DEFAULTS:
        at = name.find("," + default)
        while at >= 0:
            end = bracket_end(name, at + len(default))
            cut = name[end:end + 1] == ">"
            name = name[:at] + name[end:] if cut else name
            at = name.find("," + default, at + (not cut))
    return name


def is_shorter(ours, theirs):
    """The same but for arguments of a template at the end, which gcc leaves out where they are defaults."""
    begin = ours[:-1]
    return ours.endswith(">") and theirs.endswith(">") and theirs.startswith(begin if begin.endswith("<") else begin + ",")


# ---- the comparison ----

def by_us(binary, what):
    run = subprocess.run([PICKGLASS, "list", binary, what], capture_output=True, text=True, timeout=120)
    if run.returncode:
        raise AssertionError(f"list {what}: exit {run.returncode}: {run.stderr[-300:]}")
    names = {row.split("\t")[0] for row in run.stdout.splitlines()}
    return {os.path.normpath(name) for name in names} if what == "files" else names


def reasons(entries, what, missing, more, ours, is_go):
    """(side, name) -> why it may differ; None: for no reason that is known."""
    found = {}
    for side, names in (MISSING, missing), (MORE, more):
        for name in names:
            found[side, name] = next((why for lists, where, pattern, why in KNOWN
                                      if re.search(lists, what) and where in ("", side) and re.search(pattern, name)), None)
    for name in more if what == "functions" else ():
        longer = [other for other in missing if is_shorter(name, other)]
        for key in [(MORE, name)] + [(MISSING, other) for other in longer] if longer else []:
            found[key] = found[key] or "gcc leaves a template's default arguments out of the name"
        if stem(name) in entries().inlined:
            found[MORE, name] = found[MORE, name] or "it is nowhere but in others, or has another copy there: gdb does not list it"
    for name in missing if what == "types" else ():
        if name.split("::")[-1] in entries().named["namespace"]:
            found[MISSING, name] = "gdb takes a namespace for a type"
        elif any(one.endswith("::" + name) for one in ours):
            found[MISSING, name] = "gdb takes a type unit's types out of their namespaces, too"
    for lists, tag, why in OF_GO:
        for name in missing if what == lists and is_go else ():
            if name in entries().named[tag]:
                found[MISSING, name] = why
    return found


def compare(binary, is_go):
    agreed, known, wrong = 0, collections.Counter(), []
    entries = functools.cache(lambda: Entries(binary))
    for what in WHAT:
        described, bare = by_gdb(binary, what)
        theirs, ours, others = ({normal(name) for name in names} for names in (described, by_us(binary, what), bare))
        if not theirs:
            wrong.append(f"{what}: gdb has none")
        agreed += len(theirs & ours)
        for (side, name), why in reasons(entries, what, theirs - ours, ours - theirs - others, ours, is_go).items():
            known[why] += why is not None
            if not why:
                wrong.append(f"{what}: {side}: {name}")
    return agreed, known, wrong


def program(source, *command):
    def build():
        if not shutil.which(command[0]):
            raise Skipped(f"no {command[0]}")
        path = os.path.join(WORK, f"{source}-{command[0]}{len(command)}")
        done = subprocess.run([*command, "-w", os.path.join(ROOT, "fixtures", source), "-o", path, "-lm"], capture_output=True, text=True, timeout=300, cwd=WORK)
        if done.returncode:
            raise Skipped(f"it cannot be built: {done.stderr[-300:]}")
        return path
    os.makedirs(os.path.join(WORK, os.path.dirname(source)), exist_ok=True)
    return build


def our_own():
    path = os.path.join(os.path.dirname(PICKGLASS), "pickglass-worker")
    if not os.path.exists(path):
        raise Skipped("PICKGLASS is in no build directory")
    return path


def go_program():
    if not shutil.which("go"):
        raise Skipped("no go")
    path = os.path.join(WORK, "go-values")
    done = subprocess.run(["go", "build", "-buildvcs=false", "-o", path, os.path.join(ROOT, "fixtures", "go", "values", "main.go")], capture_output=True, text=True, timeout=300, cwd=WORK)
    if done.returncode:
        raise Skipped(f"it cannot be built: {done.stderr[-300:]}")
    return path


def too_long():
    """No list is cut in silence."""
    source, library = os.path.join(WORK, "many.s"), os.path.join(WORK, "many.so")
    with open(source, "w") as out:
        for i in range(100001):
            out.write(f".globl many_{i}\n.type many_{i},@function\nmany_{i}: .byte 0\n.size many_{i},1\n")
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", library, source], capture_output=True, timeout=120, check=True)
    whole, some = (subprocess.run([PICKGLASS, "list", library, "functions", *pattern], capture_output=True, text=True, timeout=120) for pattern in ([], ["_9999[0-9]$"]))
    wrong = [] if whole.returncode == 3 and not whole.stdout and "more than 100000" in whole.stderr else [f"exit {whole.returncode}: {whole.stderr[-300:]}"]
    names = some.stdout.split()
    return len(names), {}, wrong + ([] if len(names) == 10 else [f"with a pattern: {names[:20]}"])


TESTS = {
    "standard-gcc": program("cpp/standard.cpp", "g++", "-std=c++17", "-g"),
    "standard-clang": program("cpp/standard.cpp", "clang++", "-std=c++17", "-g", "-fstandalone-debug"),
    "containers-gcc": program("cpp/containers.cpp", "g++", "-std=c++17", "-g"),
    "containers-clang": program("cpp/containers.cpp", "clang++", "-std=c++17", "-g"),
    "containers-gcc-types": program("cpp/containers.cpp", "g++", "-std=c++17", "-g", "-fdebug-types-section"),
    "shapes-gcc-dwarf4": program("cpp/shapes.cpp", "g++", "-std=c++17", "-gdwarf-4", "-O1"),
    "our-worker": our_own,
    "go": go_program,
    "too-long": None,
}


def main():
    passed = failed = skipped = 0
    for name, build in TESTS.items():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        try:
            agreed, known, wrong = compare(build(), name == "go") if build else too_long()
        except Skipped as why:
            skipped += 1
            print(f"skip {name}: {why}", flush=True)
            continue
        except (AssertionError, subprocess.SubprocessError, OSError) as why:
            agreed, known, wrong = 0, {}, [str(why)]
        failed += bool(wrong)
        passed += not wrong
        print(f"FAIL {name}: {len(wrong)} differ:" if wrong else f"ok {name}:", f"{agreed} names agree,", f"{sum(known.values())} differ for a reason", flush=True)
        for why, count in sorted(known.items(), key=str):
            if why:
                print(f"    {count}: {why}")
        for one in wrong[:40]:
            print("   ", one[:400], flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
