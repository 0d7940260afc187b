"""smtpd-reuse.py - the processes of pipit-smtpd -l serve one client after the other, and tell none of another"""
import base64, os, re, shutil, signal, socket, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from smtpsession import *
from authd import Authd, passwd

SESSIONS = 100 # WORKER_SESSIONS
IDLE = 2       # WORKER_IDLE_SECONDS
home = make_home()

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    kw.setdefault('me', 'host.example')
    kw.setdefault('rcpthosts', 'example.org')
    for name, text in kw.items(): control(home, name, text)

def rules(text):
    path = os.path.join(home, 'control/tcp.smtp.cdb')
    subprocess.run(['tcprules', path, path + '.tmp'], input=text, text=True, check=True)
    os.chmod(path, 0o644)

class Client:
    def __init__(self, l, source='127.0.0.1'):
        self.s = l.connect(source=source)
        self.f = self.s.makefile('rb')
        self.greeting = self.reply()

    def reply(self):
        while True:
            line = self.f.readline().decode()
            if line[3:4] != '-': return line.rstrip('\r\n')

    def cmd(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.reply()

    def codes(self, *lines): return [self.cmd(l)[:3] for l in lines]

    def rest(self):
        """What comes until the server closes."""
        try: return self.f.read().decode()
        except ConnectionResetError: return ''

    def quit(self):
        r = self.cmd('QUIT')
        check_closed = self.rest()
        self.close()
        return r[:3] + check_closed

    def close(self):
        self.f.close()
        self.s.close()

def visit(l, *lines, source='127.0.0.1'):
    """A whole session: the codes of the replies to <lines>."""
    c = Client(l, source)
    codes = c.codes(*lines)
    c.quit()
    return codes

MAIL = ('EHLO x', 'MAIL FROM:<a@b>', 'RCPT TO:<x@example.org>')

def ends(l):
    """The sessions that have ended: process, which of its sessions, the line."""
    found = []
    for line in l.text().splitlines():
        m = re.match(r'pipit-smtpd: end session=\d+\.(\d+)(?:\.(\d+))? ', line)
        if m: found.append((int(m[1]), int(m[2] or 1), line))
    return found

def children(l):
    return [int(p) for p in open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()]

def test_reuse():
    settings()
    l = Listener(home)
    for i in range(5): visit(l, 'EHLO x')
    e = ends(l)
    equal([(p, n) for p, n, _ in e], [(e[0][0], n) for n in range(1, 6)], 'one process serves five clients in turn')
    equal(len(set(x[2].split()[2] for x in e)), 5, 'and every session has a name of its own')
    held = [Client(l) for i in range(4)]
    equal(len(children(l)), 4, 'as many processes as clients at a time')
    equal([c.quit() for c in held], ['221'] * 4, 'four sessions end')
    for i in range(8): visit(l, 'NOOP')
    equal(len(set(p for p, _, _ in ends(l)[-8:])), 1, 'after a crowd, one of them serves those who come singly')
    check(wait_for(lambda: not children(l), IDLE * 3), 'and all end after a while without clients')
    equal([visit(l, 'NOOP'), len(children(l))], [['250'], 1], 'a client that comes later is served by a new one')
    l.stop()

def test_number():
    settings()
    l = Listener(home, '-C', '1')
    greetings = []
    for i in range(SESSIONS + 5):
        c = Client(l)
        greetings.append(c.greeting[:3])
        c.quit()
    check(set(greetings) == {'220'}, 'who comes again at once, %d times, is never one too many' % len(greetings))
    e = ends(l)
    check(len(set(p for p, _, _ in e)) == 2 and e[SESSIONS - 1][1] == SESSIONS and e[SESSIONS][1] == 1,
          'a process ends after %d sessions' % SESSIONS)
    l.stop()

def test_ends():
    """Which ends of a session let its process go on."""
    settings(maxerrors='3', timeoutsmtpd='1')
    l = Listener(home)
    def session(how):
        c = Client(l)
        how(c)
        c.close()
        n = len(ends(l))
        wait_for(lambda: len(ends(l)) == before + 1)
        visit(l, 'NOOP')
        e = ends(l)
        return e[-1][0] == e[-2][0]
    def early(c): c.cmd('MAIL FROM:<a@b>')
    for how, again, why in (
            (lambda c: c.quit(), True, 'QUIT'),
            (lambda c: (c.codes(*MAIL), c.quit()), True, 'QUIT in a transaction'),
            (lambda c: (c.codes('RCPT', 'x'), c.quit()), True, 'QUIT after errors'),
            (lambda c: c.cmd('NOOP'), True, 'a client that closes between two messages'),
            (lambda c: c.codes(*MAIL), False, 'a client that closes inside one'),
            (lambda c: (c.codes('x', 'x', 'x'), c.rest()), False, 'too many errors'),
            (lambda c: (c.s.sendall(b'NOOP\n'), c.rest()), False, 'a bare LF'),
            (lambda c: (c.cmd('GET / HTTP/1.0'), c.rest()), False, 'HTTP'),
            (lambda c: c.rest(), False, 'a timeout'),
            (lambda c: (c.codes(*MAIL), [c.cmd('RCPT TO:<%s%d@example.org>' % ('x' * 60, i)) for i in range(99)], c.quit()), False,
             'so many recipients that they move through memory')):
        before = len(ends(l))
        equal(session(how), again, '%s: the process %s' % (why, 'goes on' if again else 'ends'))
    l.stop()

def test_state():
    """Nothing of a session is there in the next."""
    settings(maxerrors='3', databytes='1000')
    rules('127.0.0.5:allow,RELAYCLIENT="",DATABYTES="77",TCPREMOTEHOST="trusted.example",TCPREMOTEINFO="joe"\n'
          '127.0.0.6:allow,RELAYCLIENT="@gate.example"\n:allow\n')
    l = Listener(home)
    c = Client(l, '127.0.0.5')
    check('250' == c.cmd('EHLO first.example')[:3] and '250' == c.cmd('MAIL FROM:<a@b> SIZE=70')[:3], 'a client that may relay')
    equal(c.codes('RCPT TO:<x@elsewhere.example>', 'RCPT TO:<y@elsewhere.example>', 'x', 'x'), ['250', '250', '502', '502'],
          'is in the middle of a transaction, with errors')
    c.quit()
    c = Client(l, '127.0.0.7')
    equal(c.codes('RCPT TO:<x@example.org>', 'DATA'), ['503', '503'], 'the next has no transaction')
    c.s.sendall(b'EHLO second.example\r\n')
    lines = [c.f.readline() for i in range(6)]
    check(b'250-SIZE 1000\r\n' in lines, 'the usual size')
    equal(c.codes('MAIL FROM:<a@b> SIZE=500', 'RCPT TO:<x@example.org>', 'RSET'), ['250', '250', '250'], 'and no errors')
    equal(c.quit(), '221', 'of the one before')
    c = Client(l, '127.0.0.8')
    equal(c.codes('MAIL FROM:<a@b>', 'RCPT TO:<x@elsewhere.example>'), ['250', '553'], 'it may not relay')
    c.quit()
    e = ends(l)
    check(len(set(p for p, _, _ in e)) == 1, 'all of them had one process')
    check(' host=trusted.example info=joe helo=first.example ' in e[0][2] and ' ip=127.0.0.7 helo=second.example ' in e[1][2] and
          ' ip=127.0.0.8 helo="" ' in e[2][2] and ' errors=2 ' in e[1][2] and ' errors=1 ' in e[2][2],
          'the log tells each by its own name, address and errors')
    # The other way: rights that come with a later client.
    equal(visit(l, 'HELO x', 'MAIL FROM:<>', 'RCPT TO:<z@elsewhere.example>', source='127.0.0.6'), ['250'] * 3,
          'and one that may comes to its right')
    rules('127.0.0.5:allow,DATABYTES="x"\n127.0.0.2:allow,X="%s"\n:allow\n' % ('y' * 2000))
    equal(Client(l, '127.0.0.5').greeting[:3], '421', 'a rule that is no good is a 421')
    equal(visit(l, 'NOOP', source='127.0.0.2'), ['250'], 'a rule too long to be handed over')
    l.stop()

def test_settings():
    settings(smtpgreeting='one')
    l = Listener(home)
    busy = Client(l)
    visit(l, 'NOOP')
    settings(smtpgreeting='two')
    l.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: 'settings read' in l.text()), 'settings are read anew')
    equal(Client(l).greeting, '220 two ESMTP', 'the next session has them')
    equal(busy.cmd('QUIT'), '221 2.0.0 one', 'one that has begun keeps the old ones')
    busy.close()
    equal([Client(l).greeting for i in range(3)], ['220 two ESMTP'] * 3, 'and its process serves nobody else')
    l.stop()

