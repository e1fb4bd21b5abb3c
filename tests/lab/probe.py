#!/usr/bin/env python3
"""What does `pyrsia probe` say behind each kind of NAT, and is it right?

  probe.py [--program FILE] [--jobs N] [--rivals] [--members] [--json] [KIND...]

Kinds of real kernels (nftables), and of the userspace NAT box, which runs the tables of the
simulation ("box:..."). A STUN server with two addresses at 1.2.3.10 and .11; with --members two
servers with one address each, which lend it to each other, and ("boot servers: ...") three of
`pyrsia boot` on 0.0.0.0. With --rivals the tools of coturn and
of Debian's stun-client ask our server, and we ask coturn: all must say the same; which of them is
missing is said. Namespaces without a way out; needs root.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import nat_kinds
from namespaces import Lab, finish, run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FIRST, SECOND, OUTSIDE, ROUTED, LAN = "1.2.3.10", "1.2.3.11", "1.2.3.101", "1.2.4.2", "192.168.1.2"
BEYOND = "1.2.3.102"
EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"
LIMIT_SECONDS = 2.0


def truth(mapping, filtering, allocation=None, **more):
    """What the probe has to find; a fact that is not named may be anything."""
    facts = {"blocked": False, "nat": True, "mapping": mapping, "filtering": filtering, **more}
    return {**facts, "allocation": allocation} if allocation else facts


# Kind: the rules of the inner and, where there is one, of the outer router; the truth.
KERNEL = {
    "none": ("none", None, {**truth(EI, EI), "nat": False}),
    "firewall without NAT": ("firewall", None, {**truth(EI, APD), "nat": False}),
    "full cone": ("full-cone", None, truth(EI, EI, "preserved", hairpin=False)),
    "address-restricted": ("address-restricted", None, truth(EI, AD, "preserved", hairpin=False)),
    "port-restricted": ("port-restricted", None, truth(EI, APD, "preserved", hairpin=False)),
    "address-dependent mapping": ("address-dependent", None, truth(AD, APD)),
    "symmetric": ("symmetric", None, truth(APD, APD, "random")),
    "symmetric, fully random": ("symmetric-fully-random", None, truth(APD, APD, "random")),
    "symmetric, open filter": ("symmetric-open", None, truth(APD, EI, "random")),
    "UDP blocked": ("udp-blocked", None, {"blocked": True}),
    "port forward": ("port-forward", None, truth(EI, APD, "preserved")),
    "hairpin, full cone": ("hairpin-cone", None, truth(EI, EI, "preserved", hairpin=True)),
    "hairpin, port-restricted": ("hairpin", None, truth(EI, APD, "preserved")),
    "double NAT": ("port-restricted", "port-restricted", truth(EI, APD, "preserved")),
    "CGNAT and home, full cones": ("full-cone", "full-cone", truth(EI, EI, "preserved")),
    "CGNAT symmetric, home cone": ("full-cone", "symmetric", truth(APD, APD, "random")),
}

# Two routers that speak no protocol to open ports, with a network of this name between them: what can be known of
# them is known from where datagrams expire. "plain" translates nothing; the outside of a plain outer one is public.
SILENT = {
    "silent router, CGNAT": ("port-restricted", "symmetric", "100.64.0", truth(APD, APD, "random"), "carrier_nat", 2),
    # Whether the inner one translates cannot be told: neither may be called a double NAT.
    "silent router, second NAT": ("port-restricted", "full-cone", "10.0.0", truth(EI, APD, "preserved"), None, None),
    "silent router, routed campus": ("plain", "port-restricted", "10.0.0", truth(EI, APD, "preserved"), None, None),
    "silent router, private hop": ("port-restricted", "plain", "10.0.0", truth(EI, APD, "preserved"), "home_nat", 1),
}


# With --members: asked of three boot servers, each on all addresses of a machine of its own.
BOOT_IPS = (FIRST, SECOND, "1.2.3.12")
BOOT_CASES = {f"boot servers: {kind}": KERNEL[kind]
              for kind in ("full cone", "address-restricted", "port-restricted", "symmetric")}


def box_cases(box):
    """The kinds of the simulation, and what they are, in their own words."""
    cases = {}
    for line in run([str(box), "--list"]).splitlines():
        told = json.loads(line)
        if told["blocked"]:
            expected = {"blocked": True}
        else:
            expected = truth(told["mapping"], told["filtering"], nat=told["nat"], fragments=told["fragments"])
            if told["nat"]:
                expected |= {"allocation": told["allocation"], "hairpin": told["hairpin"]}
            if told["allocation"] == "sequential":
                expected["allocation_step"] = told["step"]
        cases["box: " + told["kind"]] = (told["kind"], expected)
    return cases


def build_kernel(lab, inner, outer, server_ips=(FIRST, SECOND), between="100.64.0"):
    """node - router [- second router] - internet, where the servers are."""
    for name in ("internet", "router", "node"):
        lab.add(name)
    lab.ip("internet", "link add name br0 type bridge")
    lab.ip("internet", "link set br0 up")
    for ip in server_ips:
        lab.ip("internet", f"addr add {ip}/24 dev br0")
    lab.make_router("router")
    is_routed = inner in ("none", "firewall")
    node, gateway = (ROUTED, "1.2.4.1") if is_routed else (LAN, "192.168.1.1")
    lab.ip("router", "link add name lan type bridge")
    lab.ip("router", "link set lan up")
    lab.ip("router", f"addr add {gateway}/24 dev lan")
    lab.exec("router", "sysctl -qw net.ipv4.conf.lan.send_redirects=0")
    lab.link("router", "p-node", "node", "eth0")
    lab.ip("router", "link set p-node master lan")
    lab.ip("node", f"addr add {node}/24 dev eth0")
    lab.ip("node", f"route add default via {gateway}")
    outermost = "router"
    if outer:
        outermost = "carrier"
        lab.add("carrier")
        lab.make_router("carrier")
        lab.link("router", "wan", "carrier", "lan")
        lab.ip("carrier", f"addr add {between}.1/24 dev lan")
        lab.ip("router", f"addr add {between}.2/24 dev wan")
        lab.ip("router", f"route add default via {between}.1")
    lab.link(outermost, "wan", "internet", "p-wan")
    lab.ip("internet", "link set p-wan master br0")
    lab.ip(outermost, f"addr add {OUTSIDE if outer != 'plain' else BEYOND}/24 dev wan")
    if inner == "plain":
        lab.ip("carrier", f"route add {LAN}/32 via {between}.2")
    if outer == "plain":
        lab.ip("router", f"addr del {between}.2/24 dev wan")
        lab.ip("router", f"addr add {OUTSIDE}/32 dev wan")
        lab.ip("router", f"route add {between}.1 dev wan")
        lab.ip("router", f"route add default via {between}.1")
        lab.ip("carrier", f"route add {OUTSIDE}/32 dev lan")
        lab.ip("internet", f"route add {OUTSIDE}/32 via {BEYOND}")
    if is_routed:
        lab.ip("internet", f"route add 1.2.4.0/24 via {OUTSIDE}")
    if outer and outer != "plain":
        lab.nft("carrier", nat_kinds.rules(outer, outside=OUTSIDE))
    if inner.startswith("hairpin"):
        lab.nft("router", nat_kinds.hairpin_rules(inner == "hairpin-cone", OUTSIDE, {}))
    elif inner != "plain":
        outside = f"{between}.2" if outer not in (None, "plain") else OUTSIDE
        lab.nft("router", nat_kinds.rules(inner, node, 44000, outside))


def build_box(lab, box, kind, has_nat):
    """node - userspace NAT - internet, point to point."""
    for name in ("internet", "node"):
        lab.add(name)
    child = lab.start("internet", [str(box), kind, lab.prefix + "node", "eth0", lab.prefix + "internet", "out",
                                   OUTSIDE], stdout=subprocess.PIPE)
    if child.stdout.readline().strip() != "ready":
        raise RuntimeError("the NAT box did not start")
    inner = LAN if has_nat else ROUTED
    lab.ip("node", f"addr add {inner}/24 dev eth0")
    lab.ip("node", "route add default dev eth0")
    for ip in (FIRST, SECOND):
        lab.ip("internet", f"addr add {ip}/32 dev lo")
    lab.ip("internet", f"route add {OUTSIDE if has_nat else ROUTED}/32 dev out src {FIRST}")


def start_servers(lab, options, scratch):
    """One server with two addresses, or two with one each. Ends when they answer."""
    endpoints = {ip: [f"{ip}:3478", f"{ip}:3479"] for ip in (FIRST, SECOND)}
    groups = [endpoints[FIRST] + endpoints[SECOND]]
    members = [[]]
    if options.members:
        keys = [scratch / "first.key", scratch / "second.key"]
        ids = [run([options.program, "id", "--key", str(key)]).strip() for key in keys]
        groups = [endpoints[FIRST], endpoints[SECOND]]
        members = [["--key", str(keys[0]), "--stun-member", f"/ip4/{SECOND}/udp/3478/p2p/{ids[1]}"],
                   ["--key", str(keys[1]), "--stun-member", f"/ip4/{FIRST}/udp/3478/p2p/{ids[0]}"]]
    for number, (group, more) in enumerate(zip(groups, members)):
        listens = [word for endpoint in group for word in ("--listen", endpoint)]
        child = lab.start("internet", [options.program, "stun-server", "--json", *listens, *more],
                          stdout=subprocess.PIPE, stderr=open(scratch / f"server{number}.log", "w"))
        if not child.stdout.readline():
            raise RuntimeError((scratch / f"server{number}.log").read_text())
    if options.members:
        time.sleep(0.3)  # The members look for each other at once, and are on one machine.


def start_boots(lab, options, scratch):
    """Each names all three, itself too. Ends when each can lend both of the others' addresses."""
    keys = [scratch / f"{ip}.key" for ip in BOOT_IPS]
    ids = [run([options.program, "id", "--key", str(key)]).strip() for key in keys]
    members = [word for ip, peer in zip(BOOT_IPS, ids) for word in ("--stun-member", f"/ip4/{ip}/udp/3478/p2p/{peer}")]
    boots = []
    for number, (ip, key) in enumerate(zip(BOOT_IPS, keys)):
        name = f"boot{number}"
        lab.add(name)
        lab.link("internet", f"p-{name}", name, "eth0")
        lab.ip("internet", f"link set p-{name} master br0")
        lab.ip(name, f"addr add {ip}/24 dev eth0")
        boots.append(lab.start(name, [options.program, "boot", "--json", "--key", str(key), "--cache", "",
                                      "--network-memory", "off", *members], stdout=subprocess.DEVNULL,
                               stderr=open(scratch / f"{name}.log", "w")))
    for number in range(len(BOOT_IPS)):
        wait_for_lending(lab, scratch, number, 2)
    return boots


