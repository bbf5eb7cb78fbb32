#!/usr/bin/env python3
"""What real stubs of the GDB remote protocol said, said again by a strict one: each transcript in fixtures/wire-gdb is
replayed to pickglass whole, a byte at a time, and in random chunks; its packets, output and exit code must be the
recorded ones, and each reply acknowledged where the stub wants that.

    gdb.py [PART...]          replays the transcripts whose names have one of the parts
    gdb.py record [PART...]   records them anew, from every stub that is there
    gdb.py build              builds the programs anew, for which all must be recorded anew

Prints `ok NAME` or `FAIL NAME: why` a replay, and `N passed, N failed, N skipped` last. The format is told in
fixtures/wire-gdb/README.md."""
import concurrent.futures, glob, json, os, random, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE, os.path.join(os.path.dirname(HERE), "support")]
import gdbtargets, wire
from proxy import Proxy, TOKEN, packet
from wire import Failed, Gone, WAIT, accept, difference, listen, shown

FOLDER = os.path.join(wire.ROOT, "fixtures", "wire-gdb")

# ---- programs ----

COMPILERS = {"x86_64": ("gcc", ["-fcf-protection=none"]), "aarch64": ("aarch64-linux-gnu-gcc", []),
             "riscv64": ("riscv64-linux-gnu-gcc", []), "arm": ("arm-linux-gnueabihf-gcc", ["-marm", "-mfloat-abi=hard"])}


def program(machine):
    return os.path.join(FOLDER, "program." + machine)


def build():
    for machine, (compiler, flags) in COMPILERS.items():
        subprocess.run([compiler, "-g", "-O0", "-std=c17", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-stack-protector",
                        *flags, "-fdebug-prefix-map=" + FOLDER + "=/src", "-Wl,--build-id", "-o", program(machine), "program.c"],
                       cwd=FOLDER, check=True, timeout=60)


# ---- stubs: each a name and what starts it ----

STUBS = {
    "gdbserver": lambda: gdbtargets.gdbserver(program("x86_64")),
    "multi": lambda: gdbtargets.gdbserver(once=False, options=["--multi"]),
    "lldb-server": lambda: gdbtargets.lldb_server(program("x86_64")),
    "vgdb": lambda: gdbtargets.valgrind(program("x86_64")),
    **{"qemu-" + machine: (lambda machine=machine: gdbtargets.qemu(machine, program(machine))) for machine in COMPILERS},
}
MACHINE = {"qemu-" + machine: machine for machine in COMPILERS}
RECIPES = {"tour": STUBS, "left": STUBS, "watch": ["gdbserver", "lldb-server"]}


def command_of(recipe, stub):
    machine = MACHINE.get(stub, "x86_64")
    target = "TARGET?run=/src/program" if stub == "multi" else "TARGET"
    return ["run", recipe + ".yaml", target, "-q", "--binary", "program." + machine]


# ---- transcripts ----

class Transcript:
    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".jsonl")]
        self.packets, self.events = [], []  # (is from pickglass, payload)
        with open(path) as file:
            self.head = json.loads(file.readline())
            for line in map(json.loads, file):
                if "event" in line:
                    self.events.append(line["event"])
                elif "exit" in line:
                    self.outcome = line
                else:
                    [(direction, text)] = line.items()
                    self.packets.append((direction == ">", text.encode("latin-1")))


class Player:
    """The stub: it knows what will be said, and says what was said."""

    def __init__(self, transcript, manner, connection):
        self.transcript, self.connection, self.manner = transcript, connection, manner
        self.chance, self.rest, self.acks, self.owed = random.Random(transcript.name), b"", True, 0

    def token(self, wanted):
        while True:
            found = TOKEN.search(self.rest)
            if found:
                self.rest = self.rest[found.end():]
                return found
            try:
                data = self.connection.recv(1 << 16)
            except TimeoutError:
                raise Failed(f"expected {shown(wanted)}, got nothing within the time")
            if not data:
                raise Gone
            self.rest += data

    def request(self, wanted):
        """The next packet of pickglass; acknowledgements of ours come before it."""
        while True:
            found = self.token(wanted)
            kind = found.group(4) or found.group(1)
            if kind == b"+":
                self.owed -= 1
                continue
            if kind != b"$" or self.acks and self.owed > 0:
                raise Failed(f"expected {shown(wanted)}, got {found.group(0)} with {self.owed} replies not acknowledged")
            if packet(found.group(2)) != found.group(0):
                raise Failed(f"a wrong checksum: {found.group(0)}")
            return found.group(2)

    def play(self):
        replies = b""
        for is_request, payload in self.transcript.packets:
            if not is_request:
                replies += packet(payload)
                self.owed += self.acks
                continue
            self.say(replies)
            replies = b""
            got = self.request(payload.decode("latin-1"))
            if got != payload:
                raise Failed(f"expected {shown(payload.decode('latin-1'))}, got {shown(got.decode('latin-1'))}")
            replies = b"+" if self.acks else b""
            if payload == b"QStartNoAckMode":
                self.acks = False
        self.say(replies)
        self.end()

    def end(self):
        try:
            while True:
                found = self.token("the end")
                if found.group(0) != b"+":
                    raise Failed(f"one packet too many: {found.group(0)}")
        except (Gone, ConnectionResetError):
            pass

    def say(self, data):
        try:
            while data:
                n = {"whole": len(data), "bytes": 1 if len(data) < 3000 else 97}.get(self.manner) or \
                    self.chance.choice((1, 2, 7, 60, 500, 3000))
                self.connection.sendall(data[:n])
                data = data[n:]
                if self.manner == "chunks" and self.chance.random() < 0.3:
                    time.sleep(0.0005)
        except (BrokenPipeError, ConnectionResetError):
            pass


