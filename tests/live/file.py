#!/usr/bin/env python3
"""What pickglass tells of a program's file, with nothing running: `list FILE` and `check --binary FILE`.

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last. Arguments are
parts of test names to run. PICKGLASS is the program under test."""
import os, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
WORK = tempfile.mkdtemp(prefix="pickglass-file-")
C = os.path.join(ROOT, "fixtures", "c")


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failed(why)


def build(name, *command):
    path = os.path.join(WORK, name)
    if not os.path.exists(path):
        subprocess.run([*command, "-o", path], check=True, cwd=WORK, timeout=300, capture_output=True)
    return path


def program():
    return build("frames0", "gcc", "-g", "-O0", os.path.join(C, "frames.c"), os.path.join(C, "stop.c"))


def pickglass(*arguments, code=0):
    run = subprocess.run([PICKGLASS, *arguments], capture_output=True, text=True, timeout=60, cwd=WORK)
    check(run.returncode == code, f"{arguments}: exit {run.returncode}, not {code}: {run.stderr[-500:]}")
    return run


def recipe(text):
    path = os.path.join(WORK, "recipe.yaml")
    with open(path, "w") as out:
        out.write("recipe: 1\nprobes:\n" + text)
    return path


def gdb(binary, *commands):
    if not shutil.which("gdb"):
        raise Skipped("no gdb")
    arguments = [part for command in commands for part in ("-ex", command)]
    return subprocess.run(["gdb", "-batch", "-nx", *arguments, binary], capture_output=True, text=True, timeout=120).stdout


def test_functions_are_those_of_gdb():
    binary = program()
    ours = set(pickglass("list", binary, "functions").stdout.split())
    told = gdb(binary, "info functions -q").split("Non-debugging symbols:")[0]
    theirs = set(re.findall(r"(\w+)\([^()]*(?:\([^()]*\)[^()]*)*\);", told))
    check(theirs and theirs <= ours, f"missing: {sorted(theirs - ours)}")


def test_variables_and_types_are_those_of_gdb():
    binary = program()
    ours = {row.split("\t")[0] for row in pickglass("list", binary, "variables").stdout.splitlines()}
    told = gdb(binary, "info variables -q").split("Non-debugging symbols:")[0]
    rows = [row for row in told.splitlines() if re.match(r"\d+:\t", row)]
    theirs = {re.search(r"(\w+)(?:\[[^\]]*\])*(?:\)\(.*\))?;$", row).group(1) for row in rows}
    check(theirs and theirs <= ours, f"missing: {sorted(theirs - ours)}")
    types = set(pickglass("list", binary, "types").stdout.splitlines())
    check("int" in types, "no int")


def plain(name):
    """`long int` and `long`, `struct a` and `a`: one name."""
    words = [word for word in name.split() if word not in ("struct", "union", "enum", "typedef")]
    numbers = [word for word in words if word in ("long", "short", "unsigned")]
    return " ".join(sorted(numbers)) if numbers and set(words) <= {"long", "short", "unsigned", "int"} else " ".join(words)


def told_by_gdb(binary, what):
    """The last words of gdb's rows, those without debug info too (but for what it makes up for the linker's stubs)."""
    told = re.sub(r"\{\n(.*\n)*?\}", "{}", gdb(binary, f"info {what}"))
    rows = [row.split("\t", 1)[1].rstrip(";") for row in told.splitlines() if re.match(r"(\d+:)?\t", row)]
    bare = re.findall(r"^0x[0-9a-f]+  (\S+)$", told, re.M)
    return rows, {name for name in bare if not name.endswith("@plt")}


