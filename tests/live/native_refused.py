#!/usr/bin/env python3
"""What cannot be traced, or not so: refused with the reason, at once, and the target is as it was.

Else as native.py."""
import os, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

TICK = "  t: {at: tick, capture: [n]}\n"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def trace(*arguments, before=(), timeout=20):
    """A one-line recipe: no file of ours, so that anybody may run it."""
    done = subprocess.run([*before, PICKGLASS, "trace", *arguments, "--hits", "3", "--for", "3s", "-q", "-o", "-"], capture_output=True,
                          text=True, timeout=timeout, stdin=subprocess.DEVNULL, env={**os.environ, "XDG_RUNTIME_DIR": "/nonexistent"})
    return Result(done.returncode, done.stdout, done.stderr, 0)


def refused(got, *words, code=3):
    check(got.code == code, f"exit {got.code}: {got.err[-300:]}")
    for word in words:
        check(word in got.err, f"{word}: {got.err[-400:]}")


def compiled(text, *flags, name="program.c"):
    source = write(text, name)
    subprocess.run(["gcc", "-g", "-O0", "-w", *flags, "-o", source[:-2], source, "-lpthread"], check=True, timeout=60)
    return source[:-2]


def need_root():
    if os.geteuid():
        raise Skipped("only root can be somebody else")


def need_readable():
    done = subprocess.run([*NOBODY, PICKGLASS, "--version"], capture_output=True, text=True)
    if done.returncode:
        raise Skipped("nobody may not execute " + PICKGLASS)


# ---- not ours ----

def test_a_process_of_somebody_else():
    need_root()
    need("setpriv")
    need_readable()
    busy = Counter()
    refused(trace(f"native:{busy.pid}", "tick", before=NOBODY), str(busy.pid), "root")
    busy.unharmed()


def test_ones_own_process_without_root():
    need_root()
    need("setpriv")
    need_readable()
    folder = tempfile.mkdtemp()  # not within WORK, which is ours alone
    os.chmod(folder, 0o777)
    program = os.path.join(folder, "busy")
    shutil.copy(build("busy"), program)
    process = Process(*NOBODY, program, os.path.join(folder, "shared"), "3", "1000")
    try:
        until(lambda: os.path.exists(folder + "/shared") and len(tasks_of(process.pid)) == 3, 5, "it never began")
        got = trace(f"native:{process.pid}", "tick", "n", before=NOBODY)
        check(got.code == 0 and len(got.hits()) == 3, got.brief())
        free(process.pid)
    finally:
        process.end()
        shutil.rmtree(folder)


def test_proc_that_hides_processes():
    need_root()
    need("setpriv", "unshare")
    need_readable()
    busy = Counter()
    inner = " ".join([*NOBODY, PICKGLASS, "trace", f"native:{busy.pid}", "tick", "-o", "-"])
    done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t proc -o hidepid=2 proc /proc || exit 88; " + inner], capture_output=True,
                          text=True, timeout=20)
    if done.returncode == 88:
        raise Skipped("no mount: " + done.stderr.strip())
    refused(Result(done.returncode, done.stdout, done.stderr, 0), "hidepid", str(busy.pid))
    busy.unharmed()


def test_traced_already():
    need("gdb")
    busy = Counter(threads=2)
    gdb = Process("gdb", "-nx", "-batch", "-p", str(busy.pid), "-ex", "shell echo attached; sleep 20")
    gdb.wait_for("attached\n")
    refused(run(TICK, Attached(busy.pid), code=None), "gdb", str(gdb.pid))
    os.kill(gdb.pid, signal.SIGKILL)
    gdb.wait()
    busy.unharmed()


def test_given_twice():
    busy = Counter(threads=2)
    got = run(TICK, Attached(busy.pid), f"again=native:{busy.pid}", limits=up_to(20), code=None)
    refused(got, f"process {busy.pid} is a target of this run already", code=1)
    check(len(got.hits()) == 20 and "leak" not in got.err, got.brief())
    busy.unharmed()


def test_traced_by_another_of_us():
    busy = Counter(threads=2)
    first = start(TICK, Attached(busy.pid))
    refused(run(TICK, Attached(busy.pid), code=None), "pickglass")
    first.send_signal(signal.SIGINT)
    finish(first)
    busy.unharmed()


def test_where_ptrace_is_forbidden():
    """As in a container: the system call is refused by a filter."""
    wrapper = compiled("""#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) { struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}; struct sock_fprog p = {4, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p); execv(argv[1], argv + 1); return 99; }
""", name="wrapper.c")
    busy = Counter()
    wrapper = ["env", "ASAN_OPTIONS=detect_leaks=0", wrapper]  # looking for leaks needs ptrace
    refused(trace(f"native:{busy.pid}", "tick", before=wrapper), "container", "SYS_PTRACE")
    busy.unharmed()
    refused(trace("native+exec:/bin/true", "main", before=wrapper), "container")


