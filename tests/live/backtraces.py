#!/usr/bin/env python3
"""The unwinder against gdb's, in programs that are stopped at random moments, some steps later, and at random
instructions: every thread, every frame, to the outermost one. Compared are pcs, functions, inlined calls, files, lines.

PEEK is the engine's command line tool. Arguments are parts of names of programs to run; --long is all of them, at many
more stops, --stops and --seed choose how many and which, --list says what there is. Prints `ok NAME (...)`, `FAIL NAME`
with the first disagreements, or `skip NAME: why`, and last `frames compared N, agreed N, in other
words N` (a name, spelled otherwise) and `N passed, N failed, N skipped`."""
import argparse, json, os, re, shlex, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "fixtures")
STOPS, LONG_STOPS = 40, 600
SECONDS, LONG_SECONDS = 6, 240  # of a program; gdb's start is not among them
START = 60
SHOWN = 8


class Missing(Exception):
    """What this machine does not have."""


class Program:
    def __init__(self, name, make, quick=False):
        self.name, self.make, self.quick = name, make, quick


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, **options)
    if done.returncode:
        raise OSError(f"{os.path.basename(command[0])}: {(done.stderr or done.stdout).strip()[:300]}")
    return done.stdout


def tool(name):
    found = shutil.which(name)
    if not found:
        raise Missing(f"no {name}")
    return found


# ---- the programs: (binary, arguments) ----

def compiled(source, compiler, *flags):
    def make(work):
        target = os.path.join(work, "wander")
        run(tool(compiler), "-g", "-w", *flags, os.path.join(FIXTURES, source), "-o", target, "-lpthread", cwd=work)
        return target, "600"
    return make


def go(*flags):
    def make(work):
        target = os.path.join(work, "wander")
        run(tool("go"), "build", "-buildvcs=false", *flags, "-o", target, "./wander", cwd=os.path.join(FIXTURES, "go"))
        return target, "600"
    return make


def script(interpreter, option, text):
    def make(work):
        path = os.path.join(work, "script")
        with open(path, "w") as out:
            out.write(text)
        return os.path.realpath(tool(interpreter)), f"{option} {path}".strip()
    return make


def engine(work):
    """Our own: the benchmark of compiled captures."""
    path = os.path.join(os.path.dirname(shlex.split(os.environ["PEEK"])[0]), "evaluate")
    if not os.path.exists(path):
        raise Missing("no benchmark beside PEEK")
    return path, ""


PYTHON = """
import json, re, sqlite3, zlib
database = sqlite3.connect(":memory:")
database.create_function("twice", 1, lambda x: 2 * x)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
while True:
    words = sorted((str(i * 7919 % 1009) for i in range(300)), key=lambda word: (len(word), word))
    text = json.dumps({"words": words, "fib": fib(12)})
    re.sub(r"([0-9]+)", lambda found: found.group()[::-1], text)
    zlib.decompress(zlib.compress(text.encode()))
    database.execute("select sum(twice(value)) from json_each(?)", (json.dumps(words),)).fetchall()
    try: int("x")
    except ValueError as error: str(error)
"""
BASH = """
fib() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(( $(fib $(( $1 - 1 ))) + $(fib $(( $1 - 2 ))) )); fi; }
while :; do
  for word in some words of a list; do text="${text:0:400} ${word//o/00}"; done
  case $text in *00*) [[ $text =~ ([a-z]+)\\ ([a-z]+) ]] && found=${BASH_REMATCH[1]};; esac
  printf -v line '%05d %s' "$RANDOM" "$found"
  declare -A seen; seen[$line]=1; (( ${#seen[@]} > 200 )) && unset seen
  result=$(fib 3)
done
"""
PERL = """
sub fib { my $n = shift; return $n < 2 ? $n : fib($n - 1) + fib($n - 2) }
while (1) {
    my @words = sort { length $a <=> length $b or $a cmp $b } map { $_ * 7919 % 1009 } 1 .. 300;
    my $text = join ',', @words;
    $text =~ s/(\\d+)/reverse $1/ge;
    my %seen = map { $_ => fib(8) } split /,/, $text;
    eval { die "thrown" };
}
"""


def programs():
    for source, compilers in (("c/wander.c", ("gcc", "clang")), ("cpp/wander.cpp", ("g++", "clang++"))):
        kind = source.split("/")[0]
        for compiler in compilers:
            for level in ("-O0", "-O2"):
                quick = (compiler, level) in (("gcc", "-O2"), ("clang", "-O0"), ("g++", "-O0"), ("clang++", "-O2"))
                yield Program(f"{kind}/{compiler}{level}", compiled(source, compiler, level), quick)
        first = compilers[0]
        yield Program(f"{kind}/{first}-O2-static", compiled(source, first, "-O2", "-static"))
        yield Program(f"{kind}/{first}-O2-debug_frame", compiled(source, first, "-O2", "-fno-asynchronous-unwind-tables"))
        yield Program(f"{kind}/{first}-Os-lto", compiled(source, first, "-Os", "-flto"))
        yield Program(f"{kind}/{first}-O3-framepointer-dwarf4", compiled(source, first, "-O3", "-gdwarf-4", "-fno-omit-frame-pointer"))
        yield Program(f"{kind}/{compilers[1]}-O1-nopie", compiled(source, compilers[1], "-O1", "-fno-pie", "-no-pie"))
        yield Program(f"{kind}/{first}-O1-sanitized", compiled(source, first, "-O1", "-fsanitize=address"))
    yield Program("go/optimised", go(), True)
    yield Program("go/plain", go("-gcflags=all=-N -l"))
    yield Program("real/python3", script("python3", "", PYTHON), True)
    yield Program("real/bash", script("bash", "", BASH), True)
    yield Program("real/perl", script("perl", "", PERL))
    yield Program("real/engine", engine)


