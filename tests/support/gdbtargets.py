"""What the live tests of gdb:// need: fixtures built for several processors, stubs, programs to attach to, and
proofs that a program was left as it was found. Every process that is started here is ended here, by its pid."""
import json, mmap, os, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time, tty
from eventschema import wrong_events

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PICKGLASS = os.environ.get("PICKGLASS", os.path.join(ROOT, "build", "src", "pickglass"))
LIVE = os.path.join(ROOT, "fixtures", "c", "live")
WORK = tempfile.mkdtemp(prefix="pickglass-gdb-")


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failed(why)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skipped(f"no {tool}")


def until(what, seconds, why):
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(why() if callable(why) else why)
        time.sleep(0.01)


# ---- fixtures ----

CROSS = {"aarch64": ("aarch64-linux-gnu-gcc", []), "riscv64": ("riscv64-linux-gnu-gcc", []),
         "thumb": ("arm-linux-gnueabihf-gcc", ["-mthumb"]), "arm": ("arm-linux-gnueabihf-gcc", ["-marm"])}
EMULATOR = {"x86_64": "qemu-x86_64", "aarch64": "qemu-aarch64", "riscv64": "qemu-riscv64", "thumb": "qemu-arm", "arm": "qemu-arm"}


BUILDING = threading.Lock()


def build(name, *flags, **more):
    """The path of fixtures/c/live/NAME.c as a program; other sources by their names within fixtures/c."""
    with BUILDING:
        return build_one(name, *flags, **more)


def build_one(name, *flags, machine="x86_64", source=None):
    compiler, more = CROSS.get(machine, ("gcc", []))
    need(compiler)
    key = "-".join([name, machine, *flags]).replace("/", "_").replace("=", "_")
    path = os.path.join(WORK, key)
    if not os.path.exists(path):
        folder = os.path.join(ROOT, "fixtures", "c")
        sources = source or [os.path.join("live", name + ".c")]
        flags = [*(flags or ["-O0"]), *more, *(["-static"] if machine in CROSS else [])]
        done = subprocess.run([compiler, "-g", "-w", *flags, "-Wl,--build-id", "-o", path, *sources, "-lpthread", "-lm"],
                              cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode and machine in CROSS and "cannot find" in done.stderr:
            raise Skipped(f"{compiler} has no static libraries")
        check(done.returncode == 0, f"building {name}: {done.stderr[-300:]}")
    return path


def line_of(name, text):
    with open(os.path.join(LIVE, name + ".c")) as source:
        return next(i for i, line in enumerate(source, 1) if text in line)


# ---- processes ----

STARTED = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def status_of(pid, key):
    with open(f"/proc/{pid}/status") as status:
        return next((line.split(":", 1)[1].strip() for line in status if line.startswith(key + ":")), "")


class Process:
    """A command with its output in a file, so that nobody can block on it."""

    def __init__(self, *command, leader=True, **more):
        self.log = tempfile.NamedTemporaryFile("w+", dir=WORK, delete=False)
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                        start_new_session=leader, env={**os.environ, "TOLD": self.log.name + ".told"}, **more)
        self.pid = self.process.pid
        STARTED.append(self)

    def said(self):
        with open(self.log.name, errors="replace") as text:
            return text.read()

    def wait_for(self, pattern, seconds=15):
        def look():
            found = re.search(pattern, self.said())
            check(found or self.process.poll() is None or re.search(pattern, self.said()),
                  f"{os.path.basename(self.process.args[0])} ended: {self.said()[-300:]}")
            return found
        return until(look, seconds, lambda: f"it never said {pattern}: {self.said()[-300:]}")

    def wait(self, seconds=10):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{os.path.basename(self.process.args[0])} does not end: {self.said()[-200:]}")

    def told(self, seconds=10):
        """What the program knows of itself, at its end (fixtures/c/live/tell.h)."""
        def look():
            try:
                with open(self.log.name + ".told") as told:
                    return json.loads(told.read())
            except (OSError, ValueError):
                return None
        return until(look, seconds, lambda: f"the program told nothing: {self.said()[-300:]}")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(word) for word in children.read().split()]
    except OSError:
        return []


