"""hostile-sizes.py - whatever is too large: lines, headers, lists, messages, replies

Each program gets far more than it may hold, with its limit of address space and without
one: it refuses cleanly or passes it through, and its memory stays small. In the long form
(make hostile) sizes pass 4 GiB, where a number of 32 bits would begin anew.

What has harmed mail programs, and the tests that hold pipit against it:
  sizes that overflow, memory that a stranger fills   hostile-sizes, with and without limits; inject, local, smtpd
  time that grows with the square; deep nesting       hostile-time, in a stack of 256 KiB; send-many
  a million recipients, bad commands, header lines    hostile-sizes, hostile-time; smtpd (limits)
  commands and options made of addresses              hostile-addresses (strace); sendmail, local (environment)
  what a server replies                               hostile-replies (the whole system), remote (each stage), t-smtpreply
  records and lines forged in envelopes and logs      hostile-session (parameters), hostile-replies; logs, queued, t-envelope
  another protocol on the port                        hostile-session (HTTP, TLS, others); smtpd (typed ahead)
  end-of-data smuggling                               smtpd (line ends), typed-ahead, byte-identity, t-data, t-output
  slow, many, vanishing clients                       hostile-session; smtpd (time-outs), smtpd-listen (full, shortage)
  a log that is dead or stopped                       hostile-session, t-logline
  signals at any moment                               hostile-session, hostile-loops (every process of the system)
  links, FIFOs, devices, races in a home              hostile-local (as root); local (policies, maildirs, mboxes)
  rights, descriptors, environment of children        hostile-addresses; lspawn, local, separated
  the sendmail command's dangerous options            sendmail (-X -C -D -O -be, no file is made), hostile-addresses
  closed descriptors, no arguments, odd limits        hostile-surroundings; inject, sendmail, queue
  control files and cdbs that are broken or cut off   hostile-controls; lspawn (users/cdb), t-control, t-usersdb, t-cdbmap
  loops, rings, bounces of bounces                    hostile-loops; bounces, local (loops), t-loop
"""
import itertools, os, re, shutil, socket, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from measure import *
from scripts import script
from smtpsession import Session
from sink import Close, Sink

BIG = 4617089843 if LONG else 8 << 20    # 4.3 GiB
HUGE = 5 << 30 if LONG else 16 << 20
SMALL = 8192       # KiB of memory that no program may need more of, whatever comes
CHUNK = 1 << 20
home = make_home()
control(home, 'rcpthosts', 'example.org')
if SANITIZED: skip('memory of a sanitizer build says nothing')

# In the place of the queue: tells how much it got, and keeps the envelope's size.
GOT = os.path.join(SCRATCH, 'got')
os.mkdir(GOT)
own(GOT)
QUEUE = script('queue', 'rm -f %s/*\nwc -c >%s/msg\nwc -c <&1 >%s/env\n' % (GOT, GOT, GOT))
def got(name): return int(open(os.path.join(GOT, name)).read() or 0) if os.path.exists(os.path.join(GOT, name)) else None