# ---- one program under gdb ----

def functions_of(binary):
    """(address, size) of those that the program itself has a symbol for."""
    found = set()
    for line in run("readelf", "-sW", binary).splitlines():
        match = re.match(r"\s*\d+: ([0-9a-f]+)\s+(\d+) FUNC\s+\S+\s+\S+\s+(\d+) ", line)
        if match and int(match.group(2)) >= 8:
            found.add((int(match.group(1), 16), int(match.group(2))))
    return sorted(found)


def lowest_page(binary):
    loads = re.findall(r"^\s+LOAD\s+0x[0-9a-f]+ 0x([0-9a-f]+)", run("readelf", "-lW", binary), re.M)
    return min(int(address, 16) for address in loads) & ~4095


def compare(program, options, work):
    binary, arguments = program.make(work)
    out = os.path.join(work, "result")
    most = LONG_SECONDS if options.long else SECONDS
    job = {"name": program.name, "binary": binary, "arguments": arguments, "functions": functions_of(binary),
           "low": lowest_page(binary), "peek": options.peek, "stops": options.stops, "most": most,
           "seed": f"{program.name}/{options.seed}", "out": out}
    with open(os.path.join(work, "job"), "w") as file:
        json.dump(job, file)
    environment = {**os.environ, "BACKTRACES": file.name, "DEBUGINFOD_URLS": "", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0",
                   "ASAN_OPTIONS": "detect_leaks=0"}
    command = [tool("gdb"), "-nx", "-batch", "-iex", "set auto-load no", "-iex", "set auto-load libthread-db on",
               "-x", os.path.join(HERE, "backtraces_side.py"), binary]
    done = subprocess.run(command, env=environment, timeout=most + START, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace")
    if not os.path.exists(out):
        raise OSError(f"gdb ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    with open(out) as file:
        return json.load(file)


# ---- telling ----

class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.sums = dict.fromkeys(("stops", "stacks", "whole", "frames", "agreed", "reworded"), 0)
        self.known = {}

    def add(self, name, found):
        for key in self.sums:
            self.sums[key] += found[key]
        for why, times in found["known"].items():
            self.known[why] = self.known.get(why, 0) + times
        counts = (f"{found['stops']} stops, {found['functions']} functions; {found['whole']} of {found['stacks']} stacks and "
                  f"{found['agreed']} of {found['frames']} frames agreed, {found['reworded']} in other words")
        problems = [f"{what}: gdb {theirs} | ours {ours}" for what, theirs, ours in found["disagreements"][:SHOWN]]
        problems += [f"crash: {crash}" for crash in found["crashes"]] + found["notes"]
        if not problems and found["stops"] < 3:
            problems = ["hardly a stop in all its time"]
        if problems:
            self.failed += 1
            return print(f"FAIL {name}: {found['disagreed']} stacks disagree ({counts})", *problems, sep="\n    ", flush=True)
        self.passed += 1
        return print(f"ok {name} ({counts})", flush=True)

    def close(self):
        for why, times in sorted(self.known.items(), key=lambda item: -item[1]):
            print(f"  known: {times} x {why}")
        print("stops {stops}, stacks {stacks}, whole {whole}; frames compared {frames}, agreed {agreed}, in other words {reworded}".format(**self.sums))
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def run_all(chosen, options):
    report = Report()
    for program in chosen:
        work = tempfile.mkdtemp(prefix="pickglass-backtraces-")
        try:
            report.add(program.name, compare(program, options, work))
        except (Missing, subprocess.TimeoutExpired) as error:
            report.skipped += isinstance(error, Missing)
            report.failed += not isinstance(error, Missing)
            print(f"{'skip' if isinstance(error, Missing) else 'FAIL'} {program.name}: {error}", flush=True)
        except OSError as error:
            report.failed += 1
            print(f"FAIL {program.name}: {error}", flush=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return report.close()


def arguments():
    parser = argparse.ArgumentParser(description="The unwinder against gdb's, at random stops.")
    parser.add_argument("parts", nargs="*", help="parts of names of programs")
    parser.add_argument("--long", action="store_true", help="all programs, at many stops")
    parser.add_argument("--list", action="store_true", help="names of what would run")
    parser.add_argument("--stops", type=int, help="of each program, at most")
    parser.add_argument("--seed", default="1", help="for what is drawn")
    options = parser.parse_args()
    options.stops = options.stops or (LONG_STOPS if options.long else STOPS)
    return options


def main():
    options = arguments()
    chosen = [program for program in programs() if (options.long or options.parts or program.quick)
              and (not options.parts or any(part in program.name for part in options.parts))]
    if options.list:
        return print(*[program.name for program in chosen], sep="\n")
    options.peek = shlex.split(os.environ.get("PEEK", ""))
    missing = [name for name in ("gdb", "readelf") if not shutil.which(name)]
    if not options.peek or missing:
        print(f"skip backtraces: {'no ' + ', '.join(missing) if missing else 'PEEK names no engine'}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    return run_all(chosen, options)


if __name__ == "__main__":
    sys.exit(main())