def workers_of(pid):
    return [child for child in children_of(pid) if "worker" in os.readlink(f"/proc/{child}/exe")]


def end_all():
    """Stubs first: a program that a stub has stopped takes no SIGTERM."""
    for process in reversed(STARTED):
        launched = children_of(process.pid)
        process.end()
        for pid in launched:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    STARTED.clear()


# ---- stubs ----

class Stub(Process):
    uri = None
    binary = ()


def gdbserver(*arguments, once=True, attach=None, options=()):
    need("gdbserver")
    tail = ["--attach", "127.0.0.1:0", str(attach)] if attach else ["127.0.0.1:0", *arguments]
    stub = Stub("gdbserver", *(["--once"] if once else []), *options, *tail)
    stub.port = int(stub.wait_for(r"Listening on port (\d+)")[1])
    stub.uri = f"gdb://127.0.0.1:{stub.port}"
    return stub


def lldb_server(*arguments):
    need("lldb-server")
    port = free_port()
    # Its address must be free of guesses: it serves one client, so nobody looks whether it listens.
    stub = Stub("lldb-server", "gdbserver", f"127.0.0.1:{port}", "--", *arguments)
    stub.uri, stub.binary = f"gdb://127.0.0.1:{port}", ("--binary", arguments[0])
    return stub


def qemu(machine, *arguments, unix=False, options=()):
    need(EMULATOR[machine])
    port = free_port()
    where = tempfile.mktemp(dir=WORK, suffix=".sock") if unix else str(port)
    stub = Stub(EMULATOR[machine], "-g", where, *options, *arguments)
    stub.uri = f"gdb+unix:{where}" if unix else f"gdb://127.0.0.1:{port}"
    stub.binary = ("--binary", arguments[0])
    return stub


