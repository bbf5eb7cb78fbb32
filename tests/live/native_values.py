#!/usr/bin/env python3
"""One recipe, one program: natively, over gdbserver, and as gdb itself says it, the values are the same.

Else as native.py."""
import os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
sys.path.insert(0, HERE)
from nativetargets import *
import expressions

PROGRAMS = {"types": ["c/types.c"], "structs": ["c/structs.c"], "scopes": ["c/scopes.c", "c/scopes_other.c"],
            "strings": ["c/strings.c"], "frames": ["c/frames.c"], "classes": ["cpp/classes.cpp"],
            "templates": ["cpp/templates.cpp"], "library": ["cpp/library.cpp"]}
GLOBALS = 300 if SOAK else 24  # expressions a program
PLACES = 40
UNBOUND = "limits: {duration: 25s, max_pause: 5s}\n"  # launched programs have no budget


def compiled(name, *flags):
    """Always at the same addresses."""
    sources = [os.path.join(ROOT, "fixtures", source) for source in PROGRAMS[name]]
    compiler = "g++" if sources[0].endswith("cpp") else "gcc"
    path = os.path.join(WORK, "-".join([name, *flags]))
    extra = [os.path.join(ROOT, "fixtures", "c", "stop.c")] if os.path.exists(os.path.join(ROOT, "fixtures", "c", "stop.c")) else []
    for tries in [sources], [sources, extra]:
        done = subprocess.run([compiler, "-g", "-w", "-no-pie", "-fno-pie", *flags, "-o", path, *sum(tries, []), "-lpthread", "-lm"],
                              capture_output=True, text=True, timeout=120)
        if not done.returncode:
            return path
    raise Failed(done.stderr[-300:])


def plain(name):
    """Without template arguments."""
    while (shorter := re.sub(r"<[^<>]*>", "", name)) != name:
        name = shorter
    return name


def own_functions(program, name):
    listed = pickglass("list", program, "functions").out.splitlines()
    files = [os.path.join(ROOT, "fixtures", source) for source in PROGRAMS[name]]
    text = "".join(open(file).read() for file in files)
    found = []
    for row in listed:
        word = row.split("\t")[0].strip()
        parts = re.sub(r"\(.*", "", plain(word)).split("::")
        if parts[-1] in ("main", "on_info") or parts[-1] in parts[:-1]:
            continue  # a process id is in it; a constructor's `this` is nothing yet
        if re.search(rf"\b{re.escape(parts[-1])}\b", text):
            found.append(word)
    return found


def clean(value):
    """Without what differs from one life of a program to the next: places on the stack, in libraries, on the heap."""
    if isinstance(value, dict):
        return {key: clean(part) for key, part in value.items()}
    if isinstance(value, list):
        return [clean(part) for part in value]
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-f]{6,12}", value) and int(value, 16) > 0x420000:
        return "elsewhere"
    return value


def places(program, name, arguments):
    """Probes of the program's own functions: what each is called with, and the stack there. Locals have no value yet."""
    rows = []
    for i, function in enumerate(own_functions(program, name)):
        rows.append(f"  f{i}: {{at: {{function: {json.dumps(function)}, inlined: false}}, args: {arguments}, stack: 4, "
                    "stop: process, max_hits: 3}\n")
    check(len(rows) > 2, f"{name}: {len(rows)} functions")
    return fitting(program, rows)[:PLACES]


def fitting(program, rows):
    """Those that `check` has nothing against; all at once if it has nothing at all."""
    if pickglass("check", recipe("".join(rows)), "--binary", program).code == 0:
        return rows
    if len(rows) == 1:
        return []
    half = len(rows) // 2
    return fitting(program, rows[:half]) + fitting(program, rows[half:])


def asked(program, name, at):
    """The expressions that the differential tests ask gdb for, where the program is at some function of its own."""
    texts = [text for text in list(expressions.GLOBAL.get(name, []))[:GLOBALS] + expressions.ANYWHERE[:500 if SOAK else 12] if isinstance(text, str)]
    rows = [f"  e{i}: {{at: {{function: {json.dumps(at)}, inlined: false}}, stop: process, max_hits: 1, capture: {{v: {json.dumps(text)}}}}}\n"
            for i, text in enumerate(texts)]
    return fitting(program, rows)


def story(got):
    return [(hit["probe"], clean(hit.get("values")), clean(hit.get("args")), hit["location"]["function"],
             hit["location"].get("line"), [(f["function"], f.get("line")) for f in hit.get("stack", [])]) for hit in got.hits()]


