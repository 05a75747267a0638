"""Finds KiCad 9, and unpacks Debian's packages of it into `.parts/kicad` when asked to.

    python -m hardware --get-kicad

A `kicad-cli` of version 9 on PATH is used as it is. Otherwise apt's own tools fetch the packages and what of their
dependencies the machine lacks (430 MB,
1 GB unpacked); nothing is installed and no root is needed. Debian 12 has KiCad 9
in its backports only: their entry is made from the machine's own entry for Debian.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / ".parts"
OLDEST = 9
PACKAGES = ("kicad", "kicad-symbols", "kicad-footprints")
MODELS_PACKAGE = "kicad-packages3d"
HTML_BOM = "InteractiveHtmlBom==2.12.0"
TIMEOUT_S = 1800
_SYSTEM_PYTHON = "/usr/bin/python3"
_APT = Path("/etc/apt")


class KicadError(Exception):
    """KiCad cannot be had, or one of its commands failed; one line."""


@dataclass(frozen=True)
class Kicad:
    """`share` holds symbols and footprints, `models` the 3D models; `root` where it was unpacked, None if installed."""

    cli: str
    share: Path
    models: Path
    root: Path | None

    def run(self, arguments: Sequence[str | Path], folder: Path) -> str:
        """What `kicad-cli` prints. Raises KicadError."""
        return _run(
            [self.cli, *map(str, arguments)], folder, self._environment(folder, rendering="render" in arguments)
        )

    def pcbnew(self, script: Path, arguments: Sequence[str | Path], folder: Path) -> None:
        """Runs a script in the Python that KiCad's module `pcbnew` was built for. Raises KicadError."""
        _run([_SYSTEM_PYTHON, str(script), *map(str, arguments)], folder, self._environment(folder))

    def html_bom(self, arguments: Sequence[str | Path], folder: Path) -> None:
        """Runs InteractiveHtmlBom. Raises KicadError."""
        script = ROOT / "html-bom" / "InteractiveHtmlBom" / "generate_interactive_bom.py"
        if not script.exists():
            raise KicadError("InteractiveHtmlBom is not here; make hardware ARGS=--get-kicad fetches it")
        self.pcbnew(script, arguments, folder)

    def _environment(self, folder: Path, rendering: bool = False) -> dict[str, str]:
        # an empty home: no one's settings play a part, and none are changed
        home = folder / "home"
        home.mkdir(exist_ok=True)
        made = {
            **os.environ, "HOME": str(home), "KICAD_CONFIG_HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "KICAD9_SYMBOL_DIR": str(self.share / "symbols"), "KICAD9_FOOTPRINT_DIR": str(self.share / "footprints"),
            "KICAD9_3DMODEL_DIR": str(self.models), "INTERACTIVE_HTML_BOM_NO_DISPLAY": "1",
        }  # fmt: skip
        if self.root is not None:
            made["KICAD_STOCK_DATA_HOME"] = str(self.share)
            made["LD_LIBRARY_PATH"] = ":".join(str(path) for path in _library_folders(self.root))
            made["PYTHONPATH"] = str(self.root / "usr/lib/python3/dist-packages")
            if rendering:
                # unpacked, KiCad finds its reader of 3D models only as in its developers' build tree; see _link()
                made["KICAD_RUN_FROM_BUILD_DIR"] = "1"
        return made


def find() -> Kicad | None:
    """KiCad 9 on the machine, or unpacked before."""
    installed = shutil.which("kicad-cli")
    if installed is not None and _version(installed) >= OLDEST:
        share = Path(installed).resolve().parents[1] / "share" / "kicad"
        return Kicad(installed, share, share / "3dmodels", None)
    root = ROOT / "kicad" / "root"
    cli = root / "usr/bin/kicad-cli"
    if not cli.exists():
        return None
    share = root / "usr/share/kicad"
    return Kicad(str(cli), share, share / "3dmodels", root)


def get(models: Collection[str]) -> Kicad:
    """KiCad 9, unpacked if need be, with the named 3D models only (all of them are 5 GB). Raises KicadError."""
    ROOT.mkdir(exist_ok=True)
    _get_html_bom()
    found = find()
    if found is not None:
        return found
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise KicadError(f"KiCad {OLDEST} is not on this machine, and there is no {tool} to get it with")
    with tempfile.TemporaryDirectory(prefix="kicad-", dir=ROOT) as scratch:
        folder = Path(scratch) / "kicad"
        _unpack(folder / "root", Path(scratch), models)
        _link(folder / "root")
        if (ROOT / "kicad").exists():
            shutil.rmtree(ROOT / "kicad")
        folder.rename(ROOT / "kicad")
    found = find()
    assert found is not None
    if _version_of(found) < OLDEST:
        shutil.rmtree(ROOT / "kicad")
        raise KicadError(f"this system's packages hold no KiCad {OLDEST}")
    return found


def _get_html_bom() -> None:
    if not (ROOT / "html-bom").exists():
        with tempfile.TemporaryDirectory(prefix="html-bom-", dir=ROOT) as scratch:
            folder = Path(scratch) / "html-bom"
            # its dependencies are KiCad's own
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), HTML_BOM]
            _run(pip, Path(scratch), os.environ)
            folder.rename(ROOT / "html-bom")


