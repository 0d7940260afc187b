"""smtpd-handover.py - pipit-handover gives clients to pipit-smtpd -l -s, or executes a program"""
import os, re, select, shutil, signal, socket, stat, struct, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from smtpsession import *

IDLE = 2            # WORKER_IDLE_SECONDS
STRINGS = 128       # HANDOVER_STRINGS_MAX
BYTES = 16384       # HANDOVER_BYTES_MAX
RULE = 1000         # WORKER_RULE_MAX
HANDOVER, SMTPD = os.path.join(BIN, 'pipit-handover'), os.path.join(BIN, 'pipit-smtpd')
PLAIN = {'PATH': '/usr/bin:/bin'}
home = make_home()
SOCKET = os.path.join(home, 'run/smtpd')
if len(SOCKET) > 107:
    skip('%s: too long for a socket' % SOCKET)
    done()
# What is executed when nobody takes the client: it tells on descriptor 1 that it is itself.
PROGRAM = os.path.join(SCRATCH, 'program')
with open(PROGRAM, 'w') as f: f.write('#!/bin/sh\necho "program $*"\n')
os.chmod(PROGRAM, 0o755)

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    kw.setdefault('me', 'host.example')
    kw.setdefault('rcpthosts', 'example.org')
    for name, text in kw.items(): control(home, name, text)

class Service:
    """pipit-smtpd -l -s"""
    def __init__(self, *args, env={}, path='run/smtpd', **kw):
        r, w = os.pipe()
        self.log = new_log()
        self.p = as_account([SMTPD, '-l', '-s', path, '-d', str(w), *args], stderr=self.log, stdin=subprocess.DEVNULL, pass_fds=[w],
                            env=dict(os.environ, PIPIT_HOME=home, **env), **kw)
        os.close(w)
        self.ready = os.read(r, 1)
        os.close(r)

    def text(self):
        with open(self.log.name) as f: return f.read()

    def children(self):
        return [int(p) for p in open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)).read().split()]

    def stop(self, sig=signal.SIGTERM):
        self.p.send_signal(sig)
        return self.p.wait(30)

    def ends(self):
        """The sessions that have ended: process, which of its sessions, the line."""
        return [(int(m[1]), int(m[2] or 1), m[0]) for m in
                re.finditer(r'^pipit-smtpd: end session=\d+\.(\d+)(?:\.(\d+))? .*$', self.text(), re.M)]

