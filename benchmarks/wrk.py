"""The same load by `wrk`, where it is installed: far less work for the client, but percentiles of its own making.

wrk takes every answer that came later than one connection's average for a sign of requests that it should have sent
meanwhile, and adds invented samples for them; so its percentiles and those of `benchmarks.load` are not the same thing.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.apart import RunFailed
from benchmarks.load import ANSWER_WITHIN_S, MARK

_SCRIPT = """
local requests, n, mark, serial = {}, 0, nil, os.time() * 1000000
function pieces(text)
  local found, from = {}, 1
  while true do
    local a, b = string.find(text, mark, from, true)
    if a == nil then break end
    found[#found + 1] = string.sub(text, from, a - 1)
    from = b + 1
  end
  found[#found + 1] = string.sub(text, from)
  return found
end
function init(args)
  mark = args[3]
  for body in io.lines(args[1]) do
    requests[#requests + 1] = pieces(wrk.format("POST", nil, {
      ["Host"] = "localhost", ["Content-Type"] = "application/json",
      ["Authorization"] = "Bearer " .. args[2], ["X-Purpose"] = "prepare_visit"}, body))
  end
end
function request()
  n, serial = n % #requests + 1, serial + 1
  return table.concat(requests[n], string.format("%012.0f", serial % 1e12))
end
function done(summary, latency, rates)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"broken":%d,"status":%d,"late":%d}\\n', summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max, e.connect + e.read + e.write, e.status, e.timeout))
end
"""


def is_installed() -> bool:
    """Whether the command is there."""
    return shutil.which("wrk") is not None


def put_by_wrk(address: str, bodies: Path, token: str, *, connections: int, seconds: int) -> dict[str, Any]:
    """The figures of `benchmarks.load.Tally`, as far as wrk knows them, over whole seconds."""
    script = bodies.with_suffix(".lua")
    script.write_text(_SCRIPT, "utf-8")
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += [
        "--timeout",
        f"{ANSWER_WITHIN_S:.0f}s",
        "--script",
        str(script),
        address,
        "--",
        str(bodies),
        token,
        MARK.decode(),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RunFailed(f"wrk ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    good, wall_s = told["requests"] - told["status"], told["duration_us"] / 1e6
    return {
        "requests": good,
        "per_s": good / wall_s,
        "p50_ms": told["p50_us"] / 1e3,
        "p99_ms": told["p99_us"] / 1e3,
        "max_ms": told["max_us"] / 1e3,
        "errors": {name: told[name] for name in ("broken", "status", "late") if told[name]},
        "wall_s": wall_s,
        "client_cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "bytes_in": told["bytes"],
    }