def metric(lab, number, name):
    """Of a boot server; 0 while it does not answer."""
    ask = ("import sys, urllib.request as u; o = u.build_opener(u.ProxyHandler({})); "
           "print(o.open('http://127.0.0.1:7888/metrics', timeout=5).read().decode())")
    told = lab.exec(f"boot{number}", f'python3 -c "{ask}"', check=False)
    found = re.search(rf"^{name} (\d+)$", told, re.M)
    return int(found[1]) if found else 0


def wait_for_lending(lab, scratch, number, count):
    end = time.monotonic() + 30
    while metric(lab, number, "pyrsia_stun_members_lending") != count:
        if time.monotonic() > end:
            raise RuntimeError(f"boot{number} never had {count}: " + (scratch / f"boot{number}.log").read_text())
        time.sleep(0.2)


def faults_of_boots(lab, options, scratch, boots, expected):
    """Another member steps in for the one that goes; when all have gone nothing is claimed."""
    faults = [] if metric(lab, 0, "pyrsia_stun_lent_total") else ["nothing was lent"]
    lab.stop(boots[1])
    wait_for_lending(lab, scratch, 0, 1)
    faults += ["by the third: " + fault for fault in differences(probe(lab, options.program), expected)]
    lab.stop(boots[2])
    wait_for_lending(lab, scratch, 0, 0)
    nothing = {**expected, "mapping": None, "filtering": None}
    faults += ["alone: " + fault for fault in differences(probe(lab, options.program), nothing)]
    if "does not lend us its address" not in (scratch / "boot0.log").read_text():
        faults.append("it does not say that nobody lends")
    return faults