class Front:
    """A client of pipit-handover, over a connection to a port of 127.0.0.1."""
    def __init__(self, env={}, program=(PROGRAM, 'x'), path=SOCKET, handover=HANDOVER, out=None, before=(), user=None, **kw):
        with socket.socket() as l:
            l.bind(('127.0.0.1', 0))
            l.listen()
            self.s = socket.create_connection(l.getsockname(), 20)
            theirs, peer = l.accept()
        with theirs:
            # the environment as it stands, without what Popen or a shell may add
            self.p = as_account([*before, handover, path, *program], stdin=theirs, stdout=out or theirs, stderr=subprocess.PIPE,
                                env=dict(PLAIN, PIPIT_HOME=home, **env), **kw)
        self.s.settimeout(20)
        self.f = self.s.makefile('rb')

    def line(self):
        try: return self.f.readline().decode().rstrip('\r\n')
        except ConnectionResetError: return ''

    def cmd(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.reply()

    def reply(self):
        while True:
            line = self.line()
            if line[3:4] != '-': return line

    def codes(self, *lines): return [self.cmd(l)[:3] for l in lines]

    def close(self):
        """The exit code, when the client has closed."""
        self.f.close()
        self.s.close()
        code = self.p.wait(20)
        self.err = self.p.stderr.read().decode()
        self.p.stderr.close()
        return code

    def quit(self):
        """The whole end, after a greeting: code of QUIT, what comes then, the front's exit code."""
        return self.cmd('QUIT')[:3], self.line(), self.close()

def read_pipe(r):
    """What comes out of a pipe, which is closed."""
    ready = select.select([r], [], [], 20)[0]
    data = os.read(r, 100) if ready else 'nothing'
    os.close(r)
    return data

def executed(why, **kw):
    """The program is executed, and not the service's session begun."""
    f = Front(**kw)
    equal((f.line(), f.close()), ('program x', 0), why + ': the program is executed')
    return f

MAIL = ('EHLO x', 'MAIL FROM:<a@b>', 'RCPT TO:<x@example.org>')

def test_served():
    settings()
    s = Service()
    equal(s.ready, b'\n', 'readiness is told')
    st = os.stat(SOCKET)
    equal((stat.S_ISSOCK(st.st_mode), st.st_mode & 0o777, st.st_uid), (True, 0o600, ACCOUNT.pw_uid), 'the socket is for its account alone')
    check('listening socket=run/smtpd\n' in s.text() and 'port=' not in s.text(), 'and it listens there only')
    for i in range(3):
        f = Front(env={'TCPREMOTEIP': '192.0.2.%d' % i})
        equal(f.line(), '220 host.example ESMTP', 'client %d is served' % i)
        time.sleep(0.1)
        equal((f.p.poll(), f.quit()), (None, ('221', '', 0)), 'pipit-handover waits for the end, and not longer')
    e = s.ends()
    check(len(e) == 3 and e[0][0] in s.children(), 'by a child of the service')
    equal([(p, n) for p, n, _ in e], [(e[0][0], n) for n in (1, 2, 3)], 'one for all of them')
    equal([re.search(' ip=(\\S+)', l)[1] for _, _, l in e], ['192.0.2.0', '192.0.2.1', '192.0.2.2'], 'each by its own address')
    f = Front()
    f.line(); f.quit()
    check(' ip=127.0.0.1 ' in s.ends()[-1][2], 'without TCPREMOTEIP the socket tells the address')
    child = s.ends()[-1][0]
    fds = [os.readlink('/proc/%d/fd/%s' % (child, n)) for n in os.listdir('/proc/%d/fd' % child)]
    equal(len([f for f in fds if f.startswith('socket:')]), 1,
          'a process that waits for its next client has only the socket from the listener')
    check(wait_for(lambda: not s.children(), IDLE * 3), 'it ends after a while without')
    f = Front()
    f.line()
    f.s.close(); f.f.close()
    check(wait_for(lambda: f.p.poll() == 0, 5), 'a client that closes: pipit-handover ends')
    f.close()
    equal(s.stop(), 0, 'SIGTERM ends the service')
    check(os.path.exists(SOCKET), 'and leaves its socket, which could be another one by now')

def test_state():
    """Nothing that came with a client is there for the next one of the same process."""
    settings(databytes='1000', rcpthosts='example.org\nhost.example')
    s = Service()
    f = Front(env={'RELAYCLIENT': '@gate.example', 'DATABYTES': '77', 'TCPREMOTEIP': '2001:DB8:0::5', 'TCPREMOTEHOST': 'trusted.example',
                   'TCPREMOTEINFO': 'joe', 'DATABYTESX': '5'})
    f.line()
    equal(f.codes(*MAIL[:2], 'RCPT TO:<x@elsewhere.example>'), ['250'] * 3, 'RELAYCLIENT of the environment')
    equal(f.codes('RSET', 'MAIL FROM:<a@b> SIZE=78'), ['250', '552'], 'and DATABYTES')
    f.quit()
    f = Front(env={'TCPREMOTEIP': 'nonsense', 'TCP6LOCALIP': '192.0.2.99'})
    f.line()
    equal(f.codes(*MAIL[:2], 'RCPT TO:<x@elsewhere.example>', 'RCPT TO:<x@[192.0.2.99]>', 'RSET', 'MAIL FROM:<a@b> SIZE=78'),
          ['250', '250', '553', '250', '250', '250'], 'the next client has neither, but our address was told')
    f.quit()
    f = Front(env={'TCP6REMOTEIP': '192.0.2.6', 'TCP6REMOTEHOST': 'six.example', 'DATABYTES': ''})
    f.line()
    equal(f.codes(*MAIL[:2], 'RCPT TO:<x@[192.0.2.99]>'), ['250', '250', '553'], 'which the one after does not have')
    f.quit()
    e = s.ends()
    equal(len(set(p for p, _, _ in e)), 1, 'all had one process')
    check(' ip=2001:db8::5 host=trusted.example info=joe ' in e[0][2] and ' ip=unknown helo=x ' in e[1][2] and
          ' ip=192.0.2.6 host=six.example helo=x ' in e[2][2], 'addresses and names are as pipit-smtpd reads them itself')
    f = Front(env={'DATABYTES': 'x'})
    equal((f.line()[:3], f.close()), ('421', 0), 'a DATABYTES that is no number: 421, as ever')
    s.stop()

def test_mail():
    if not shutil.which('tcpserver'): return skip('tcpserver is not there')
    settings()
    q, s = Queued(home), Service()
    port = free_port()
    p = as_account(['tcpserver', '-HR', '-l0', '-t1', '127.0.0.1', str(port), HANDOVER, SOCKET, PROGRAM, 'x'], stderr=subprocess.DEVNULL,
                   env=dict(PLAIN, TCPREMOTEINFO='nobody', PIPIT_HOME=home))
    def connect():
        try: return socket.create_connection(('127.0.0.1', port), 20)
        except ConnectionRefusedError: return None
    c = wait_for(connect)
    f = c.makefile('rwb')
    def cmd(line):
        f.write(line.encode() + b'\r\n')
        f.flush()
        while True:
            reply = f.readline().decode()
            if reply[3:4] != '-': return reply.rstrip()
    equal(f.readline()[:3], b'220', 'under tcpserver')
    got = [cmd(l)[:3] for l in MAIL + ('DATA',)] + [cmd('Subject: y\r\n\r\nz\r\n.')]
    m = q.message(got[-1].split()[-1])
    check(got[:4] == ['250', '250', '250', '354'] and m[0].endswith(b'\nSubject: y\n\nz\n'), 'a message gets into the queue')
    check(m[0].startswith(b'Received: from x (unknown [127.0.0.1])\n\tby host.example with ESMTP'), 'it came from the client: %r' % m[0][:100])
    equal((cmd('QUIT')[:3], f.read()), ('221', b''), 'the end reaches the client')
    f.close(); c.close()
    check(s.ends() and s.ends()[-1][0] in s.children(), 'served by the service')
    p.terminate()
    p.wait(10)
    f = Front(env={'TCPREMOTEIP': '192.0.2.7', 'TCPREMOTEHOST': 'h.example', 'TCPREMOTEINFO': 'me'})
    f.line()
    f.codes(*MAIL, 'DATA')
    m = q.message(f.cmd('Subject: 2\r\n\r\n.').split()[-1])
    check(m[0].startswith(b'Received: from x (me@h.example [192.0.2.7])\n'), 'name and ident are in the Received line')
    f.quit()
    s.stop()
    q.stop()

def test_program():
    """Whatever keeps the client from being handed over: the program serves it."""
    settings()
    if os.path.exists(SOCKET): os.unlink(SOCKET)
    executed('no service')
    executed('a name that is too long', path='/' + 'x' * 200)
    s = Service()
    f = Front()
    equal(f.line()[:3], '220', 'a service')
    f.quit()
    for name, value in (('QMAILQUEUE', '/bin/false'), ('RCPTCHECK', '/bin/false'), ('ERROR_FD', '6'), ('ERROR_FD', ''), ('SSLCTLFD', '5')):
        executed('%s=%s' % (name, value), env={name: value})
    f = Front(env={'QMAILQUEUE': '', 'RCPTCHECK': ''})
    equal((f.line()[:3], f.quit()[2]), ('220', 0), 'empty ones are none')
    # Limits of the environment: what Front sets are two strings.
    own = ['PATH=' + PLAIN['PATH'], 'PIPIT_HOME=' + home]
    room = BYTES - sum(len(v) + 1 for v in own)
    for what, env, fits in (('as many strings as can be sent', {'V%d' % i: '' for i in range(STRINGS - 2)}, True),
                            ('one more', {'V%d' % i: '' for i in range(STRINGS - 1)}, False),
                            ('as many bytes', {'V': 'x' * (room - 3)}, True), ('one more', {'V': 'x' * (room - 2)}, False),
                            ('a rule that is as long as can be', {'RELAYCLIENT': 'x' * (RULE - 14)}, True),
                            ('one byte more', {'RELAYCLIENT': 'x' * (RULE - 13)}, False)):
        if not fits:
            executed(what, env=env)
            continue
        f = Front(env=env)
        equal((f.line()[:3], f.quit()[2]), ('220', 0), what)
    a, b = socket.socketpair()
    a.settimeout(20)
    with a, b:
        f = Front(out=b)
        equal(a.recv(100), b'program x\n', 'stdin and stdout are two: the program is executed')
        f.close()
    r, w = os.pipe()
    f = Front(before=['sh', '-c', 'exec "$@" <&-', 'sh'])
    equal((f.line(), f.close()), ('program x', 0), 'descriptor 0 is closed: the program is executed')
    f = Front(program=('sh', '-c', 'echo program >&2'), before=['sh', '-c', 'exec "$@" >&-', 'sh'])
    f.close()
    equal(f.err.split('\n')[0], 'program', 'descriptor 1 is closed: the program is executed')
    f = Front(program=('sh', '-c', 'echo program >&%d' % w), before=['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh'], pass_fds=[w])
    os.close(w)
    equal(read_pipe(r), b'program\n', 'all are closed: the program is executed')
    f.close()
    s.stop()
    executed('a service that has ended')
    s = Service(env={'QMAILQUEUE': '/bin/false'})
    executed('a service with QMAILQUEUE')
    check('handed back ip=127.0.0.1 reason=program\n' in s.text(), 'and it says so')
    s.stop()

def test_pipes():
    """No socket at all, but one file: not what a session expects."""
    settings()
    s = Service()
    r, w = os.pipe()
    with open('/dev/null', 'r+b') as null:
        p = as_account([HANDOVER, SOCKET, 'sh', '-c', 'echo program >&%d' % w], stdin=null, stdout=null, env=PLAIN, pass_fds=[w])
    os.close(w)
    equal((read_pipe(r), p.wait(20)), (b'program\n', 0), 'no socket: the program is executed')
    s.stop()

def test_unread():
    """A service that ends with clients in its backlog."""
    settings()
    s = Service()
    s.p.send_signal(signal.SIGSTOP)
    fronts = [Front() for i in range(3)]
    time.sleep(0.3)
    equal([f.p.poll() for f in fronts], [None] * 3, 'a service that is stopped for a moment: they wait')
    s.p.kill()
    s.p.wait()
    equal([(f.line(), f.close()) for f in fronts], [('program x', 0)] * 3, 'it is killed before it has read: the program is executed')
    s = Service('-b', '1')
    s.p.send_signal(signal.SIGSTOP)
    fronts = [Front() for i in range(5)]
    check(wait_for(lambda: [f.p.poll() for f in fronts].count(0) == 3), 'a full backlog: the program is executed')
    s.p.send_signal(signal.SIGCONT)
    equal(sorted(f.line() for f in fronts), ['220 host.example ESMTP'] * 2 + ['program x'] * 3, 'those that are in it are served later')
    for f in fronts: f.close()
    s.stop()

def test_limit():
    settings()
    s = Service('-c', '2')
    held = [Front() for i in range(2)]
    equal([f.line()[:3] for f in held], ['220'] * 2, 'as many sessions as there may be; the limit for each client does not count')
    f = Front(program=(SMTPD,), env={'TCPREMOTEIP': '192.0.2.1'})
    check(f.line()[:3] == '220' and len(s.children()) == 2, 'one more is served by pipit-smtpd itself')
    check('handed back ip=192.0.2.1 reason=concurrencysmtpd\n' in s.text(), 'and that is logged')
    equal(f.quit(), ('221', '', 0), 'as ever')
    check('pipit-smtpd: end ' in f.err and ' ip=192.0.2.1 ' in f.err, 'with its own log')
    held[0].quit()
    f = Front()
    equal((f.line()[:3], len(s.children())), ('220', 2), 'the end of one is room for the next')
    f.quit()
    held[1].quit()
    s.stop()

def test_both():
    """-s beside a port."""
    settings(concurrencysmtpdclient='1')
    l = Listener(home, '-s', 'run/smtpd')
    own = l.connect()
    equal(own.recv(100)[:3], b'220', 'a client of the port')
    f = Front(env={'TCPREMOTEIP': '127.0.0.1'})
    equal(f.line()[:3], '220', 'and one that is handed over, though no more from this address may come by the port')
    equal(l.greeting()[:3], '421', 'which is so')
    f.quit()
    own.close()
    wait_for(lambda: l.greeting()[:3] == '220')
    equal(l.stop(), 0, 'it ends')

def test_killed():
    settings()
    s = Service()
    f = Front()
    f.line()
    os.kill(s.children()[0], signal.SIGKILL)
    equal((f.line(), f.close()), ('', 0), 'a session that is killed: the client sees the end, and no second greeting')
    check(wait_for(lambda: 'session crashed' in s.text()), 'it is an alert')
    # One that waits is killed and the service cannot have noticed.
    f = Front()
    f.line(); f.quit()
    child = s.children()[0]
    s.p.send_signal(signal.SIGSTOP)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: ') Z ' in open('/proc/%d/stat' % child).read())
    f = Front()
    s.p.send_signal(signal.SIGCONT)
    equal((f.line()[:3], f.quit()[2]), ('220', 0), 'a process that dies before it is needed: another one serves')
    # The service is killed, its session is not.
    f = Front()
    f.line()
    s.p.kill()
    s.p.wait()
    executed('the service is killed')
    equal((f.cmd('NOOP')[:3], f.quit()), ('250', ('221', '', 0)), 'a session that it had begun goes on to its end')

