"""hostile-time.py - four times as much input takes at most a small multiple of four times the time

What strangers send, in the shapes that make careless parsers quadratic: nested comments, angle
brackets and groups, quotes that do not end, lists without commas, lines of nothing but line ends,
dashes, dots and '>'. Processor time counts, not the clock; what is quadratic takes sixteen times
as long. And nothing recurses: a stack of 256 KiB is enough for all of it.
"""
import os, resource, shutil, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from measure import *
from sender import Mail, Send
from sink import Sink
from smtpsession import Session

STACK = 262144 # bytes; a quarter of it may be arguments
home = make_home()
control(home, 'rcpthosts', 'example.org')
control(home, 'maxrcpt', '100000')
control(home, 'maxerrors', '0')
QUEUE = os.path.join(SCRATCH, 'queue')
with open(QUEUE, 'w') as f: f.write('#!/bin/sh\ncat >/dev/null\ncat <&1 >/dev/null\n')
os.chmod(QUEUE, 0o755)

def little_stack():
    if not SANITIZED: resource.setrlimit(resource.RLIMIT_STACK, (STACK, STACK))

def smtpd(lines, data=None):
    """The time of a session that gets these lines (or this text of a message) at once."""
    use = Measure()
    s = Session(home, {}, QUEUE, before=use)
    for c in ('EHLO x', 'MAIL FROM:<a@b.example>', 'RCPT TO:<x@example.org>'): s.cmd(c)
    if data is not None:
        s.cmd('DATA')
        s.send(data)
        s.send(b'\r\n.\r\n')
        if s.reply()[:1] not in ('2', '5'): check(False, 'smtpd has an answer')
    else:
        for at in range(0, len(lines), 100):
            group = lines[at:at + 100]
            s.send(b''.join(group))
            for _ in group: s.reply()
    s.end()
    return use.cpu

