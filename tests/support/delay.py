#!/usr/bin/env python3
"""A TCP proxy whose link is slow: delay.py MILLISECONDS TO_PORT. What comes in goes out half a round trip later, in
both directions, as it came. Prints the port that it listens at; serves one connection, and ends with it."""
import collections, selectors, socket, sys, time


def main(round_trip_ms, port):
    half = round_trip_ms / 2000
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", port))
    other = {client: server, server: client}
    on_its_way = collections.deque()
    selector = selectors.DefaultSelector()
    for s in other:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(s, selectors.EVENT_READ)
    ended = False
    while not ended or on_its_way:
        wait = max(0, on_its_way[0][0] - time.monotonic()) if on_its_way else None
        for key, _ in selector.select(wait):
            try:
                got = key.fileobj.recv(1 << 18)
            except OSError:
                got = b""
            on_its_way.append((time.monotonic() + half, other[key.fileobj], got))
            if not got:
                selector.unregister(key.fileobj)
        while on_its_way and on_its_way[0][0] <= time.monotonic():
            _, to, what = on_its_way.popleft()
            try:
                to.sendall(what) if what else to.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            ended |= not what


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
