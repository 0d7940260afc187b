"""hostile-session.py - clients of pipit-smtpd that speak another protocol, forge parameters, are slow, or many

And the server's own log, dead or stopped; and signals in crowds.
"""
import fcntl, os, random, re, select, shutil, signal, socket, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from measure import *
from smtpsession import Session

CROWD = 1000 if LONG else 60    # slow clients
SIGNALS = 100000 if LONG else 5000
home = make_home()
OUT = os.path.join(SCRATCH, 'out')
os.mkdir(OUT)
own(OUT)
QUEUE = os.path.join(SCRATCH, 'queue')
with open(QUEUE, 'w') as f: f.write('#!/bin/sh\nf=$(mktemp %s/XXXXXXXX)\ncat >$f.msg\ncat <&1 >$f.env\n' % OUT)
os.chmod(QUEUE, 0o755)

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    for name, text in dict(me='host.example', rcpthosts='example.org', **kw).items(): control(home, name, text)

def envelopes():
    found = []
    for f in os.listdir(OUT):
        if f.endswith('.env'): found.append(open(os.path.join(OUT, f), 'rb').read())
        os.unlink(os.path.join(OUT, f))
    return [e for e in found if e.endswith(b'\0\0')] # one that is cut off is a message given up

# --- another protocol

def hello(version, record):
    body = b'\x03' + bytes([version]) + os.urandom(32) + b'\x00\x00\x02\x13\x01\x01\x00'
    return b'\x16' + record + (len(body) + 4).to_bytes(2, 'big') + b'\x01\x00' + len(body).to_bytes(2, 'big') + body

MAIL_INSIDE = b'EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n'
FIRST = {'GET': b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'POST': b'POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n', 'CONNECT': b'CONNECT example.org:25 HTTP/1.1\r\n\r\n',
         'get': b'get / HTTP/1.0\r\n\r\n', 'PUT': b'PUT / HTTP/1.1\r\n\r\n', 'HEAD': b'HEAD / HTTP/1.1\r\n\r\n', 'OPTIONS': b'OPTIONS * HTTP/1.1\r\n\r\n',
         'HTTP/2': b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'TLS 1.0': hello(1, b'\x03\x01'), 'TLS 1.2': hello(3, b'\x03\x03'), 'TLS of the future': hello(9, b'\x03\x09'),
         'TLS, cut': b'\x16', 'TLS with a line end in it': b'\x16\x03\x01\x00\r\n' + b'\r\n' * 5}

def protocols():
    settings()
    for name, first in FIRST.items():
        s = Session(home, {}, QUEUE)
        s.send(first + MAIL_INSIDE)
        replies = []
        while True:
            replies.append(s.reply())
            if not replies[-1]: break
        s.end()
        check(len(replies) == 2 and replies[0][:3] in ('421', '554') and not envelopes(), '%s as first line: one refusal, then the end' % name) or print(replies)
        equal(s.text.count('\n'), 1, 'and one log line')
    for name in ('GET', 'POST', 'CONNECT', 'TLS 1.2'):
        s = Session(home, {}, QUEUE)
        s.cmd('EHLO x')
        s.send(FIRST[name] + MAIL_INSIDE)
        check(s.reply()[:3] in ('421', '554') and s.closed() and not envelopes(), '%s later in a session: the end, too' % name)
        s.end()
    for name, first in (('SSH', b'SSH-2.0-OpenSSH_9.2p1\r\n'), ('SIP', b'INVITE sip:x SIP/2.0\r\n'), ('NULs', b'\0' * 1000 + b'\r\n'), ('SSL 2', b'\x80\x2e\x01\x00\x02\x00\x15' + b'\0' * 39 + b'\r\n'),
                        ('8-bit', b'\xff' * 100 + b'\r\n'), ('a proxy', b'PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n'), ('Redis', b'*1\r\n$4\r\nPING\r\n')):
        s = Session(home, {}, QUEUE)
        s.send(first)
        check(s.reply()[:1] == '5', '%s as first line: refused' % name)
        s.send(b'\r\n' * 20)
        while s.reply(): pass
        check(s.end() == 0 and 'too many errors' in s.text and not envelopes(), 'and ended after too many errors')

# --- parameters

VALUES = [b'+0D+0ARCPT TO:<y@example.org>', b'+0D+0ADATA', b'+00', b'a+0Ab', b'+0', b'+', b'%0D%0A', b'<>', b'=', b'==', b'\\', b'"', b'""', b'a"b', b'\xff\xfe', b'a\0b', b'a\x01b',
          b'rfc822;x+40y.example+0D+0AX-Evil: 1', b'18446744073709551616', b'-1', b'0x10', b'1e9', b'9' * 1000, b'x' * 3000, b'+2B' * 500, b'']