def test_stop():
    settings()
    s = Service()
    idle, busy, other = Front(), Front(), Front()
    for f in (idle, busy, other): f.line()
    busy.codes(*MAIL)
    idle.quit()
    s.p.send_signal(signal.SIGTERM)
    equal((other.line()[:9], other.line(), other.close()), ('421 4.3.2', '', 0), 'SIGTERM ends a session between two messages')
    executed('a client that comes then')
    check(s.p.poll() is None, 'but not a transaction')
    equal((busy.cmd('RSET')[:3], busy.line()[:3], busy.line(), busy.close()), ('250', '421', '', 0), 'which ends after it')
    equal(s.p.wait(10), 0, 'and then the service')

def test_hup():
    settings(smtpgreeting='one')
    s = Service()
    busy, idle = Front(), Front()
    equal([f.line() for f in (busy, idle)], ['220 one ESMTP'] * 2, 'the first settings')
    idle.quit()
    control(home, 'smtpgreeting', 'two')
    s.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: 'settings read' in s.text()), 'SIGHUP')
    f = Front()
    equal(f.line(), '220 two ESMTP', 'the next client has the new ones')
    f.quit()
    equal(busy.cmd('QUIT'), '221 2.0.0 one', 'a session that has begun the old ones')
    busy.close()
    s.stop()

