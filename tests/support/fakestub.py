"""A stub of the GDB remote protocol that is none: it serves an ELF file's bytes as a process that stops at whatever
breakpoint was set last, and does to any of its answers what a fault asks for.

    stub = FakeStub(program, fault=("m", "close"), stops=3)

A fault is (begin of a request, what): close, silence, half, garbage, checksum, empty, E01, E.text, OK, twice, stray,
huge, xx, late. It is done to the first such request, or with `every=True` to all of them. Requests are kept in
`stub.requests`, and `stub.inserted` are the breakpoints that nobody has taken out."""
import re, socket, struct, threading, time

PID = 0x3fffffff  # of no process


def sum_of(payload):
    return b"%02x" % (sum(payload) & 255)


def packet(payload):
    return b"$" + payload + b"#" + sum_of(payload)


def segments(path):
    with open(path, "rb") as file:
        data = file.read()
    entry, start = struct.unpack_from("<QQ", data, 24)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for i in range(count):
        kind, _, offset, address, _, filed, held, _ = struct.unpack_from("<IIQQQQQQ", data, start + i * size)
        if kind == 1:
            found.append((address, data[offset:offset + filed].ljust(held, b"\0")))
    return entry, found


class FakeStub:
    binary = ()

    def __init__(self, program=None, fault=None, every=False, stops=3, packet_size=b"4000", raw=None, no_ack=True):
        self.entry, self.memory = segments(program) if program else (0, [])
        self.fault, self.every, self.stops = fault, every, stops
        self.packet_size, self.raw, self.no_ack = packet_size, raw, no_ack
        self.requests, self.inserted, self.pc = [], set(), self.entry
        self.acks, self.detached, self.done = True, False, False
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4)
        self.uri = f"gdb://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections, self.last = [], b""
        threading.Thread(target=self.serve, daemon=True).start()

    def end(self):
        for connection in [self.listener, *self.connections]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    # ---- the wire ----

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            self.acks = True
            try:
                self.talk(connection)
            except OSError:
                pass
            connection.close()

    def talk(self, connection):
        if self.raw:
            self.raw(connection)
            return
        pending = b""
        while True:
            data = connection.recv(65536)
            if not data:
                return
            pending += data
            while True:
                found = re.search(rb"\$((?:[^#])*)#[0-9a-fA-F]{2}|\x03|-", pending, re.S)
                if not found:
                    break
                pending = pending[found.end():]
                if found.group(0) == b"-":
                    connection.sendall(self.last)
                elif found.group(0) == b"\x03":
                    self.requests.append("interrupt")
                    self.send(connection, b"T02thread:p%x.1;" % PID + self.registers())
                elif not self.answer(connection, found.group(1)):
                    return

    def send(self, connection, payload):
        self.last = packet(payload)
        connection.sendall(self.last)

    def answer(self, connection, request):
        text = request.decode("latin-1")
        self.requests.append(text)
        if self.acks:
            connection.sendall(b"+")
        reply = self.reply(text)
        if reply is None:
            return True
        if self.fault and text.startswith(self.fault[0]) and not self.done:
            self.done = not self.every
            return self.spoil(connection, reply, self.fault[1])
        self.send(connection, reply)
        if text == "QStartNoAckMode" and reply == b"OK":
            self.acks = False
        return True

    def spoil(self, connection, reply, how):
        plain = {"empty": b"", "E01": b"E01", "E.text": b"E.it will not", "OK": b"OK", "xx": b"x" * max(len(reply), 2),
                 "huge": b"0" * (9 << 20), "short": reply[:len(reply) // 2], "long": reply * 2, "words": b"hello",
                 "minus": b"-1", "T": b"T05", "W": b"W00", "percent": b"%Stop:T05"}
        if how in plain:
            self.send(connection, plain[how])
        elif how == "close":
            return False
        elif how == "half":
            connection.sendall(packet(reply)[:max(len(reply) // 2, 1)])
        elif how == "garbage":
            connection.sendall(bytes(range(128, 256)) * 8 + b"HTTP/1.1 400 Bad Request\r\n\r\n$$$###}}}***\0\0")
        elif how == "checksum":
            self.last = packet(reply)
            connection.sendall(b"$" + reply + b"#" + (b"00" if sum_of(reply) != b"00" else b"11"))
        elif how == "checksum for ever":
            self.last = b"$" + reply + b"#" + (b"00" if sum_of(reply) != b"00" else b"11")
            connection.sendall(self.last)
        elif how == "twice":
            connection.sendall(packet(reply) * 2)
        elif how == "stray":
            connection.sendall(packet(b"T05thread:p%x.1;" % PID) + packet(reply))
        elif how == "late":
            time.sleep(0.3)
            self.send(connection, reply)
        elif how == "bytes":
            for i in range(len(packet(reply))):
                connection.sendall(packet(reply)[i:i + 1])
        elif how == "notes":
            connection.sendall(b"%Stop:T05;thread:1;#00+++" + packet(reply) + b"+")
        elif how != "silence":
            raise ValueError(how)
        if how in ("late", "bytes", "notes") and reply == b"OK" and self.requests[-1] == "QStartNoAckMode":
            self.acks = False
        return True

    # ---- the process ----

    def registers(self):
        numbers = {6: 0x7fffffffe000, 7: 0x7fffffffdf00, 16: self.pc}
        return b"".join(b"%02x:" % n + struct.pack("<Q", value).hex().encode() + b";" for n, value in numbers.items())

    def all_registers(self):
        slots = [0] * 17
        slots[6], slots[7], slots[16] = 0x7fffffffe000, 0x7fffffffdf00, self.pc
        return b"".join(struct.pack("<Q", slot) for slot in slots).hex().encode() + b"00" * 28

    def read(self, address, size):
        for begin, data in self.memory:
            if begin <= address < begin + len(data):
                return data[address - begin:address - begin + size]
        if 0x7fffffff0000 <= address < 0x7ffffffff000:
            return bytes(min(size, 0x7ffffffff000 - address))
        return b""

    def stop(self):
        return b"T05" + (b"swbreak:;" if self.inserted else b"") + self.registers() + b"thread:p%x.1;" % PID

    def resumed(self):
        if self.stops <= 0:
            return b"W00;process:%x" % PID
        self.stops -= 1
        if not self.inserted:
            return None  # it runs, until it is interrupted
        self.pc = max(self.inserted)
        return self.stop()

    def reply(self, text):
        if text.startswith("qSupported"):
            size = b"PacketSize=" + self.packet_size + b";" if self.packet_size is not None else b""
            return size + b"qXfer:auxv:read+;multiprocess+;swbreak+;vContSupported+;" + \
                (b"QStartNoAckMode+" if self.no_ack else b"")
        if text == "?":
            return self.stop()
        if text == "vCont?":
            return b"vCont;c;C;s;S"
        if text.startswith("qAttached"):
            return b"1"
        if text == "qC":
            return b"QCp%x.1" % PID
        if text.startswith("qXfer:auxv"):
            offset, size = (int(part, 16) for part in text.rsplit(":", 1)[1].split(","))
            auxv = struct.pack("<QQQQ", 9, self.entry, 0, 0)[offset:offset + size]
            escaped = re.sub(rb"[#$}*]", lambda found: b"}" + bytes([found.group(0)[0] ^ 0x20]), auxv)
            return b"l" + escaped
        if text.startswith("m"):
            address, size = (int(part, 16) for part in text[1:].split(","))
            data = self.read(address, size)
            return data.hex().encode() if data else b"E01"
        if text.startswith("g"):
            return self.all_registers()
        if text[:2] in ("Z0", "z0"):
            address = int(text.split(",")[1], 16)
            (self.inserted.add if text[0] == "Z" else self.inserted.discard)(address)
            return b"OK"
        if text.startswith("vCont;s"):
            self.pc += 1
            return self.stop()
        if text.startswith(("vCont;c", "vCont;C")):
            return self.resumed()
        if text.startswith(("H", "QStartNoAckMode", "D")):
            self.detached |= text.startswith("D")
            return b"OK" if text != "QStartNoAckMode" or self.no_ack else b""
        return b""