def pieces(pattern, size):
    """<pattern> again and again, in large pieces, <size> bytes or a little more."""
    piece = pattern * max(1, CHUNK // len(pattern))
    for at in range(0, size, len(piece)): yield piece

def push(sock, pattern, size):
    """Send, and throw away what comes meanwhile. The bytes sent, replies by code."""
    codes, rest = {}, b''
    def read():
        nonlocal rest
        while True:
            try: d = sock.recv(CHUNK)
            except OSError: return
            if not d: return
            *lines, rest = (rest + d).split(b'\r\n')
            for l in lines: codes[l[:3].decode()] = codes.get(l[:3].decode(), 0) + 1
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    sent = 0
    try:
        for p in pieces(pattern, size):
            sock.sendall(p)
            sent += len(p)
        sock.shutdown(socket.SHUT_WR)
    except OSError: pass
    reader.join(600)
    return sent, codes

class Smtpd(Session):
    def __init__(self, unlimited, env={}):
        self.use = Measure(unlimited)
        super().__init__(home, env, QUEUE, before=self.use)
        self.s.settimeout(600)

    def letter(self, *more):
        return [self.cmd(c)[:3] for c in ('EHLO x', 'MAIL FROM:<a@b.example>', 'RCPT TO:<x@example.org>', *more)]

def smtpd(unlimited, how):
    def check_end(s, why):
        code = s.end()
        equal(code, 0, why + how + ': the session ends as usual')
        small(s.use.rss, SMALL, why + how)
        return s
    s = Smtpd(unlimited)
    for p in pieces(b'x', BIG): s.send(p)
    s.send(b'\r\n')
    equal((s.reply(), s.cmd('NOOP')[:3]), ('500 5.5.2 line too long', '250'), 'smtpd, a command line of %d bytes' % BIG + how)
    check_end(s, 'smtpd, a command line')
    line = b'RCPT TO:<%s@example.org>\r\n' % (b'r' * 800)
    s = Smtpd(unlimited)
    s.letter()
    sent, codes = push(s.s, line, BIG)
    equal((codes.get('250'), codes.get('452')), (999, sent // len(line) - 999), 'smtpd, %d bytes of RCPTs: 1000 are taken, the rest is for later' % BIG + how)
    check_end(s, 'smtpd, RCPTs')
    equal(s.text.count('code=452'), 1, 'and one log line tells of them')
    s = Smtpd(unlimited)
    sent, codes = push(s.s, b'FOO\r\n', BIG)
    equal(codes, {'502': 20, '421': 1}, 'smtpd, bad commands: twenty are answered' + how)
    check_end(s, 'smtpd, bad commands')
    for name, begin, pattern, end in (('a header line', b'X: ', b'y', b'\r\n\r\nbody\r\n'), ('header lines', b'', b'X: y\r\n', b'\r\n'),
                                      ('a body line', b'\r\n', b'z', b'\r\n'), ('folded lines', b'X:\r\n', b' y\r\n', b'\r\n'),
                                      ('dots', b'\r\n', b'..\r\n', b'\r\n')):
        for databytes, code in (('0', '250'), ('1000000', '552')):
            s = Smtpd(unlimited, {'DATABYTES': databytes})
            s.letter('DATA')
            s.send(begin)
            sent = len(begin) + sum((s.send(p), len(p))[1] for p in pieces(pattern, HUGE))
            s.send(end + b'.\r\n')
            equal((s.reply()[:3], s.cmd('NOOP')[:3]), (code, '250'), 'smtpd, %s of %d bytes, databytes %s: %s' % (name, sent, databytes, code) + how)
            check_end(s, 'smtpd, ' + name)
            size = sent + len(end)
            if name == 'dots': size -= sent // 4
            if code == '250': check(' bytes=%d ' % size in s.text, 'smtpd, %s: the log has its size' % name + how)
    s = Smtpd(unlimited, {'DATABYTES': '1000000'})
    equal(s.cmd('MAIL FROM:<a@b> SIZE=%d' % (1 << 64)), '552 5.3.4 sorry, that message size exceeds my databytes limit', 'smtpd, SIZE of 2^64' + how)
    check_end(s, 'smtpd, SIZE')
    s = Smtpd(unlimited, {'DATABYTES': '1000000'})
    s.cmd('EHLO x'); s.cmd('MAIL FROM:<a@b> SIZE=10'); s.cmd('RCPT TO:<x@example.org>'); s.cmd('DATA')
    for p in pieces(b'x' * 998 + b'\r\n', HUGE): s.send(p)
    s.send(b'.\r\n')
    equal(s.reply()[:3], '552', 'smtpd, SIZE that lies' + how)
    check_end(s, 'smtpd, SIZE that lies')

def run(unlimited, argv, begin, pattern, size, end=b'', env={}, account=False):
    """Feed a program; (exit status, the last of what it said, Measure)."""
    use = Measure(unlimited)
    start = as_account if account else subprocess.Popen
    p = start([*use, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
              env=dict(os.environ, PIPIT_HOME=home, QMAILQUEUE=QUEUE, USER='joe', **env))
    try:
        for piece in itertools.chain([begin], pieces(pattern, size), [end]): p.stdin.write(piece)
    except BrokenPipeError: pass
    try: p.stdin.close()
    except BrokenPipeError: pass
    out = p.stdout.read().decode(errors='replace')
    return p.wait(600), out, use

def whole(pattern, size):
    """The bytes that pieces() gives."""
    n = len(pattern * max(1, CHUNK // len(pattern)))
    return -(-size // n) * n

def inject(unlimited, how):
    for program, args in (('pipit-inject', ['a@example.org']), ('pipit-sendmail', ['-oi', 'a@example.org']), ('pipit-sendmail', ['-t'])):
        name = ' '.join([program, *args])
        argv = [os.path.join(BIN, program), *args]
        for what, begin, pattern in (('a header line', b'X: ', b'y'), ('header lines', b'', b'X: y\n'), ('folded lines', b'X:\n', b' y\n'),
                                     ('a field without colon', b'', b'x' * 999 + b':\n')):
            code, out, use = run(unlimited, argv, begin, pattern, BIG)
            equal((code, out.count('\n')), (100, 1), '%s, %s of %d bytes: 100 and one line' % (name, what, BIG) + how)
            small(use.rss, SMALL, '%s, %s' % (name, what) + how)
        for what, begin, pattern in (('a body line', b'To: a@example.org\n\n', b'z'), ('body lines', b'To: a@example.org\n\n', b'z\r\n'),
                                     ('no header at all', b'To: a@example.org\n' + b'x' * 1001, b'x')):
            code, out, use = run(unlimited, argv, begin, pattern, HUGE)
            size = whole(pattern, HUGE)
            equal(code, 0, '%s, %s of %d bytes: queued' % (name, what, HUGE) + how)
            check((got('msg') or 0) >= (size if pattern != b'z\r\n' else size * 2 // 3), 'all of it' + how)
            small(use.rss, SMALL, '%s, %s' % (name, what) + how)
    rcpts = ['r%d@a.org' % i for i in range(50000)]
    argv = [os.path.join(BIN, 'pipit-sendmail'), '-i', *rcpts]
    code, out, use = run(unlimited, argv, b'\nx\n', b'y', 1)
    equal((code, got('env')), (0, len('Fjoe@host.example') + 2 + sum(len(r) + 2 for r in rcpts)), '50,000 recipients as arguments' + how)
    small(use.rss, 4 * SMALL, '50,000 recipients as arguments, which are in memory already' + how)

def queue(unlimited, how):
    def pq(pattern, size, envelope):
        r, w = os.pipe()
        use = Measure(unlimited)
        p = subprocess.Popen([*use, os.path.join(BIN, 'pipit-queue')], stdin=subprocess.PIPE, stdout=r, env=dict(os.environ, PIPIT_HOME=home))
        os.close(r)
        try:
            for piece in pieces(pattern, size): p.stdin.write(piece)
            p.stdin.close()
        except BrokenPipeError: pass
        try:
            with open(w, 'wb') as f: f.writelines(envelope)
        except BrokenPipeError: pass
        return p.wait(600), use
    r, w = os.pipe()
    use = Measure(unlimited)
    log = open(os.path.join(SCRATCH, 'queued.log'), 'ab')
    d = as_account([*use, os.path.join(BIN, 'pipit-queued'), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL, stderr=log,
                   env=dict(os.environ, PIPIT_HOME=home))
    os.close(w)
    check(os.read(r, 1) == b'\n', 'queued runs' + how)
    os.close(r)
    daemon = children(d.pid)[0]
    code, u = pq(b'x', HUGE, [b'Fa@b\0Tc@d\0\0'])
    equal(code, 0, 'pipit-queue, a message of %d bytes: queued' % HUGE + how)
    small(u.rss, SMALL, 'pipit-queue, a message' + how)
    for n, _, files in os.walk(os.path.join(home, 'queue/mess')):
        for f in files: os.unlink(os.path.join(n, f))
    code, u = pq(b'x', 10, itertools.chain([b'Fa@b\0'], pieces(b'T' + b'r' * 1001 + b'\0', BIG), [b'\0']))
    equal(code, 51 if LONG else 0, 'pipit-queue, an envelope of %d bytes: %s' % (BIG, '51' if LONG else 'queued') + how)
    small(u.rss, 4 * 1024 + min(BIG, 134217728) // 1024, 'pipit-queue, which has the envelope in memory' + how)
    code, u = pq(b'x', 10, itertools.chain([b'Fa@b\0T'], pieces(b'r', BIG)))
    equal(code, 11, 'pipit-queue, an address of %d bytes: 11' % BIG + how)
    small(u.rss, SMALL, 'pipit-queue, an address' + how)
    for pid in children(daemon): small(peak(pid), SMALL, 'a process of queued' + how)
    os.kill(daemon, 15)
    equal(d.wait(30), 0, 'queued ends' + how)
    small(use.rss, SMALL, 'queued' + how)

def local(unlimited, how):
    user = os.path.join(SCRATCH, 'user')
    def deliver(qmail, begin, pattern, size, end=b''):
        shutil.rmtree(user, ignore_errors=True)
        for d in ('', 'Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur'):
            os.mkdir(os.path.join(user, d))
            own(os.path.join(user, d))
        os.chmod(user, 0o755)
        with open(os.path.join(user, '.qmail'), 'w') as f: f.write(qmail)
        argv = [os.path.join(BIN, 'pipit-local'), '-l', str(len(begin) + whole(pattern, size) + len(end)), '--', 'joe', user, 'joe', '', '',
                'host.example', 'me@there.example', './Maildir/']
        return run(unlimited, argv, begin, pattern, size, end, account=True)
    for what, begin, pattern in (('a header line', b'X: ', b'y'), ('header lines', b'', b'X: y\n'), ('body lines', b'\n', b'From x\n')):
        for kind, qmail in (('Maildir', './Maildir/\n'), ('mbox', './box\n'), ('program', '|cat >/dev/null\n'), ('forward', '&a@example.org\n')):
            if LONG and kind != 'Maildir' and what != 'header lines': continue
            code, out, use = deliver(qmail, begin, pattern, HUGE)
            equal((code, re.fullmatch(r'did \d\+\d\+\d\n(qp \d+\n)?', out) is not None), (0, True),
                  'local, %s of %d bytes to a %s' % (what, HUGE, kind) + how)
            small(use.rss, SMALL, 'local, %s to a %s' % (what, kind) + how)
    n = 200000 if LONG else 100000
    code, out, use = deliver(''.join('&r%d@example.org\n' % i for i in range(n)), b'', b'\nx\n', 100)
    equal((code, (got('env') or 0) > 10 * n), (0, True), 'local, %d forwards' % n + how)
    small(use.rss, 6 * SMALL, 'local, %d forwards' % n + how)
    shutil.rmtree(user)

def remote(unlimited, how):
    def deliver(message=(b'x\n', 10), **script):
        with Sink(**script) as s:
            control(home, 'smtproutes', ':[127.0.0.1]:%d' % s.port)
            return run(unlimited, [os.path.join(BIN, 'pipit-remote'), 'b.example', 's@a.example', 'r@b.example'], b'', *message, account=True)
    def flood(begin, pattern):
        def f(session, line):
            try:
                session.conn.sendall(begin)
                for p in pieces(pattern, BIG): session.conn.sendall(p)
                session.conn.sendall(b'\r\n')
            except OSError: pass
            return Close()
        return f
    for stage in ('greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot'):
        for what, reply in (('a line', flood(b'250 ', b'x')), ('lines', flood(b'', b'250-more\r\n')), ('a code', flood(b'', b'2'))):
            code, out, use = deliver(**{stage: reply})
            equal((code, out.replace('r\0', '')[:1]), (0, 'Z'), 'remote, %s of %d bytes as reply to %s: not now' % (what, BIG, stage) + how)
            small(use.rss, SMALL, 'remote, %s at %s' % (what, stage) + how)
    def swallow(session, line):
        session.put('354 go on')
        end, tail = b'\r\n.\r\n', b''
        while not tail.endswith(end): tail = (tail + session.conn.recv(CHUNK))[-5:]
        session.put('250 taken')
        return Close()
    for what, pattern in (('a line', b'x'), ('lines of a dot', b'.\n'), ('CRs', b'\r')):
        code, out, use = deliver((pattern, HUGE), data=swallow)
        equal((code, out[:3]), (0, 'r\0K'), 'remote, a message of %d bytes: %s' % (HUGE, what) + how)
        small(use.rss, SMALL, 'remote, a message: ' + what + how)

for test in (smtpd, inject, queue, local, remote):
    if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]: continue
    for unlimited, how in ((False, ''), (True, ' (no limit of memory)')):
        if SANITIZED and unlimited: continue
        began = time.monotonic()
        test(unlimited, how)
        print('  %s took %.1f s' % (test.__name__, time.monotonic() - began), flush=True)
done()