def start_fails(what, expected, *args, **kw):
    p = as_account([SMTPD, '-l', *args], stderr=subprocess.PIPE, env=dict(os.environ, PIPIT_HOME=home), **kw)
    err = p.communicate(timeout=20)[1].decode()
    check(p.returncode == expected and err, '%s: exit %d, %r' % (what, expected, err))

def test_socket():
    settings()
    s = Service()
    start_fails('a second service', 111, '-s', 'run/smtpd')
    f = Front()
    equal((f.line()[:3], f.quit()[2]), ('220', 0), 'the first one goes on')
    s.p.send_signal(signal.SIGKILL)
    s.p.wait()
    old = os.stat(SOCKET).st_ino
    s = Service(path=SOCKET, cwd='/')
    f = Front()
    equal((f.line()[:3], f.quit()[2]), ('220', 0), 'a socket that was left behind is replaced; an absolute path')
    s.stop()
    with socket.socket(socket.AF_UNIX) as other:
        os.unlink(SOCKET)
        other.bind(SOCKET)
        other.listen()
        own(SOCKET)
        start_fails('a listener of another kind', 111, '-s', 'run/smtpd')
    os.unlink(SOCKET)
    own(home + '/control/me')
    start_fails('a file', 111, '-s', 'control/me')
    check(open(home + '/control/me').read() == 'host.example\n', 'is not removed')
    start_fails('no such directory', 111, '-s', 'nowhere/smtpd')
    start_fails('a name that is too long', 111, '-s', 'x' * 108)
    start_fails('no name', 100, '-s', '')
    equal(subprocess.run([SMTPD, '-s', 'x'], stderr=subprocess.DEVNULL).returncode, 100, '-s without -l is wrong usage')