def probe(lab, program, server=FIRST):
    done = lab.exec("node", f"{program} probe --alone --json --server {server}:3478", check=False, timeout=30)
    return json.loads(done) if done.startswith("{") else {"udp": {}, "took_ms": 0, "verdict": f"no answer: {done}"}


def differences(told, expected):
    return [f"{fact}: {told['udp'].get(fact)}, not {wish}" for fact, wish in expected.items()
            if told["udp"].get(fact) != wish]


def position_of(case):
    """No router of these cases tells its outside: where datagrams expire does, but in the userspace box, which counts
    no hops."""
    expected = case[1] if len(case) == 2 else case[-1]
    if expected.get("nat") is False:
        return "open" if expected["filtering"] == EI else "firewall"
    if len(case) == 2 or expected.get("blocked"):
        return None
    return "carrier_nat" if case[1] else "home_nat"


def position_differences(told, wish):
    return [] if told.get("position") == wish else [f"position: {told.get('position')}, not {wish}"]


def hop_differences(told, between, layers):
    """Both routers are seen, and as many NATs as can be known of."""
    routers = ["192.168.1.1", f"{between}.1"]
    found = [told["hops"]["routers"], told["nat_layers"]]
    return [] if found == [routers, layers] else [f"hops and layers: {found}, not {[routers, layers]}"]


