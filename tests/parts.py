"""Real parts for the tests: Debian programs, found on the machine or unpacked below `.parts/`.

    python tests/parts.py mosquitto influxdb chromium
    python tests/parts.py --pip .venv/bin/python        gives an environment its pip where Python comes without one

A program on PATH is used as it is. Otherwise apt's own tools fetch its package and what of its dependencies the
machine does not have; `dpkg -x` unpacks them into `.parts/`. Nothing is installed and no root is needed: apt's lists
and caches lie below `.parts/` too. A part that cannot be had is one line that says why.
"""

import atexit
import functools
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / ".parts"
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin")
"""Where daemons lie that an ordinary user's PATH leaves out."""
LIBRARY = re.compile(r"lib.+\.so(\.[0-9.]+)?")
FETCH_TIMEOUT_S = 900
PROBE_TIMEOUT_S = 60

CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # the sandbox needs root's help, and only pages of our own are opened
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Part:
    program: str
    packages: tuple[str, ...]
    """Debian packages; the program's own comes first."""
    inside: str
    """Where the program lies in the unpacked packages; a pattern where the path names a version."""
    probe: tuple[str, ...]
    """Arguments that make it print its version and end."""
    fonts: bool = False
    beside: tuple[str, ...] = ()
    """More programs that are needed, in the same folder."""


PARTS = {
    "mosquitto": Part("mosquitto", ("mosquitto",), "usr/sbin/mosquitto", ("-h",)),
    "influxdb": Part("influxd", ("influxdb",), "usr/bin/influxd", ("version",)),
    "victoria-metrics": Part("victoria-metrics", ("victoria-metrics",), "usr/bin/victoria-metrics", ("-version",)),
    "postgresql": Part(
        "postgres", ("postgresql",), "usr/lib/postgresql/*/bin/postgres", ("--version",), beside=("initdb",)
    ),
    "chromium": Part(
        "chromium",
        ("chromium", "fonts-dejavu-core", "fonts-nanum", "libatomic1", "libstdc++6"),  # the last two for playwright
        "usr/lib/chromium/chromium",  # usr/bin/chromium is a script that reads system-wide files
        ("--version",),
        fonts=True,
    ),
}


class MissingPartError(Exception):
    """A part that cannot be had; the message is one line that says why."""


def find(name: str) -> Path | None:
    """The part's program, on the machine or unpacked before; None if it is neither."""
    part = PARTS[name]
    versioned = sorted(str(path) for path in Path("/").glob(str(Path(part.inside).parent)) if "*" in part.inside)
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS, *reversed(versioned)))
    if found := shutil.which(part.program, path=folders):
        return Path(found)
    unpacked = ROOT / name / "bin" / part.program
    return unpacked if unpacked.exists() else None


def get(name: str) -> Path:
    """The part's program, fetched and unpacked if need be. Raises MissingPartError."""
    found = find(name)
    if found is not None:
        return found
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise MissingPartError(f"not on this machine, and there is no {tool} to get it with")
    ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=ROOT) as scratch:
        folder = Path(scratch) / name
        _unpack(PARTS[name], folder, Path(scratch))
        version(folder / "bin" / PARTS[name].program, name)  # a part that does not start is not kept
        try:
            folder.rename(ROOT / name)
        except OSError as error:  # unpacked by somebody else meanwhile
            if find(name) is None:
                raise MissingPartError(f"cannot be put into {ROOT}: {error}") from error
    found = find(name)
    assert found is not None
    return found


def version(program: Path, name: str) -> str:
    """The version the program states. Raises MissingPartError if it does not start."""
    try:
        done = subprocess.run(
            [program, *PARTS[name].probe], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingPartError(f"does not start: {error}") from error
    stated = re.search(r"\d+\.\d+(\.\d+)*", done.stdout)
    if stated is None and done.returncode == 0:
        return "(states no version)"
    if stated is None:
        complaint = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise MissingPartError(f"does not start: {complaint}")
    return stated.group()


def _unpack(part: Part, folder: Path, scratch: Path) -> None:
    root, archives = folder / "root", scratch / "archives"
    archives.mkdir()
    root.mkdir(parents=True)
    apt = _apt()
    plan = _run(["apt-get", *apt, "install", "--simulate", "--no-install-recommends", *part.packages], archives)
    wanted = dict(re.findall(r"^Inst (\S+)(?: \[[^\]]*\])? \((\S+)", plan, re.MULTILINE))
    exact = [f"{package}={release}" for package, release in wanted.items()]
    exact += [package for package in part.packages if package not in wanted]
    _run(["apt-get", *apt, "download", *exact], archives)
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg", "-x", str(archive), str(root)], archives)
    if next(root.glob(part.inside), None) is None:
        raise MissingPartError(f"the package {part.packages[0]} of this system does not hold {part.inside}")
    _write_launcher(part, folder)


@functools.cache
def _apt() -> tuple[str, ...]:
    """Settings that keep apt's state and cache below .parts/ while this process runs, with fresh lists in them.

    Sources, keys and what is installed are the system's.
    """
    private = Path(tempfile.mkdtemp(prefix="apt-", dir=ROOT))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    state, cache = private / "state", private / "cache"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": cache,
        "Dir::Log": private,
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",  # root's apt would hand downloads to a user who cannot write here
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "true",
    }
    words = ("-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")))
    _run(["apt-get", *words, "update"], private)
    return words