def hand(fds, payload, wait=0):
    """What somebody else than pipit-handover says to the service; the byte that is answered, '' or an error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        try:
            s.connect(SOCKET)
            time.sleep(wait)
            socket.send_fds(s, [payload], fds) if fds else s.send(payload)
            return s.recv(10)
        except OSError as e: return type(e).__name__

def test_packets():
    settings()
    s = Service()
    a, b = socket.socketpair()
    a.settimeout(20)
    with a, b:
        fd = b.fileno()
        open_before = len(os.listdir('/proc/%d/fd' % s.p.pid))
        for what, fds, payload in (('no descriptors', [], b'A=b\0'), ('one', [fd], b'A=b\0'), ('three', [fd] * 3, b'A=b\0'), ('eight', [fd] * 8, b'A=b\0'),
                                   ('no environment', [fd, fd], b''), ('one without an end', [fd, fd], b'A=b'), ('one that is too long', [fd, fd], b'x' * BYTES + b'\0')):
            equal(hand(fds, payload), b'R', 'a packet with %s is refused' % what)
        check(hand([fd, fd], b'A=b\0', 0.5) in (b'R', 'BrokenPipeError', 'ConnectionResetError'), 'a packet that comes too late')
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as f:
            f.connect(SOCKET)
            f.settimeout(20)
            time.sleep(0.02)
            socket.send_fds(f, [b'X\0=\0TCPREMOTEIP=192.0.2.1\0RELAYCLIENT\0TCPREMOTEHOST=a.example\0TCPREMOTEHOST=b.example\0'], [fd, fd])
            check(a.recv(100)[:3] == b'220', 'one that is a moment late is served')
            a.sendall(b'MAIL FROM:<a@b>\r\nRCPT TO:<x@elsewhere.example>\r\nRSET\r\nQUIT\r\n')
            check(wait_for(lambda: s.ends(), 5), 'until its end')
            equal(f.recv(10), b'', 'which pipit-handover is told by the end of the connection')
        check(' ip=192.0.2.1 host=a.example ' in s.ends()[0][2] and 'code=553' in s.text(), 'strings that are no variables are not believed, of two the first is')
        check(wait_for(lambda: len(os.listdir('/proc/%d/fd' % s.p.pid)) <= open_before + 1), 'no descriptor stays open')
    # Somebody who connects and says nothing holds nobody up for long.
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.connect(SOCKET)
        began = time.monotonic()
        f = Front()
        check(f.line()[:3] == '220' and time.monotonic() - began < 10, 'somebody who says nothing')
        f.quit()
    s.stop()

def test_strangers():
    if not ROOT: return skip('other accounts: needs root')
    settings()
    s = Service()
    with socket.socket() as l:
        l.bind(('127.0.0.1', 0))
        l.listen()
        c = socket.create_connection(l.getsockname(), 20)
        theirs, _ = l.accept()
    def front():
        return subprocess.run([HANDOVER, SOCKET, 'echo', 'program'], stdin=theirs, stdout=theirs, env=PLAIN, user=65533, group=65533, extra_groups=[])
    front()
    equal(c.recv(100), b'program\n', 'another account cannot connect')
    os.chmod(SOCKET, 0o666)
    front()
    equal(c.recv(100), b'program\n', 'and is not believed where it can')
    check(wait_for(lambda: "another account's" in s.text()), 'which is logged')
    c.close()
    theirs.close()
    s.stop()

def test_root():
    """Started by root: the socket belongs to pipitd."""
    prefix = ROOT and with_accounts()
    if not prefix: return skip('root makes the socket for pipitd: needs root, and a mount namespace')
    uid = ACCOUNTS_FROM + 1
    where = os.path.join(SCRATCH, 'separated')
    subprocess.run([*prefix, os.path.join(BIN, 'pipit-setup'), '-n', 'host.example', where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    r, w = os.pipe()
    p = subprocess.Popen([*prefix, os.path.join(where, 'bin/pipit-smtpd'), '-l', '-s', 'run/smtpd', '-d', str(w)], pass_fds=[w],
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=where))
    os.close(w)
    equal(os.read(r, 1), b'\n', 'root starts the service')
    os.close(r)
    st = os.stat(where + '/run/smtpd')
    equal((st.st_uid, st.st_gid, st.st_mode & 0o777), (uid, uid, 0o600), 'the socket is for pipitd')
    a, b = socket.socketpair()
    a.settimeout(20)
    q = subprocess.Popen([HANDOVER, where + '/run/smtpd', PROGRAM], stdin=b, stdout=b, env=PLAIN, user=uid, group=uid, extra_groups=[])
    b.close()
    equal(a.recv(100)[:3], b'220', 'which can hand clients over')
    a.close()
    equal(q.wait(10), 0, 'to the end')
    p.terminate()
    equal(p.wait(20), 0, 'and the service ends')

def run(*args, env=PLAIN, cwd=None):
    p = subprocess.run([HANDOVER, *args], env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return p.returncode, p.stdout, p.stderr

def test_program_search():
    for args in ((), (SOCKET,)):
        code, out, err = run(*args)
        check(code == 100 and 'usage: pipit-handover socket program' in err, 'wrong usage: %r' % (args,))
    dirs = [os.path.join(SCRATCH, d) for d in ('one', 'two')]
    for n, d in enumerate(dirs):
        os.mkdir(d)
        with open(d + '/prog', 'w') as f: f.write('#!/bin/sh\necho %d "$@"\n' % n)
        os.chmod(d + '/prog', 0o755)
    path = lambda *p: {'PATH': ':'.join(p)}
    equal(run('no', 'prog', 'a', 'b c', env=path(*dirs))[1], '0 a b c\n', 'the program is searched on PATH')
    os.chmod(dirs[0] + '/prog', 0o644)
    equal(run('no', 'prog', env=path(*dirs))[1], '1\n', 'one that cannot be executed is passed over')
    equal(run('no', 'prog', env=path('/nowhere', 'x' * 5000, dirs[1]))[1], '1\n', 'so are directories that are not there')
    for p in ('', '/nowhere:', ':/nowhere', '/nowhere::/else'):
        equal(run('no', 'prog', env=path(p), cwd=dirs[1])[1], '1\n', 'an empty directory is the current one: %r' % p)
    equal(run('no', dirs[1] + '/prog', env=path())[1], '1\n', 'with a slash it is executed as it is')
    equal(run('no', 'sh', '-c', 'echo found', env={})[1], 'found\n', 'without a PATH there is still a usual one')
    equal(run('no', './prog', env={}, cwd=dirs[1])[1], '1\n', 'relative to here')
    for name in ('nosuchprogram', '/no/such', '', 'x' * 5000):
        equal(run('no', name), (111, '', 'pipit-handover: fatal: unable to execute %s\n' % name), 'no such program: %r' % name[:20])
    equal(run('no', 'env', env=dict(PLAIN, A='1', B=''))[1], 'PATH=/usr/bin:/bin\nA=1\nB=\n', 'its environment is ours')

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]): test()
done()