def test_program():
    """Where a QMAILQUEUE program can come into play, every session has a process and an environment of its own."""
    settings()
    rules('127.0.0.2:allow,QMAILQUEUE="/bin/true"\n:allow\n')
    l = Listener(home)
    for i in range(3): visit(l, 'NOOP')
    equal(len(set(p for p, _, _ in ends(l))), 3, 'a rule names a QMAILQUEUE program: one session for each process')
    l.stop()

def test_deaths():
    settings()
    l = Listener(home, '-C', '1')
    visit(l, 'NOOP')
    child = children(l)[0]
    os.kill(child, signal.SIGKILL)
    check(wait_for(lambda: 'session crashed pid=%d signal=9' % child in l.text()), 'an idle process that is killed is an alert')
    equal(visit(l, 'NOOP'), ['250'], 'and the next client is served')
    equal(len(children(l)), 1, 'by a new one')
    # Killed while the listener cannot have noticed: it hands the connection to nobody.
    child = children(l)[0]
    os.kill(l.p.pid, signal.SIGSTOP)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: ') Z ' in open('/proc/%d/stat' % child).read())
    s = l.connect()
    os.kill(l.p.pid, signal.SIGCONT)
    equal(s.recv(100)[:3], b'220', 'one that dies just before it is needed')
    s.close()
    wait_for(lambda: len(ends(l)) == 3)
    # A connection that reaches a process when its time is over.
    for sig in (None, signal.SIGTERM):
        visit(l, 'NOOP')
        child = children(l)[0]
        os.kill(child, signal.SIGSTOP)
        s = l.connect()
        time.sleep(IDLE + 0.5 if sig is None else 0.2)
        if sig: os.kill(child, sig)
        os.kill(child, signal.SIGCONT)
        check(s.recv(100)[:3] in (b'220', b'421'), 'a connection handed over %s is answered' % ('at the last moment' if sig is None else 'with SIGTERM'))
        s.close()
        check(wait_for(lambda: children(l) == [child] or not children(l), 5), 'by that process')
        wait_for(lambda: not children(l))
    l.stop()