def same(name, *flags):
    program = compiled(name, *flags)
    rows = places(program, name, str("-O0" in flags).lower())  # optimised, an argument may not be there yet, for gdb neither
    probes = "".join(rows + asked(program, name, json.loads(re.search(r'function: (".*?[^\\]")', rows[0])[1])))
    ours = story(run(probes, Launched(program), limits=UNBOUND, code=None))
    theirs = story(run(probes, gdbserver(program), limits=UNBOUND, code=None))
    check(len(ours) > 5, f"{len(ours)} hits natively, {len(theirs)} over gdbserver")
    wrong = [(a, b) for a, b in zip(ours, theirs) if a != b]
    alone = [row[0] for row in ours + theirs if sum(r[0] == row[0] for r in ours) != sum(r[0] == row[0] for r in theirs)]
    check(not wrong and not alone, f"{name} {flags}: {len(ours)} and {len(theirs)} hits, {alone[:5]} on one side; {len(wrong)} differ: natively {wrong[:1]}")
    return len(ours)


def same_of(*names):
    for name in names:
        for level in ("-O0", "-O2") if SOAK or name == "types" else ("-O0",):
            same(name, level)


def test_c_types():
    same_of("types")


def test_c_structs_and_strings():
    same_of("structs", "strings")


def test_c_scopes_and_frames():
    same_of("scopes", "frames")


def test_cpp_classes_and_templates():
    same_of("classes", "templates")


def test_the_cpp_library():
    same_of("library")


# ---- gdb itself ----

def gdb_says(program, where, texts, hits):
    """What gdb prints at each of the first hits: a list of lists."""
    commands = [f"break {where}", "run >/dev/null"]
    for _ in range(hits):
        for text in texts:
            commands += ["printf \"@@\"", f"output {text}", "printf \"@@\\n\""]
        commands += ["continue"]
    arguments = [part for command in commands for part in ("-ex", command)]
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "set width 0", "-ex", "set print elements 4096", *arguments, program],
                          capture_output=True, text=True, timeout=60)
    said = re.findall(r"@@(.*)@@", done.stdout)
    check(len(said) >= hits * len(texts), f"gdb: {done.stdout[-200:]} {done.stderr[-200:]}")
    return [said[i * len(texts):(i + 1) * len(texts)] for i in range(hits)]


def as_gdb(value):
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, str) and not re.fullmatch(r"-?\d+", value) else str(value)


def test_as_gdb_prints_it():
    need("gdb")
    program = build("shapes", "-O0", "-no-pie")
    texts = ["n", "factor", "shape->area", "shape->corners[0].x", "shape->corners[2].y", "shape->flags", "shape->label",
             "shape->next->area", "shape->next->label", "(int)shape->colour", "g_calls", "shape->scale", "n * 2 + 1", "shape->next->next == 0",
             "sizeof(*shape)", "first.weight < 0", "$rip", "$rdi == (long)shape", "(long)shape->corners - (long)shape"]
    theirs = gdb_says(program, "show", texts, 5)
    captures = ", ".join(f"v{i}: {json.dumps(text)}" for i, text in enumerate(texts))
    got = run(f"  s: {{at: show, stop: process, capture: {{{captures}}}}}\n", Launched(program))
    check(len(got.hits()) == 5, got.brief())
    for hit, row in zip(got.hits(), theirs):
        for i, text in enumerate(texts):
            value, said = hit["values"][f"v{i}"], re.sub(r"^0x[0-9a-f]+ (<.*> )?(?=\")|^\(.*?\) ", "", row[i])
            if text == "$rip":
                value, said = hit["location"]["pc"], re.search(r"0x[0-9a-f]+", row[i])[0]
            said = re.sub(r" '.*'$", "", said)  # a character
            if isinstance(value, float):
                check(abs(value - float(said)) <= 1e-6 * abs(value), f"{text}: {value}, gdb {said}")
            else:
                check(as_gdb(value).strip('"') == said.strip('"') or as_gdb(value) == {"0": "false", "1": "true"}.get(said),
                      f"{text}: {value}, gdb {said}")


def test_what_the_callers_have_passed():
    """The argument's register is used again: the caller's debug info says what was in it, and its caller's for that one."""
    program = compiled("scopes", "-Og")
    for target in Launched(program), gdbserver(program):
        got = run("  s: {at: scopes_other.c:16, stop: process, capture: {n: n}}\n", target, limits=UNBOUND, code=None)
        check(got.values("s", "n") == [5], f"{got.values('s', 'n')}")


