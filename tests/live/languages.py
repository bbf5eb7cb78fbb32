#!/usr/bin/env python3
"""Values of C++, Rust and Go as the native back end reads them, against what each program says of itself.

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last. Arguments are
parts of test names to run. PICKGLASS is the program under test."""
import json, os, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FIXTURES = os.path.join(ROOT, "fixtures")
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
WORK = tempfile.mkdtemp(prefix="pickglass-languages-")
OLD_GO = "/usr/lib/go-1.19/bin/go"
RUSTC = shutil.which("rustc") or os.path.expanduser("~/.cargo/bin/rustc")


def cxx(compiler, *flags, file="shapes.cpp"):
    return lambda path: [compiler, "-std=c++17", "-w", "-g", *flags, os.path.join(FIXTURES, "cpp", file), "-o", path]


def rust(*flags):
    return lambda path: [RUSTC, "-g", *flags, os.path.join(FIXTURES, "rust", "values.rs"), "-o", path]


def go(program, *flags):
    return lambda path: [program, "build", "-buildvcs=false", *flags, "-o", path, os.path.join(FIXTURES, "go", "values", "main.go")]


DEBUG = "-gcflags=all=-N -l"
BUILDS = {
    "cpp-gcc-dwarf5": ("shapes.cpp", cxx("g++", "-O0")),
    "cpp-gcc-dwarf4": ("shapes.cpp", cxx("g++", "-O0", "-gdwarf-4")),
    "cpp-gcc-dwarf3": ("shapes.cpp", cxx("g++", "-O0", "-gdwarf-3", "-gstrict-dwarf")),
    "cpp-gcc-dwarf2": ("shapes.cpp", cxx("g++", "-O0", "-gdwarf-2")),
    "cpp-clang": ("shapes.cpp", cxx("clang++", "-O0", "-fstandalone-debug")),
    "containers-gcc": ("containers.cpp", cxx("g++", "-O0", file="containers.cpp")),
    "containers-gcc-dwarf3": ("containers.cpp", cxx("g++", "-O0", "-gdwarf-3", "-gstrict-dwarf", file="containers.cpp")),
    "containers-gcc-types": ("containers.cpp", cxx("g++", "-O0", "-fdebug-types-section", file="containers.cpp")),
    "containers-clang": ("containers.cpp", cxx("clang++", "-O0", "-fstandalone-debug", file="containers.cpp")),
    "rust": ("values.rs", rust()),
    "rust-dwarf5": ("values.rs", rust("-Cdwarf-version=5")),
    "rust-dwarf2": ("values.rs", rust("-Cdwarf-version=2")),
    "go-new": ("main.go", go("go", DEBUG)),
    "go-old": ("main.go", go(OLD_GO, DEBUG)),
}


def line_of_call(binary_source):
    with open(binary_source) as source:
        for number, line in enumerate(source, 1):
            if "here(" in line and "fn " not in line and "func " not in line and "NOINLINE" not in line and "//" not in line:
                return number
    raise AssertionError(f"{binary_source} calls nothing")


def source_of(name):
    folder = {"shapes.cpp": "cpp", "containers.cpp": "cpp", "values.rs": "rust", "main.go": "go/values"}[name]
    return os.path.join(FIXTURES, folder, name)


def compile_program(name, command):
    path = os.path.join(WORK, name)
    tool = command(path)
    if not shutil.which(tool[0]):
        return None, f"no {os.path.basename(tool[0])}"
    environment = {**os.environ}
    if tool[0] == OLD_GO:
        environment.pop("GOROOT", None)
        environment["GOTOOLCHAIN"] = "local"
    done = subprocess.run(tool, capture_output=True, text=True, timeout=300, cwd=WORK, env=environment)
    return (path, None) if done.returncode == 0 else (None, f"cannot be built: {done.stderr.strip()[-300:]}")


def captured(binary, place, expressions):
    recipe, events, told = (os.path.join(WORK, name) for name in ("recipe.yaml", "events.jsonl", "told"))
    captures = "".join(f"      c{i}: {{expr: {json.dumps(expression)}, depth: 6}}\n" for i, expression in enumerate(expressions))
    with open(recipe, "w") as out:
        out.write(f"recipe: 1\nprobes:\n  p:\n    at: {json.dumps(place)}\n    max_hits: 1\n    capture:\n{captures}")
    for path in (events, told):
        if os.path.exists(path):
            os.remove(path)
    done = subprocess.run([PICKGLASS, "run", recipe, "-o", events, "--target-stdout", told, "--", binary],
                          capture_output=True, text=True, timeout=60)
    if not os.path.exists(events):
        return None, None, done.stderr
    with open(events) as lines:
        hits = [event for event in map(json.loads, lines) if event["type"] == "hit"]
    with open(told) as said:
        return hits[0]["values"] if hits else None, said.read(), done.stderr


def said_by(binary):
    told = subprocess.run([binary], capture_output=True, text=True, timeout=60).stdout
    return json.loads(told.splitlines()[0])


def differences(name):
    file, command = BUILDS[name]
    binary, why = compile_program(name, command)
    if not binary:
        return None, why
    wanted = said_by(binary)
    values, _, errors = captured(binary, f"{file}:{line_of_call(source_of(file))}", list(wanted))
    if values is None and "cannot trace" in errors:
        return None, errors.strip()[-200:]
    if values is None:
        return [f"no hit: {errors[-800:]}"], None
    return [f"{expression}: {values.get(f'c{i}')}, not {one}"
            for i, (expression, one) in enumerate(wanted.items()) if values.get(f"c{i}", "missing") != one], len(wanted)


def main():
    passed = failed = skipped = 0
    for name in BUILDS:
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        wrong, count = differences(name)
        if wrong is None:
            skipped += 1
            print(f"skip {name}: {count}", flush=True)
        elif wrong:
            failed += 1
            print(f"FAIL {name}:", *wrong, sep="\n    ", flush=True)
        else:
            passed += 1
            print(f"ok {name} ({count} values)", flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