def test_stop():
    settings()
    l = Listener(home)
    idle = [Client(l) for i in range(3)]
    busy = Client(l)
    busy.codes(*MAIL)
    for c in idle: c.quit()
    l.p.send_signal(signal.SIGTERM)
    check(wait_for(lambda: len(children(l)) == 1, 1.5, 0.01), 'SIGTERM ends idle processes at once')
    check(l.p.poll() is None, 'but not a transaction')
    busy.cmd('RSET')
    busy.rest()
    busy.close()
    equal(l.p.wait(10), 0, 'which is the last')
    l = Listener(home)
    idle, busy = Client(l), Client(l)
    idle.quit()
    kids = children(l)
    l.p.kill()
    l.p.wait()
    running = lambda: [k for k in kids if os.path.exists('/proc/%d' % k) and ') Z ' not in open('/proc/%d/stat' % k).read()]
    check(wait_for(lambda: len(running()) == 1, 1.5, 0.01), 'a listener that is killed: idle processes end at once')
    equal(busy.cmd('NOOP')[:3], '250', 'a session goes on')
    busy.quit()
    check(wait_for(lambda: not running()), 'and its process ends with it')

def test_full():
    settings()
    l = Listener(home, '-c', '2')
    for i in range(3): visit(l, 'NOOP')
    a, b = Client(l), Client(l)
    equal(Client(l).greeting[:9], '421 4.3.2', '-c counts sessions')
    a.quit()
    c = Client(l)
    equal(c.greeting[:3], '220', 'not processes that are idle')
    equal(len(children(l)), 2, 'which are taken first')
    for x in (b, c): x.quit()
    l.stop()

def test_descriptors():
    """Processes that are kept take descriptors, which connections must not lack."""
    settings(concurrencysmtpd='100', concurrencysmtpdclient='100')
    l = Listener(home, prefix=['prlimit', '--nofile=48', '--'])
    if l.ready != b'\n': return skip('no prlimit here')
    held = [Client(l) for i in range(60)]
    equal([c.greeting[:3] for c in held], ['220'] * 60, '60 sessions with 48 descriptors')
    for c in held: c.quit()
    equal([visit(l, 'NOOP') for i in range(3)], [['250']] * 3, 'and further ones')
    l.stop()
    if not shutil.which('strace'): return skip('strace is not there')
    l = Listener(home, prefix=['strace', '-qq', '-o', '/dev/null', '-e', 'trace=socketpair,sendmsg', '-e', 'inject=socketpair:error=EMFILE:when=1',
                               '-e', 'inject=sendmsg:error=ETOOMANYREFS:when=1'])
    if l.ready != b'\n':
        l.p.wait(10)
        return skip('ptrace is not allowed here')
    equal([visit(l, 'NOOP') for i in range(4)], [['250']] * 4, 'without a socketpair, and where a connection cannot be handed over')
    equal([n for _, n, _ in ends(l)], [1, 1, 1, 2], 'each has a new process, until it works again')
    os.kill(int(open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()[0]), signal.SIGTERM)
    l.p.wait(30)

def connections(pid):
    return [os.readlink('/proc/%d/fd/%s' % (pid, n)) for n in os.listdir('/proc/%d/fd' % pid)]

