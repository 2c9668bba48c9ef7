"""Processes from the forkserver: their exit codes, whoever asks first."""

from __future__ import annotations

import os
import threading

from repgeo.study.launch import forkserver_context


def test_the_exit_code_is_the_same_for_all_who_ask() -> None:
    process = forkserver_context().Process(target=os._exit, args=(7,))
    process.start()
    popen = process._popen
    codes: list[int | None] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        while (code := popen.poll()) is None:
            pass
        codes.append(code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert codes == [7] * 8
    process.join()
    assert process.exitcode == 7
