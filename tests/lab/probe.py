#!/usr/bin/env python3
"""What does `pyrsia probe` say behind each kind of NAT, and is it right?

  probe.py [--program FILE] [--jobs N] [--rivals] [--members] [--json] [KIND...]

Kinds of real kernels (nftables), and of the userspace NAT box, which runs the tables of the
simulation ("box:..."); what has to be said is in nat_table.json. A STUN server with two addresses
of each family, at 1.2.3.10 and .11; with --members two servers with one IPv4 address each, which
lend it to each other, and ("boot servers: ...") three of `pyrsia boot` on 0.0.0.0. With --rivals the
tools of coturn and of Debian's stun-client ask our server over IPv4, and we ask coturn: all must say
the same; which of them is missing is said. Both leave out the rows that measure how long mappings
live, or have IPv6. Namespaces without a way out; needs root.
"""
import argparse
import dataclasses
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
from namespaces import Lab, finish, is_required, run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FIRST, SECOND, OUTSIDE, ROUTED, LAN = "1.2.3.10", "1.2.3.11", "1.2.3.101", "1.2.4.2", "192.168.1.2"
BEYOND = "1.2.3.102"  # Of a second router, where the first one has OUTSIDE.
EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"
V6_FIRST, V6_SECOND, V6_OUTSIDE = "2a0e:1::10", "2a0e:1::11", "2a0e:1::101"
V6_ROUTER, V6_NODE, V6_INSIDE = "2a0e:2::1", "2a0e:2::2", "2a0e:2::/64"
PEER_PORT = 44000
LIMIT_SECONDS = 2.0
LIFETIME_LIMIT_SECONDS = 60  # Of a row that measures how long mappings live.


@dataclasses.dataclass
class Case:
    facts: dict  # What the probe has to find.
    kernel: list | None = None  # The rules of the inner and, where there is one, of the outer router.
    between: str = "100.64.0"  # The network between the two routers.
    box: str | None = None  # Or the kind of the userspace NAT box.
    boots: bool = False  # Three boot servers are asked.
    udp_timeout_s: int = 0  # How long the kernel's router remembers a datagram; 0: as it does.
    ipv4: bool = True
    ipv6: str | None = None  # "open", "firewall" or "dead".

    @property
    def measures_lifetime(self):
        return self.facts["udp.lifetime_alive_s"] is not None

    @property
    def is_nat64(self):
        return self.kernel == ["nat64"]

    @property
    def is_plain(self):
        """Nothing but a NAT or firewall of IPv4."""
        return self.ipv4 and not (self.ipv6 or self.measures_lifetime)

    @property
    def servers(self):
        if self.is_nat64:
            return [f"{FIRST}:3478"]
        # That two are silent is no accident of theirs.
        v6 = {None: [], "dead": [V6_FIRST, V6_SECOND]}.get(self.ipv6, [V6_FIRST])
        return [f"{FIRST}:3478"] * self.ipv4 + [f"[{ip}]:3478" for ip in v6]

    @property
    def router(self):
        if self.box:
            return None
        if not self.ipv4:
            return V6_ROUTER
        return "1.2.4.1" if self.kernel[0] in ("none", "firewall") else "192.168.1.1"


def read_cases(box):
    """The rows of nat_table.json: of each the real kernel's, and what the simulation knows, in the box."""
    table = json.loads((pathlib.Path(__file__).parent / "nat_table.json").read_text())
    kernels, boxes = {}, {}
    for row in table["rows"]:
        if unknown := row["facts"].keys() - table["usual"].keys():
            raise RuntimeError(f"nat_table.json: {row['name']}: no such fact: {unknown}")
        facts = table["usual"] | row["facts"]
        if "kernel" in row:
            more = {key: row[key] for key in ("between", "udp_timeout_s", "ipv4", "ipv6") if key in row}
            kernels[row["name"]] = Case(facts, kernel=row["kernel"], **more)
        if len(row.get("sim", [])) == 1 and "ipv6" not in row:  # The box knows IPv4 only.
            kind = row["sim"][0]
            # The box counts no hops: behind it nobody can tell where the NAT stands.
            is_hidden = facts["udp.nat"] is not False
            boxes["box: " + kind] = Case(facts | {"position": None, "nat_layers": None} if is_hidden else facts, box=kind)
    if missing := {"box: " + kind for kind in run([str(box), "--list"]).split()} - boxes.keys():
        raise RuntimeError(f"nat_table.json says nothing of: {', '.join(sorted(missing))}")
    return kernels | boxes


# With --members: asked of three boot servers, each on all addresses of a machine of its own.
BOOT_IPS = (FIRST, SECOND, "1.2.3.12")
BOOT_KINDS = ("full cone", "address-restricted", "port-restricted", "symmetric")