def test_queue():
    settings()
    q = Queued(home)
    l = Listener(home)
    serving = lambda: len(open('/proc/%d/task/%d/children' % (q.p.pid, q.p.pid)).read().split())
    for i in range(5):
        c = Client(l)
        c.codes(*MAIL)
        got = [c.cmd('DATA')[:3], c.cmd('Subject: %d\r\n\r\nx\r\n.' % i)]
        c.quit()
        if i == 0: first = sorted(connections(children(l)[0]))
        m = q.message(got[1].split()[-1])
        check(got[0] == '354' and m[0].endswith(b'\nSubject: %d\n\nx\n' % i) and m[1].rstrip(b'\0') == b'Fa@b\0Tx@example.org',
              'message %d, each in a session of its own' % i)
    equal(len(set(p for p, _, _ in ends(l))), 1, 'one process')
    equal(sorted(connections(children(l)[0])), first, 'with one connection to the queue')
    q.stop()
    c = Client(l)
    c.codes(*MAIL)
    r = c.cmd('DATA')
    if r[:3] == '354': r = c.cmd('x\r\n.')
    equal(r[:6], '451 4.', 'queued ends: the next client is told')
    c.quit()
    q = Queued(home)
    c = Client(l)
    c.codes(*MAIL)
    equal(c.codes('DATA', 'x\r\n.'), ['354', '250'], 'it is back: the connection is made anew')
    c.quit()
    equal(len(set(p for p, _, _ in ends(l))), 1, 'by the same process')
    q.stop()
    l.stop()

def secrets(pid):
    """The words that begin with SECRET- in all that the process could have written of itself."""
    found = set()
    with open('/proc/%d/mem' % pid, 'rb', 0) as mem:
        for line in open('/proc/%d/maps' % pid):
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
            start, end = (int(m[1], 16), int(m[2], 16)) if m else (0, 0)
            if end - start > 1 << 26: continue # a sanitizer's own
            try:
                mem.seek(start)
                found.update(re.findall(rb'SECRET-\w+|U0VDUkVU\w+', mem.read(end - start))) # in base64 too
            except OSError: pass
    return found

def test_memory():
    """What a client has sent is not in the memory of the process that serves the next."""
    settings(authinclear='127.0.0.0/8', senders='*:any')
    rules('127.0.0.5:allow,RELAYCLIENT=""\n:allow\n')
    q = Queued(home)
    passwd(home, '-s', '-i', '4096', 'SECRET-login', password='SECRET-password')
    d = Authd(home)
    l = Listener(home, '-A')
    c = Client(l, '127.0.0.5')
    b64 = lambda text: base64.b64encode(text.encode()).decode()
    equal(c.codes('EHLO x', 'AUTH LOGIN', b64('SECRET-login'), b64('SECRET-password')), ['250', '334', '334', '235'], 'a login')
    c.codes('EHLO SECRET-helo.example', 'MAIL FROM:<SECRET-from@x.example>', 'RCPT TO:<SECRET-one@y.example>',
            'RCPT TO:<SECRET-two@[127.0.0.1]>', 'RCPT TO:<SECRET-bad', 'VRFY SECRET-vrfy', 'SECRET-verb')
    c.cmd('DATA')
    text = ''.join('SECRET-text %d %s\r\n' % (i, 'x' * 60) for i in range(2000))
    equal(c.cmd('Subject: SECRET-subject\r\n\r\n' + text + '.')[:3], '250', 'a large message')
    c.codes('MAIL FROM:<SECRET-from@x.example>', *['RCPT TO:<SECRET-%d@x.example>' % i for i in range(20)])
    c.cmd('DATA')
    equal(c.cmd('SECRET-small\r\n.')[:3], '250', 'and a small one')
    try: during = secrets(children(l)[0])
    except PermissionError: return skip("the memory of a process cannot be read here")
    check({b'SECRET-small', b'SECRET-helo', b'SECRET-from', b'SECRET-login'} <= during, 'are in memory while the session lasts')
    check(b'SECRET-password' not in during, 'but no password')
    c.codes('MAIL FROM:<SECRET-from@x.example>', 'RCPT TO:<SECRET-three@y.example>')
    pid = children(l)[0]
    c.quit()
    equal(children(l), [pid], 'when it is over')
    os.kill(pid, signal.SIGSTOP) # or it ends while its memory is read
    left = secrets(pid)
    os.kill(pid, signal.SIGCONT)
    equal(left, set(), 'nothing is left')
    d.stop()
    q.stop()
    l.stop()

if not shutil.which('tcprules'):
    skip('tcprules is not there')
    del test_state, test_program, test_memory
for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]): test()
done()
