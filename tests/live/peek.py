"""The engine behind its pipe: one request, one answer, and no wait without an end."""
import json, os, select, subprocess

TIMEOUT = 10
CRASHES_BORNE = 5


class Peek:
    def __init__(self, command, binary, pid=None):
        self.command = command + [binary] + (["--pid", str(pid)] if pid else [])
        self.crashes, self.registers, self.child, self.rest = [], None, None, b""

    def start(self):
        self.rest = b""
        self.child = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, start_new_session=True)
        if self.registers:
            self.exchange(self.registers)

    def line(self):
        while b"\n" not in self.rest:
            if not select.select([self.child.stdout], [], [], TIMEOUT)[0]:
                raise OSError(f"no answer in {TIMEOUT}s")
            got = os.read(self.child.stdout.fileno(), 1 << 16)
            if not got:
                raise OSError(f"it ended with status {self.child.wait(timeout=TIMEOUT)}")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def exchange(self, request):
        self.child.stdin.write(json.dumps(request).encode() + b"\n")
        self.child.stdin.flush()
        line = self.line()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else {"error": f"not a JSON object: {line[:200]!r}"}

    def ask(self, request):
        if len(self.crashes) >= CRASHES_BORNE:
            return {"error": "given up after too many crashes"}
        try:
            if not self.child:
                self.start()
            return self.exchange(request)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.crashes.append(f"{json.dumps(request)[:200]}: {error}")
            self.close()
            return {"error": f"crash: {error}"}

    def set_registers(self, values):
        # Beyond 2^63 a number is no integer to every JSON parser.
        plain = {name: hex(value) if isinstance(value, int) else value for name, value in values.items()}
        self.registers = {"do": "registers", "values": plain}
        return self.ask(self.registers)

    def close(self):
        if self.child:
            self.child.kill()
            self.child.wait()
            self.child.stdout.close()
            try:
                self.child.stdin.close()
            except OSError:
                pass
        self.child = None