def test_results_as_gdb_finishes():
    need("gdb")
    program = build("shapes", "-O0", "-no-pie")
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "break middle", "-ex", "run >/dev/null",
                           *["-ex", "finish", "-ex", "continue"] * 5, program], capture_output=True, text=True, timeout=60)
    theirs = [int(word) for word in re.findall(r"Value returned is \$\d+ = (-?\d+)", done.stdout)]
    got = run("  m: {call: middle, at_return: {r: return}, stop: process}\n", Launched(program))
    check(len(theirs) == 5 and got.values("m", "r") == theirs, f"{got.values('m', 'r')}, gdb {theirs}")


SHARED = """#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct box { int n; char *text; struct box *next; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
int counter, threads, calls;
char shared[16];
struct box *latest;
__attribute__((noinline)) int look(struct box *box, int n) { __asm__ volatile(""); return box->n + n; }
static void *run(void *own) {
    struct box *mine[3] = {malloc(sizeof **mine), malloc(sizeof **mine), own};
    for (int i = 0; i < calls; i++) {
        pthread_mutex_lock(&lock);
        struct box *box = mine[i % 3];
        counter++;
        box->n = counter;
        box->text = i % 2 ? shared : malloc(16);
        sprintf(shared, "%d", counter);
        sprintf(box->text, "%d", counter);
        box->next = latest ? latest : box;
        latest = box;
        look(box, counter);
        pthread_mutex_unlock(&lock);
    }
    return own;
}
static void *run_freely(void *own) {
    struct box *box = own;
    for (int i = 0; i < calls; i++) {
        box->n = __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
        look(box, box->n);
    }
    return own;
}
int main(int argc, char **argv) {
    threads = atoi(argv[1]), calls = atoi(argv[2]);
    pthread_t list[64];
    for (int i = 0; i < threads; i++)
        pthread_create(&list[i], NULL, argc > 3 ? run_freely : run, calloc(1, sizeof(struct box)));
    for (int i = 0; i < threads; i++)
        pthread_join(list[i], NULL);
    return 0;
}
"""