def metal():
    """An image for a Cortex-M, and a board that is held at its reset."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    image, folder = os.path.join(WORK, "metal.elf"), os.path.join(ROOT, "fixtures", "c", "metal")
    with BUILDING:
        if not os.path.exists(image):
            subprocess.run(["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-g", "-O0", "-ffreestanding", "-nostdlib",
                            "-Wl,--build-id", "-T", "metal.ld", "-o", image, "metal.c"], cwd=folder, check=True, timeout=60)
    port = free_port()
    stub = Stub("qemu-system-arm", "-M", "lm3s6965evb", "-nographic", "-monitor", "none", "-serial", "none", "-kernel", image, "-S",
                "-gdb", f"tcp:127.0.0.1:{port}")
    stub.port, stub.uri, stub.binary = port, f"gdb://127.0.0.1:{port}", ("--binary", image)
    return stub


class Line:
    """A serial line: two terminals with a relay between them, which may damage what it carries."""

    def __init__(self, damage=0):
        self.ends, self.names, self.keep = [], [], []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            self.ends.append(master)
            self.keep.append(slave)
            self.names.append(os.ttyname(slave))
        self.damage, self.damaged, self.carried = damage, 0, 0
        for i in range(2):
            threading.Thread(target=self.carry, args=(self.ends[i], self.ends[1 - i]), daemon=True).start()

    def carry(self, source, sink):
        """After about so many bytes one of a payload is another, or an acknowledgement is lost; never two in a packet,
        which its checksum might not tell."""
        inside, fresh, spared, chance = False, False, 0, random.Random(self.damage)
        gap = chance.randrange(self.damage + 1)
        while True:
            try:
                data = bytearray(os.read(source, 4096))
            except OSError:
                return
            out = bytearray()
            for byte in data:
                inside = byte == ord("$") or inside and byte != ord("#")
                fresh = byte == ord("$") or (fresh if inside else False)
                self.carried += 1
                spared += 1
                hit = self.damage and spared >= gap and (fresh and chr(byte).isalnum() or not inside and byte == ord("+"))
                if hit:
                    fresh, spared, self.damaged = False, 0, self.damaged + 1
                    gap = chance.randrange(2 * self.damage)
                if hit and byte == ord("+"):
                    continue
                out.append(byte ^ 1 if hit else byte)
            os.write(sink, bytes(out))

    def end(self):
        for end in self.ends + self.keep:
            os.close(end)


def gdbserver_on_line(line, *arguments, attach=None):
    need("gdbserver")
    stub = Stub("gdbserver", "--once", *(["--attach", line.names[1], str(attach)] if attach else [line.names[1], *arguments]))
    stub.uri = f"gdb+serial:{line.names[0]}?baud=115200"
    stub.wait_for("Remote debugging using")
    return stub


def valgrind(*arguments):
    need("valgrind", "vgdb")
    program = Process("valgrind", "--vgdb=yes", "--vgdb-error=0", f"--vgdb-prefix={WORK}/vgdb", *arguments)
    program.wait_for("action at startup")
    stub = vgdb(program)
    stub.binary, stub.program, stub.told = ("--binary", arguments[0]), program, program.told
    return stub


def vgdb(program):
    """The gateway to a program under valgrind, for one client."""
    port = free_port()
    stub = Stub("vgdb", f"--port={port}", f"--vgdb-prefix={WORK}/vgdb", f"--pid={program.pid}", "--wait=5")
    stub.uri = f"gdb://127.0.0.1:{port}"
    return stub


# ---- a program to attach to ----

class Busy(Process):
    PID, TICKS, USR1, READY, INTS = range(5)

    def __init__(self, threads=1, nap=0, leader=True, patient=False, light=False, calm=False):
        """A patient one counts SIGINTs, any other dies of them; a calm one handles no signals, and may be traced. Of a light
        one the speed does not matter."""
        path = tempfile.mktemp(dir=WORK, suffix=".shared")
        self.program = build("busy", *(["-O0", "-DCALM"] if calm else []))
        super().__init__(self.program, path, str(threads), str(nap), *(["patient"] if patient else []), leader=leader)
        self.nap = nap
        until(lambda: os.path.exists(path) and os.path.getsize(path) >= 4096, 5, "the busy program never began")
        with open(path, "rb") as file:
            self.shared = mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ)
        until(lambda: self.word(self.READY), 5, "the busy program never began")
        until(lambda: self.word(self.TICKS) > (5 if light else 50), 5, "the busy program does not tick")
        self.pace = 0 if light else self.speed()

    def word(self, index):
        return struct.unpack_from("<Q", self.shared, 8 * index)[0]

    @property
    def ticks(self):
        return self.word(self.TICKS)

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def speed(self):
        """Ticks a second: of its own processor time, so that a busy machine does not matter; by the clock if it naps."""
        clock = time.monotonic if self.nap else self.cpu
        ticks, begin, deadline = self.ticks, clock(), time.monotonic() + 5
        while clock() - begin < 0.15 and time.monotonic() < deadline:
            time.sleep(0.01)
        spent = clock() - begin
        return (self.ticks - ticks) / spent if spent >= 0.1 else 0

    def untouched(self):
        """Alive, traced by nobody, at full speed, with the code of its files: as if nobody had been there."""
        def free():
            check(self.process.poll() is None, f"the program is dead: {self.process.returncode}")
            return status_of(self.pid, "TracerPid") == "0" and status_of(self.pid, "State")[0] in "RS"
        until(free, 8, lambda: f"the program is held: tracer {status_of(self.pid, 'TracerPid')}, {status_of(self.pid, 'State')}")
        changed = changed_code(self.pid)
        check(not changed, f"its code is not its file's: {changed[:3]}")
        pace = max(self.speed(), self.speed() if not self.nap else 0)
        check(pace > 0.4 * self.pace, f"it ticks at {pace:.0f} a second, before at {self.pace:.0f}")

    def end(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
        super().end()


def changed_code(pid):
    """Bytes of executable mappings that differ from their files: each as (file, offset, ours, theirs)."""
    found, seen = [], 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for row in maps:
            fields = row.split(None, 5)
            if len(fields) < 6 or "x" not in fields[1] or not fields[5].startswith("/"):
                continue
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            offset = int(fields[2], 16)
            with open(fields[5].rstrip("\n"), "rb") as file:
                file.seek(offset)
                want = file.read(end - begin)
            memory.seek(begin)
            have = memory.read(end - begin)[:len(want)]
            seen += len(want)
            if have != want:
                found += [(os.path.basename(fields[5].strip()), hex(offset + i), hex(have[i]), hex(want[i]))
                          for i in range(len(want)) if have[i] != want[i]][:8]
    check(seen > 4096, "no code was compared")
    return found


# ---- pickglass ----

SPOKE = re.compile(r"ERROR: \w+Sanitizer|\.[ch]:\d+:\d+: runtime error|pickglass: bug")


class Result:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds
        check(not SPOKE.search(err), "a sanitizer spoke: " + err[:1500])
        self.events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        wrong = wrong_events(self.events, PICKGLASS)
        check(not wrong, f"events that the schema refuses: {wrong[:2]}")

    def hits(self, probe=None):
        return [e for e in self.events if e["type"] in ("hit", "log", "signal") and (not probe or e["probe"] == probe)]

    def values(self, probe, *names):
        rows = [hit["values"] for hit in self.hits(probe)]
        return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]

    def of(self, kind):
        return [e for e in self.events if e["type"] == kind]

    def account(self):
        return {p["probe"]: p for e in self.of("end") if "probes" in e for p in e["probes"]}

    def reason(self):
        return next((e["reason"] for e in self.of("end") if "target" in e), None)

    def brief(self):
        warnings = [e["message"] for e in self.of("error")]
        return f"exit {self.code}, {len(self.hits())} hits, {warnings[-2:]} {self.err[-400:]}"


def write(text, name="recipe.yaml"):
    path = os.path.join(tempfile.mkdtemp(dir=WORK), name)
    with open(path, "w") as file:
        file.write(text)
    return path


def pickglass(*arguments, timeout=30, env=None):
    begin = time.monotonic()
    process = subprocess.Popen([PICKGLASS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise Failed(f"it does not end within {timeout} s: {out[-300:]} {err[-300:]}")
    return Result(process.returncode, out, err, time.monotonic() - begin)


FREE = "limits: {duration: 25s, pause_budget: 100%, max_pause: 5s}\n"


def recipe(probes, limits=FREE):
    return write("recipe: 1\n" + limits + "probes:\n" + probes)


def run(probes, stub, *more, limits=FREE, code=0, **how):
    """Runs the probes on a stub (or a URI); the exit code must be this one (None: any)."""
    uri, binary = (stub, ()) if isinstance(stub, str) else (stub.uri, stub.binary)
    got = pickglass("run", recipe(probes, limits), uri, "-q", "-o", "-", *binary, *more, **how)
    check(code is None or got.code == code, got.brief())
    return got


def start(probes, stub, *more, limits=FREE, hits=1):
    """Begins a run, and comes back in the middle of its hits."""
    process = subprocess.Popen([PICKGLASS, "run", recipe(probes, limits), stub.uri, "-q", "-o", "-", *stub.binary, *more],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               start_new_session=True, text=True)
    for line in process.stdout:
        hits -= '"type":"hit"' in line
        if hits <= 0:
            return process
    raise Failed("no hit came: " + process.stderr.read()[-400:])


def finish(process, seconds=15):
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Failed("it does not end")
    check(not SPOKE.search(err), "a sanitizer spoke: " + err[:1500])
    return process.returncode, out, err


# ---- the command of a test file ----

def main(tests, defects=()):
    wanted = sys.argv[1:]
    passed = failed = skipped = 0
    for name, test in tests:
        label = name[5:]
        if wanted and not any(part in label for part in wanted):
            continue
        begin = time.monotonic()
        try:
            if name in defects and not wanted:
                raise Skipped("a known defect: " + defects[name])
            test()
            passed += 1
            print(f"ok {label}" + (f" ({time.monotonic() - begin:.1f} s)" if os.environ.get("TIMES") else ""), flush=True)
        except Skipped as why:
            skipped += 1
            print(f"skip {label}: {why}", flush=True)
        except Exception as why:  # a broken test is a failed one
            failed += 1
            kind = "" if isinstance(why, Failed) else type(why).__name__ + " "
            print(f"FAIL {label}: {kind}{why}", flush=True)
        finally:
            end_all()
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0