def test_sets_are_those_of_gdb():
    """Nothing missing, and nothing more: a C program's functions, types and variables."""
    for source in ("structs.c", "types.c", "frames.c", "scopes.c"):
        more = ["scopes_other.c"] if source == "scopes.c" else []
        files = [os.path.join(C, name) for name in [source, "stop.c"] + more]
        binary = build("set-" + source[:-2], "gcc", "-g", "-O0", "-w", *files, "-lm")

        def listed(what):
            return {row.split("\t")[0] for row in pickglass("list", binary, what).stdout.splitlines()}
        rows, bare = told_by_gdb(binary, "functions")
        theirs = bare | {re.search(r"(\w+)\(", re.sub(r"\(\*(\w+)", r"\1", row)).group(1) for row in rows}
        theirs |= {"always", "always_deeper"} if source == "frames.c" else set()  # nowhere but in others: gdb leaves them out
        check(listed("functions") == theirs, f"{source}: functions: {sorted(listed('functions') ^ theirs)}")
        rows, _ = told_by_gdb(binary, "variables")
        theirs = {re.search(r"(\w+)(?:\[[^\]]*\])*(?:\)(?:\(.*\)|\[\d+\])+)?$", row).group(1) for row in rows}
        check(theirs == listed("variables"), f"{source}: variables: {sorted(theirs ^ listed('variables'))}")
        rows, _ = told_by_gdb(binary, "types")
        theirs = {plain(re.sub(r"^typedef .*?(\w+)(\[\d+\]|\)\(.*\))*$", r"\1", row)) for row in rows}
        ours = {plain(name) for name in listed("types")} - {"forward", "_Bool"}
        check(ours == theirs - {"_Bool"}, f"{source}: types: {sorted(ours ^ theirs)}")


KNOWS = """
import sys
for name in open("%s").read().split():
    try:
        said = gdb.execute("info line " + name, to_string=True)
    except gdb.error as why:
        said = str(why)
    print("KNOWS", name, int(said.startswith("Line ")))
"""


