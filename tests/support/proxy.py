"""Between pickglass and a real stub: passes the GDB remote protocol on packet by packet, does to it what faults ask for,
and keeps what it has seen.

    proxy = Proxy(stub.port, [Fault("m", "E01")])
    run(..., proxy)
    proxy.end()

A Fault is (begin of a request, what is done to its reply); `nth` says which of them it is (1: the first), `every` all
from there on. What can be done stands in REPLIES and LINKS, or is a function from reply to reply; MANNERS say how bytes go. `proxy.log` has every packet as
(direction, kind, payload); `proxy.on_packet(n, payload)` is called before the n-th packet of pickglass is passed on.
Each connection to the proxy becomes one to the stub, for as long as `reconnects` allows."""
import collections, re, socket, threading, time

TOKEN = re.compile(rb"([$%])((?:[^#])*)#([0-9a-fA-F]{2})|([+\-\x03])", re.S)
RESUMES = (b"vCont;", b"c", b"C", b"s", b"S", b"?")


def sum_of(payload):
    return b"%02x" % (sum(payload) & 255)


def packet(payload, kind=b"$"):
    return kind + payload + b"#" + sum_of(payload)


class Fault:
    def __init__(self, request, what, nth=1, every=False):
        self.request, self.what, self.nth, self.every = request.encode(), what, nth, every
        self.seen, self.done = 0, False

    def strikes(self, request):
        if not request.startswith(self.request):
            return False
        self.seen += 1
        strikes = self.seen >= self.nth if self.every else self.seen == self.nth
        self.done |= strikes
        return strikes

    def __str__(self):
        return f"{self.what} at {self.request.decode()}"


def size(value):
    def change(reply):
        without = re.sub(rb"PacketSize=[0-9a-f]+;?", b"", reply)
        return without if value is None else b"PacketSize=" + value + b";" + without
    return change


def other_registers(reply):
    """A register file of another architecture, in good XML."""
    rows = b"".join(b'<reg name="r%d" bitsize="32"/>' % i for i in range(13))
    return b'l<target><architecture>arm</architecture><feature name="org.gnu.gdb.arm.core">' + rows + \
        b'<reg name="sp" bitsize="32"/><reg name="lr" bitsize="32"/><reg name="pc" bitsize="32"/></feature></target>'


def no_such_thread(reply):
    return re.sub(rb"thread:[^;]*", b"thread:p7ffffff.7ffffff", reply)