def boot_cases(cases):
    return {f"boot servers: {kind}": dataclasses.replace(cases[kind], boots=True) for kind in BOOT_KINDS}


def build_kernel(lab, case):
    """node - router [- second router] - internet, where the servers are. A "plain" router only routes; the outside of one
    behind a plain one is public."""
    inner, outer = (case.kernel + [None])[:2]
    between = case.between
    for name in ("internet", "router", "node"):
        lab.add(name)
        # Nobody has these addresses: not to be asked first is to be ready at once.
        lab.exec(name, "sysctl -qw net.ipv6.conf.default.dad_transmits=0")
    lab.ip("internet", "link add name br0 type bridge")
    lab.ip("internet", "link set br0 up")
    for ip in () if case.boots else (FIRST, SECOND):
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
    if case.ipv4:
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
        is_cone = inner == "hairpin-cone"
        lab.nft("router", nat_kinds.hairpin_rules(is_cone, OUTSIDE, {}, reaches_clients=not is_cone))
    elif inner != "plain":
        outside = f"{between}.2" if outer not in (None, "plain") else OUTSIDE
        lab.nft("router", nat_kinds.rules(inner, node, PEER_PORT, outside))
    if case.udp_timeout_s:
        lab.exec("router", f"sysctl -qw net.netfilter.nf_conntrack_udp_timeout={case.udp_timeout_s}")
    if case.ipv6:
        add_ipv6(lab, case.ipv6)


def add_ipv6(lab, how):
    """Beside IPv4, without any NAT."""
    lab.exec("router", "sysctl -qw net.ipv6.conf.all.forwarding=1")
    for name, device, ip in (("internet", "br0", V6_FIRST), ("internet", "br0", V6_SECOND),
                             ("router", "wan", V6_OUTSIDE), ("router", "lan", V6_ROUTER),
                             ("node", "eth0", V6_NODE)):
        lab.ip(name, f"addr add {ip}/64 dev {device} nodad")
    lab.ip("internet", f"route add {V6_INSIDE} via {V6_OUTSIDE}")
    lab.ip("node", f"route add default via {V6_ROUTER}")
    lab.exec("router", "nft -f -", input=nat_kinds.IPV6[how])
    if how != "dead":  # Neighbours find each other in a second, if a first question is lost.
        lab.exec("node", f"ping -q -c 1 -w 5 -i 0.2 {V6_FIRST}")


TAYGA = """tun-device lan
ipv4-addr 192.168.255.1
ipv6-addr 2a0e:3::1
prefix 64:ff9b::/96
dynamic-pool 192.168.255.0/24
data-dir {folder}
"""


