"""Real programs that the engine is asked about beside others, and the round through them: for addresses.py, places.py."""
import argparse, json, os, shlex, shutil, subprocess, tempfile

from differential import FIXTURES, HERE, run


class Missing(Exception):
    """What this machine does not have."""

def own(name):
    def make(_):
        program = os.path.realpath(shlex.split(os.environ["PICKGLASS"])[0])
        path = os.path.join(os.path.dirname(program), name)
        if not os.path.exists(path):
            raise Missing(f"no {name} beside PICKGLASS")
        return path
    return make


def compiled(compiler, *flags):
    def make(work):
        if not shutil.which(compiler):
            raise Missing(f"no {compiler}")
        path = os.path.join(work, "wander")
        run(compiler, "-g", "-w", *flags, os.path.join(FIXTURES, "cpp/wander.cpp"), "-o", path, "-lpthread")
        return path
    return make


def go_program(work):
    if not shutil.which("go"):
        raise Missing("no go")
    path = os.path.join(work, "httpd")
    run("go", "build", "-buildvcs=false", "-o", path, "./httpd", cwd=os.path.join(FIXTURES, "go"), timeout=300)
    return path


def ask_gdb(side, binary, asked, work):
    """What the script `side` answers, run by gdb on the binary: it reads the file that JOB names, and writes where that says."""
    job = os.path.join(work, "job")
    with open(job, "w") as out:
        json.dump({**asked, "out": job + ".out"}, out)
    run("gdb", "-nx", "-batch", "-iex", "set auto-load no", "-iex", "set debuginfod enabled off", "-x", os.path.join(HERE, side),
        binary, env={**os.environ, "JOB": job, "LC_ALL": "C.UTF-8"}, timeout=900)
    with open(job + ".out") as answer:
        return json.load(answer)


def arguments(what, count):
    parser = argparse.ArgumentParser(description=f"The engine's {what} beside those of others.")
    parser.add_argument("parts", nargs="*", help="parts of names of programs")
    parser.add_argument("--count", type=int, default=count, help=f"{what} of each program")
    parser.add_argument("--seed", default="1", help="for what is drawn")
    return parser.parse_args()


def each(programs, what, count, one, summed):
    """`one(name, binary, options, work)` says whether it was fine. The exit status; `summed()` is told before the last line."""
    options = arguments(what, count)
    options.peek = shlex.split(os.environ.get("PEEK", ""))
    if not options.peek or not os.environ.get("PICKGLASS") or not shutil.which("gdb"):
        print(f"skip {what}: no PEEK, no PICKGLASS or no gdb\n0 passed, 0 failed, 1 skipped")
        return 0
    passed = failed = skipped = 0
    for name, make in programs.items():
        if options.parts and not any(part in name for part in options.parts):
            continue
        work = tempfile.mkdtemp(prefix=f"pickglass-{what}-")
        try:
            fine = one(name, make(work), options, work)
            passed, failed = passed + fine, failed + (not fine)
        except Missing as error:
            skipped += 1
            print(f"skip {name}: {error}")
        except (OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"FAIL {name}: {error}")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    print(summed())
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0