MANNERS = ("whole", "bytes", "chunks")


def replay(transcript, manner):
    server, port = listen()
    with server, wire.Pickglass(transcript.head["command"], port, "gdb", FOLDER) as pickglass:
        with accept(server, pickglass) as connection:
            try:
                Player(transcript, manner, connection).play()
            except Gone:
                raise Failed(f"it closed the connection: {pickglass.said()[1][-300:]}")
        wire.compare(transcript, *pickglass.result())


def attempt(transcript, manner):
    try:
        replay(transcript, manner)
    except Exception as error:  # a broken test is a failed one
        return str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"


def replay_all(paths, skipped=0):
    jobs = [(transcript, manner) for transcript in map(Transcript, paths) for manner in MANNERS]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = [(job, pool.submit(attempt, *job)) for job in jobs]
    failed = 0
    for (transcript, manner), result in results:
        why = result.result()
        failed += why is not None
        print(f"FAIL {transcript.name} {manner}: {why}" if why else f"ok {transcript.name} {manner}", flush=True)
    print(f"{len(jobs) - failed} passed, {failed} failed, {skipped} skipped")
    return failed


# ---- recording ----

def port_of(stub):
    return int(stub.uri.rsplit(":", 1)[1])


def listening(port):
    with open("/proc/net/tcp") as sockets:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in sockets.readlines()[1:])


def record(recipe, name):
    stub = STUBS[name]()
    gdbtargets.until(lambda: listening(port_of(stub)), 10, f"{name} does not listen")
    proxy = Proxy(port_of(stub))
    command = command_of(recipe, name)
    real = [word.replace("/src/program", program("x86_64")) for word in command]
    try:
        with wire.Pickglass(real, int(proxy.uri.rsplit(":", 1)[1]), "gdb", FOLDER) as pickglass:
            result, events = pickglass.result()
    finally:
        proxy.end()
        gdbtargets.end_all()
    lines = [json.dumps({"wire": 1, "stub": name, "command": command})]
    for direction, kind, payload in proxy.log:
        if kind == "$":
            lines.append(json.dumps({direction: neutral(payload, name).decode("latin-1")}, ensure_ascii=True))
    lines.append(neutral(json.dumps(result).encode(), name).decode())
    lines += [neutral(json.dumps({"event": event}).encode(), name).decode() for event in events]
    path = os.path.join(FOLDER, f"{recipe}-{name}.jsonl")
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    return path


def neutral(data, name):
    """No path of the machine where it was recorded; in the target's memory, and in vRun, it stands in hexadecimal digits."""
    for path in (program(MACHINE.get(name, "x86_64")).encode(), FOLDER.encode()):
        short = b"/src" + path[len(FOLDER):].split(b".")[0]
        same = short if data.startswith(b"vRun") else b"/src".ljust(len(path) - len(short) + 4, b"/") + short[4:]
        data = data.replace(path.hex().encode(), same.hex().encode()).replace(path, short)
    return data


def record_all(parts):
    os.environ.clear()  # it stands in the memory of what is started
    os.environ.update(PATH="/usr/bin:/bin", LC_ALL="C")
    os.chdir("/")
    paths, skipped = [], 0
    for recipe, stubs in RECIPES.items():
        for name in stubs:
            if not wanted(f"{recipe}-{name}", parts):
                continue
            try:
                paths.append(record(recipe, name))
            except gdbtargets.Skipped as why:
                skipped += 1
                print(f"skip {recipe}-{name}: {why}", flush=True)
    return replay_all(paths, skipped)


def wanted(name, parts):
    return not parts or any(part in name for part in parts)


def main():
    words = sys.argv[1:]
    if words[:1] == ["build"]:
        build()
        return
    if words[:1] == ["record"]:
        failed = record_all(words[1:])
    else:
        paths = sorted(glob.glob(os.path.join(FOLDER, "*.jsonl")))
        if not paths:
            sys.exit("FAIL wire: there are no transcripts")
        failed = replay_all([path for path in paths if wanted(os.path.basename(path)[:-len(".jsonl")], words)])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
