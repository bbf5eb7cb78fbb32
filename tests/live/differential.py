#!/usr/bin/env python3
"""The symbol and expression engine against gdb (and addr2line): C and C++ programs in many builds, at many stops.

PEEK is the engine's command line tool. Arguments are parts of names (`FIXTURE/BUILD/CHECK`) to run; --quick is a part of
the matrix, --brief is all of it with fewer stops and addresses, --list says what there is, --keep keeps the built
programs. Prints `ok NAME (N compared)`, `FAIL NAME` with the first disagreements or `skip NAME: why`, and last
`values compared N, agreed N` and `N passed, N failed, N skipped`."""
import argparse, collections, concurrent.futures, json, os, random, re, shlex, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FIXTURES = os.path.join(ROOT, "fixtures")
sys.path.insert(0, HERE)
from peek import Peek
from known import reason

GDB_TIMEOUT = 300
BUILD_TIMEOUT = 120
SHOWN = 10
PROGRAMS = {
    "types": ["c/types.c"], "structs": ["c/structs.c"], "scopes": ["c/scopes.c", "c/scopes_other.c"],
    "strings": ["c/strings.c"], "frames": ["c/frames.c"], "classes": ["cpp/classes.cpp"],
    "templates": ["cpp/templates.cpp"], "library": ["cpp/library.cpp"],
    "results": ["cpp/results.cpp"],
}
QUICK = ("gcc-O0-dwarf5-pie", "clang-O2-dwarf4-nopie", "gcc-O2-dwarf5-pie", "gcc-O0-dwz")
Build = collections.namedtuple("Build", "name compiler flags after")


# ---- the matrix ----

def debuglink(path):
    debug = path + ".debug"
    run("objcopy", "--only-keep-debug", path, debug)
    run("objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", path)


def dwz(path):
    run("dwz", path)


def dwz_shared(path):
    """A second copy, so that there is something to share."""
    other = path + ".other"
    shutil.copy(path, other)
    run("dwz", "-m", path + ".shared", path, other)


def dwp(path):
    folder = os.path.dirname(path)
    pieces = [name for name in os.listdir(folder) if name.endswith(".dwo")]
    tool = "dwp" if "gcc" in folder else "llvm-dwp"
    run(tool, *pieces, "-o", path + ".dwp", cwd=folder)
    for piece in pieces:
        os.remove(os.path.join(folder, piece))


def strip_local_symbols(path):
    run("objcopy", "--strip-unneeded", "--keep-section=.debug*", path)


def plain_builds():
    for compiler in ("gcc", "clang"):
        for level in ("-O0", "-O2"):
            for version in ("4", "5"):
                for pie in ("pie", "nopie"):
                    flags = [level, f"-gdwarf-{version}"] + (["-fPIE", "-pie"] if pie == "pie" else ["-fno-pie", "-no-pie"])
                    yield Build(f"{compiler}{level}-dwarf{version}-{pie}", compiler, flags, None)


