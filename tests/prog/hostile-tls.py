"""hostile-tls.py - what strangers do around a handshake, many times over: pipit-tlsd and pipit-smtpd with STARTTLS

CRASH=long: a thousand timings of text in clear, handshakes cut off at each byte, 10,000 sessions, a
hundred certificates.
"""
import os, random, re, socket, ssl, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from measure import LONG, SANITIZED
from smtpsession import *
from tlsserver import *

home = make_home()
CERT = os.path.join(home, 'control/servercert.pem')
for name, text in dict(me='host.example', rcpthosts='example.org', concurrencysmtpd='400', concurrencysmtpdclient='400').items():
    control(home, name, text)
certificate(CERT, 'host.example')
queued, tlsd, listener = Queued(home), Tlsd(home), Listener(home)
V = ssl.TLSVersion

def context(version=None):
    c = any_server()
    if version: c.minimum_version = c.maximum_version = version
    return c

class Client:
    """A client whose bytes can be held up, cut and mixed."""
    def __init__(self, version=None):
        self.s = socket.create_connection(('127.0.0.1', listener.port), 20)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(20)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context(version).wrap_bio(self.inward, self.outward, server_hostname='host.example')
        self.clear = b''
        self.line()

    def line(self):
        """One line in clear; b'' at the end of the connection."""
        while b'\n' not in self.clear:
            try: got = self.s.recv(65536)
            except OSError: got = b''
            if not got: return b''
            self.clear += got
        line, self.clear = self.clear.split(b'\n', 1)
        return line + b'\n'

    def put(self, data):
        try: self.s.sendall(data)
        except OSError: pass # the server has gone

    def shake(self, send=None):
        """A handshake; send(flight) is what sends what the client says. True when there is one."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError: pass
            except ssl.SSLError: return False
            flight = self.outward.read()
            if flight: (send or self.put)(flight)
            if not self.hear(): return False
        flight = self.outward.read()
        if flight: (send or self.put)(flight)
        return True

    def hear(self):
        if self.clear: got, self.clear = self.clear, b''
        else:
            try: got = self.s.recv(65536)
            except OSError: got = b''
        self.inward.write(got)
        return bool(got)

    def secure(self, line):
        """A command over TLS, and all that has come until its reply is there."""
        got = b''
        try:
            self.tls.write(line + b'\r\n')
            self.put(self.outward.read())
            while not got.endswith(b'\n'):
                try: got += self.tls.read(65536)
                except ssl.SSLWantReadError:
                    if not self.hear(): break
        except ssl.SSLError: pass
        return got

    def rest(self):
        try:
            while True:
                got = self.s.recv(65536)
                if not got: break
                self.clear += got
        except OSError: pass
        return self.clear

    def close(self): self.s.close()

def children(pid): return open('/proc/%d/task/%d/children' % (pid, pid)).read().split()

def parent_state():
    """Descriptors and private memory of the processes that stay. pipit-smtpd -l has one for each child, which waits for a client for a while."""
    state = {}
    for what, pid in (('pipit-tlsd', tlsd.p.pid), ('the process that reads keys', tlsd.children()[0]), ('pipit-smtpd -l', listener.p.pid)):
        try:
            kb = sum(int(x) for x in re.findall(r'^Private_\w+:\s+(\d+)', open('/proc/%d/smaps_rollup' % pid).read(), re.M))
            state[what] = len(os.listdir('/proc/%d/fd' % pid)) - (len(children(pid)) if what == 'pipit-smtpd -l' else 0), kb
        except PermissionError: pass # not root
    return state

def settled():
    """The state when no session is left."""
    wait_for(lambda: not tlsd.sessions(), 30)
    return parent_state()

def unharmed(before, why, growth=256):
    after = settled()
    check(not tlsd.sessions(), '%s: no process is left' % why)
    for what in before:
        (fds, kb), (fds2, kb2) = before[what], after[what]
        check(fds2 <= fds + 4 and (SANITIZED or kb2 - kb < growth), # the sanitizers keep what was freed
              '%s: %s has %d descriptors and %d KB, before %d and %d' % (why, what, fds2, kb2, fds, kb))
    check('alert' not in tlsd.text() and 'alert' not in listener.text(), '%s: nothing crashed' % why)
    c = Client()
    c.put(b'STARTTLS\r\n')
    check(c.line()[:3] == b'220' and c.shake() and c.secure(b'NOOP')[:3] == b'250', '%s: the next session is served' % why)
    c.secure(b'QUIT')
    c.close()

# --- text in clear around STARTTLS ---

def pieces(r, data, n):
    """Cut at up to <n> places."""
    cuts = sorted({r.randrange(len(data) + 1) for _ in range(n)} | {0, len(data)})
    return [data[a:b] for a, b in zip(cuts, cuts[1:])]

def as_records(r, hello):
    """The handshake message in several records (RFC 8446, 5.1)."""
    body = hello[5:]
    return b''.join(hello[:3] + len(p).to_bytes(2, 'big') + p for p in pieces(r, body, r.randrange(4)) if p)

INJECTED = (b'EHLO injected.example\r\nMAIL FROM:<injected@x.example>\r\nRCPT TO:<injected@example.org>\r\nDATA\r\nSubject: injected\r\n\r\n.\r\n',
            b'NOOP\r\n', b'RSET\r\nMAIL FROM:<injected@x.example>\r\n', b'EHLO injected.example', b'\r\n', b'Q', b'QUIT\r\n', b'\n' * 40, b'\x16', b'\x16\x03\x01\x02\0',
            b'\x80\x2e\x01\0\2')

def pause(r): time.sleep(r.choice((0, 0, 0, 0.0005, 0.002, 0.01)))

def timing(number):
    """One way to put text in clear where it does not belong. What is wrong with what came of it, or None."""
    r = random.Random(number)
    place = number % 6
    text = r.choice(INJECTED)
    c = Client(r.choice((None, V.TLSv1_2)))
    try:
        if r.randrange(2):
            c.put(b'EHLO client.example\r\n')
            while c.line()[3:4] == b'-': pass
        for p in pieces(r, b'STARTTLS\r', r.randrange(3)):
            c.put(p)
            if r.randrange(2): pause(r)
        c.put(b'\n' + text if place == 0 else b'\n') # in one segment with the end of the command
        if place == 1: # behind it, whatever the server is doing
            pause(r)
            c.put(text)
        reply = c.line()
        if reply[:3] == b'554': return None if place < 2 and not c.rest() else 'ended with 554: %r' % c.clear
        if reply[:3] != b'220' or place == 0: return 'STARTTLS: %r' % reply
        if place == 2: c.put(text)
        first = [True]
        def send(flight):
            if first and first.pop():
                flight = as_records(r, flight)
                if place == 3: # in the middle of a record
                    at = r.randrange(1, len(flight))
                    flight = flight[:at] + text + flight[at:]
                elif place == 4: flight += text # behind the hello
            elif place == 4 and r.randrange(2): flight = text + flight
            for p in pieces(r, flight, r.randrange(4)):
                c.put(p)
                pause(r)
        done = c.shake(send)
        if place == 5 and not done: return 'no handshake, though nothing was wrong'
        if not done: return None if b'250' not in c.rest() else 'an answer in clear: %r' % c.clear
        # Then nothing but this command is answered, and nothing was said before.
        got = c.secure(b'HELP me')
        if place == 5: return None if got[:4] == b'214 ' and got.count(b'\n') == 1 else 'HELP: %r' % got
        return None if got == b'' else 'answered: %r' % got
    finally: c.close()

def test_injection():
    before = settled()
    count = 1000 if LONG else 72
    wrong = [(n, what) for n in range(count) for what in [timing(n)] if what]
    equal(wrong, [], '%d timings of text in clear around STARTTLS: it is never read as if it had come over TLS' % count)
    check('injected' not in listener.text(), 'nor was anything of it heard')
    equal(queued.messages(), {}, 'nor is there a message')
    unharmed(before, 'text in clear')

# --- handshakes that end ---

def cut(version, n, how):
    """A handshake of which the client sends <n> bytes. How many it would send."""
    c = Client(version)
    c.put(b'STARTTLS\r\n')
    c.line()
    sent = [0]
    def send(flight):
        c.put(flight[:max(0, n - sent[0])])
        sent[0] += len(flight)
        if sent[0] > n and how == 'half': c.s.shutdown(socket.SHUT_WR)
        if sent[0] > n and how != 'half':
            if how == 'reset': c.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            c.close()
    c.shake(send)
    if how == 'half': c.rest()
    c.close()
    return sent[0]

def test_aborts():
    before = settled()
    step = 1 if LONG else 29
    def ends(): return re.findall(r'^pipit-smtpd: end .*', listener.text(), re.M)
    for version in (V.TLSv1_2, V.TLSv1_3):
        old = len(ends())
        whole, count = cut(version, 1 << 20, 'whole'), 0
        wait_for(lambda: len(ends()) > old)
        old = len(ends())
        for n in range(0, whole, step):
            for how in ('closed', 'reset', 'half') if LONG else (('closed', 'reset', 'half')[n // step % 3],):
                cut(version, n, how)
                count += 1
        wait_for(lambda: len(ends()) >= old + count, 30)
        settled()
        kinds = {re.sub(r'.* reason="?([^"]*)"?.*', r'\1', x) for x in ends()[old:]}
        check(len(ends()) == old + count and all('TLS handshake failed' in k or 'closed by client' in k for k in kinds), '%s: %d handshakes, cut off at %d places of %d: %s' % (
            version.name, count, len(range(0, whole, step)), whole, sorted(kinds)))
    unharmed(before, 'handshakes that end')

# --- messages of TLS's own ---

def test_flood():
    """KeyUpdates, by openssl s_client: for each packet on its standard input that is a k one goes out."""
    before, out = settled(), os.path.join(SCRATCH, 's_client')
    keys, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keys.settimeout(20)
    with open(out, 'w') as f:
        p = subprocess.Popen(['openssl', 's_client', '-starttls', 'smtp', '-tls1_3', '-connect', '127.0.0.1:%d' % listener.port], stdin=b, stdout=f, stderr=subprocess.STDOUT)
    b.close()
    def say(data, times=1):
        try:
            for _ in range(times): keys.send(data)
        except OSError: pass # it has ended
    said = lambda: open(out, errors='replace').read()
    say(b'k', 500)
    say(b'NOOP\r\n')
    check(wait_for(lambda: '250 2.0.0 ok' in said(), 30) and said().count('KEYUPDATE') == 500, '500 KeyUpdates: the session goes on')
    check(tlsd.sessions(), 'with its process')
    say(b'k', 600)
    check(wait_for(lambda: not tlsd.sessions(), 10), '1100 of them: its process has gone')
    keys.close()
    p.wait(20)
    unharmed(before, 'KeyUpdates')

# --- many sessions ---

def visit(session_context):
    """A whole session over TLS; the certificate."""
    c = Secure(listener.port, session_context)
    if c.starttls()[:3] != '220': raise RuntimeError('STARTTLS is refused')
    cert = c.certificate()
    if c.cmd('NOOP')[:3] != '250' or c.quit() != '221': raise RuntimeError('the session was cut off')
    return cert

def test_growth():
    ours = any_server()
    for _ in range(40): visit(ours)
    before = settled()
    count = 10000 if LONG else 300
    for _ in range(count): visit(ours)
    unharmed(before, '%d sessions' % count)

def test_swap():
    """Certificates that change while sessions come all the time."""
    before = settled()
    seen, trouble, stop = [], [], threading.Event()
    def run():
        ours = any_server()
        while not stop.is_set():
            began = time.monotonic()
            try: seen.append((began, visit(ours)))
            except Exception as e: trouble.append(repr(e))
    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads: t.start()
    known, late = {der(CERT)}, []
    count = 100 if LONG else 6
    for n in range(count):
        certificate(CERT, 'host.example')
        new = der(CERT)
        known.add(new)
        for _ in range(2): tlsd.hup() # the first may see the end of a reading that had begun before
        told, sessions = time.monotonic(), len(seen)
        wait_for(lambda: len(seen) >= sessions + 20, 30)
        late += [x for began, x in seen[sessions:] if began > told and x != new]
    stop.set()
    for t in threads: t.join()
    equal(trouble, [], '%d certificates in turn, and %d sessions meanwhile: none fails' % (count, len(seen)))
    check({x for _, x in seen} <= known and not late, 'each has a certificate that was there, and after HUP the new one')
    unharmed(before, 'new certificates', 512)

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]): test()
for x in (listener, tlsd, queued): x.stop()
done()