def _run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MissingPartError(f"{command[0]} took longer than {FETCH_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        complaint = lines[0] if lines else f"exit status {done.returncode}"
        hint = " (no network, or no Debian sources?)" if "Unable to locate" in complaint else ""
        raise MissingPartError(f"{command[0]}: {complaint}{hint}")
    return done.stdout


def _write_launcher(part: Part, folder: Path) -> None:
    """A script that starts the program with its own libraries first; the folder may be moved."""
    root, binaries = folder / "root", folder / "bin"
    binaries.mkdir(parents=True)
    if part.fonts:
        (root / "fonts.conf").write_text(FONTS)
    found = next(root.glob(part.inside)).relative_to(root)
    for program in (part.program, *part.beside):
        _write_script(binaries / program, f'"$root/{found.with_name(program)}"', root)


def _write_script(script: Path, program: str, root: Path) -> None:
    libraries = sorted(
        {path.parent.relative_to(root) for path in root.rglob("lib*.so*") if LIBRARY.fullmatch(path.name)}
    )
    paths = ":".join(f"$root/{path}" for path in libraries)
    fonts = 'export FONTCONFIG_FILE="$root/fonts.conf"\n' if (root / "fonts.conf").exists() else ""
    script.write_text(
        f"""#!/bin/sh
root="$(dirname "$(readlink -f "$0")")/../root"
{fonts}LD_LIBRARY_PATH="{paths}" exec {program} "$@"
"""
    )
    script.chmod(0o755)


def prepare_browser() -> Path:
    """Chromium for playwright's `executable_path`. Raises MissingPartError.

    Call it before playwright starts: playwright's own driver needs libraries too that a bare machine may lack, and
    then gets those that came with Chromium.
    """
    program = get("chromium")
    if not program.is_relative_to(ROOT):
        return program
    found = importlib.util.find_spec("playwright")
    if found is not None and found.origin is not None:
        node = Path(found.origin).parent / "driver" / "node"
        starts = subprocess.run([node, "--version"], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
        if starts.returncode != 0:
            script = program.parent / "playwright-node"
            _write_script(script, shlex.quote(str(node)), program.parent.parent / "root")
            os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(script)
    return program


FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def bring_pip(python: Path) -> None:
    """Give a bare environment its pip, from Debian's package: its python3 comes without. Raises MissingPartError."""
    ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pip-", dir=ROOT) as scratch:
        folder = Path(scratch)
        _run(["apt-get", *_apt(), "download", "python3-pip-whl"], folder)
        for archive in folder.glob("*.deb"):
            _run(["dpkg", "-x", str(archive), str(folder)], folder)
        wheel = next(folder.glob("usr/share/python-wheels/pip-*.whl"), None)
        if wheel is None:
            raise MissingPartError("the package python3-pip-whl of this system holds no pip")
        _run([str(python), f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel)], folder)


def main(names: list[str]) -> int:
    if len(names) == 2 and names[0] == "--pip":
        try:
            bring_pip(Path(names[1]).absolute())
        except (MissingPartError, OSError) as reason:
            print(
                f"this Python has no ensurepip, and pip cannot be had: {reason}; install python3-venv", file=sys.stderr
            )
            return 1
        return 0
    missing = 0
    for name in names or list(PARTS):
        if name not in PARTS:
            print(f"{name}: no such part; there are {', '.join(PARTS)}", file=sys.stderr)
            return 2
        try:
            program = get(name)
            print(f"{name} {version(program, name)}: {program}", flush=True)
        except MissingPartError as reason:
            missing += 1
            outcome = "fail" if os.environ.get("CI") == "true" else "are skipped"
            print(f"{name}: cannot be had: {reason}; its tests {outcome}", flush=True)
    return 1 if missing and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