def test_what_is_read_ahead_is_of_this_hit():
    """The same places change from hit to hit, and the places themselves do."""
    source = write(SHARED, "shared.c")
    program = source[:-2]
    subprocess.run(["gcc", "-g", "-O1", "-o", program, source, "-lpthread"], check=True, timeout=60)
    texts = "n: n, own: box->n, text: box->text, global: counter, shared: shared, latest: latest->n"
    probe = f"{{at: look, capture: {{{texts}, next: latest->next->n}}}}"
    for threads, calls in (1, 400), (8, 60):
        whole = f"  a: {probe}\n  b: {{at: look, stop: process, capture: {{{texts}}}}}\n" if threads > 1 else f"  a: {probe}\n"
        for probes in whole, f"  a: {{at: look, when: counter % 2 == 1, capture: {{{texts}}}}}\n":
            got = run(probes, Launched(program, str(threads), str(calls)))
            hits, each = got.hits(), len(probes.splitlines()) * threads * calls
            check(len(hits) == (each // 2 if "when" in probes else each), f"{len(hits)} hits of {each}")
            for hit in hits:
                value = hit["values"]
                n = value["n"]
                check(value["own"] == value["global"] == value["latest"] == n, f"{value}")
                check(value["text"] == value["shared"] == str(n), f"{value}")
                check(value.get("next", n) in (n, n - 1), f"{value}")
    for condition in "", "when: n >= 0 && counter > 0, ":
        got = run(f"  a: {{at: look, {condition}capture: {{n: n, own: box->n, global: counter}}}}\n", Launched(program, "16", "150", "freely"))
        check(len(got.hits()) == 16 * 150, f"{len(got.hits())} hits")
        late = [value for value in (hit["values"] for hit in got.hits()) if value["global"] < value["n"] or value["own"] != value["n"]]
        check(not late, f"what was so before the hit: {late[:3]}")


# ---- thread-local variables of libraries ----

def tls_program(linked):
    """A program that has the library from its start, and one that opens it."""
    folder = os.path.join(ROOT, "fixtures", "c", "tls")
    library, program = os.path.join(WORK, "libtls.so"), os.path.join(WORK, f"tls-{linked}")
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-o", library, os.path.join(folder, "library.c")], check=True, timeout=60)
    subprocess.run(["gcc", "-g", "-o", program, os.path.join(folder, "main.c"), "-Wl,--no-as-needed", *([library] if linked else []),
                    "-lpthread"], check=True, timeout=60)
    return program, library


TLS = "n: n, plain: lib_plain, pair: lib_pair.a, text: lib_pair.b, own: lib_own, of_program: own"
UNUSED = {"$error": "this thread has not used its library's variables yet"}


def tls_probes(names):
    return "".join(f"  {name}: {{at: {{function: lib_{name}, module: libtls.so}}, capture: {{{TLS}}}}}\n" for name in names)


def test_thread_locals_of_libraries():
    for linked in True, False:
        command = tls_program(linked)
        for stub in Launched(*command), gdbserver(*command):
            got = run(tls_probes(["before", "after"]), stub)
            check(len(got.hits("before")) == len(got.hits("after")) == 3, got.brief())
            for n, hit in enumerate(got.hits("before"), 1):
                untouched = {"plain": 5, "pair": 7, "text": "seven", "own": [1, 2, 3, 0]} if linked else \
                    dict.fromkeys(["plain", "pair", "text", "own"], UNUSED)
                check(hit["values"] == {"n": n, "of_program": 1 + n, **untouched}, f"linked {linked}: {hit['values']}")
            for n, hit in enumerate(got.hits("after"), 1):
                want = {"n": n, "plain": 5 + n, "pair": 7 + n, "text": "seven", "own": [1, 2, 3, n], "of_program": 1 + n}
                check(hit["values"] == want, f"linked {linked}: {hit['values']}")


def test_thread_locals_as_gdb_says_them():
    need("gdb")
    command = tls_program(False)
    texts = ["lib_plain", "lib_pair.a", "lib_own[3]", "lib_own[0]", "sizeof(lib_own)", "(long)&lib_own[1] - (long)lib_own"]
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "set breakpoint pending on", "-ex", "break lib_after", "-ex", "run",
                           *[part for text in texts for part in ("-ex", f"output (int)({text})", "-ex", 'printf "@\\n"')], "--args", *command],
                          capture_output=True, text=True, timeout=60)
    theirs = [int(word) for word in re.findall(r"(-?\d+)@", done.stdout)]
    captures = ", ".join(f"v{i}: {json.dumps(text)}" for i, text in enumerate(texts))
    got = run(f"  a: {{at: {{function: lib_after, module: libtls.so}}, max_hits: 1, capture: {{{captures}}}}}\n", Launched(*command))
    check(len(theirs) == len(texts), f"gdb: {done.stdout[-300:]} {done.stderr[-300:]}")
    check([int(got.values("a", f"v{i}")[0]) for i in range(len(texts))] == theirs, f"{got.values('a', 'v0')}, gdb {theirs}")


# ---- pointers without a value ----

def gdb_alone(program, where, text):
    """What it has no value for is ""; gdb 13 dies of some: None."""
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", f"break {where}", "-ex", "run >/dev/null", "-ex", 'printf "@"',
                           "-ex", f"output (int)({text})", "-ex", 'printf "@\\n"', program],
                          capture_output=True, text=True, timeout=60)
    said = re.search(r"@(.*)@", done.stdout)
    return said[1] if said and "internal-error" not in done.stderr else None


