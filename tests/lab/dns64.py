#!/usr/bin/env python3
"""A resolver that knows one name, ipv4only.arpa, and answers as a DNS64 with the prefix 64:ff9b::/96
does: RFC 7050, section 3.

  dns64.py ADDRESS

Prints "ready"; ends with its parent's SIGTERM. Names longer than a datagram of 512 bytes are dropped.
"""
import socket
import struct
import sys

AAAA = 28
ADDRESSES = [socket.inet_pton(socket.AF_INET6, f"64:ff9b::192.0.0.{last}") for last in (170, 171)]


def answer_to(query):
    """Its answer: two addresses, or that there is none. None: not a question."""
    end = query.find(b"\0", 12) + 1
    if len(query) < 17 or end == 0 or len(query) < end + 4:
        return None
    question = query[12:end + 4]
    is_known = question[:-4].lower() == b"\x08ipv4only\x04arpa\0" and question[-4:] == struct.pack(">HH", AAAA, 1)
    found = ADDRESSES if is_known else []
    records = b"".join(struct.pack(">HHHIH", 0xc00c, AAAA, 1, 60, 16) + ip for ip in found)
    return query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0) + question + records


def main():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as ours:
        ours.bind((sys.argv[1], 53))
        print("ready", flush=True)
        while True:
            query, client = ours.recvfrom(512)
            if answer := answer_to(query):
                ours.sendto(answer, client)


if __name__ == "__main__":
    main()