def gateway_differences(told, router):
    """No router of these cases opens ports; without one nothing is known."""
    answer = None if router is None else False
    wishes = {"router": router, "pcp": answer, "nat_pmp": answer, "upnp": answer, "mapped": answer,
              "second_router": None}
    found = told.get("gateway", {})
    return [f"gateway {fact}: {found.get(fact)}, not {wish}" for fact, wish in wishes.items()
            if found.get(fact) != wish]


# --- What others say -----------------------------------------------------------------------------

def short(dependence, what):
    return {EI: "EI", AD: "AD", APD: "APD"}.get(dependence, "?") + what


def natdiscovery(lab, server, flag):
    text = lab.exec("node", f"timeout 25 turnutils_natdiscovery {flag} {server}", check=False, timeout=40)
    found = re.search(r"NAT with (Endpoint Independent|Address and Port Dependent|Address Dependent) "
                      r"(Mapping|Filtering)", text)
    if not found:
        return "none" if "No NAT" in text else "silent"
    return {"E": "EI", "A": "AD"}[found[1][0]].replace("AD", "APD" if "Port" in found[1] else "AD") + found[2][0]


STUN_WORDS = {"Open": "open", "Independent Mapping, Independent Filter": "EIM/EIF",
              "Independent Mapping, Address Dependent Filter": "EIM/ADF",
              "Independent Mapping, Port Dependent Filter": "EIM/APDF", "Dependent Mapping": "dependent",
              "Blocked": "blocked", "Firewall": "firewall"}