def special_builds():
    for compiler in ("gcc", "clang"):
        for level in ("-O0", "-O2"):
            name, base = compiler + level, [level, "-g"]
            yield Build(name + "-debuglink", compiler, base, debuglink)
            if compiler == "gcc":
                yield Build(name + "-dwarf2", compiler, [level, "-gdwarf-2"], None)
                yield Build(name + "-dwarf3", compiler, [level, "-gdwarf-3"], None)
                yield Build(name + "-dwarf3-strict", compiler, [level, "-gdwarf-3", "-gstrict-dwarf"], None)
                yield Build(name + "-gz-gnu", compiler, base + ["-gz=zlib-gnu"], None)
            yield Build(name + "-gz", compiler, base + ["-gz=zlib"], None)
            yield Build(name + "-dwarf64", compiler, base + ["-gdwarf64"], None)
            yield Build(name + "-split-dwarf64", compiler, base + ["-gdwarf64", "-gsplit-dwarf"], None)
            yield Build(name + "-types-dwarf4", compiler, base + ["-gdwarf-4", "-fdebug-types-section"], None)
            yield Build(name + "-types-dwarf5", compiler, base + ["-gdwarf-5", "-fdebug-types-section"], None)
            yield Build(name + "-split-dwarf4", compiler, base + ["-gdwarf-4", "-gsplit-dwarf"], None)
            yield Build(name + "-split-dwarf5", compiler, base + ["-gdwarf-5", "-gsplit-dwarf"], None)
            # The packing tool of binutils knows DWARF 4 alone, and gdb 13 dies of LLVM's DWARF 5.
            yield Build(name + "-dwp", compiler, base + ["-gdwarf-4", "-gsplit-dwarf"], dwp)
            # dwz does not read clang's DWARF 5.
            readable = base + ["-gdwarf-4"] if compiler == "clang" else base
            yield Build(name + "-dwz", compiler, readable, dwz)
            yield Build(name + "-dwz-shared", compiler, readable, dwz_shared)
    for compiler in ("gcc", "clang"):
        for level in ("-O1", "-O3", "-Os"):
            yield Build(compiler + level, compiler, [level, "-g"], None)
        yield Build(compiler + "-O2-debug_frame", compiler, ["-O2", "-g", "-fno-asynchronous-unwind-tables"], None)
        yield Build(compiler + "-O2-framepointer", compiler, ["-O2", "-g", "-fno-omit-frame-pointer"], None)
        yield Build(compiler + "-O2-static", compiler, ["-O2", "-g", "-static"], None)
    yield Build("gcc-Og", "gcc", ["-Og", "-g3"], None)
    yield Build("gcc-O2-lto", "gcc", ["-O2", "-g", "-flto"], None)
    yield Build("gcc-O2-lto-nosymtab", "gcc", ["-O2", "-g", "-flto"], strip_local_symbols)
    yield Build("clang-O2-lto", "clang", ["-O2", "-g", "-flto"], None)
    yield Build("gcc-O2-nosymtab", "gcc", ["-O2", "-g"], strip_local_symbols)


def builds(quick):
    everything = list(plain_builds()) + list(special_builds())
    return [build for build in everything if not quick or build.name in QUICK]


# ---- building ----

