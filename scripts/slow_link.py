#!/usr/bin/python3
"""Trains on two ranks over a slowed and delayed link, and compares the time of an update with what `ane-train plan` predicts.

    scripts/slow_link.py [SPEED:LATENCY_US ...]     such as 100Mb:1000; without arguments, those in docs/benchmarks.md

Each rank runs in its own network namespace. This program carries the packets between the two, delays them by the latency, and limits
their rate to the link's speed. It compares the shortest update of each run, and gives the plan the time that the sequences of that
update took, so that other load on the machine matters little. Needs Linux, root, iproute2, Open MPI and a release build.
"""

import fcntl
import heapq
import json
import os
import re
import select
import struct
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

PROGRAM = os.environ.get(
    "PROGRAM", os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build/release/ane-train"))
LINKS = ["50Mb:1000", "100Mb:5000", "200Mb:200"]
# The first model has little to compute and much to send; in the second, sending overlaps with the backward pass.
MODELS = {
    "embedding": "--dim 256 --hidden 512 --layers 2 --heads 4 --vocab 8192 --seq 64 --accum-steps 2",
    "layers": "--dim 256 --hidden 768 --layers 8 --heads 4 --vocab 256 --seq 128 --accum-steps 2",
}
COMMON = "--device host --threads 1 --parallel-sequences 1 --weights dynamic".split()
UPDATES = 12
MTU = 9000


class Namespace:
    """A network namespace whose only link is a file descriptor for packets."""

    def __init__(self, number):
        self.name = f"ane-rank{number}"
        self.address = f"10.77.0.{number}"
        ip("netns", "add", self.name)
        device = f"ane-tun{number}"
        self.packets = os.open("/dev/net/tun", os.O_RDWR)
        tun, no_packet_info, set_interface = 0x0001, 0x1000, 0x400454CA
        fcntl.ioctl(self.packets, set_interface, struct.pack("16sH", device.encode(), tun | no_packet_info))
        ip("link", "set", device, "netns", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", device)
        ip("-n", self.name, "link", "set", device, "mtu", str(MTU), "up")

    def close(self):
        os.close(self.packets)
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Link(threading.Thread):
    """Carries packets in both directions: one after the other at the link's speed, each after the latency."""

    def __init__(self, ends, bytes_per_s, latency_s):
        super().__init__(daemon=True)
        self.ends = [end.packets for end in ends]
        self.bytes_per_s, self.latency_s = bytes_per_s, latency_s
        self.ended = False

    def run(self):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)  # a link does not wait for a processor
        free_at = [0.0, 0.0]
        waiting = []  # heap of (time of arrival, number, descriptor, packet)
        number = 0
        while not self.ended:
            pause = min(0.1, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.1
            for end in select.select(self.ends, [], [], pause)[0]:
                side = self.ends.index(end)
                packet = os.read(end, 65536)
                free_at[side] = max(time.monotonic(), free_at[side]) + len(packet) / self.bytes_per_s
                number += 1
                heapq.heappush(waiting, (free_at[side] + self.latency_s, number, self.ends[1 - side], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                os.write(end, packet)

    def end(self):
        self.ended = True
        self.join()


def in_namespace(namespace):
    """A command that runs its arguments in the namespace, where the host name is that of the namespace."""
    return ["unshare", "--uts", "sh", "-c",
            f'hostname {namespace.name}; exec ip netns exec {namespace.name} "$@"', "sh"]


def write_agent(folder, second):
    """What Open MPI calls instead of ssh: with a machine and a command."""
    path = os.path.join(folder, "agent")
    with open(path, "w", encoding="utf-8") as script:
        script.write(f"""#!/bin/sh
shift
exec unshare --uts sh -c 'hostname {second.name}; exec ip netns exec {second.name} sh -c "$1"' sh "$*"
""")
    os.chmod(path, 0o755)
    return path


def measure(namespaces, model, folder):
    """The shortest update after the first: its time, and that of a sequence in it, in milliseconds."""
    telemetry = os.path.join(folder, "run.jsonl")
    if os.path.exists(telemetry):
        os.remove(telemetry)
    accum = int(re.search(r"--accum-steps (\d+)", model).group(1))
    first, second = namespaces
    command = in_namespace(first) + [
        "mpirun", "--allow-run-as-root", "--mca", "plm_rsh_agent", write_agent(folder, second), "--mca", "btl", "tcp,self",
        "--mca", "hwloc_base_binding_policy", "none", "--host", f"{first.address}:1,{second.address}:1", "-np", "2",
        PROGRAM, *model.split(), *COMMON, "--steps", str(UPDATES * accum), "--val-every", "0", "--val-samples", "1",
        "--telemetry", telemetry]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout)
    with open(telemetry, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    ends = [datetime.fromisoformat(record["time"].replace("Z", "+00:00")) for record in records if record["type"] == "update"]
    ranks = [record for record in records if record["type"] == "ranks"]
    updates = [(1e3 * (end - before).total_seconds(), max(record["compute_ms"]) / (accum / 2))
               for before, end, record in zip(ends[1:], ends[2:], ranks[2:])]
    return min(updates)


def predicted_ms(model, speed, latency_us, sequence_ms):
    done = subprocess.run(
        [PROGRAM, "plan", "--ranks", "2", "--link", speed, "--latency", latency_us, "--step-time", str(sequence_ms), *model.split(), *COMMON],
        stdout=subprocess.PIPE, text=True, check=True)
    return [float(number) for number in re.search(r"^ *2\* +(.*)", done.stdout, re.M).group(1).rstrip("%").split()]


def bytes_per_s(speed):
    number, unit = re.fullmatch(r"([\d.]+)(Mb|Gb)", speed).groups()
    return float(number) * {"Mb": 1e6, "Gb": 1e9}[unit] / 8


def main():
    links = sys.argv[1:] or LINKS
    namespaces = []
    try:
        for number in (1, 2):
            namespaces.append(Namespace(number))
        print("| model | link | latency | predicted ms | of it exchange | measured ms | measured / predicted |")
        print("|---|---|---|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            for name, model in MODELS.items():
                for speed, latency_us in (link.split(":") for link in links):
                    link = Link(namespaces, bytes_per_s(speed), float(latency_us) / 1e6)
                    link.start()
                    measured, sequence_ms = measure(namespaces, model, folder)
                    link.end()
                    prediction = predicted_ms(model, speed, latency_us, sequence_ms)
                    print(f"| {name} | {speed}/s | {latency_us} us | {prediction[0]:.0f} | {prediction[3]:.0f} |"
                          f" {measured:.0f} | {measured / prediction[0]:.2f} |", flush=True)
    finally:
        for namespace in namespaces:
            namespace.close()


if __name__ == "__main__":
    main()
