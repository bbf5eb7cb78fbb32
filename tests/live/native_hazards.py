#!/usr/bin/env python3
"""Programs that are easily hurt, and none is (fixtures/c/live/odd.c): filters, short memory, children that share memory or
not, code that changes, handlers that look where they came from.

Else as native.py."""
import os, random, signal, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from nativetargets import *

WORK_PROBE = "  w: {at: work}\n"


def odd(mode, probes=WORK_PROBE, milliseconds=200, **how):
    """Launched, and well at its end."""
    target = Launched(build("odd"), mode, str(milliseconds))
    got = run(probes, target, **how)
    check(got.of("exit") and got.of("exit")[0].get("status") == 0, f"{got.of('exit')} {got.brief()}")
    told = target.told()
    check(told["wrong"] == 0, f"{told['wrong']} of {told['done']} went wrong: {got.brief()}")
    return got, told


def odd_attached(mode, probes=WORK_PROBE, hits=20):
    """Attached once it is in its mode, left after a few hits, and well at its end."""
    program = Process(build("odd"), mode, "60000")
    program.wait_for("ready")
    got = run(probes, Attached(program.pid), limits=up_to(hits), code=None)
    if program.process.poll() is None:
        os.kill(program.pid, signal.SIGTERM)
    code = program.wait()
    check(code == 0, f"the program ended with {code}: {got.brief()}")
    check(got.code == 0 and len(got.hits()) == hits, got.brief())
    check(program.told()["wrong"] == 0, program.told())
    return got


# ---- filters: no system call may be made in the target ----

def test_a_filter_that_kills():
    odd_attached("kills")


def test_a_filter_that_traps():
    odd_attached("traps")


def test_a_filter_that_refuses():
    odd_attached("refuses")


# ---- no room ----

def test_an_address_space_at_its_limit():
    odd_attached("limited")


def test_no_room_near_its_code():
    odd_attached("crowded")


STEPPED = """#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
__attribute__((noinline)) void work(long n) { __asm__ volatile("" : : "r"(n)); }
/* No room behind its code, either. */
__asm__(".pushsection .fini, \\"ax\\", @progbits\\n.balign 4096, 0x90\\n.skip 4075, 0x90\\n.popsection");
static void *idle(void *unused) { for (;;) pause(); return unused; }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, idle, NULL);
    struct rlimit none = {4096, 4096}; /* no memory for a copied instruction */
    setrlimit(RLIMIT_AS, &none);
    for (long n = 0; write(1, n ? "" : "ready\\n", n ? 0 : 6) >= 0; n++)
        work(n);
}
"""


def stepped():
    """A program whose every hit of `work` is a step in place, and its thread that idles."""
    source = write(STEPPED, "stepped.c")
    subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", source[:-2], source], check=True, timeout=60)
    process = subprocess.Popen([source[:-2]], stdout=subprocess.PIPE)
    process.stdout.readline()
    pickglass = start("  w: {at: work, hit_cond: '% 1000'}\n", Attached(process.pid), limits=ROOMY)
    return process, max(tasks_of(process.pid)), pickglass


def test_killed_in_the_middle_of_a_step():
    """The kernel does not tell of the end of a process's first thread while others wait to be told of."""
    for _ in rounds(6):
        process, _, pickglass = stepped()
        time.sleep(random.random() / 20)
        process.kill()
        code, out, err = finish(pickglass)
        process.wait(10)
        check(code == 0 and '"type":"exit"' in out and "lifted for a moment" in err, f"exit {code}: {err[-300:]}")


def ran_ns(pid):
    with open(f"/proc/{pid}/schedstat") as stat:
        return int(stat.read().split()[0])


def test_job_control_where_each_hit_is_a_step():
    """A thread stops the process in the middle of another's step, which is one of hundreds of thousands: it stands until
    it is told to go on."""
    process, idle, pickglass = stepped()
    try:
        for turn in rounds(25):
            LIBC.syscall(234, process.pid, idle, signal.SIGSTOP)  # tgkill: nobody chooses another thread for it
            until(lambda: ran_ns(process.pid) == (time.sleep(0.02), ran_ns(process.pid))[1], 3, f"it runs on, at stop {turn}")
            before = ran_ns(process.pid)
            process.send_signal(signal.SIGCONT)
            until(lambda: ran_ns(process.pid) > before, 3, f"it does not go on, after stop {turn}")
    finally:
        process.kill()
        code, out, err = finish(pickglass)
        process.wait()
    check(code == 0 and "lifted for a moment" in err, f"exit {code}: {err[-300:]}")


def test_a_call_that_is_the_first_on_its_page_of_stack():
    source = "odd.c:" + str(line_of("odd", "the call of a leaf"))
    got, _ = odd("grow", f"  l: {{at: '{source}'}}\n")
    check(len(got.hits("l")) == 2402, got.brief())