def debian_stun(lab, server):
    text = lab.exec("node", f"timeout 25 stun {server}", check=False, timeout=40)
    found = re.search(r"Primary: ([^\n]*)", text)
    if not found:
        return "silent"
    for words, short_words in sorted(STUN_WORDS.items(), key=lambda entry: -len(entry[0])):
        if words in found[1]:
            return short_words
    return found[1]


def rivals(lab, options, scratch, told):
    """Our words for it beside those of others; returns lines, and what differs."""
    lines, faults = [], []
    udp = told["udp"]
    if udp.get("blocked"):
        return lines, faults
    ours = [short(udp["mapping"], "M"), short(udp["filtering"], "F")]
    no_nat = udp["nat"] is False
    if shutil.which("turnutils_natdiscovery"):
        theirs = [natdiscovery(lab, FIRST, flag) for flag in ("-m", "-f")]
        lines.append(f"natdiscovery {'/'.join(theirs)}")
        # Its third request goes where the second answer's OTHER-ADDRESS points, back to the first IP, where RFC 5780,
        # section 4.3, has it go to the second: so what depends on the IP alone seems to depend on the port too.
        wish = ["APDM" if ours[0] == "ADM" else ours[0], ours[1]]
        if (theirs != wish) and not (no_nat and theirs[0] == "none"):
            faults.append(f"natdiscovery says {theirs}, not {wish}")
        seen = lab.exec("node", f"timeout 10 turnutils_stunclient {FIRST}", check=False, timeout=20)
        if udp["mapped"].rsplit(":", 1)[0] not in seen:
            faults.append(f"stunclient saw {seen[-200:]}")
    if shutil.which("stun"):
        word = debian_stun(lab, FIRST)
        lines.append(f"stun {word}")
        wish = {"EIM": f"EIM/{ours[1]}"}.get(ours[0], "dependent")
        if no_nat:
            wish = "open" if ours[1] == "EIF" else "firewall"
        if word != wish:
            faults.append(f"stun says {word}, not {wish}")
    if shutil.which("turnserver"):
        coturn = lab.start("internet", ["turnserver", "-n", "-S", "--no-tls", "--no-dtls", "--no-cli", "-L", FIRST, "-L",
                                        SECOND, "-p", "4478", "--alt-listening-port", "4479", "--log-file", "stdout",
                                        "--pidfile", str(scratch / "pid"), "--db", str(scratch / "db")],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.5)  # It does not say when it is ready.
        text = lab.exec("node", f"{options.program} probe --alone --json --server {FIRST}:4478", check=False, timeout=30)
        lab.stop(coturn)
        by_coturn = json.loads(text)["udp"] if text.startswith("{") else {}
        lines.append(f"we by coturn {short(by_coturn.get('mapping'), 'M')}/{short(by_coturn.get('filtering'), 'F')}")
        for fact in ("mapping", "filtering", "nat"):
            if by_coturn.get(fact) != udp[fact]:
                faults.append(f"by coturn {fact} is {by_coturn.get(fact)}")
    return lines, faults


def run_case(name, options):
    number = list(options.cases).index(name)
    case = options.cases[name]
    started = time.monotonic()
    with Lab(f"pyrsia-probe{number}-") as lab, tempfile.TemporaryDirectory(prefix="pyrsia-probe-") as folder:
        scratch = pathlib.Path(folder)
        os.chdir(scratch)
        wish = position_of(case) if len(case) < 6 else case[4]
        if len(case) == 6:
            inner, outer, between, expected, _, layers = case
            router = "192.168.1.1"
            build_kernel(lab, inner, outer, between=between)
        elif len(case) == 2:
            kind, expected = case
            router = None
            build_box(lab, options.box, kind, expected.get("nat", True))
        else:
            inner, outer, expected = case
            router = "1.2.4.1" if inner in ("none", "firewall") else "192.168.1.1"
            build_kernel(lab, inner, outer, () if name in BOOT_CASES else (FIRST, SECOND))
        boots = start_boots(lab, options, scratch) if name in BOOT_CASES else start_servers(lab, options, scratch)
        told = probe(lab, options.program)
        faults = differences(told, expected) + position_differences(told, wish)
        if len(case) == 6:
            faults += hop_differences(told, between, layers)
        faults += gateway_differences(told, router)
        if told["took_ms"] > 1000 * LIMIT_SECONDS:
            faults.append(f"took {told['took_ms']:.0f} ms")
        if boots:
            faults += faults_of_boots(lab, options, scratch, boots, expected)
        others, more = rivals(lab, options, scratch, told) if options.rivals else ([], [])
        os.chdir("/")
    return {"kind": name, "is_right": not faults + more, "faults": faults + more, "others": others, "report": told,
            "seconds": time.monotonic() - started}