def _unpack(root: Path, scratch: Path, models: Collection[str]) -> None:
    archives = scratch / "archives"
    archives.mkdir()
    root.mkdir(parents=True)
    apt = _apt_settings(scratch)
    codename = _release().get("VERSION_CODENAME", "")
    newer = ["-t", f"{codename}-backports"] if (scratch / "sources" / "backports.sources").exists() else []
    wanted = [*PACKAGES, MODELS_PACKAGE]
    plan = _run(
        ["apt-get", *apt, "install", "--simulate", "--no-install-recommends", *newer, *wanted],
        archives,
        _apt_environment(),
    )
    exact = [
        f"{name}={release}" for name, release in re.findall(r"^Inst (\S+)(?: \[[^\]]*\])? \((\S+)", plan, re.MULTILINE)
    ]
    _run(["apt-get", *apt, "download", *exact], archives, _apt_environment())
    for archive in sorted(archives.glob("*.deb")):
        if archive.name.startswith(MODELS_PACKAGE + "_"):
            _take_models(archive, root, models)
        else:
            _run(["dpkg", "-x", str(archive), str(root)], archives, _apt_environment())


def _take_models(archive: Path, root: Path, models: Collection[str]) -> None:
    wanted = {f"./usr/share/kicad/3dmodels/{name}" for name in models}
    with subprocess.Popen(["dpkg", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as packed:
            for member in packed:
                content = packed.extractfile(member) if member.name in wanted else None
                if content is not None:
                    path = root / member.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())


def _link(root: Path) -> None:
    """What rendering needs where a build tree has it."""
    usr = root / "usr"
    (usr / "pcbnew").mkdir()
    (usr / "pcbnew/_pcbnew.kiface").symlink_to("../bin/_pcbnew.kiface")
    plugins = next(usr.glob("lib/*/kicad/plugins"))
    (usr / "plugins").symlink_to(plugins.relative_to(usr))
    (root.parent / "schemas").symlink_to("root/usr/share/kicad/schemas")


def _apt_settings(scratch: Path) -> list[str]:
    """Settings that keep apt's state in `scratch`, with fresh lists of the machine's sources and their backports."""
    sources, state, cache = scratch / "sources", scratch / "state", scratch / "cache"
    for folder in (sources, state / "lists" / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    texts = {
        path.name: path.read_text()
        for path in sorted((_APT / "sources.list.d").glob("*"))
        if path.suffix in (".list", ".sources")
    }
    if (_APT / "sources.list").exists():
        texts["machine.list"] = (_APT / "sources.list").read_text()
    for name, text in texts.items():
        (sources / name).write_text(text)
    added = backports(texts, _release().get("VERSION_CODENAME", ""))
    if added:
        (sources / "backports.sources").write_text(added)
    settings = {
        "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": sources, "Dir::State": state,
        "Dir::State::lists": state / "lists", "Dir::State::status": "/var/lib/dpkg/status", "Dir::Cache": cache,
        "Debug::NoLocking": "1", "APT::Sandbox::User": "root", "Acquire::Retries": "1", "Acquire::Languages": "none",
    }  # fmt: skip
    words = ["-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    _run(["apt-get", *words, "update"], scratch, _apt_environment())
    return words


def backports(texts: Mapping[str, str], codename: str) -> str:
    """The entry of a release's backports, made from the machine's own entry for the release; empty if there is none."""
    for text in texts.values():
        for stanza in re.split(r"\n\s*\n", text):
            suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
            if (
                suites
                and codename
                and codename in suites[1].split()
                and re.search(r"^Types:.*\bdeb\b", stanza, re.MULTILINE)
            ):
                lines = [line for line in stanza.splitlines() if line and not line.startswith("#")]
                return (
                    "\n".join(f"Suites: {codename}-backports" if line.startswith("Suites:") else line for line in lines)
                    + "\n"
                )
        for options, place, components in re.findall(
            rf"^deb\s+(\[[^\]]*\]\s+)?(\S+)\s+{re.escape(codename)}\s+(.+)$", text, re.MULTILINE
        ):
            signed = re.search(r"signed-by=(\S+?)[\s\]]", options)
            made = f"Types: deb\nURIs: {place}\nSuites: {codename}-backports\nComponents: {components.strip()}\n"
            return made + (f"Signed-By: {signed[1]}\n" if signed else "")
    return ""


def _release() -> dict[str, str]:
    pairs = re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.MULTILINE)
    return dict(pairs)


def _library_folders(root: Path) -> list[Path]:
    return sorted({path.parent for path in (root / "usr/lib").rglob("lib*.so*")})


def _version(cli: str) -> int:
    try:
        done = subprocess.run([cli, "version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    stated = re.search(r"(\d+)\.\d+", done.stdout)
    return int(stated[1]) if stated else 0


def _version_of(kicad: Kicad) -> int:
    with tempfile.TemporaryDirectory() as folder:
        stated = re.search(r"(\d+)\.\d+", kicad.run(["version"], Path(folder)))
    return int(stated[1]) if stated else 0


def _apt_environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise KicadError(f"{name} took longer than {TIMEOUT_S} s") from error
    except OSError as error:
        raise KicadError(f"{name} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        first = next(
            (line for line in said if line.startswith("E:")), said[-1] if said else f"exit status {done.returncode}"
        )
        raise KicadError(f"{name} {' '.join(command[1:3])}: {first}")
    return done.stdout