def smtpd_cases():
    linear(lambda n: smtpd([b'NOOP\r\n'] * n), 10000, 'smtpd, commands')
    linear(lambda n: smtpd([b'FOO\r\n'] * n), 10000, 'smtpd, bad commands')
    linear(lambda n: smtpd([b'RCPT TO:<r%d@example.org>\r\n' % i for i in range(n)]), 10000, 'smtpd, recipients')
    for name, pattern in (('dots', b'..\r\n'), ('empty lines', b'\r\n'), ('bare LF', b'\n'), ('bare CR', b'\r'), ('CR and text', b'ab\r'),
                          ('LF and text', b'ab\n'), ('NUL', b'\0'), ('NUL and text', b'ab\0'), ('CR LF the wrong way', b'\n\r'), ('LF dot LF', b'\n.\n'),
                          ('header lines', b'a: b\r\n'), ('Received fields', b'Received: x\r\n'), ('folded lines', b' x\r\n')):
        linear(lambda n: smtpd(None, b'X: y\r\n' + pattern * (n // len(pattern))), 1 << 20, 'smtpd, a message of ' + name)

def program(argv, message=b'', codes=(0,), **kw):
    use = Measure()
    start = as_account if kw.pop('account', False) else subprocess.Popen
    p = start([*use, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
              preexec_fn=little_stack if sum(map(len, argv)) < STACK // 8 else None,
              env=dict(os.environ, PIPIT_HOME=home, QMAILQUEUE=QUEUE, USER='joe'), **kw)
    out = p.communicate(message, 300)[0]
    if p.returncode not in codes: check(False, '%s: exit %d: %s' % (os.path.basename(argv[0]), p.returncode, out[:100]))
    return use.cpu

LISTS = { # address lists of about n bytes
    'nested comments': lambda n: b'(' * (n // 2) + b')' * (n // 2) + b' a',
    'comments that do not end': lambda n: b'(' * n,
    'comments in a row': lambda n: b'()' * (n // 2) + b'a',
    'comments before each word': lambda n: b'(x)a' * (n // 4),
    'angle brackets': lambda n: b'<' * n, 'nested angle brackets': lambda n: b'<' * (n // 2) + b'>' * (n // 2),
    'groups': lambda n: b'a:b;' * (n // 4), 'groups in groups': lambda n: b'a:' * (n // 2), 'semicolons': lambda n: b';' * n,
    'commas': lambda n: b',' * n + b'a', 'dots': lambda n: b'a' + b'.' * n, 'at signs': lambda n: b'a' + b'@' * n,
    'words without commas': lambda n: b'a ' * min(n // 2, 99999), 'words and a bracket at the end': lambda n: b'a ' * min(n // 2, 99999) + b'<b>',
    'a source route': lambda n: b'<' + b'@a,' * (n // 3) + b'@a:x@y>', 'source routes': lambda n: b'@a:' * (n // 3) + b'x',
    'a route that does not end': lambda n: b'@a,' * (n // 3), 'quotes': lambda n: b'"' * n, 'quoted pairs': lambda n: b'"' + b'\\"' * (n // 2) + b'"',
    'backslashes': lambda n: b'\\' * n, 'literals': lambda n: b'[' * n, 'a quote that does not end': lambda n: b'"' + b'a' * n,
    'folding': lambda n: b'a' + b'\n ' * (n // 2), 'words and colons': lambda n: b'a b c:' * (n // 6),
    'addresses without commas': lambda n: b'<a>' * min(n // 3, 99999),
}

def inject_cases():
    argv = [os.path.join(BIN, 'pipit-inject'), 'a@example.org']
    for name, make in LISTS.items():
        linear(lambda n: program(argv, b'To: ' + make(n) + b'\n\n', (0, 100)), 250000, 'inject, ' + name)
    for name, pattern in (('To fields', b'To: a\n'), ('empty fields', b'X:\n'), ('From fields', b'From: a@b\n'), ('Bcc fields', b'Bcc:\n'),
                          ('Resent fields', b'Resent-To: a, b\n'), ('Return-Path fields', b'Return-Path: <>\n'), ('colons', b':\n')):
        linear(lambda n: program(argv, pattern * (n // len(pattern)) + b'\n', (0, 100)), 400000, 'inject, ' + name)
    linear(lambda n: program(argv, b'\n' + b'a\r' * (n // 2)), 2 << 20, 'inject, a body of CRs')
    linear(lambda n: program(argv, b'\n' + b'\r' * n), 2 << 20, 'inject, a body of nothing but CRs')
    argv = [os.path.join(BIN, 'pipit-sendmail'), '-i']
    for name, make in LISTS.items():
        arg = lambda n: make(n).replace(b'\n', b' ')
        linear(lambda n: program(argv + [arg(n)] * 4, b'\n', (0, 100)), 30000, 'sendmail, an argument of ' + name)

def local_cases():
    user = os.path.join(SCRATCH, 'user')
    def deliver(qmail, message=b'\nx\n', ext='', name='.qmail', codes=(0,)):
        shutil.rmtree(user, ignore_errors=True)
        os.mkdir(user)
        own(user)
        os.chmod(user, 0o755)
        with open(os.path.join(user, name), 'w') as f: f.write(qmail)
        return program([os.path.join(BIN, 'pipit-local'), '-l', str(len(message)), '--', 'joe', user, 'joe-' + ext, '-' * bool(ext), ext, 'host.example',
                        'me@there.example', './Maildir/'], message, codes, account=True)
    linear(lambda n: deliver('&r@example.org\n' * n), 20000, 'local, forwards')
    linear(lambda n: deliver('#\n' + '\n' * n), 500000, 'local, empty lines in a dot-qmail file')
    linear(lambda n: deliver('+list\n' * n), 150000, 'local, +list lines')
    for name, pattern in (('From lines', b'From x\n'), ('quotes', b'>'), ('From, quoted', b'>From '), ('half a From', b'Fro\n'), ('header lines', b'a: b\n'),
                          ('line ends', b'\n'), ('Delivered-To lines', b'Delivered-To: x\n')):
        linear(lambda n: deliver('./box\n', pattern * (n // len(pattern))), 1 << 20, 'local, a message of %s to an mbox' % name)
    linear(lambda n: deliver('# \n', ext='-' * n, name='.qmail-default', codes=(0, 100)), 250, 'local, dashes in an address')

def remote_cases():
    with Sink() as s:
        control(home, 'smtproutes', ':[127.0.0.1]:%d' % s.port)
        argv = [os.path.join(BIN, 'pipit-remote'), 'b.example', 's@a.example']
        linear(lambda n: program(argv + ['r%d@b.example' % i for i in range(n)], b'x\n', account=True), 250, 'remote, recipients')
        linear(lambda n: program(argv + ['"\\ ' * (n // 3) + '@b.example'], b'x\n', account=True), 30000, 'remote, an address that needs quoting')
    def eat(session, line):
        session.put('354 go on')
        tail = b''
        while not tail.endswith(b'\r\n.\r\n'): tail = (tail + session.conn.recv(1 << 20))[-5:]
        return '250 taken'
    with Sink(data=eat) as s:
        control(home, 'smtproutes', ':[127.0.0.1]:%d' % s.port)
        for name, pattern in (('CR', b'\r'), ('CR and text', b'ab\r'), ('LF and dots', b'.\n'), ('LF CR', b'\n\r'), ('dots', b'.'), ('CR dot', b'\r.')):
            linear(lambda n: program(argv + ['r@b.example'], pattern * (n // len(pattern)), account=True), 1 << 20, 'remote, a message of ' + name)

def queue_cases():
    r, w = os.pipe()
    use = Measure()
    d = as_account([*use, os.path.join(BIN, 'pipit-queued'), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env=dict(os.environ, PIPIT_HOME=home))
    os.close(w)
    os.read(r, 1)
    os.close(r)
    def put(envelope):
        use = Measure()
        r, w = os.pipe()
        p = subprocess.Popen([*use, os.path.join(BIN, 'pipit-queue')], stdin=subprocess.DEVNULL, stdout=r, env=dict(os.environ, PIPIT_HOME=home), preexec_fn=little_stack)
        os.close(r)
        with open(w, 'wb') as f: f.write(envelope)
        if p.wait(300): check(False, 'pipit-queue: exit %d' % p.returncode)
        return use.cpu
    linear(lambda n: put(b'F\0' + b'T\0' * n + b'\0'), 1 << 20, 'queue, empty recipients')
    linear(lambda n: put(b'F\0' + b'Tr@example.org\0' * n + b'\0'), 1 << 18, 'queue, recipients')
    linear(lambda n: put(b'F\0' + b'XA=b\0' * n + b'T\0\0'), 1 << 18, 'queue, extra records')
    os.kill(children(d.pid)[0], 15)
    d.wait(30)

def send_cases():
    """A message to many that cannot be delivered: results, state, and a bounce with all of them."""
    def cost(n, letter):
        shutil.rmtree(os.path.join(SCRATCH, 'home.send'), ignore_errors=True)
        where = make_home(os.path.join(SCRATCH, 'home.send'))
        control(where, 'locals', 'host.example')
        control(where, 'concurrencylocal', '200')
        m = Mail(where, 'me@host.example', ['r%d@host.example' % i for i in range(n)])
        s = Send(where, local=lambda j: j.all(letter, 'no such user here (#5.1.1)\n'), remote=lambda j: j.all('K'))
        pids = [s.pid, *s.children()]
        # The bounce has nowhere to go here: its making is tried, which is what is measured.
        done = (lambda: 'trouble injecting' in s.log()) if letter == 'D' else (lambda: not m.in_mess())
        if not check(wait_for(done, 120, 0.1), 'send, %d recipients: %s' % (n, letter)): print(s.log()[-2000:])
        used = sum(sum(map(int, open('/proc/%d/stat' % p).read().rsplit(')', 1)[1].split()[11:13])) for p in pids) / os.sysconf('SC_CLK_TCK')
        s.stop()
        return used
    linear(lambda n: cost(n, 'D'), 2000, 'send, recipients that fail')
    linear(lambda n: cost(n, 'K'), 2000, 'send, recipients that are served')

for test in (smtpd_cases, inject_cases, local_cases, remote_cases, queue_cases, send_cases):
    if len(sys.argv) < 2 or test.__name__[:-6] in sys.argv[1:]: test()
done()