def test_pointers_to_what_has_no_address():
    need("gdb")
    source = os.path.join(ROOT, "fixtures", "c", "implicit.c")
    program = os.path.join(WORK, "implicit")
    subprocess.run(["gcc", "-g", "-O2", "-o", program, source], check=True, timeout=60)
    with open(source) as text:
        line = next(i for i, row in enumerate(text, 1) if "/* here */" in row)
    truth = {"*list": 1, "list[0]": 1, "list[1]": 11, "list[2]": 21, "text[2]": 116, "text[6]": 0, "h->n": 41, "h->name[1]": 97,
             "*h->at": 31, "p->x": 3, "p->y": 7, "(*p).y": 7, "sizeof(*p)": 8, "*(const int *)list": 1, "list[3]": None}
    texts = list(truth)
    theirs = {text: gdb_alone(program, f"implicit.c:{line}", text) for text in texts}
    check(sum(bool(word) for word in theirs.values()) >= 6, f"gdb: {theirs}")
    whole = {"text": "text", "holder": "*h", "same": 'text == "a text"', "name": "h->name", "through": "h"}
    captures = ", ".join(f"v{i}: {json.dumps(text)}" for i, text in enumerate(texts))
    captures += "".join(f", {name}: {json.dumps(text)}" for name, text in whole.items())
    for stub in Launched(program), gdbserver(program):
        got = run(f"  a: {{at: 'implicit.c:{line}', max_hits: 1, capture: {{{captures}}}}}\n", stub)
        value = got.hits()[0]["values"]
        for i, text in enumerate(texts):
            ours = value[f"v{i}"]
            failed = isinstance(ours, dict)
            check(failed or ours == truth[text], f"{text}: {ours}, not {truth[text]}")
            check(not failed or not theirs[text] or truth[text] is None, f"{text}: {ours}, gdb {theirs[text]}")
        check(sum(not isinstance(value[f"v{i}"], dict) for i in range(len(texts))) >= 10, f"{value}")
        check(value["text"] == "a text" and value["same"] == 1 and value["name"] == "named", f"{value}")
        check(value["through"] == value["holder"] and value["holder"]["n"] == 41, f"{value}")


def test_a_call_through_a_thunk_is_one():
    """At -O0 it jumps to the method; at -O2 it is a copy of it, the only one that is called."""
    source = write("""namespace app { struct A { virtual int f(int x) { return x; } int a = 1; };
struct B { virtual int g(int x) { return x + 2; } int b = 6; };
struct C : A, B { int g(int x) override { return x + b + c; } int c = 7; }; }
int main() { app::C c; app::B *volatile b = &c; int sum = 0; for (int i = 0; i < 3; i++) sum += b->g(i); return sum & 1; }
""", "thunk.cpp")
    for level, results in ("-O0", [13, 14, 15]), ("-O2", None):
        program = f"{source[:-4]}{level}"
        subprocess.run(["g++", "-g", level, "-o", program, source], check=True, timeout=60)
        got = run("  g: {call: 'C::g', at_return: [return]}\n", Launched(program))
        check(len(got.hits("g")) == got.account()["g"]["reached"] == 3 and not got.account()["g"]["unpaired"], got.account())
        check(not results or got.values("g", "return") == results, got.values("g", "return"))


def test_parameter_packs():
    """g++ writes no names for them, clang the same one for each."""
    source = os.path.join(ROOT, "fixtures", "cpp", "packs.cpp")
    probes = ("  all: {at: all, args: true}\n  rest: {at: rest, args: true}\n  inner: {at: 'operator()', args: true}\n"
              "  copied: {at: copied, args: true, max_hits: 1}\n")
    for compiler, flag in ("g++", "-O0"), ("g++", "-O2"), ("clang++", "-O0"):
        if not shutil.which(compiler):
            continue
        program = os.path.join(WORK, f"packs-{compiler}{flag}")
        subprocess.run([compiler, "-std=c++17", "-w", "-g", flag, "-o", program, source], check=True, timeout=60)
        gcc = compiler == "g++"
        args, others, more, changed = ("pack",) * 4 if gcc else ("args", "others", "more", "changed")
        one = f"  one: {{at: 'all<int, double, char const*>', capture: {{first: '{args}#0', last: '{args}#2', half: '{args}#1 * 2'}}}}\n"
        for stub in (Launched(program), gdbserver(program)) if flag == "-O0" else (Launched(program),):
            got = run(probes + one, stub)
            said = {probe: [hit["args"] for hit in got.hits(probe)] for probe in ("all", "rest", "inner", "copied")}
            check(said["all"] == [{}, {f"{args}#0": 1, f"{args}#1": 2.5, f"{args}#2": "text"}], f"{compiler} {flag}: {said['all']}")
            check(said["rest"] == [{"first": 7, f"{others}#0": 8, f"{others}#1": 99}], f"{compiler} {flag}: {said['rest']}")
            inner = {key: value for key, value in said["inner"][0].items() if "#" in key}
            check(inner == {f"{more}#0": 8, f"{more}#1": 99}, f"{compiler} {flag}: {said['inner']}")
            check({"before", f"{changed}#0", f"{changed}#1"} == set(said["copied"][0]), f"{compiler} {flag}: {said['copied']}")
            check(got.values("one", "first", "half", "last") == [(1, 5, "text")], got.values("one", "first", "half", "last"))


# ---- what is inlined where a function begins ----

