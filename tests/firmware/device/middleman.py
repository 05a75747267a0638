"""A TCP proxy that spoils connections on purpose: cuts them, stalls them, swallows bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """What happens once `after` bytes have gone in one direction."""

    kind: str
    """`cut` (both sides are reset), `stall` (nothing more is passed, nothing is closed) or `swallow` (one byte)."""
    after: int
    down: bool = True
    """True: counted from the broker to the meter."""


@dataclass
class Middleman:
    """Connection n suffers `faults[n]`; those beyond the list suffer nothing."""

    target: int
    faults: list[Fault | None] = field(default_factory=list)
    passed: list[dict[bool, int]] = field(default_factory=list)
    """Bytes passed on each connection, down (True) and up (False)."""

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                meter, _ = self._server.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.target), 5)
            broker.settimeout(None)
            fault = self.faults[len(self.passed)] if len(self.passed) < len(self.faults) else None
            self.passed.append({True: 0, False: 0})
            self._open += [meter, broker]
            for down, source, sink in ((True, broker, meter), (False, meter, broker)):
                thread = threading.Thread(
                    target=self._pass, args=(self.passed[-1], down, source, sink, fault), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _pass(
        self, passed: dict[bool, int], down: bool, source: socket.socket, sink: socket.socket, fault: Fault | None
    ) -> None:
        ours = fault if fault is not None and fault.down == down else None
        with contextlib.suppress(OSError):
            while piece := source.recv(4096):
                if ours is not None and passed[down] + len(piece) > ours.after:
                    left = ours.after - passed[down]
                    if ours.kind == "swallow":
                        piece = piece[:left] + piece[left + 1 :]
                        ours = None
                        passed[down] += 1
                    else:
                        sink.sendall(piece[:left])
                        passed[down] = ours.after
                        if ours.kind == "stall":
                            return
                        break
                sink.sendall(piece)
                passed[down] += len(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def between(target: int, faults: list[Fault | None]) -> Iterator[Middleman]:
    middleman = Middleman(target, faults)
    yield middleman
    middleman.close()