# ---- children ----

def own_calls(mode, per_round):
    got, told = odd(mode)
    row = got.account()["w"]
    check(row["hits"] == per_round * told["done"] and row["lost"] == 0, f"{row}, {told}")


def test_forks():
    own_calls("forks", 1)


def test_forks_that_end_without_a_signal():
    own_calls("copies-quietly", 1)


def test_forks_that_end_with_another_signal():
    own_calls("copies-winch", 1)


def test_children_that_are_killed_at_once():
    """Each must be waited for by its parent, which nobody else may hold up."""
    source = write("""#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) void round_of(int n) { asm volatile("" ::: "memory"); }
int main(void) {
    for (int n = 0; n < 300; n++) {
        pid_t child = fork();
        if (!child)
            for (;;)
                pause();
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
        round_of(n);
    }
    return 0;
}
""", "killer.c")
    subprocess.run(["gcc", "-g", "-O1", "-o", source[:-2], source], check=True, timeout=60)
    for more in (), ("--follow-forks",):
        got = run("  r: {at: round_of, capture: [n]}\n", Launched(source[:-2]), *more)
        check(got.values("r", "n") == list(range(300)) and not got.of("error"), got.brief())
        check(got.seconds < 15, f"it took {got.seconds:.1f} s")


def test_vforks():
    own_calls("vforks", 1)


def test_children_that_share_memory():
    own_calls("shares", 1)


def test_children_that_share_memory_and_end_without_a_signal():
    own_calls("shares-quietly", 1)


# ---- code that changes ----

def test_code_that_is_patched_while_a_probe_stands():
    odd("patches", "  p: {at: patched}\n")


def test_code_that_is_patched_between_hits():
    odd("patches", "  p: {at: patched, every: 10ms}\n", 300)


def test_code_that_is_unmapped():
    odd("unmaps", "  p: {at: patched}\n")
    odd("unmaps", "  p: {at: patched, every: 10ms}\n")


def test_a_program_that_sums_its_own_text():
    """It sees our breakpoint while it is there, and afterwards its own bytes again."""
    source = write("""#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
extern char __executable_start, etext;
__attribute__((noinline)) unsigned work(unsigned n) { __asm__ volatile(""); return n; }
static unsigned sum(void) { unsigned s = 0; for (volatile char *p = &__executable_start; p < &etext; p++) s = s * 31 + (unsigned char)*p; return s; }
int main(int argc, char **argv) { unsigned first = sum(), odd = 0, s = first; for (int i = 0; i < 600 || (s != first && i < 6000); i++) {
  work(i); s = sum(); odd += s != first; usleep(1000); } FILE *f = fopen(argv[1], "w"); fprintf(f, "%u %d", odd, s == first); fclose(f); return 0; }
""", "sums.c")
    program, told = source[:-2], source[:-2] + ".told"
    subprocess.run(["gcc", "-g", "-O2", "-w", "-static", "-o", program, source], check=True, timeout=60)
    process = Process(program, told)
    got = run(WORK_PROBE, Attached(process.pid), limits=up_to(30))
    check(len(got.hits()) == 30, got.brief())
    check(process.wait() == 0, "it failed")
    with open(told) as text:
        odd, right = text.read().split()
    check(int(odd) > 0 and right == "1", f"{odd} sums differed while a breakpoint was there; right at the end: {right}")


def test_system_calls_that_wait_go_on():
    """epoll_wait says EINTR after any stop (signal(7)): once a detach, as with gdb. The others do not notice."""
    source = write("""#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
static int epolls, others; static volatile int over;
__attribute__((noinline)) int never(int n) { return n; }
static void *e(void *p) { int fd = epoll_create1(0); struct epoll_event v; while (!over) if (epoll_wait(fd, &v, 1, 1000) < 0) epolls++; return p; }
static void *q(void *p) { while (!over) if (poll(0, 0, 1000) < 0) others++; return p; }
static void *s(void *p) { while (!over) { struct timespec t = {1, 0}; if (nanosleep(&t, 0)) others++; } return p; }
static void *r(void *p) { int f[2]; char c; pipe(f); if (read(f[0], &c, 1) < 0) others++; return p; }
static void end(int n) { over = 1; }
int main(int argc, char **argv) { pthread_t t[3], w; void *(*run[])(void *) = {e, q, s}; for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, run[i], 0);
  pthread_create(&w, 0, r, 0); if (argc > 9) never(argc); signal(SIGTERM, end); while (!over) usleep(10000); for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
  printf("%d %d\\n", epolls, others); return 0; }
""", "waits.c")
    subprocess.run(["gcc", "-g", "-O1", "-w", "-o", source[:-2], source, "-lpthread"], check=True, timeout=60)
    process = Process(source[:-2])
    until(lambda: len(tasks_of(process.pid)) == 5, 5, "it never began")
    turns = 4
    for _ in range(turns):
        run("  n: {at: never}\n", Attached(process.pid), limits="limits: {duration: 200ms}\n")
        free(process.pid)
    os.kill(process.pid, signal.SIGTERM)
    check(process.wait() == 0, "it was hurt")
    epolls, others = map(int, process.said().split())
    check(epolls <= turns and others == 0, f"EINTR from epoll_wait {epolls} times in {turns} attachments, from others {others} times")


