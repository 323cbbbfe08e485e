"""A TCP proxy before Counterpoint's database, so that it can be taken away: the pipeline's SQL goes through it."""

import select
import socket
import threading

from sandbox.faults import Switches

CHUNK = 65_536


class Proxy:
    """Forwards a port of 127.0.0.1; while the switches say `down` it cuts every connection and takes no new one."""

    def __init__(self, target: tuple[str, int], switches: Switches, *, port: int = 0) -> None:
        self._target, self._switches = target, switches
        self._listener = socket.create_server(("127.0.0.1", port))
        self._stopped = threading.Event()
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self._serve, name="counterpoint-proxy", daemon=True).start()

    def stop(self) -> None:
        """Stop serving; open connections are cut."""
        self._stopped.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._switches.now.down:
                client.close()
                continue
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, server:
            other = {client: server, server: client}
            while self._is_up():
                ready, _, _ = select.select(list(other), [], [], 0.1)
                if not self._is_up():
                    return  # Switched off while we waited: what came in now must not pass.
                try:
                    if not all(_pass(one, other[one]) for one in ready):
                        return
                except OSError:
                    return

    def _is_up(self) -> bool:
        return not self._stopped.is_set() and not self._switches.now.down


def _pass(source: socket.socket, target: socket.socket) -> bool:
    data = source.recv(CHUNK)
    if data:
        target.sendall(data)
    return bool(data)
