"""The checks of `cathrt doctor`: what this machine has, and whether it is enough.

Each check is a function that measures or looks and returns a Check. Not for: changing anything.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cathrt.runtime.commands.doctor_check import Check, State
from cathrt.runtime.config import Config
from cathrt.runtime.errors import CathrtError

if TYPE_CHECKING:
    from cathrt.runtime.bundle.opening import Bundle

# What each optional package is for; the default run needs none of these.
_ENGINE_PACKAGES = {
    "openvino": "default engine on the CPU",
    "onnxruntime": "portable CPU engine",
    "tensorrt": "NVIDIA GPUs",
    "tensorrt_rtx": "NVIDIA RTX workstations",
}
_ISA = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "asimddp")


def examine(config: Config, folder: Path, bundle: Path | None = None) -> Iterator[Check]:
    """Yield every check in turn; `folder` is where a journal would live, for the disk's sync time.

    bundle: what replay would open, and whose plans are looked at; by default the demonstration.
    """
    from cathrt.runtime.bundle.shipped import shipped_keys
    from cathrt.runtime.commands.doctor_gpu import gpu_checks
    from cathrt.runtime.commands.doctor_line import line_check
    from cathrt.runtime.commands.doctor_processes import process_checks
    from cathrt.runtime.commands.doctor_walls import walls_check

    yield _python()
    yield _cpu()
    yield _threads(config)
    for module, purpose in _ENGINE_PACKAGES.items():
        yield _engine(module, purpose, needed=module.replace("_", "-") == config.engine.name)
    yield _clock()
    yield _disk(folder)
    yield walls_check()
    yield from process_checks()
    keys = (*shipped_keys(), *config.trust.keys)
    yield _trusted(config)
    check, opened = _bundle(bundle, keys)
    yield check
    yield from gpu_checks(config, opened, keys)
    if opened is not None:
        yield line_check(config, opened.path)


def effective_config(config: Config) -> str:
    """The configuration as the TOML that would give it."""
    lines: list[str] = []
    sections = {section.name: getattr(config, section.name) for section in fields(config) if section.name != "policy"}
    lists = {name: section for name, section in sections.items() if isinstance(section, tuple)}
    tables: list[tuple[str, Any]] = [(f"[{name}]", section) for name, section in sections.items() if name not in lists]
    tables += [(f"[policy.{kind}]", policy) for kind, policy in config.policy.items()]
    tables += [(f"[[{name}]]", table) for name, given in lists.items() for table in given]
    for heading, table in tables:
        lines.append(heading)
        for key, value in asdict(table).items():
            lines.append(f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
        lines.append("")
    return "\n".join(lines)


def _python() -> Check:
    cathrt = version("cathrt")
    return Check(
        "cathrt",
        "ok",
        f"{cathrt} on Python {platform.python_version()}, {platform.platform()}",
        {"version": cathrt, "python": platform.python_version()},
    )


def _cpu() -> Check:
    from cathrt.runtime.engines.cpu import cpu_flags

    text = _read(Path("/proc/cpuinfo"))
    flags = cpu_flags()
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    found = [flag for flag in _ISA if flag in flags]
    fast = {"avx2", "asimd"} & flags
    detail = f"{model or platform.machine()}: {', '.join(found) or 'none of ' + ', '.join(_ISA)}"
    return Check("cpu", "ok" if fast else "warn", detail, {"model": model, "isa": found})


def _threads(config: Config) -> Check:
    from cathrt.runtime.engines.cpu import cpu_quota

    quota = cpu_quota()
    wanted = config.engine.threads or quota
    state: State = "ok" if wanted <= quota else "warn"
    detail = f"{os.cpu_count()} CPUs in the machine, {quota} for this process, the engine takes {wanted}"
    if state == "warn":
        detail += ": threads will wait for each other, set engine.threads to 0"
    return Check("threads", state, detail, {"cpus": os.cpu_count() or 0, "quota": quota, "engine": wanted})


def _engine(module: str, purpose: str, *, needed: bool) -> Check:
    # Imported, not looked up: a folder of that name beside the checkout would look installed.
    try:
        if module == "openvino":
            from cathrt.runtime.engines.silent_openvino import ov as package
        else:
            package = import_module(module)
        found = str(package.__version__).split("-")[0]
    except (ImportError, AttributeError) as exc:
        return Check(f"engine {module}", "missing" if needed else "ok", f"not installed ({purpose}): {exc}", {})
    return Check(f"engine {module}", "ok", f"{found} ({purpose})", {"version": found})


def _clock() -> Check:
    info = time.get_clock_info("monotonic")
    overshoot = sorted(_overshoot_ms() for _ in range(100))
    p50, p99 = overshoot[50], overshoot[98]
    state: State = "ok" if info.monotonic and p99 < 5.0 else "warn"
    detail = f"monotonic, resolution {info.resolution * 1e9:.0f} ns; a 1 ms wait ends {p50:.2f} ms late (p99 {p99:.2f})"
    if state == "warn":
        detail += ": the machine is busy or throttled, real-time figures will show it"
    return Check("clock", state, detail, {"wait_overshoot_p50_ms": p50, "wait_overshoot_p99_ms": p99})


def _overshoot_ms() -> float:
    started = time.monotonic_ns()
    time.sleep(0.001)
    return (time.monotonic_ns() - started) / 1e6 - 1.0


def _disk(folder: Path) -> Check:
    times: list[float] = []
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".cathrt-doctor-") as stream:
            for _ in range(50):
                stream.write(b"x" * 4096)
                stream.flush()
                started = time.monotonic_ns()
                os.fsync(stream.fileno())
                times.append((time.monotonic_ns() - started) / 1e6)
    except OSError as exc:
        return Check("disk", "missing", f"{folder}: cannot be written ({exc.strerror}): choose another --journal", {})
    times.sort()
    p50, p99 = times[len(times) // 2], times[-1]
    state: State = "ok" if p99 < 100.0 else "warn"
    detail = f"{folder}: sync takes {p50:.2f} ms, at worst {p99:.2f} ms of {len(times)}; an alert waits for one"
    return Check("disk", state, detail, {"sync_p50_ms": p50, "sync_max_ms": p99})


def _trusted(config: Config) -> Check:
    """Whose bundles are opened, by fingerprint."""
    from cathrt.runtime.commands.key import trusted_keys

    try:
        found = trusted_keys(config)
    except CathrtError as exc:
        return Check("trusted keys", "missing", str(exc), {})
    named = [f"{key.name or '(no name)'} {key.fingerprint}" for key, _ in found]
    return Check("trusted keys", "ok", f"{len(found)}: {'; '.join(named)}", {"keys": [key.text for key, _ in found]})


def _bundle(path: Path | None, keys: tuple[str, ...]) -> tuple[Check, Bundle | None]:
    from cathrt.runtime.bundle.shipped import demonstration_bundle
    from cathrt.runtime.models import open_bundle

    name = "bundle" if path else "demonstration bundle"
    try:
        bundle = open_bundle(path or demonstration_bundle(), keys)
    except CathrtError as exc:
        return Check(name, "missing", str(exc), {}), None
    detail = f"{bundle.manifest.name}, manifest {bundle.manifest_sha256[:12]}, every hash and the signature fit"
    return Check(name, "ok", detail, {"manifest_sha256": bundle.manifest_sha256}), bundle


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