def build_nat64(lab, scratch):
    """node, which has IPv6 alone - router with tayga and a port-restricted NAT - internet, which has IPv4 alone. The
    translator's device is the NAT's "lan". The node is to use scratch/resolv.conf."""
    for name in ("internet", "router", "node"):
        lab.add(name)
        lab.exec(name, "sysctl -qw net.ipv6.conf.default.dad_transmits=0")
    for ip in (FIRST, SECOND):
        lab.ip("internet", f"addr add {ip}/32 dev lo")
    lab.make_router("router")
    lab.exec("router", "sysctl -qw net.ipv6.conf.all.forwarding=1")
    lab.link("router", "lan6", "node", "eth0")
    lab.link("router", "wan", "internet", "eth0")
    lab.ip("internet", f"addr add {FIRST}/24 dev eth0")
    lab.ip("router", f"addr add {OUTSIDE}/24 dev wan")
    lab.ip("router", f"addr add {V6_ROUTER}/64 dev lan6 nodad")
    lab.ip("node", f"addr add {V6_NODE}/64 dev eth0 nodad")
    lab.ip("node", f"route add default via {V6_ROUTER}")
    (scratch / "tayga.conf").write_text(TAYGA.format(folder=scratch))
    tayga = [shutil.which("tayga"), "-c", str(scratch / "tayga.conf")]
    lab.exec("router", " ".join(tayga + ["--mktun"]))
    lab.ip("router", "link set lan up")
    lab.ip("router", "route add 192.168.255.0/24 dev lan")
    lab.ip("router", "route add 64:ff9b::/96 dev lan")
    lab.start("router", tayga + ["--nodetach"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.nft("router", nat_kinds.rules("port-restricted"))
    resolver = lab.start("router", [sys.executable, str(ROOT / "tests/lab/dns64.py"), V6_ROUTER],
                         stdout=subprocess.PIPE)
    if resolver.stdout.readline().strip() != "ready":
        raise RuntimeError("the DNS64 did not start")
    (scratch / "resolv.conf").write_text(f"nameserver {V6_ROUTER}\n")
    lab.exec("node", f"ping -q -c 1 -w 5 -i 0.2 64:ff9b::{FIRST}")


def build_box(lab, box, case):
    """node - userspace NAT - internet, point to point."""
    has_nat = case.facts["udp.nat"] is not False
    for name in ("internet", "node"):
        lab.add(name)
    child = lab.start("internet", [str(box), case.box, lab.prefix + "node", "eth0", lab.prefix + "internet", "out",
                                   OUTSIDE], stdout=subprocess.PIPE)
    if child.stdout.readline().strip() != "ready":
        raise RuntimeError("the NAT box did not start")
    inner = LAN if has_nat else ROUTED
    lab.ip("node", f"addr add {inner}/24 dev eth0")
    lab.ip("node", "route add default dev eth0")
    for ip in (FIRST, SECOND):
        lab.ip("internet", f"addr add {ip}/32 dev lo")
    lab.ip("internet", f"route add {OUTSIDE if has_nat else ROUTED}/32 dev out src {FIRST}")


def start_servers(lab, options, case, scratch):
    """One server with two addresses, or two with one each. Ends when they answer."""
    endpoints = {ip: [f"{ip}:3478", f"{ip}:3479"] for ip in (FIRST, SECOND)}
    groups = [endpoints[FIRST] + endpoints[SECOND]]
    if case.ipv6:
        groups[0] += [f"[{ip}]:{port}" for ip in (V6_FIRST, V6_SECOND) for port in (3478, 3479)]
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


def faults_of_boots(lab, options, case, scratch, boots):
    """Another member steps in for the one that goes; when all have gone nothing is claimed."""
    faults = [] if metric(lab, 0, "pyrsia_stun_lent_total") else ["nothing was lent"]
    lab.stop(boots[1])
    wait_for_lending(lab, scratch, 0, 1)
    faults += ["by the third: " + fault for fault in differences(probe(lab, options, case, scratch), case.facts)]
    lab.stop(boots[2])
    wait_for_lending(lab, scratch, 0, 0)
    told = probe(lab, options, case, scratch)
    faults += ["alone: " + fault for fault in differences(told, {"udp.mapping": None, "udp.filtering": None})]
    if "does not lend us its address" not in (scratch / "boot0.log").read_text():
        faults.append("it does not say that nobody lends")
    return faults


def with_resolver(words, scratch):
    """The command with the lab's resolv.conf: mounted where its `ip netns exec` alone sees it."""
    return f"sh -c 'mount --bind {scratch}/resolv.conf /etc/resolv.conf && exec {words}'"


def probe(lab, options, case, scratch):
    """What it says; of how long mappings live too, where the case says so."""
    servers = "".join(f" --server {server}" for server in case.servers)
    limit = LIFETIME_LIMIT_SECONDS if case.measures_lifetime else 20
    words = f"timeout {limit} {options.program} probe --alone --json{servers}" + " --lifetime" * case.measures_lifetime
    if case.is_nat64:
        words = with_resolver(words, scratch)
    done = lab.exec("node", words, check=False)
    return json.loads(done) if done.startswith("{") else {"udp": {}, "took_ms": 0, "verdict": f"no answer: {done}"}


def told_fact(told, fact):
    """The value at "udp.mapping"; of the advice without the router's address."""
    for word in fact.split("."):
        told = told.get(word, {}) if isinstance(told, dict) else None
    return re.sub(r"the router \([^)]*\)", "the router", told) if fact == "fix" and told else told


def differences(told, expected):
    return [f"{fact}: {found}, not {wish}" for fact, wish in expected.items()
            if (found := told_fact(told, fact)) != wish]


def hop_differences(told, case):
    """Of two routers both are seen: none says that it stands there, but by what expires."""
    if not case.kernel or len(case.kernel) == 1 or told["udp"].get("blocked"):
        return []
    routers = ["192.168.1.1", f"{case.between}.1"]
    found = told.get("hops", {}).get("routers")
    return [] if found == routers else [f"hops: {found}, not {routers}"]


def gateway_differences(told, router):
    """No router of these cases opens ports; without one nothing is known."""
    answer = None if router is None else False
    wishes = {"router": router, "pcp": answer, "nat_pmp": answer, "upnp": answer, "mapped": answer,
              "second_router": None}
    if router == V6_ROUTER:
        wishes["nat_pmp"] = None  # It is of IPv4 only: RFC 6886, 1.1.
    found = told.get("gateway", {})
    return [f"gateway {fact}: {found.get(fact)}, not {wish}" for fact, wish in wishes.items()
            if found.get(fact) != wish]


def node_differences(lab, options, scratch):
    """Through a NAT64 a node dials a peer by its IPv4 address, and not without it."""
    words = [options.program, "node", "--json", "--listen-only", "-L", f"/ip4/{FIRST}/tcp/{PEER_PORT}",
             "--key", str(scratch / "peer.key")]
    peer = lab.start("internet", words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if not peer.stdout.readline():
        return ["the peer did not start"]
    peer_id = run([options.program, "id", "--key", str(scratch / "peer.key")]).strip()
    ping = f"timeout 20 {options.program} ping -c 1 /ip4/{FIRST}/tcp/{PEER_PORT}/p2p/{peer_id}"
    answers = [lab.exec("node", f"{words} >/dev/null 2>&1 && echo answered", check=False).strip()
               for words in (with_resolver(ping, scratch), ping)]
    lab.stop(peer)
    return [] if answers == ["answered", ""] else [f"ping with and without a DNS64: {answers}"]


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
        told_by = json.loads(text) if text.startswith("{") else {"udp": {}, "tcp": {}}
        by_coturn = told_by["udp"]
        lines.append(f"we by coturn {short(by_coturn.get('mapping'), 'M')}/{short(by_coturn.get('filtering'), 'F')}")
        for fact in ("mapping", "filtering", "nat"):
            if by_coturn.get(fact) != udp[fact]:
                faults.append(f"by coturn {fact} is {by_coturn.get(fact)}")
        if told_by["tcp"].get("mapping") != told["tcp"]["mapping"]:
            faults.append(f"by coturn, over TCP, mapping is {told_by['tcp'].get('mapping')}")
    return lines, faults


def run_case(name, options):
    number = list(options.cases).index(name)
    case = options.cases[name]
    started = time.monotonic()
    with Lab(f"pyrsia-probe{number}-") as lab, tempfile.TemporaryDirectory(prefix="pyrsia-probe-") as folder:
        scratch = pathlib.Path(folder)
        os.chdir(scratch)
        if case.box:
            build_box(lab, options.box, case)
        elif case.is_nat64:
            build_nat64(lab, scratch)
        else:
            build_kernel(lab, case)
        boots = start_boots(lab, options, scratch) if case.boots else start_servers(lab, options, case, scratch)
        told = probe(lab, options, case, scratch)
        faults = differences(told, case.facts) + gateway_differences(told, case.router) + hop_differences(told, case)
        if case.is_nat64:
            faults += node_differences(lab, options, scratch)
        limit_seconds = LIFETIME_LIMIT_SECONDS if case.measures_lifetime else LIMIT_SECONDS
        if told["took_ms"] > 1000 * limit_seconds:
            faults.append(f"took {told['took_ms']:.0f} ms")
        if boots:
            faults += faults_of_boots(lab, options, case, scratch, boots)
        others, more = rivals(lab, options, scratch, told) if options.rivals and case.is_plain else ([], [])
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
    more = "hairpin" if udp.get("hairpin") else ""
    if udp.get("lifetime_gone_s"):
        more = f"{udp['lifetime_alive_s']:.0f}-{udp['lifetime_gone_s']:.0f} s"
    text = (f"{'ok  ' if outcome['is_right'] else 'FAIL'} {outcome['kind']:31} {words:12} {ports:13} {more:8}"
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
    options.cases = read_cases(options.box)
    if options.members:
        options.cases |= boot_cases(options.cases)
    if unknown := [name for name in options.kinds if name not in options.cases]:
        parser.error(f"no such kind: {', '.join(unknown)}; there are: {'; '.join(options.cases)}")
    # The longest begin first, so that the others run beside them.
    kinds = sorted(options.cases, key=lambda name: not options.cases[name].measures_lifetime)
    if options.members:
        kinds = [name for name in kinds if options.cases[name].is_plain]
    options.kinds = options.kinds or kinds
    skipped = 0
    if not shutil.which("tayga"):
        skipped = sum(options.cases[name].is_nat64 for name in options.kinds)
        options.kinds = [name for name in options.kinds if not options.cases[name].is_nat64]
        if skipped:
            print("lab: SKIPPED, as tayga is not installed (scripts/setup --tests): NAT64", file=sys.stderr)
            if is_required("tayga"):
                print(f"0 passed, {skipped} failed")
                return 1
    if options.rivals:
        missing = [tool for tool in ("turnutils_natdiscovery", "stun", "turnserver") if not shutil.which(tool)]
        skipped += len(missing)
        for tool in missing:
            print(f"lab: {tool} is not installed; its part is SKIPPED", file=sys.stderr)
        if any(is_required(tool) for tool in missing):
            print(f"0 passed, {len(missing)} failed")
            return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # Ends the pool, and with it the namespaces.
    outcomes = []
    with multiprocessing.Pool(options.jobs, maxtasksperchild=1) as pool:
        running = [pool.apply_async(run_case, (name, options)) for name in options.kinds]
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