# ---- not for us ----

def test_a_32_bit_program():
    need("as", "ld")
    source = write(".globl _start\n_start: mov $4,%esi\nagain: mov $162,%eax\nmov $pause,%ebx\nxor %ecx,%ecx\nint $0x80\ndec %esi\njnz again\n"
                   "mov $1,%eax\nint $0x80\n.data\npause: .long 1, 0\n", "small.s")
    program = source[:-2]
    subprocess.run(["as", "--32", "-o", source + ".o", source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-o", program, source + ".o"], check=True)
    try:
        process = Process(program)
    except OSError as why:
        raise Skipped(f"this kernel runs no 32-bit programs: {why}")
    refused(run("  s: {at: _start}\n", Attached(process.pid), code=None), "x86-64")
    free(process.pid)
    got = run("  s: {at: _start}\n", Launched(program), code=None)
    refused(got, "x86-64")
    check(got.seconds < 2, f"it was launched all the same: it held our stderr for {got.seconds:.1f} s")


def test_a_program_in_an_emulator():
    need("qemu-aarch64")
    stub = Process("qemu-aarch64", build("busy", machine="aarch64"), tempfile.mktemp(dir=WORK), "1", "1000")
    time.sleep(0.3)
    got = run(TICK, Attached(stub.pid), code=None)
    check(got.code == 2 and '"tick"' in got.err, got.brief())
    free(stub.pid)


# ---- another file than the one that runs ----

def copy_of_busy():
    program = os.path.join(tempfile.mkdtemp(dir=WORK), "busy")
    shutil.copy(build("busy"), program)
    process = Process(program, program + ".shared", "2", "1000")
    until(lambda: os.path.exists(program + ".shared") and len(tasks_of(process.pid)) == 2, 5, "it never began")
    return program, process


def test_a_program_that_was_replaced_on_disk():
    program, process = copy_of_busy()
    os.unlink(program)
    shutil.copy(build("counts"), program)
    got = run(TICK, Attached(process.pid), limits=up_to(5))
    check(len(got.hits()) == 5 and got.hits()[0]["location"]["function"] == "tick", got.brief())
    check(not held(process.pid), "held")


def test_a_program_that_was_deleted():
    program, process = copy_of_busy()
    os.unlink(program)
    got = run(TICK, Attached(process.pid), limits=up_to(5))
    check(len(got.hits()) == 5, got.brief())


def test_a_program_that_is_named_deleted():
    program, process = copy_of_busy()
    process.end()
    os.rename(program, program + " (deleted)")
    process = Process(program + " (deleted)", program + ".shared2", "1", "1000")
    until(lambda: os.path.exists(program + ".shared2"), 5, "it never began")
    got = run(TICK, Attached(process.pid), limits=up_to(5))
    check(len(got.hits()) == 5, got.brief())


USER = """#include <dlfcn.h>
#include <unistd.h>
int main(int argc, char **argv) { int (*f)(int) = (int (*)(int))dlsym(dlopen(argv[1], RTLD_NOW), "plug"); int bad = 0;
  for (int i = 0; i < 3000; i++) { bad += f(i) != i + 100; usleep(500); } return bad != 0; }
"""
# Its `plug` stands where the other library has the middle of an instruction.
OTHER = """__asm__(".text\\nnop\\nnop\\nnop\\nnop\\nnop\\n.globl plug\\n.type plug,@function\\nplug: mov $1,%eax\\nret\\n.size plug,.-plug\\n"
        ".fill 64,1,0x90");
"""


def use_library(*command):
    process = Process(*command)
    until(lambda: process.process.poll() is not None or "plug.so" in open(f"/proc/{process.pid}/maps").read(), 5, "it never loads it")
    if process.process.poll() is not None:
        raise Skipped("it does not begin: " + process.said())
    time.sleep(0.1)
    return process


def plug_is_hit(process, why):
    got = run("  p: {at: {function: plug, module: plug.so}, capture: {n: arg0}}\n", Attached(process.pid), limits=up_to(12), code=None)
    check(process.wait() == 0, f"{why}: the program was hurt: {process.process.poll()} {got.brief()}")
    return got


def test_a_library_that_was_replaced_on_disk():
    """Its name leads to other code by now: nothing of that may be taken for what runs."""
    program, library = compiled(USER, name="user.c"), plug()
    process = use_library(program, library)
    os.unlink(library)
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-O2", "-o", library, write(OTHER, "other.c")], check=True)
    got = plug_is_hit(process, "replaced")
    check(len(got.hits()) == 12 or "replaced" in got.err, got.brief())


def test_a_library_that_was_overwritten_on_disk():
    """By a rename, as package managers do: there is no ' (deleted)' if the name is taken again later."""
    program, library = compiled(USER, name="user.c"), plug()
    process = use_library(program, library)
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-O2", "-o", library + ".new", write(OTHER, "other.c")], check=True)
    os.rename(library + ".new", library)
    got = plug_is_hit(process, "overwritten")
    check(len(got.hits()) == 12 or "replaced" in got.err, got.brief())


# ---- another place ----

def in_its_own_place(our_file):
    """Where a path of its leads to is its own affair (/proc/PID/root): our file of the same path is another one."""
    need_root()
    need("unshare")
    place, inside, program = tempfile.mkdtemp(dir=WORK), plug(), compiled(USER, name="user.c")
    if our_file:
        subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-O2", "-o", place + "/plug.so", write(OTHER, "other.c")], check=True)
    process = use_library("unshare", "-m", "sh", "-c", f"mount -t tmpfs none {place} && cp {inside} {place}/plug.so && "
                          f"exec {program} {place}/plug.so")
    got = plug_is_hit(process, "in its own place")
    check(len(got.hits()) == 12 and got.values("p", "n")[0] >= 0, got.brief())


def test_a_library_of_another_mount_namespace():
    in_its_own_place(False)


def test_a_library_of_another_mount_namespace_whose_path_leads_elsewhere_here():
    in_its_own_place(True)


def test_a_program_in_another_pid_namespace():
    need_root()
    need("unshare")
    path = tempfile.mktemp(dir=WORK)
    outer = Process("unshare", "--fork", "--pid", "--mount-proc", build("busy"), path, "3", "500")
    until(lambda: os.path.exists(path) or outer.process.poll() is not None, 5, "it never began")
    if outer.process.poll() is not None:
        raise Skipped("no namespace: " + outer.said())
    pid = until(lambda: children_of(outer.pid), 5, "no child")[0]
    until(lambda: len(tasks_of(pid)) == 3, 5, "it never began")
    got = run(TICK, Attached(pid), limits=up_to(20))
    check(len(got.hits()) == 20 and {hit["pid"] for hit in got.hits()} == {pid}, got.brief())
    free(pid)


# ---- places that are none ----

def test_addresses_that_hold_no_code():
    program = build("odd", "-O0", "-no-pie")
    names = dict(reversed(row.split()[::2]) for row in subprocess.run(["nm", program], capture_output=True, text=True).stdout.splitlines()
                 if len(row.split()) == 3)
    code = int(names["work"], 16)
    for where, what in (int(names["g_odd"], 16), "data"), (0x10, "nothing"), (0xffffffffff600000, "the kernel"), (code + 2, "the middle of one"):
        got = run(f"  w: {{at: '*{where:#x}'}}\n  k: {{at: work}}\n", Launched(program, "plain", "3"), code=None)
        check(got.code == 2 and f"{where:#x}"[2:] in got.err and len(got.hits()) == 0, f"{what}: {got.brief()}")


def test_code_that_the_program_has_written():
    """As a JIT does: no file says what stands there, so nothing is put into it."""
    source = write("""#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
    static const unsigned char code[] = {0x8d, 0x47, 0x01, 0xc3};
    int (*next)(int) = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy((void *)next, code, sizeof code);
    printf("written at %p\\n", (void *)next);
    fflush(stdout);
    for (int n = 0;; usleep(1000))
        if ((n = next(n)) == 1000000)
            return 0;
}
""", "jit.c")
    subprocess.run(["gcc", "-g", "-o", source[:-2], source], check=True, timeout=60)
    program = Process(source[:-2])
    address = program.wait_for(r"written at (0x[0-9a-f]+)")[1]
    refused(run(f"  w: {{at: '*{address}'}}\n", Attached(program.pid), code=None), address, "program's code", code=2)
    free(program.pid)


def test_more_watchpoints_than_there_are():
    program = build("counts")
    names = ["g_counter", "g_rounds", "g_sum", "g_pair.left", "g_pair.right"]
    probes = "".join(f"  w{i}: {{watch: {{expr: {name}, access: write}}}}\n" for i, name in enumerate(names))
    got = run(probes, Launched(program), code=None)
    check(got.code in (2, 3) and "four debug registers" in got.err, got.brief())
    got = run(probes.rsplit("  w4", 1)[0] + "  x: {at: work, max_hits: 1}\n", Launched(program))
    check(all(got.hits(f"w{i}") for i in range(3)), got.brief())


# ---- gone in the middle ----

def test_killed_in_the_middle_of_hits():
    for turn in rounds(6):
        threads = [1, 16][turn % 2]
        busy = Counter(threads=threads)
        process = start(TICK, Attached(busy.pid), hits=10 + turn)
        os.kill(busy.pid, signal.SIGKILL)
        code, out, err = finish(process)
        check(code == 0 and '"signal":9' in out, f"{threads} threads: {code} {out[-200:]} {err[-300:]}")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