def test_a_real_program_is_as_gdb_knows_it():
    """Our own worker, optimised: no function of gdb's is missing, and gdb finds (nearly) all of those that we have more:
    what is nowhere but in others. (A few have no instruction of their own left.)"""
    binary = os.path.join(os.path.dirname(PICKGLASS), "pickglass-worker")
    if not os.path.exists(binary):
        raise Skipped("PICKGLASS is in no build directory")
    ours = set(pickglass("list", binary, "functions").stdout.split())
    rows, bare = told_by_gdb(binary, "functions")
    theirs = bare | {re.search(r"(\w+)\(", re.sub(r"\(\*(\w+)", r"\1", row)).group(1) for row in rows}
    check(len(theirs) > 1000 and theirs <= ours, f"{len(theirs)} functions; missing: {sorted(theirs - ours)[:20]}")
    more = sorted(ours - theirs)
    names, script = os.path.join(WORK, "names.txt"), os.path.join(WORK, "knows.py")
    for path, text in (names, "\n".join(more)), (script, KNOWS % names):
        with open(path, "w") as out:
            out.write(text)
    knows = dict(re.findall(r"^KNOWS (\S+) ([01])$", gdb(binary, f"source {script}"), re.M))
    unknown = [name for name in more if knows.get(name) != "1"]
    check(len(unknown) <= len(more) // 20, f"{len(unknown)} of {len(more)}: {unknown[:20]}")


def test_a_pattern_and_files():
    binary = program()
    found = pickglass("list", binary, "functions", "^ma").stdout.split()
    check(found == ["main"], found)
    files = pickglass("list", binary, "files", "frames").stdout.split()
    check(any(name.endswith("frames.c") for name in files), files)


def test_a_name_with_a_version():
    """In .symtab the linker writes it behind the name."""
    source, script, library = (os.path.join(WORK, name) for name in ("versioned.c", "versioned.map", "versioned.so"))
    for path, text in ((source, 'int now(void) { return 1; }\nint before(void) { return 2; }\n'
                        '__asm__(".symver now, chosen@@V2\\n.symver before, chosen@V1");\n'), (script, "V1 {};\nV2 {};\n")):
        with open(path, "w") as out:
            out.write(text)
    done = subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,--version-script={script}", "-o", library, source], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    found = pickglass("list", library, "functions", "chosen").stdout.split()
    check("chosen" in found, found)


def test_bad_files():
    text = os.path.join(WORK, "text")
    with open(text, "w") as out:
        out.write("#!/bin/sh\n")
    check("no ELF file" in pickglass("list", text, "functions", code=3).stderr, "a script")
    check("no target, and no file" in pickglass("list", "./nothing-here", "functions", code=1).stderr, "nothing")
    cut = os.path.join(WORK, "cut")
    with open(program(), "rb") as source, open(cut, "wb") as out:
        out.write(source.read()[:3000])
    run = subprocess.run([PICKGLASS, "list", cut, "functions"], capture_output=True, text=True, timeout=60)
    check(run.returncode in (0, 3), f"a cut file: exit {run.returncode}")
    stripped = build("stripped", "gcc", "-O0", "-s", os.path.join(C, "frames.c"), os.path.join(C, "stop.c"))
    check("no debug info" in pickglass("list", stripped, "types", code=3).stderr, "stripped")
    check("is stripped" in pickglass("list", stripped, "functions", code=3).stderr, "stripped")
    core = os.path.join(WORK, "core")
    with open(program(), "rb") as source, open(core, "wb") as out:
        image = bytearray(source.read())
        image[16] = 4  # e_type: ET_CORE
        out.write(image)
    check("is a core" in pickglass("list", core, "functions", code=3).stderr, "a core")
    check("threads can be listed of a Delve" in pickglass("list", program(), "threads", code=3).stderr, "threads")


def test_methods_without_debug_info():
    """By what people call them: the linker writes `const`, destructors and operators in ways of its own."""
    source = os.path.join(WORK, "methods.cpp")
    with open(source, "w") as out:
        out.write("struct V { int n; ~V(); V operator+(int k) const; int get() const; };\nV::~V() { n = 0; }\n"
                  "V V::operator+(int k) const { return V{n + k}; }\nint V::get() const { return n; }\n"
                  "int main() { V v{1}; return (v + 1).get(); }\n")
    plain = build("methods", "g++", "-O0", source)
    for name in "V::get", "V::get()", "V::~V", "V::operator+", "V::operator+(int)":
        pickglass("check", recipe(f"  a: {{at: {{function: '{name}'}}}}\n"), "--binary", plain)
    for name in "V::operator-", "V::get(int)", "W::get":
        pickglass("check", recipe(f"  a: {{at: {{function: '{name}'}}}}\n"), "--binary", plain, code=2)


def test_every_mistake_at_its_line():
    path = recipe("""  a: {at: nowhere_to_be_found}
""")
    told = pickglass("check", path, "--binary", program(), code=2).stderr
    check('recipe.yaml:3:' in told and 'no function "nowhere_to_be_found"' in told, told)
    path = recipe("""  a:
    at: main
    when: bogus > 1
    capture:
      one: argc + "x"
      two: argc.member
      three: (struct no_such *)argc
      fine: argc
""")
    told = pickglass("check", path, "--binary", program(), code=2).stderr
    for line, part in ((5, "bogus"), (7, "cannot join"), (8, "has no members"), (9, "no type")):
        check(re.search(rf"recipe\.yaml:{line}:\d+: .*{part}", told), f"line {line}, {part}: {told}")
    check("\n          ^" in told or "^" in told, "no caret")


def test_a_mistake_at_one_of_several_places():
    source = os.path.join(WORK, "several.cpp")
    with open(source, "w") as out:
        out.write("struct A { int lookup(int key) { return key; } };\nnamespace other { int lookup(const char *text) { return *text; } }\n"
                  "int main(int n, char **) { return A().lookup(n) + other::lookup(\"x\"); }\n")
    binary = build("several", "g++", "-g", "-O0", source)
    told = pickglass("check", recipe("  a: {at: lookup, capture: [key]}\n"), "--binary", binary).stderr
    where = r"\(at other::lookup, \S*several.cpp:2, one of the location's 2 places\)"
    check(re.search(f'there is no "key" here {where}; its value is an error there', told), told)
    told = pickglass("check", recipe("  a: {at: lookup, capture: [kex]}\n"), "--binary", binary, code=2).stderr
    check(re.search(f'there is no "kex" here.* {where.replace("other::lookup", ".*lookup").replace(":2", ":.")}$', told, re.M), told)
    told = pickglass("check", recipe("  a: {at: 'other::lookup', capture: [key]}\n"), "--binary", binary, code=2).stderr
    check('there is no "key" here' in told and "(at" not in told, told)


def test_types_are_shown():
    path = recipe("""  a:
    at: main
    capture: {n: argc, v: argv, s: "sizeof(argc) + 1", f: "argc * 1.5"}
""")
    told = pickglass("check", path, "--binary", program()).stdout
    for row in ("n: int", "v: char **", "s: unsigned long", "f: double"):
        check(row in told, f"{row}: {told}")


def test_what_is_optimised_out_is_told():
    binary = build("frames", "gcc", "-g", "-O2", os.path.join(C, "frames.c"), os.path.join(C, "stop.c"))
    path = recipe("  a:\n    at: optimised\n    capture: [live]\n")
    told = pickglass("check", path, "--binary", binary).stderr
    check("live" in told and "optimised out" in told, told)


def test_lines_without_code():
    path = recipe("  a: {at: 'frames.c:1'}\n")
    told = pickglass("check", path, "--binary", program(), code=2).stderr
    check("has no code (the next line that has is" in told, told)
    path = recipe("  a: {at: 'no-such-file.c:1'}\n")
    check('no source file "no-such-file.c"' in pickglass("check", path, "--binary", program(), code=2).stderr, "file")


def test_an_offset_into_data():
    """A breakpoint there would change a variable."""
    binary = program()
    row = next(line.split() for line in subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout.splitlines()
               if line.split()[-1] == "main")
    data = next(line.split() for line in subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout.splitlines()
                if line.split()[-2] in "DB")
    path = recipe(f"  a: {{at: {{function: main, offset: {int(data[0], 16) - int(row[0], 16)}}}}}\n")
    told = pickglass("check", path, "--binary", binary, code=2).stderr
    check("recipe.yaml:3:" in told and "is no code: nothing there is executed" in told, told)


def test_functions_of_which_nothing_is_left():
    source = os.path.join(WORK, "gone.c")
    with open(source, "w") as out:
        out.write("static inline __attribute__((always_inline)) int deep(int n) { return n + 1; }\n"
                  "int main(int argc, char **argv) { return argv != 0 && deep(argc) + deep(argc); }\n")
    path = recipe("  a: {at: deep}\n")
    told = pickglass("check", path, "--binary", build("gone", "gcc", "-g", "-O2", source), code=2).stderr
    check('"deep" has no code: it was inlined wherever it is called' in told and "did you mean" not in told, told)


def test_a_debug_file_of_another_build_is_refused():
    if not shutil.which("objcopy"):
        raise Skipped("no objcopy")
    source = [os.path.join(C, "frames.c"), os.path.join(C, "stop.c")]
    one = build("one", "gcc", "-g", "-O0", "-Wl,--build-id", *source)
    two = build("two", "gcc", "-g", "-O1", "-Wl,--build-id", *source)
    debug = os.path.join(WORK, "one.debug")
    subprocess.run(["objcopy", "--only-keep-debug", two, debug], check=True)
    subprocess.run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", one], check=True)
    told = pickglass("list", one, "functions", code=3)  # stripped, then
    check("another build" in told.stderr and len(re.findall(r"[0-9a-f]{40}", told.stderr)) == 2, told.stderr)


def test_what_a_file_does_not_have_is_why():
    files = [os.path.join(C, "frames.c"), os.path.join(C, "stop.c")]
    stripped, bare = build("stripped", "gcc", "-O0", "-s", *files), build("bare", "gcc", "-O0", *files)
    cases = ((stripped, "main", "is stripped"), (stripped, "frames.c:9", "no debug info"), (bare, "frames.c:9", "no debug info"),
             (bare, "main, capture: [argc]", "no debug info"), (bare, "mian", None), (program(), "mian", None), (program(), "frames.c:1", None),
             (program(), "main, capture: [zoo]", None))
    for binary, at, why in cases:
        told = pickglass("check", recipe(f"  a: {{at: {at}}}\n"), "--binary", binary, code=2).stderr
        check("recipe.yaml:3:" in told and (why in told if why else "debug info (" not in told and "stripped" not in told), f"{at}: {told}")
    pickglass("check", recipe("  a: {at: main, capture: [arg0]}\n"), "--binary", bare)


def test_a_run_on_a_file_is_refused():
    path = recipe("  a: {at: main}\n")
    check("nothing in it will ever run" in pickglass("run", path, "file:" + program(), code=3).stderr, "run")


def main():
    passed = failed = skipped = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (sys.argv[1:] and not any(part in name for part in sys.argv[1:])):
            continue
        try:
            test()
            passed += 1
            print("ok", name[5:])
        except Skipped as why:
            skipped += 1
            print(f"skip {name[5:]}: {why}")
        except (Failed, subprocess.SubprocessError, OSError) as why:
            failed += 1
            print(f"FAIL {name[5:]}: {why}")
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
