"""Load test of ``retrieval serve``: latency, throughput and memory by the number of clients.

    python benchmarks/serve.py runs/grocery/proxy_anchor            # a minute or two
    python benchmarks/serve.py RUN --clients 1 16 --seconds 5 --out /tmp/serve.md

The service is started as a user starts it, and the clients run on the same machine, whose cores
they share with it. Every client sends photos of the run to ``/embed``, one after the other, and
waits a second when it is refused. Every embedding that is answered is compared with that of
``load_embedder``. A request without any answer is lost.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retrieval.quiet import import_tensorflow

OUT = Path(__file__).parent / "results" / "serve.md"
PHOTOS = 64
TOLERANCE = 1e-5  # batches of other sizes sum in another order
HEAD = ("clients", "p50 ms", "p99 ms", "requests/s", "answered", "refused", "lost", "wrong",
        "largest difference", "images per batch", "peak MiB")  # fmt: skip


@dataclass
class Tally:
    """What became of the requests of some clients."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    largest: float = 0.0


async def request(
    port: int, method: str, path: str, body: bytes = b""
) -> tuple[int, dict[str, object]]:
    """Send one request over a new connection and return the status and the JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.read()
    finally:
        writer.close()
    first, _, content = answer.partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(content)


async def client(
    port: int,
    number: int,
    photos: list[bytes],
    wanted: np.ndarray,
    tally: Tally,
    end: float,
    most: int,
) -> None:
    for turn in range(most):
        if time.perf_counter() > end:
            return
        row = (number * 7 + turn) % len(photos)
        start = time.perf_counter()
        try:
            async with asyncio.timeout(120):
                status, found = await request(port, "POST", "/embed", photos[row])
        except (OSError, TimeoutError, ValueError, IndexError):
            tally.lost += 1
            continue
        if status == 503:
            tally.refused += 1
            await asyncio.sleep(1)
        elif status == 200:
            tally.seconds.append(time.perf_counter() - start)
            difference = float(np.abs(np.array(found["embeddings"])[0] - wanted[row]).max())
            tally.largest = max(tally.largest, difference)
            tally.wrong += difference > TOLERANCE
        else:
            tally.wrong += 1


async def measure(
    port: int,
    pid: int,
    clients: int,
    photos: list[bytes],
    wanted: np.ndarray,
    args: argparse.Namespace,
) -> tuple[object, ...]:
    _, before = await request(port, "GET", "/health")
    tally, start = Tally(), time.perf_counter()
    each = max(1, args.requests // clients)
    await asyncio.gather(*(
        client(port, n, photos, wanted, tally, start + args.seconds, each) for n in range(clients)
    ))  # fmt: skip
    took = time.perf_counter() - start
    _, after = await request(port, "GET", "/health")
    batches = after["batches"] - before["batches"]
    images = after["embedded_images"] - before["embedded_images"]
    p50, p99 = (1000 * np.percentile(tally.seconds or [np.nan], (50, 99))).round()
    return (
        clients, f"{p50:.0f}", f"{p99:.0f}", f"{len(tally.seconds) / took:.0f}",
        len(tally.seconds), tally.refused, tally.lost, tally.wrong, f"{tally.largest:.1e}",
        f"{images / max(1, batches):.1f}", f"{peak_mib(pid):.0f}",
    )  # fmt: skip


def peak_mib(pid: int) -> float:
    """Return the peak resident memory of a process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_ready(port: int, process: subprocess.Popen) -> None:
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"the service ended with code {process.returncode}")
        try:
            await request(port, "GET", "/health")
            return
        except (OSError, IndexError):
            await asyncio.sleep(0.5)
    sys.exit("the service did not start")


async def stopped_in_work(port: int, process: subprocess.Popen, photos: list[bytes]) -> str:
    """End the service while requests are in work and say what became of them."""
    sent = [asyncio.create_task(request(port, "POST", "/embed", p)) for p in photos[:32]]
    await asyncio.sleep(0.15)
    process.send_signal(signal.SIGTERM)
    answers = await asyncio.gather(*sent, return_exceptions=True)
    answered = sum(isinstance(a, tuple) and a[0] == 200 for a in answers)
    refused = sum(isinstance(a, tuple) and a[0] == 503 for a in answers)
    code = await asyncio.to_thread(process.wait, 90)
    return (
        f"SIGTERM while {len(sent)} requests were in work: {answered} answered, {refused} refused, "
        f"{len(sent) - answered - refused} without an answer; exit code {code}."
    )


async def run(args: argparse.Namespace, photos: list[bytes], wanted: np.ndarray) -> list[str]:
    port = free_port()
    command = [sys.executable, "-m", "retrieval.cli", "serve", str(args.run), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        await until_ready(port, process)
        ready = peak_mib(process.pid)
        lines = [f"| {' | '.join(HEAD)} |", f"|{' ---: |' * len(HEAD)}"]
        for clients in args.clients:
            row = await measure(port, process.pid, clients, photos, wanted, args)
            lines.append(f"| {' | '.join(map(str, row))} |")
            print(lines[-1], flush=True)
        lines += ["", f"Peak memory before the first request: {ready:.0f} MiB.", ""]
        lines.append(await stopped_in_work(port, process, photos))
        return lines
    finally:
        if process.poll() is None:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run whose photos are on this disk")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--requests", type=int, default=1024, help="most requests per level")
    parser.add_argument("--seconds", type=float, default=20, help="when no more are sent")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    load = os.getloadavg()[0]  # of others
    import_tensorflow()
    from retrieval import load_embedder, open_run

    opened = open_run(args.run)
    items = opened.items.iloc[:: max(1, len(opened.items) // PHOTOS)][:PHOTOS]
    files = [opened.dataset_config.root / path for path in items["path"]]
    photos = [file.read_bytes() for file in files]
    settings = opened.network_settings()
    wanted = load_embedder(args.run).embed(photos)
    lines = asyncio.run(run(args, photos, wanted))
    size = sum(map(len, photos)) / len(photos) / 1000
    text = [
        "# Load test of `retrieval serve`",
        "",
        f"{settings.backbone} at {settings.image_size} px, JPEGs of {size:.0f} kB on average, on "
        f"{platform.machine()} with {os.cpu_count()} cores that clients and service share, load "
        f"before {load:.1f}. At most {args.requests:,} requests or {args.seconds:g} s "
        "per level. Made by `python benchmarks/serve.py RUN`.",
        "",
        *lines,
    ]  # fmt: skip
    args.out.write_text("\n".join(text) + "\n", encoding="utf-8")
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