# What becomes of a reply's payload.
REPLIES = {
    "empty": lambda reply: b"", "E01": lambda reply: b"E01", "E.text": lambda reply: b"E.not today", "OK": lambda reply: b"OK",
    "cut": lambda reply: reply[:len(reply) // 2], "oversized": lambda reply: reply + reply + reply,
    "huge": lambda reply: b"ab" * (5 << 20), "xx": lambda reply: b"x" * len(reply), "words": lambda reply: b"hello",
    "half xx": lambda reply: reply[:len(reply) // 2] + b"x" * (len(reply) - len(reply) // 2),
    "W": lambda reply: b"W00", "X": lambda reply: b"X09", "W process": lambda reply: b"W03;process:1", "N": lambda reply: b"N",
    "size 0": size(b"0"), "no size": size(None), "size 1": size(b"1"), "size huge": size(b"ffffffffffffffffffff"),
    "size words": size(b"many"), "other registers": other_registers, "no such thread": no_such_thread,
    "zeros": lambda reply: b"0" * len(reply), "no features": lambda reply: b"PacketSize=1000", "not XML": lambda reply: b"l<target><",
}


class Proxy:
    binary = ()

    def __init__(self, port, faults=(), manner="whole", reconnects=True, on_packet=None, delay=0, cut_after=None):
        self.port, self.faults, self.manner, self.reconnects = port, list(faults), manner, reconnects
        self.on_packet, self.delay, self.kill, self.cut_after, self.given = on_packet, delay, None, cut_after, 0
        self.log, self.sent, self.lock, self.connections = [], 0, threading.Lock(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"gdb://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def struck(self):
        return all(fault.done for fault in self.faults)

    def requests(self):
        return [payload for direction, kind, payload in self.log if direction == ">" and kind == "$"]

    def end(self):
        for connection in [self.listener, *self.connections]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port), timeout=5)
            except OSError:
                self.end()
                return
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections.append(end)
            if not self.reconnects:
                self.listener.close()
            link = Link(self, client, server)
            for pump in (link.pump_requests, link.pump_replies):
                threading.Thread(target=pump, daemon=True).start()


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.waiting = collections.deque()  # requests without their replies, each with its fault or None
        self.held, self.acks, self.mute = b"", True, False

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def tokens(self, source):
        rest = b""
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            if not data:
                return
            rest += data
            while True:
                found = TOKEN.search(rest)
                if not found:
                    break
                rest = rest[found.end():]
                yield (found.group(4) or found.group(1)).decode(), found.group(2) or b"", found.group(0)

    def note(self, direction, kind, payload):
        with self.proxy.lock:
            self.proxy.log.append((direction, kind, payload))

    # ---- from pickglass to the stub ----

    def pump_requests(self):
        for kind, payload, raw in self.tokens(self.client):
            self.note(">", kind, payload)
            if kind == "$":
                fault = next((f for f in self.proxy.faults if f.strikes(payload)), None)
                if self.on_request(payload, fault, raw):
                    continue
            if self.proxy.delay:
                time.sleep(self.proxy.delay)
            self.to(self.server, raw)
        self.close()

    def on_request(self, payload, fault, raw):
        """True: it is not passed on."""
        self.proxy.sent += 1
        if self.proxy.on_packet:
            self.proxy.on_packet(self.proxy.sent, payload)
        what = fault.what if fault else None
        if what == "close before":
            self.close()
            return True
        if what == "kill":
            self.proxy.kill()
        if what == "lie":  # said to be done, and not done: another question goes in its place, so that all stays in order
            self.waiting.append((payload, "OK"))
            self.to(self.server, packet(b"qC"))
            return True
        if what == "damage request":
            self.waiting.append((payload, None))
            self.to(self.server, raw[:-2] + (b"00" if raw[-2:] != b"00" else b"11"))
            return True
        self.waiting.append((payload, what))
        return False

    def to(self, end, data):
        try:
            if self.proxy.manner == "bytes":
                for i in range(len(data)):
                    end.sendall(data[i:i + 1])
            else:
                end.sendall(data)
        except OSError:
            pass

    # ---- from the stub to pickglass ----

    def pump_replies(self):
        for kind, payload, raw in self.tokens(self.server):
            self.note("<", kind, payload)
            if kind in "+-":
                lost = kind == "+" and self.waiting and self.waiting[-1][1] == "no ack"
                self.give(b"" if lost else raw)
                if kind == "-" and self.waiting:
                    self.waiting.pop()  # it will be sent again
                continue
            if kind == "%" or (payload[:1] == b"O" and payload != b"OK" and self.waiting and
                               self.waiting[0][0].startswith(RESUMES)):
                self.give(raw)
                continue
            request, what = self.waiting.popleft() if self.waiting else (b"", None)
            if self.mute or self.spoil(payload, raw, what):
                continue
            if request == b"QStartNoAckMode" and payload == b"OK":
                self.acks = False
        self.close()

    def give(self, data):
        """All bytes to pickglass go through here; the merged manner keeps them until nothing more comes."""
        cut = self.proxy.cut_after
        if cut is not None and self.proxy.given + len(data) > cut:
            self.to(self.client, data[:cut - self.proxy.given])
            self.proxy.cut_after = None
            self.close()
            return
        self.proxy.given += len(data)
        if self.proxy.manner != "merged":
            self.to(self.client, data)
            return
        self.held += data
        if len(self.waiting) == 0 or len(self.held) > 4000:
            data, self.held = self.held, b""
            self.to(self.client, data)

    def spoil(self, payload, raw, what):
        """True: pickglass does not get the reply as it is meant."""
        if callable(what) or what in REPLIES:
            self.give(packet(REPLIES.get(what, what)(payload)))
        elif what == "checksum":
            self.give(raw[:-2] + (b"00" if raw[-2:] != b"00" else b"11"))
            if self.acks:
                self.waiting.appendleft((b"again", None))
        elif what == "doubled":
            self.give(raw + raw)
        elif what == "notice":
            self.give(b"%Stop:T05thread:p1.1;#1f" + packet(b"Stop:T05", b"%") + raw)
        elif what == "output":
            self.give(packet(b"O" + b"said in the middle\n".hex().encode()) + raw)
        elif what == "acks":
            self.give(b"++++" + raw + b"++")
        elif what == "noise":
            self.give(b"\0\xffHTTP/1.1 400\r\n" + raw)
        elif what == "late":
            time.sleep(0.25)
            self.give(raw)
        elif what == "half":
            self.give(raw[:len(raw) // 2])
            self.mute = True
        elif what == "silence":
            return True
        elif what == "silent from here":
            self.mute = True
        elif what == "close":
            self.close()
        elif what == "close in the middle":
            self.give(raw[:len(raw) // 2])
            self.close()
        elif what in (None, "kill", "no ack", "close before"):
            self.give(raw)
            return False
        else:
            raise ValueError(what)
        return True