def run(*command, cwd=None, timeout=BUILD_TIMEOUT, env=None):
    done = subprocess.run(command, cwd=cwd, env=env, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{os.path.basename(command[0])}: {(done.stderr or done.stdout).strip()[:300]}")
    return done


def compile_program(fixture, build, work):
    folder = os.path.join(work, f"{fixture}-{build.name}")
    os.makedirs(folder)
    path = os.path.join(folder, fixture)
    compiler_of = {"gcc": ("gcc", "g++"), "clang": ("clang", "clang++")}[build.compiler]
    objects = []
    for source in PROGRAMS[fixture] + ["c/stop.c"]:
        plus = source.endswith(".cpp")
        target = os.path.join(folder, os.path.basename(source) + ".o")
        standard = ["-std=c++17"] if plus else []
        # A relative name, so that the unit's directory has to be put before it.
        run(compiler_of[plus], *standard, *build.flags, "-w", "-c", source, "-o", target, cwd=FIXTURES)
        objects.append(target)
    plus = any(source.endswith(".cpp") for source in PROGRAMS[fixture])
    run(compiler_of[plus], *build.flags, *objects, "-o", path, "-lm", cwd=folder)
    if build.after:
        build.after(path)
    return path


def judged_file(fixture, build, binary, work):
    """The file that gdb runs. Of split debug info it has the same program's in one piece: gdb 13 misses clang's location
    lists in split DWARF 5 and thread-local variables in gcc's, and so it is known that splitting changes no answer."""
    if "-gsplit-dwarf" not in build.flags:
        return binary
    whole = Build(build.name + "-whole", build.compiler, [flag for flag in build.flags if flag != "-gsplit-dwarf"], None)
    judged = compile_program(fixture, whole, work)
    if loaded(judged) != loaded(binary):
        raise NoJudge("split debug info has changed the code")
    return judged


def loaded(binary):
    """What comes into memory, without the linker's number of the file."""
    run("objcopy", "-O", "binary", "--remove-section", ".note.gnu.build-id", binary, binary + ".loaded")
    with open(binary + ".loaded", "rb") as content:
        return content.read()


# ---- one program under gdb ----

class NoJudge(Exception):
    """gdb itself could not do it."""


def gdb_job(fixture, build, checks, options, work):
    binary = compile_program(fixture, build, work)
    job = {"name": f"{fixture}/{build.name}", "binary": binary, "fixture": fixture, "sources": [os.path.basename(source) for source in PROGRAMS[fixture]],
           "peek": options.peek, "checks": checks, "quick": options.quick or options.brief, "seed": f"{fixture}/{build.name}/{options.seed}",
           "out": binary + ".json"}
    with open(binary + ".job", "w") as out:
        json.dump(job, out)
    command = ["gdb", "-nx", "-batch", "-iex", "set auto-load no", "-iex", "set auto-load libthread-db on",
               "-x", os.path.join(HERE, "gdb_side.py"), judged_file(fixture, build, binary, work)]
    environment = {**os.environ, "DIFFERENTIAL": binary + ".job", "DEBUGINFOD_URLS": "", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=FIXTURES, env=environment, timeout=GDB_TIMEOUT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace")
    if not os.path.exists(job["out"]):
        raise NoJudge(f"gdb ended with status {done.returncode} before it said anything")
    with open(job["out"]) as found:
        result = json.load(found)
    result["unfinished"] = f"gdb ended with status {done.returncode} on the way" if done.returncode < 0 else None
    return binary, result


# ---- addr2line ----

def text_ranges(binary):
    found = []
    for line in run("readelf", "-SW", binary).stdout.splitlines():
        match = re.search(r"\] (\S+)\s+PROGBITS\s+([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", line)
        if match and match.group(1) == ".text":
            found.append((int(match.group(2), 16), int(match.group(3), 16)))
    return found


def spread(binary, count, seed):
    chooser = random.Random(seed)
    found = []
    for start, size in text_ranges(binary):
        step = max(1, size // count)
        found += [min(at + chooser.randrange(step), start + size - 1) for at in range(start, start + size, step)]
    return found[:count]


BINUTILS = ["addr2line"]
LLVM = ["llvm-symbolizer", "--output-style=GNU"]
RUST_NAME = "Rust's functions under two manglings: file and line agree"
ONLY_BINUTILS = "binutils is alone: LLVM's symbolizer says what we say"
AS_GDB = "gdb says what we say: binutils takes another row of the line table at that address, or misses an inlined call"
ALONE = "binutils says what we say, when it is asked for that address alone: it has remembered the one before"
NOWHERE = ("??", "nowhere", -1)
NO_LINE = "binutils has no line there: gdb has, and it is ours"
GDB_SAYS = """import gdb, json, os
def place(pc):
    row, block = gdb.find_pc_line(pc), gdb.block_for_pc(pc)
    while block and not block.function:
        block = block.superblock
    return [block.function.name if block else "??", row.symtab.fullname() if row.symtab else "", row.line]
print(json.dumps([place(pc) for pc in json.loads(os.environ["ADDRESSES"])]))
"""


def symbolize(judge, binary, addresses):
    """Address -> (function, file, line) of the innermost, as far as known."""
    if not addresses or not shutil.which(judge[0]):
        return {}
    text = "\n".join(hex(address) for address in addresses) + "\n"
    done = subprocess.run(judge + ["-a", "-f", "-i", "-C", "-e", binary], input=text, capture_output=True, text=True,
                          timeout=GDB_TIMEOUT)
    found, lines = {}, done.stdout.splitlines()
    for at, line in enumerate(lines):
        if re.fullmatch(r"0x[0-9a-f]+", line) and at + 2 < len(lines):
            file, _, number = re.sub(r" \(discriminator \d+\)", "", lines[at + 2]).rpartition(":")
            found[int(line, 16)] = (lines[at + 1], file, int(number) if number.isdigit() else 0)
    return found


def last_word(name):
    """The name without namespaces, packages, template arguments, parameters and what a linker adds."""
    name = re.sub(r"\[clone [^]]*\]|::h[0-9a-f]{16}$| \(\.[\w.]+\)$|\.(part|isra|constprop|cold|lto_priv|llvm)\b.*$", "", name or "").strip()
    if re.search(r"(^|::| )operator[<>-]", name):
        return "operator"  # its own signs are no brackets
    while re.search(r"<[^<>]*>", name):
        name = re.sub(r"<[^<>]*>", "", name)
    name = re.sub(r"( const)+$", "", name.strip())
    depth = 0
    for at in range(len(name) - 1, -1, -1) if name.endswith(")") and not name.endswith("operator()") else ():
        depth += {")": 1, "(": -1}.get(name[at], 0)
        if depth == 0:
            name = name[:at]
            break
    name = name.replace("operator()", "operator")
    return re.split(r"::|\.|\s|\*", name)[-1]


def gdb_places(binary, addresses):
    """What gdb says of the places that the others disagree about."""
    if not addresses or not shutil.which("gdb"):
        return {}
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(GDB_SAYS)
        script.flush()
        environment = {**os.environ, "ADDRESSES": json.dumps(addresses), "DEBUGINFOD_URLS": "", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set auto-load no", "-x", script.name, binary], env=environment,
                              timeout=GDB_TIMEOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    lines = [line for line in done.stdout.splitlines() if line.startswith("[[")]
    return dict(zip(addresses, json.loads(lines[-1]))) if lines else {}


def same_line(theirs, answer):
    function, file, line = theirs
    if line == 0 or file.startswith("?"):
        return "error" in answer or not answer.get("line")
    came = answer.get("file") or ""
    return (answer.get("line") == line and os.path.normpath(file) == os.path.normpath(came)
            and (function == "??" or last_word(function) == last_word(answer.get("function"))))


def compare_addr2line(binary, options, count, judge=None):
    """The same shape that gdb's side writes."""
    addresses = spread(binary, count, options.seed)
    judge = judge or BINUTILS
    peek, theirs = Peek(options.peek, binary), symbolize(judge, binary, addresses)
    ours = {address: peek.ask({"do": "line", "pc": hex(address)}) for address in theirs}
    peek.close()
    differ = [address for address in theirs if not same_line(theirs[address], ours[address])]
    second = symbolize(LLVM, binary, differ) if judge is BINUTILS else {}
    third = gdb_places(binary, differ)
    known, disagreements = collections.Counter(), []
    for address in differ:
        # LLVM 14 reads nothing where dwz was at work: then it has no say about what is not there.
        has_say = address in second and (second[address][2] or "dwz" not in binary)
        why = None
        if address in third and third[address][2] and same_line(third[address], ours[address]):
            why = AS_GDB if theirs[address][2] else NO_LINE
        if not why and has_say and same_line(second[address], ours[address]):
            why = ONLY_BINUTILS
        if not why and theirs[address][1].endswith(".rs") and theirs[address][2] == ours[address].get("line"):
            why = RUST_NAME
        if not why and same_line(symbolize(judge, binary, [address]).get(address, NOWHERE), ours[address]):
            why = ALONE
        why = why or reason("addr2line", hex(address), theirs[address], ours[address])
        if why:
            known[why] += 1
        else:
            disagreements.append([hex(address), str(theirs[address]), json.dumps(ours[address])])
    result = {"compared": len(theirs), "agreed": len(theirs) - len(differ), "known": known,
              "disagreed": len(disagreements), "disagreements": disagreements}
    return {"checks": {"addr2line": result}, "stops": 0, "crashes": peek.crashes, "notes": []}


RUST = """use std::collections::HashMap;
fn main() {
    let mut seen: HashMap<String, Vec<f64>> = HashMap::new();
    for word in std::env::args() { seen.entry(word).or_default().push(1.5); }
    println!("{:?} {}", seen, std::fs::read_to_string("/dev/null").map(|s| s.len()).unwrap_or(0));
}
"""


def rust_program(work):
    source = os.path.join(work, "big.rs")
    with open(source, "w") as out:
        out.write(RUST)
    cargo = os.path.expanduser("~/.cargo/bin/rustc")
    compiler = shutil.which("rustc") or (cargo if os.path.exists(cargo) else None)
    if not compiler:
        raise LookupError("no rustc")
    run(compiler, "-g", "-O", source, "-o", os.path.join(work, "big-rust"), cwd=work)
    return os.path.join(work, "big-rust")


def go_program(work):
    if not shutil.which("go"):
        raise LookupError("no go")
    target = os.path.join(work, "big-go")
    run("go", "build", "-buildvcs=false", "-o", target, "./httpd", cwd=os.path.join(FIXTURES, "go"), timeout=GDB_TIMEOUT)
    return target


def given_program(_):
    if not os.environ.get("BIG_BINARY"):
        raise LookupError("BIG_BINARY names none")
    return os.environ["BIG_BINARY"]


BIG = {"big/rust": rust_program, "big/go": go_program, "big/given": given_program}


# ---- telling ----

JUDGES = {"gdb": r"\b13\.", "gcc": r"\b12\.", "clang": r"\b14\."}
STRANGERS_BORNE = 0.05


def strangers():
    """Tools of other versions than those whose disagreements known.py explains."""
    found = []
    for tool, version in JUDGES.items():
        told = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout if shutil.which(tool) else ""
        first = told.splitlines()[0] if told else ""
        if first and not re.search(version, first):
            found.append(first)
    return found


class Report:
    def __init__(self):
        self.strangers = strangers()
        self.passed = self.failed = self.skipped = 0
        self.compared = self.agreed = self.stops = 0
        self.known, self.by_check = collections.Counter(), collections.defaultdict(lambda: [0, 0])

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip {name}: {why}", flush=True)

    def fail(self, name, lines):
        self.failed += 1
        print(f"FAIL {name}: {lines[0]}", *lines[1:], sep="\n    ", flush=True)

    def add(self, name, result, wanted):
        self.stops += result["stops"]
        for check, found in result["checks"].items():
            if wanted(f"{name}/{check}"):
                self.add_check(name, check, found)
        problems = [f"crash: {crash}" for crash in result["crashes"]] + [note for note in result["notes"]]
        if problems:
            self.fail(name + "/run", problems)
        if result.get("unfinished"):
            self.skip(name + "/rest", result["unfinished"])

    def add_check(self, name, check, found):
        self.compared += found["compared"]
        self.agreed += found["agreed"]
        self.by_check[check][0] += found["compared"]
        self.by_check[check][1] += found["agreed"]
        self.known.update(found["known"])
        if found["disagreed"]:
            shown = [f"{what}: gdb {theirs} | ours {ours}" for what, theirs, ours in found["disagreements"][:SHOWN]]
            if self.strangers and found["disagreed"] <= max(3, STRANGERS_BORNE * found["compared"]):
                self.skip(f"{name}/{check}", f"{found['disagreed']} of {found['compared']} disagree, and the reasons that "
                          f"are known are those of other versions than {', '.join(self.strangers)}")
                return
            self.fail(f"{name}/{check}", [f"{found['disagreed']} of {found['compared']} disagree"] + shown)
        else:
            self.passed += 1
            print(f"ok {name}/{check} ({found['compared']} compared)", flush=True)

    def close(self):
        for check, (compared, agreed) in sorted(self.by_check.items()):
            print(f"  {check}: compared {compared}, agreed {agreed}")
        for why, times in self.known.most_common():
            print(f"  known: {times} x {why}")
        print(f"  stops {self.stops}")
        print(f"values compared {self.compared}, agreed {self.agreed}")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


# ---- choosing and running ----

# What a part of gdb's side writes, by the part that has to run for it.
WRITES = {"place": ("place", "place-names", "place-lines", "place-lines-names"), "line": ("line",),
          "values": ("values", "variables", "types", "stack", "stack-outside", "registers", "table", "layout"),
          "results": ("results",), "steps": ("steps", "steps-outside")}


def wanted_by(parts):
    return lambda name: not parts or any(part in name for part in parts)


def jobs(options, wanted):
    for build in builds(options.quick):
        for fixture in PROGRAMS:
            name = f"{fixture}/{build.name}"
            checks = [part for part, written in WRITES.items() if (part == "results") == (fixture == "results")
                      and any(wanted(f"{name}/{check}") for check in written)]
            plain = "addr2line" if wanted(f"{name}/addr2line") and "split" not in name and "dwp" not in name and fixture != "results" else None
            if checks or plain:
                yield name, fixture, build, checks, plain


def run_job(job, options, work):
    name, fixture, build, checks, plain = job
    if checks:
        binary, result = gdb_job(fixture, build, checks, options, work)
    else:
        binary, result = compile_program(fixture, build, work), {"checks": {}, "stops": 0, "crashes": [], "notes": []}
    if plain:
        more = compare_addr2line(binary, options, 200 if options.quick or options.brief else 2000)
        result["checks"].update(more["checks"])
        result["crashes"] += more["crashes"]
    if not options.keep:
        for folder in (os.path.dirname(binary), os.path.dirname(binary) + "-whole"):
            shutil.rmtree(folder, ignore_errors=True)
    return result


def run_big(name, options, work, report, wanted):
    try:
        binary = BIG[name](work)
    except LookupError as error:
        return report.skip(name, error)
    except (OSError, subprocess.SubprocessError) as error:
        return report.skip(name, f"cannot be built: {error}")
    # binutils 2.40 gives up on the line tables of new Go programs.
    judge = LLVM if name == "big/go" else BINUTILS
    if not shutil.which(judge[0]):
        return report.skip(name, f"no {judge[0]}")
    report.add(name, compare_addr2line(binary, options, 1000 if options.quick else 10000, judge), wanted)
    return None


def run_all(options, work):
    report, wanted = Report(), wanted_by(options.parts)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(run_job, job, options, work): job for job in jobs(options, wanted)}
        for done in concurrent.futures.as_completed(running):
            name = running[done][0]
            try:
                report.add(name, done.result(), wanted)
            except (NoJudge, FileNotFoundError) as error:
                report.skip(name, error)
            except subprocess.TimeoutExpired as error:
                report.fail(name, [f"took longer than {error.timeout}s"])
            except OSError as error:
                report.fail(name, [str(error)])
    for name in BIG:
        if wanted(name + "/addr2line") and (not options.quick or name == "big/rust"):
            run_big(name, options, work, report, wanted)
    return report.close()


def arguments():
    parser = argparse.ArgumentParser(description="The symbol and expression engine against gdb.")
    parser.add_argument("parts", nargs="*", help="parts of names FIXTURE/BUILD/CHECK to run")
    parser.add_argument("--quick", action="store_true", help="a part of the matrix, within 90 s")
    parser.add_argument("--brief", action="store_true", help="all of the matrix, with the bounds of --quick")
    parser.add_argument("--list", action="store_true", help="names of what would run")
    parser.add_argument("--keep", action="store_true", help="keep the built programs and say where")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", default="1", help="for the addresses and steps that are drawn")
    return parser.parse_args()


def main():
    options = arguments()
    if options.list:
        names = [name for name, *_ in jobs(options, wanted_by(options.parts))]
        return print(*names, *[name for name in BIG if wanted_by(options.parts)(name + "/addr2line")], sep="\n")
    options.peek = shlex.split(os.environ.get("PEEK", ""))
    missing = [tool for tool in ("gdb", "gcc", "g++", "addr2line", "objcopy") if not shutil.which(tool)]
    if not options.peek or missing:
        print(f"skip differential: {'no ' + ', '.join(missing) if missing else 'PEEK names no engine'}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    work = tempfile.mkdtemp(prefix="pickglass-differential-")
    try:
        return run_all(options, work)
    finally:
        print(f"kept in {work}") if options.keep else shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