# ---- handlers that look where they came from ----

def test_handlers_see_places_of_the_program():
    odd_attached("profiled", hits=300)


def test_faults_are_where_the_program_has_them():
    program = build("odd")
    listing = subprocess.run(["objdump", "-d", "--disassemble=load", program], capture_output=True, text=True).stdout
    begin = int(re.search(r"^([0-9a-f]+) <load>:", listing, re.M)[1], 16)
    at = int(re.search(r"^\s*([0-9a-f]+):.*mov +\(%rax\),%eax", listing, re.M)[1], 16)
    got, told = odd("faulty", f"  l: {{at: {{function: load, offset: {at - begin}}}}}\n")
    check(told["done"] <= len(got.hits("l")) <= 2 * told["done"], f"{len(got.hits('l'))} hits, {told}")


# ---- a thread that does not stop when it is asked to ----

def unheld(got, told):
    check(told["wrong"] == 0 and told["back"] == 20, f"{told}: {got.brief()}")
    check(told["gap_ms"] < 300, f"the other thread was held for {told['gap_ms']} ms: {got.brief()}")


def test_a_hit_does_not_wait_for_a_thread_in_a_vfork():
    """And the thread goes on by itself when it stops at last."""
    target = Launched(build("late"))
    got = run("  w: {at: work, capture: [n], stop: process}\n", target, limits="limits: {duration: 8s, pause_budget: 100%}\n")
    told = exact(got, target.told(), w="calls")
    unheld(got, told)


def test_what_is_armed_meanwhile_concerns_it_too():
    """Its debug registers and its system calls, before it executes anything more."""
    for probe in "  b: {watch: {expr: g_back, access: write}}\n", "  b: {syscall: getpgid}\n":
        program = Process(build("late"))
        until(lambda: children_of(program.pid), 5, "it never forks")
        got = run("  w: {at: work}\n" + probe, Attached(program.pid), limits="limits: {duration: 8s, pause_budget: 100%}\n")
        told = program.told()
        unheld(got, told)
        check(len(got.hits("b")) == told["back"], f"{len(got.hits('b'))} hits: {got.brief()}")


def test_a_watchpoint_is_not_left_in_a_thread_that_is_late():
    """The kernel would let go of the thread with its debug registers set, and the next hit kills: the run ends later."""
    target = Launched(build("late"), "7")
    got = run("  b: {watch: {expr: g_back, access: write}}\n", target, limits="limits: {duration: 1s}\n")
    check("with a watchpoint set" in got.err and got.seconds > 6, f"{got.seconds:.1f} s: {got.brief()}")
    unheld(got, target.told())


def test_a_late_thread_of_a_target_that_is_left_goes_on():
    """While the run goes on with another target, which somebody has stopped."""
    copy = shutil.copy(build("late"), os.path.join(WORK, "another"))
    other, late = Process(copy, "1"), Process(build("late"), "7")
    os.kill(other.pid, signal.SIGSTOP)
    until(lambda: children_of(late.pid), 5, "it never forks")
    process = start("  w: {at: work}\n", Attached(late.pid), f"other=native:{other.pid}", limits="limits: {duration: 10s, hits: 10}\n")
    told, goes_on = late.told(12), process.poll() is None
    os.kill(other.pid, signal.SIGCONT)
    code, out, err = finish(process)
    check(goes_on, f"it told only when the run was over: {told}")
    check(code == 0 and told["back"] == 20 and told["wrong"] == 0, f"exit {code}, {told}: {err[-200:]}")


# ---- threads alone ----

def test_a_main_thread_that_has_ended():
    odd("leaderless")
    program = Process(build("odd"), "leaderless", "60000")
    until(lambda: status_of(program.pid, "State")[0] == "Z", 5, "its main thread does not end")
    got = run(WORK_PROBE, Attached(program.pid), limits=up_to(20), code=None)
    check(got.code == 0 and len(got.hits()) == 20 or "main thread" in got.err, got.brief())
    os.kill(program.pid, signal.SIGTERM)
    check(program.wait() == 0, "it was hurt")


KNOWN = {}

if __name__ == "__main__":
    native_main(globals(), KNOWN)