def line_of(outcome):
    udp = outcome["report"]["udp"]
    words = "UDP blocked" if udp.get("blocked") else "/".join(
        [short(udp.get("mapping"), "M"), short(udp.get("filtering"), "F")])
    ports = udp.get("allocation") or "-"
    if udp.get("allocation_step"):
        ports += f" {udp['allocation_step']}"
    hairpin = {True: "hairpin", False: "", None: ""}[udp.get("hairpin")]
    text = (f"{'ok  ' if outcome['is_right'] else 'FAIL'} {outcome['kind']:31} {words:12} {ports:13} {hairpin:8}"
            f"{outcome['report']['took_ms'] / 1000:6.2f} s  {outcome['report']['verdict']}")
    text += "".join(f"\n     {other}" for other in [" · ".join(outcome["others"])] if other)
    return text + "".join(f"\n     ! {fault}" for fault in outcome["faults"])


def build_natbox():
    box = ROOT / "build/lab/natbox"
    box.parent.mkdir(parents=True, exist_ok=True)
    sources = ["tests/lab/natbox.cpp", "src/sim/nat.cpp", "src/sim/nat_kinds.cpp", "src/base/ip.cpp",
               "src/base/error.cpp"]
    if not box.exists() or any((ROOT / source).stat().st_mtime > box.stat().st_mtime for source in sources):
        subprocess.run(["clang++-19", "-std=c++23", "-O2", "-Isrc", "-Iinclude", *sources, "-o", box], check=True,
                       cwd=ROOT)
    return box


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--jobs", type=int, default=2, help="cases at the same time")
    parser.add_argument("--rivals", action="store_true", help="ask with the tools of others too")
    parser.add_argument("--members", action="store_true", help="two servers that lend each other their addresses")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--program", default=str(ROOT / "build/release/apps/pyrsia/pyrsia"))
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("lab: needs root for network namespaces; nothing was tested", file=sys.stderr)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    options.program = str(pathlib.Path(options.program).resolve())
    options.box = build_natbox()
    options.cases = {**KERNEL, **SILENT, **box_cases(options.box), **(BOOT_CASES if options.members else {})}
    if unknown := [name for name in options.kinds if name not in options.cases]:
        parser.error(f"no such kind: {', '.join(unknown)}; there are: {'; '.join(options.cases)}")
    skipped = 0
    if options.rivals:
        for tool in ("turnutils_natdiscovery", "stun", "turnserver"):
            if not shutil.which(tool):
                skipped += 1
                print(f"lab: {tool} is not installed; its part is SKIPPED", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # Ends the pool, and with it the namespaces.
    outcomes = []
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        running = [pool.apply_async(run_case, (name, options)) for name in options.kinds or options.cases]
        for each in running:
            outcomes.append(each.get())
            if not options.json:
                print(line_of(outcomes[-1]), flush=True)
        finish(pool)
    passed = sum(outcome["is_right"] for outcome in outcomes)
    if options.json:
        print(json.dumps({"schema": "pyrsia.lab/1", "passed": passed, "failed": len(outcomes) - passed,
                          "cases": outcomes}, indent=1))
    else:
        print(f"{passed} passed, {len(outcomes) - passed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