def parameters():
    settings(maxerrors='0')
    good = {'SIZE': [b'18446744073709551616', b'9' * 1000]} # as large as it may be: no limit is set
    for verb, base, names in (('MAIL', b'MAIL FROM:<a@b.example>', 'AUTH ENVID RET NOTIFY ORCPT BODY SIZE MT-PRIORITY SMTPUTF8 HOLDFOR REQUIRETLS X'),
                              ('RCPT', b'RCPT TO:<x@example.org>', 'AUTH ENVID RET NOTIFY ORCPT BODY SIZE MT-PRIORITY RRVS X')):
        for name in names.split():
            s = Session(home, {}, QUEUE)
            s.cmd('EHLO x')
            wrong = []
            for value in VALUES:
                if verb == 'RCPT': s.cmd('MAIL FROM:<a@b.example>')
                s.send(base + b' ' + name.encode() + b'=' + value + b'\r\n')
                r = s.reply()
                fine = r[:3] == '250' if verb == 'MAIL' and value in good.get(name, []) else r[:3] in ('500', '501', '555')
                if not fine or s.cmd('RSET')[:3] != '250': wrong.append((value, r))
            for c in ('MAIL FROM:<>', 'RCPT TO:<x@example.org>', 'DATA'): s.cmd(c)
            if s.cmd('.')[:3] != '250': wrong.append('the session is out of step')
            s.end()
            equal(wrong[:3], [], '%s with %s= and %d odd values: refused, and the session goes on' % (verb, name, len(VALUES)))
            equal(envelopes(), [b'F\0Tx@example.org\0\0'], 'and no envelope has anything of it')
            check(not re.search(r'[^\n\x20-\x7e]', s.text), 'nor a log line a byte that is not printable')

# --- a listener

class Listener:
    def __init__(self, stderr=None, **kw):
        settings(**kw)
        self.port = free_port()
        r, w = os.pipe()
        self.log = new_log()
        self.p = as_account([os.path.join(BIN, 'pipit-smtpd'), '-l', '-a', '127.0.0.1', '-p', str(self.port), '-d', str(w)], stdin=subprocess.DEVNULL,
                            stderr=self.log if stderr is None else stderr, pass_fds=[w], env=dict(os.environ, PIPIT_HOME=home, QMAILQUEUE=QUEUE))
        os.close(w)
        os.read(r, 1)
        os.close(r)

    def connect(self, ip='127.0.0.1', timeout=30):
        s = socket.create_connection(('127.0.0.1', self.port), timeout, (ip, 0))
        s.settimeout(timeout)
        return s

    def honest(self, ip='127.0.0.1', timeout=30):
        """The reply to a whole message; '' when there is none in time."""
        try:
            with self.connect(ip, timeout) as s:
                f = s.makefile('rwb')
                reply = f.readline()
                for line in (b'HELO x', b'MAIL FROM:<a@b.example>', b'RCPT TO:<x@example.org>', b'DATA', b'Subject: x\r\n\r\nx\r\n.'):
                    if reply[:1] not in b'23': break
                    f.write(line + b'\r\n')
                    f.flush()
                    reply = f.readline()
                return reply.decode().strip()
        except (OSError, ValueError): return ''

    def text(self): return open(self.log.name).read()

    def stop(self):
        self.p.terminate()
        try: return self.p.wait(90)
        finally: self.log.close()

def slow():
    """Many who send a byte now and then, before anything and inside a message."""
    resource_limit()
    l = Listener(concurrencysmtpd=str(CROWD), concurrencysmtpdclient=str(CROWD), timeoutsession='4', timeoutsmtpd='1200')
    crowd, ended = [], 0
    for n in range(CROWD - 5):
        s = l.connect('127.0.0.%d' % (2 + n % 200))
        if n % 2:
            s.recv(4096)
            s.sendall(b'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n')
        crowd.append(s)
    began = time.monotonic()
    equal(l.honest()[:3], '250', 'with %d slow clients an honest one is served' % len(crowd))
    alive, served = list(crowd), 0
    while alive and time.monotonic() - began < 60:
        for s in list(alive):
            try:
                s.send(b'x')
                if select.select([s], [], [], 0)[0] and not s.recv(4096): raise OSError
            except OSError:
                s.close()
                alive.remove(s)
        if l.honest()[:3] == '250': served += 1
        time.sleep(0.2)
    check(not alive, 'a byte now and then does not keep a session: all are ended by themselves')
    check(served > 3, 'honest clients are served all the time: %d were' % served)
    logged = lambda: l.text().count('reason="session timeout"')
    wait_for(lambda: logged() >= len(crowd))
    equal(logged(), len(crowd), 'each is logged once')
    check(wait_for(lambda: len(children(l.p.pid)) == 0), 'and no process of theirs stays')
    small(peak(l.p.pid), SMALL_LISTENER, 'the listener after %d sessions' % len(crowd))
    envelopes()
    # As many as there may be: who comes then is told to come again, and is served when they have gone.
    crowd = []
    for n in range(CROWD + 5):
        s = l.connect('127.0.0.%d' % (2 + n % 200))
        crowd.append(s)
    equal(l.honest()[:3], '421', 'a full house: told at once')
    check(wait_for(lambda: l.honest()[:3] == '250', 60, 0.3), 'and served as soon as the slow ones are ended')
    for s in crowd: s.close()
    equal(l.stop(), 0, 'the listener ends as usual')