def gdb_stack(program, where):
    """Where gdb stops at `where` at first: (function, line) of each frame, and the names of the arguments."""
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "set width 0", "-ex", f"break {where}", "-ex", "run >/dev/null",
                           "-ex", "bt", "-ex", 'printf "@@\\n"', "-ex", "info args", program], capture_output=True, text=True, timeout=60)
    stack = re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+) \(.*\) at \S+:(\d+)$", done.stdout, re.M)
    check(stack, f"gdb: {done.stdout[-300:]} {done.stderr[-300:]}")
    return [(function, int(line)) for function, line in stack], re.findall(r"^(\w+) = ", done.stdout.split("@@")[-1], re.M)


LEN = [0, 1, 2, 3, 4, 5]
LIMIT = [2, 200] * 3
BEGINS = {"handle": ("limit + r->len", [a + b for a, b in zip(LIMIT, LEN)]), "length": ("q->len", None), "low": ("p->len", None)}


def begins_with(compiler, level):
    if not shutil.which(compiler):
        raise Skipped(f"no {compiler}")
    source = os.path.join(ROOT, "fixtures", "c", "begins.c")
    program = os.path.join(WORK, f"begins-{compiler}")
    subprocess.run([compiler, "-g", "-w", level, "-no-pie", "-fno-pie", "-o", program, source], check=True, timeout=60)
    line = next(i for i, row in enumerate(open(source), 1) if "return length(r) > limit" in row)
    return program, f"begins.c:{line}"


def as_gdb_enters(compiler, level):
    """A probe on the function sees its variables, one on what is inlined there those of that: they share one address."""
    program, line = begins_with(compiler, level)
    theirs = {where: gdb_stack(program, where) for where in (*BEGINS, line)}
    check(theirs["handle"][0][0][0] == "handle" and theirs["handle"][1] == ["r", "limit"], f"gdb: {theirs['handle']}")
    copies = {where: f"{{function: {where}, inlined: true}}" for where in BEGINS} | {line: json.dumps(line)}
    for max_hits, stack in ("max_hits: 100, ", "stack: 9, thread: true, "), ("", ""):  # the second: hits that nobody waits for
        rows = [f"  p{i}: {{at: {copies[where]}, {max_hits}{stack}args: true, capture: {{v: {BEGINS.get(where, ('1', 0))[0]}}}}}\n"
                for i, where in enumerate(theirs)]
        for probes in "".join(rows), rows[0], rows[1]:
            for stub in Launched(program), gdbserver(program):
                got = run(probes, stub, limits=UNBOUND)
                for i, (where, (frames, names)) in enumerate(theirs.items()):
                    hits = got.hits(f"p{i}")
                    if not hits and rows[i] not in probes:
                        continue
                    at = hits[0]["location"]
                    check((at["function"], at["line"]) == frames[0] and list(hits[0]["args"]) == names, f"{where}: {hits[0]}, gdb {frames} {names}")
                    check(not stack or [(f["function"], f["line"]) for f in hits[0]["stack"]] == frames, f"{where}: {hits[0]}, gdb {frames}")
                    check(not stack or hits[0]["thread_details"]["function"] == frames[0][0], f"{where}: {hits[0]}")
                    values = BEGINS.get(where, (0, 0))[1]
                    check(not values or got.values(f"p{i}", "v") == values, f"{where}: {got.values(f'p{i}', 'v')}, not {values}")


def test_what_begins_where_a_function_does_is_not_entered():
    need("gdb")
    as_gdb_enters("gcc", "-O2")


def test_the_same_by_clang():
    need("gdb")
    as_gdb_enters("clang", "-O1")


def test_conditions_where_something_inlined_begins():
    """On the target, too, where it decides them; and a watch from such a hit."""
    program, _ = begins_with("gcc", "-O2")
    for more in "max_hits: 100, ", "":
        for stub in Launched(program), gdbserver(program):
            got = run(f"  h: {{at: handle, {more}when: limit > 2, capture: {{n: r->len}}}}\n", stub, limits=UNBOUND)
            check(got.values("h", "n") == LEN[1::2], f"{got.values('h', 'n')}")
    for stub in Launched(program), gdbserver(program):
        got = run("  h: {at: handle, max_hits: 1}\n  w: {watch: {expr: r->len, from: h}, max_hits: 2}\n", stub, limits=UNBOUND)
        check(got.values("w", "new") == [1, 2], f"{got.values('w', 'new')}")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
