#!/usr/bin/env python3
"""Values of C++, Rust and Go as the native back end reads them, against what each program says of itself.

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` a test, and `N passed, N failed, N skipped` last. Arguments are
parts of test names to run; `every` is all of them, without arguments those between the extremes (SLOW) are left out.
PICKGLASS is the program under test."""
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
    "standard-gcc": ("standard.cpp", cxx("g++", "-O0", file="standard.cpp")),
    "standard-gcc-20-O2": ("standard.cpp", cxx("g++", "-O2", "-std=c++20", file="standard.cpp")),
    "standard-gcc-dwarf3": ("standard.cpp", cxx("g++", "-O0", "-gdwarf-3", "-gstrict-dwarf", file="standard.cpp")),
    "standard-gcc-types": ("standard.cpp", cxx("g++", "-O1", "-fdebug-types-section", file="standard.cpp")),
    "standard-clang": ("standard.cpp", cxx("clang++", "-O0", "-fstandalone-debug", file="standard.cpp")),
    "standard-clang-O2": ("standard.cpp", cxx("clang++", "-O2", "-fstandalone-debug", file="standard.cpp")),
    "standard-clang-O2-dwarf64": ("standard.cpp", cxx("clang++", "-O2", "-gdwarf64", "-fstandalone-debug", file="standard.cpp")),
    "standard-gcc-old-abi": ("standard.cpp", cxx("g++", "-O0", "-D_GLIBCXX_USE_CXX11_ABI=0", file="standard.cpp")),
    "containers-clang-old-abi": ("containers.cpp", cxx("clang++", "-O0", "-fstandalone-debug", "-D_GLIBCXX_USE_CXX11_ABI=0", file="containers.cpp")),
    "libcxx": ("libcxx.cpp", cxx("clang++", "-O0", "-fstandalone-debug", "-stdlib=libc++", file="libcxx.cpp")),
    "libcxx-O2-dwarf4": ("libcxx.cpp", cxx("clang++", "-O2", "-gdwarf-4", "-fstandalone-debug", "-stdlib=libc++", file="libcxx.cpp")),
    "libcxx-fixture-gcc": ("libcxx.cpp", cxx("g++", "-O0", file="libcxx.cpp")),
    "shapes-libcxx": ("shapes.cpp", cxx("clang++", "-O0", "-fstandalone-debug", "-stdlib=libc++")),
    "containers-libcxx": ("containers.cpp", cxx("clang++", "-O0", "-fstandalone-debug", "-stdlib=libc++", file="containers.cpp")),
    "containers-libcxx-O2": ("containers.cpp", cxx("clang++", "-O2", "-fstandalone-debug", "-stdlib=libc++", file="containers.cpp")),
    "held-gcc-23": ("held.cpp", cxx("g++", "-O0", "-std=c++23", file="held.cpp")),
    "held-gcc-20-O2": ("held.cpp", cxx("g++", "-O2", "-std=c++20", file="held.cpp")),
    "held-gcc-dwarf3": ("held.cpp", cxx("g++", "-O0", "-gdwarf-3", "-gstrict-dwarf", "-std=c++23", file="held.cpp")),
    "held-gcc-types": ("held.cpp", cxx("g++", "-O1", "-fdebug-types-section", "-std=c++23", file="held.cpp")),
    "held-gcc-old-abi": ("held.cpp", cxx("g++", "-O0", "-std=c++20", "-D_GLIBCXX_USE_CXX11_ABI=0", file="held.cpp")),
    "held-clang-20": ("held.cpp", cxx("clang++", "-O0", "-fstandalone-debug", "-std=c++20", file="held.cpp")),
    "held-clang-O2": ("held.cpp", cxx("clang++", "-O2", "-fstandalone-debug", file="held.cpp")),
    "rust": ("values.rs", rust()),
    "rust-dwarf5": ("values.rs", rust("-Cdwarf-version=5")),
    "rust-dwarf2": ("values.rs", rust("-Cdwarf-version=2")),
    "go-new": ("main.go", go("go", DEBUG)),
    "go-old": ("main.go", go(OLD_GO, DEBUG)),
}
# Between others: what they have shown so far, others have, too.
SLOW = {"cpp-gcc-dwarf3", "containers-gcc-dwarf3", "containers-clang-old-abi", "standard-gcc-dwarf3", "standard-gcc-types", "shapes-libcxx",
        "containers-libcxx-O2", "libcxx-O2-dwarf4", "libcxx-fixture-gcc", "held-gcc-20-O2", "held-gcc-types", "held-gcc-old-abi", "rust-dwarf5"}


def chosen(arguments):
    if arguments == ["every"]:
        return list(BUILDS)
    return [name for name in BUILDS if (any(part in name for part in arguments) if arguments else name not in SLOW)]


def line_of_call(binary_source):
    with open(binary_source) as source:
        for number, line in enumerate(source, 1):
            if "here(" in line and "fn " not in line and "func " not in line and "NOINLINE" not in line and "//" not in line:
                return number
    raise AssertionError(f"{binary_source} calls nothing")


def source_of(name):
    folder = {"shapes.cpp": "cpp", "containers.cpp": "cpp", "standard.cpp": "cpp", "held.cpp": "cpp", "libcxx.cpp": "cpp", "values.rs": "rust", "main.go": "go/values"}[name]
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
        out.write(f"recipe: 1\nlimits: {{max_pause: 5s}}\nprobes:\n  p:\n    at: {json.dumps(place)}\n    max_hits: 1\n    capture:\n{captures}")
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
    for name in chosen(sys.argv[1:]):
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