SMALL_LISTENER = 8192 # KiB

def resource_limit():
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CROWD + 200), hard))

def connections():
    """Connect and close, thousands of times: nothing stays."""
    l = Listener(concurrencysmtpd='50', concurrencysmtpdclient='50')
    equal(l.honest()[:3], '250', 'a listener')
    before = len(os.listdir('/proc/%d/fd' % l.p.pid))
    for n in range(20000 if LONG else 1000):
        s = l.connect()
        if n % 3 == 1: s.recv(1)
        if n % 3 == 2: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0') # a reset
        s.close()
    check(wait_for(lambda: not children(l.p.pid)), 'clients that connect and close leave no process')
    check(wait_for(lambda: len(os.listdir('/proc/%d/fd' % l.p.pid)) <= before, 5), 'and no descriptor')
    equal(l.honest()[:3], '250', 'and mail goes on')
    small(peak(l.p.pid), SMALL_LISTENER, 'the listener after them')
    l.stop()

# --- the log

def log_dead():
    """Nobody reads the log any more: mail goes on, and no signal kills anybody."""
    r, w = os.pipe()
    l = Listener(stderr=w)
    os.close(w)
    os.close(r)
    equal([l.honest()[:3] for _ in range(5)], ['250'] * 5, 'with a log that nobody reads mail goes on')
    with l.connect() as s:
        f = s.makefile('rwb')
        f.readline()
        for line in (b'HELO x', b'MAIL FROM:<a@b>', b'RCPT TO:<x@far.example>'):
            f.write(line + b'\r\n'); f.flush()
            reply = f.readline()
        f.close()
        equal(reply[:3], b'553', 'and refusals, which are logged, are given')
    equal(len(envelopes()), 5, 'all of it is queued')
    equal(l.stop(), 0, 'and the listener ends as usual')

def log_stopped():
    """The log's reader has stopped, and its pipe is full: sessions wait a little, and go on without it."""
    r, w = os.pipe()
    fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
    l = Listener(stderr=w)
    os.set_blocking(w, False)
    try:
        while True: os.write(w, b'x' * 100)
    except BlockingIOError: pass
    os.set_blocking(w, True)
    os.close(w)
    began = time.monotonic()
    equal([l.honest(timeout=60)[:3] for _ in range(2)], ['250'] * 2, 'with a log that is full and not read mail goes on')
    check(time.monotonic() - began < 50, 'soon')
    equal(len(envelopes()), 2, 'all of it is queued')
    with l.connect(timeout=60) as s:
        f = s.makefile('rwb')
        f.readline()
        def cmd(line):
            f.write(line + b'\r\n'); f.flush()
            return f.readline()[:3]
        for line in (b'HELO x', b'MAIL FROM:<a@b>', b'RCPT TO:<x@far.example>'): cmd(line)
        os.set_blocking(r, False)
        def drain():
            data = b''
            try:
                while True:
                    piece = os.read(r, 65536)
                    if not piece: return data
                    data += piece
            except BlockingIOError: return data
        drain()
        cmd(b'RCPT TO:<y@far.example>')
        text = wait_for(drain).decode()
        f.close()
    check(re.search(r'^pipit-smtpd: warning: \d+ log lines were lost$', text, re.M) and 'rcpt=<y@far.example>' in text, 'when it is read again, it tells how many lines were lost') or print(text)
    equal(l.stop(), 0, 'and the listener ends as usual')
    os.close(r)

# --- signals

def signals():
    """Signals in crowds, at any moment, to the listener and its sessions, while mail comes in."""
    l = Listener(concurrencysmtpd='50', concurrencysmtpdclient='50')
    ok, lost, stop = [0], [], []
    def work():
        while not stop:
            r = l.honest()
            if r[:3] == '250': ok[0] += 1
            elif r[:3] not in ('421', ''): lost.append(r)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads: t.start()
    for n in range(SIGNALS):
        sig = random.choice((signal.SIGHUP, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE))
        os.kill(l.p.pid, sig)
        if n % 50: continue
        time.sleep(0.01)
        # TERM asks a session to end between messages.
        for pid in children(l.p.pid, 1):
            try: os.kill(pid, random.choice((signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)))
            except ProcessLookupError: pass
    stop.append(1)
    for t in threads: t.join()
    check(l.p.poll() is None, 'after %d signals the listener is there' % SIGNALS)
    check(ok[0] > 5 and not lost, 'mail went in meanwhile: %d messages' % ok[0]) or print(lost)
    queued = len(envelopes())
    check(queued >= ok[0], 'what was acknowledged is queued: %d of %d' % (queued, ok[0]))
    equal([x for x in l.text().splitlines() if 'crashed' in x], [], 'no session crashed')
    equal(l.honest()[:3], '250', 'and mail goes on')
    equal(l.stop(), 0, 'TERM ends it as usual')

for test in (protocols, parameters, slow, connections, log_dead, log_stopped, signals):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        began = time.monotonic()
        envelopes()
        test()
        print('  %s took %.1f s' % (test.__name__, time.monotonic() - began), flush=True)
done()
