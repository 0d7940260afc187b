#!/usr/bin/python3
"""lmtp.py - pipit-remote by control/lmtproutes, its workers, and pipit-lmtp, against LMTP servers of every kind"""
import os, shutil, socket, subprocess, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from dnsserver import DNSServer
from jobs import remote, rspawn
from sink import Close, Raw, Reset, Sink

home = make_home()
SOCK = os.path.join(SCRATCH, 'lmtp')
SAID = '\nRemote host said: '
DUPLICATE = 'Connected to %s but connection died. Possible duplicate! (#4.4.2)\n' % SOCK

def routes(lmtp=':' + SOCK, smtp=None, **controls):
    control(home, 'lmtproutes', lmtp)
    control(home, 'smtproutes', smtp)
    for name in ('timeoutremote', 'timeoutconnect'): control(home, name, controls.get(name))

def server(**script):
    return Sink(path=SOCK, lmtp=True, **script)

def send(rcpts, message=b'Subject: x\n\nbody\n', sender='s@a.example', controls={}, **script):
    """One delivery to a new server at SOCK: (report, server)."""
    with server(**script) as s:
        routes(**controls)
        r = remote(home, 'b.example', sender, *rcpts, message=message)
        wait_for(lambda: all(x.closed for x in s.sessions), 3)
        return r, s

def rcpts(n): return ['r%d@b.example' % i for i in range(n)]

def dialogue():
    r, s = send(rcpts(3))
    equal(r.raw, b'r\0' * 3 + b'K%s accepted message.\nRemote host said: 250 2.0.0 taken\n\0' % SOCK.encode(), 'three recipients')
    equal(s.sessions[0].commands, ['LHLO host.example', 'MAIL FROM:<s@a.example> SIZE=20'] +
          ['RCPT TO:<%s>' % x for x in rcpts(3)] + ['DATA', 'QUIT'], 'the commands')
    equal(len(s.sessions[0].writes), 4, 'the envelope is one write, so is the message')
    r, s = send(rcpts(2), lhlo='250 sink.example')
    equal((r.letters, len(s.sessions[0].writes)), ('rrK', 7), 'without PIPELINING: one command after the other')
    r, s = send(rcpts(1), lhlo='500 what', ehlo='250 sink.example', helo='250 sink.example')
    equal((r.letters, s.sessions[0].commands), ('rZ', ['LHLO host.example', 'QUIT']), 'LHLO is not known: not now, and no EHLO or HELO')
    for greeting in ('451 later', '554 no', '421 no', Raw(b'garbage\r\n'), Close()):
        equal(send(rcpts(1), greeting=greeting)[0].letters, 'rZ', 'greeting %r: not now' % greeting)
    equal(send(rcpts(1), greeting=Raw(b'garbage\r\n'))[0].text,
          'Connected to %s but it did not speak LMTP. (#4.5.0)\n' % SOCK, 'the protocol has its name')
    r, s = send(rcpts(1), sender='#@[]')
    check(s.transactions[0].mail.startswith('MAIL FROM:<> '), 'the sender of a double bounce is the null sender')
    r, s = send(rcpts(1), message=b'.\n..\nb' * 30000)
    equal((r.letters, s.transactions[0].message), ('rK', b'.\r\n..\r\nb' * 30000 + b'\r\n'), 'a large message arrives as it is')

def replies():
    """What each recipient is told, in the order of those that were accepted."""
    taken, full, no = '250 2.0.0 kept by %s', '452 4.2.2 full', '550 5.2.0 no'
    refused = ['250 ok', '550 5.1.1 nobody', '250 ok', '250 ok', '450 later', '250 ok']
    r, s = send(rcpts(6), rcpt=refused, dot=['250 2.0.0 a', full, no, '250 2.0.0 d'])
    equal((r.letters, r.text), ('rhshsrK', '%s accepted message.%s250 2.0.0 a\n' % (SOCK, SAID)), 'each has the reply to its own command')
    equal([t for l, t in r.rcpts], ['', '%s does not like recipient.%s550 5.1.1 nobody\n' % (SOCK, SAID),
          '%s failed after I sent the message.%s%s\n' % (SOCK, SAID, full), '%s failed after I sent the message.%s%s\n' % (SOCK, SAID, no),
          '%s does not like recipient.%s450 later\n' % (SOCK, SAID), ''], 'and its own text')
    equal(s.transactions[0].delivered, ['RCPT TO:<r0@b.example>', 'RCPT TO:<r5@b.example>'], 'which is what the server did')
    r, s = send(rcpts(2), dot=[no, full])
    equal((r.letters, r.text), ('hsD', 'Giving up on %s.\n' % SOCK), 'nobody has it')
    r, s = send(rcpts(2), dot=[no, '250 ok'])
    equal((r.letters, r.text), ('hrK', '%s accepted message.%s250 ok\n' % (SOCK, SAID)), 'the last one has it')
    r, s = send(rcpts(2), rcpt=no, always_354=True)
    equal((r.letters, s.sessions[0].raw[-13:]), ('hhD', b'ATA\r\n.\r\nQUIT\r\n'[-13:]), '354 with no recipient left: nothing is waited for')
    equal(send(rcpts(2), data=full)[0].letters, 'rrZ', 'DATA refused')
    equal(send(rcpts(2), mail=no)[0].letters, 'rrD', 'MAIL refused')
    r, s = send(rcpts(4), rcpt=['250 ok', '250 ok', '452 4.5.3 too many', '250 ok'], dot=['250 a', no, '250 c', '250 d'])
    equal((r.letters, len(s.transactions)), ('rhrrK', 2), 'one too many: it has a transaction of its own')
    r, s = send(rcpts(1000), dot=lambda session, line: '250 ok' if b'7@' in line else '\n'.join(['552-' + 'x' * 400] * 9 + ['552 full']))
    equal(r.letters, ('h' * 7 + 'rhh') * 100 + 'K', '1000 recipients and 4 MB of replies: each has its own')

def breaks():
    """What is not answered has to wait: it may have been delivered."""
    for how, why in ((Close(), 'it dies'), (Reset, 'it resets'), (Close('421 4.3.2 bye'), 'it says 421'),
                     (Raw(b'garbage\r\n'), 'it says no reply'), (Raw(b'354 go\r\n'), 'it says a reply that makes no sense')):
        r, s = send(rcpts(3), dot=['250 ok', how, '250 ok'])
        equal((r.letters, [t for l, t in r.rcpts if l == 's'][0].count('Possible duplicate!')), ('rssK', 1), 'between two replies %s' % why)
    r, s = send(rcpts(3), dot=Close())
    equal((r.letters, r.text), ('rrrZ', DUPLICATE), 'it dies before the first')
    r, s = send(rcpts(3), dots=lambda n: n - 1, controls=dict(timeoutremote='1'))
    equal((r.letters, r.rcpts[2][1]), ('rrsK', DUPLICATE), 'a reply too few: the last one has to wait')
    r, s = send(rcpts(2), dots=lambda n: n + 1)
    equal(r.letters, 'rrK', 'a reply too many belongs to nobody')

def local_trouble():
    """Whatever is wrong here, mail waits."""
    def goes(why, text, **controls):
        routes(**controls)
        r = remote(home, 'b.example', 's@a', 'r@b')
        check(r.letters == 'rZ' and text in r.text and '(#4.' in r.text, '%s: not now' % why)
        if r.letters != 'rZ' or text not in r.text: print(r.raw)
    goes('no such socket', "LMTP connection. (#4.4.1)\n%s: No such file or directory\n" % SOCK)
    with open(SOCK, 'w'): pass
    goes('a file', ': %s\n' % ('Permission denied' if ROOT else 'Connection refused'))
    os.unlink(SOCK)
    with server() as s:
        os.chmod(SOCK, 0)
        goes('no permission', ': Permission denied\n')
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(SOCK)
    os.chmod(SOCK, 0o666)
    goes('nobody listens', ': Connection refused\n')
    dead.listen(0)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(SOCK)
        goes('the backlog is full', ': Connection timed out\n', timeoutconnect='1')
        # When there is room again, who waited has his turn.
        t = threading.Timer(0.2, lambda: [dead.accept() for _ in range(2)][1][0].sendall(b'421 too late\r\n'))
        t.start()
        goes('a backlog that was full', 'closed the connection')
        t.join()
    dead.close()
    os.unlink(SOCK)
    for bad in ('[127.0.0.1', 'relay example', 'relay:0', ':24', '/' + 'x' * 108, '/run/a\x01b', '2001:db8::1'):
        goes('lmtproutes: %r' % bad[:20], 'control/lmtproutes: not an LMTP server', lmtp='b.example:' + bad)
    with DNSServer({}) as dns:
        control(home, 'resolvers', dns.resolver)
        goes('a server without an address', "couldn't find the LMTP server nowhere.example.", lmtp=':nowhere.example:24')
    os.unlink(os.path.join(home, 'control/lmtproutes'))
    os.mkdir(os.path.join(home, 'control/lmtproutes'))
    equal(remote(home, 'b.example', 's@a', 'r@b').letter, 'Z', 'lmtproutes that cannot be read: not now')
    os.rmdir(os.path.join(home, 'control/lmtproutes'))

def routing():
    with server() as unix, Sink(lmtp=True) as tcp, Sink() as smtp:
        def goes(lmtp, host='b.example'):
            routes(lmtp, ':[127.0.0.1]:%d' % smtp.port)
            before = [len(x.transactions) for x in (unix, tcp, smtp)]
            r = remote(home, host, 's@a.example', 'r@' + host)
            return [len(x.transactions) - n for x, n in zip((unix, tcp, smtp), before)].index(1) if r.letter == 'K' else r.text
        to = '127.0.0.1:%d' % tcp.port
        equal(goes('b.example:' + SOCK), 0, 'lmtproutes: a domain')
        equal(goes('c.example:' + SOCK), 2, 'lmtproutes: another domain goes by smtproutes')
        equal(goes('.example:%s\n:%s' % (SOCK, to), 'B.Example'), 0, 'lmtproutes: a suffix')
        equal(goes('b.example:\n:%s' % SOCK), 2, 'lmtproutes: an empty server means smtproutes after all')
        equal(goes(':[127.0.0.1]:%d' % tcp.port), 1, 'lmtproutes: everything, to an address and port')
        equal(goes(':' + to), 1, 'lmtproutes: without brackets')
        with DNSServer({'host.example': dict(A=['127.0.0.1'])}) as dns:
            control(home, 'resolvers', dns.resolver)
            equal(goes(':host.example:%d' % tcp.port), 1, 'lmtproutes: a name, which is this host itself')
            equal(lmtp('host.example:%d' % tcp.port)[0], 0, 'pipit-lmtp: host:port')
        routes(':[127.0.0.1]:%d' % smtp.port)
        equal(remote(home, 'b.example', 's@a', 'r@b').letter, 'Z', 'an SMTP server in lmtproutes: not now')

def workers():
    """Jobs in flight on one connection, results and notes of each recipient."""
    with server(dot=['250 ok', '452 full', '550 no', '250 ok', '250 ok', '250 ok'], rcpt=['250 ok']) as s:
        routes()
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        nums = [r.give_text('b.example', 's@a.example', rcpts(3), waits=n > 0, extras=['#0', 'NOTIFY=SUCCESS']) for n in range(2)]
        packets = []
        while len(r.ended) < 2: packets.append(r.read())
        got = [[r.results[n][i][0] for i in range(3)] for n in nums]
        equal((got, len(s.sessions)), ([['K', 'Z', 'D'], ['K', 'K', 'K']], 1), 'two jobs on one connection')
        notes = [p for p in packets if p[:1] == b'N']
        equal([(p[5:9], p[9:]) for p in notes], [(b'\0\0\0\0', b'F')] * 2, 'who asked is told that it was the delivery')
        r.close()
    with server(lhlo='250-sink\n250-PIPELINING\n250 DSN') as s:
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        num = r.give_text('b.example', 's@a.example', rcpts(1), extras=['#0', 'NOTIFY=SUCCESS'])
        packets = []
        while not r.ended: packets.append(r.read())
        equal([p[9:] for p in packets if p[:1] == b'N'], [b'P'], 'a server that offers DSN has taken that on')
        check('NOTIFY=SUCCESS' in s.transactions[0].rcpts[0], 'and was told')
        r.close()
    # The server dies between replies while the next envelope is out: that job goes out again.
    with server(dot=['250 ok', Close(), '250 ok']) as s:
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        nums = [r.give_text('b.example', 's@a.example', rcpts(2), waits=n > 0) for n in range(2)]
        got = [''.join(x[0] for x in r.finish(n)) for n in nums]
        equal((got, len(s.transactions), len(s.sessions)), (['KZ', 'KK'], 2, 2), 'a break costs the one job only')
        r.close()

def lmtp(*args, message=b'Subject: x\n\nbody\n', env={}, stdin=None, before=()):
    e = dict(os.environ, **dict(dict(PIPIT_HOME=home, SENDER='s@a.example', RECIPIENT='joe@b.example'), **env))
    e = {k: v for k, v in e.items() if v is not None}
    p = as_account([*before, BIN + '/pipit-lmtp', *args], stdin=stdin or -1, stdout=-1, stderr=-1, env=e)
    out, err = p.communicate(None if stdin else message)
    return p.returncode, (out + err).decode()

def command():
    routes(None)
    with server(dot=['250 2.0.0 kept', '250 ok', '250 ok', '250 ok', '452 4.2.2 full', '552 5.2.2 full']) as s:
        equal(lmtp(SOCK), (0, '%s accepted message.%s250 2.0.0 kept\n' % (SOCK, SAID)), 'pipit-lmtp: delivered')
        t = s.wait(1)[0]
        equal((t.helo, t.mail, t.rcpts, t.message), ('LHLO host.example', 'MAIL FROM:<s@a.example> SIZE=20',
              ['RCPT TO:<joe@b.example>'], b'Subject: x\r\n\r\nbody\r\n'), 'pipit-lmtp: sender, recipient and message')
        lines = dict(RPLINE='Return-Path: <s@a.example>\n', DTLINE='Delivered-To: joe@b.example\n')
        equal(lmtp('-d', '-r', 'x y@c.example', SOCK, env=lines)[0], 0, 'pipit-lmtp -d -r')
        t = s.wait(2)[1]
        equal((t.rcpts, t.message), (['RCPT TO:<"x y"@c.example>'], b'Return-Path: <s@a.example>\r\nDelivered-To: joe@b.example\r\n'
              b'Subject: x\r\n\r\nbody\r\n'), 'pipit-lmtp -d -r: another recipient, and two lines before the message')
        path = os.path.join(SCRATCH, 'file')
        for args in ((), ('-d',)):
            with open(path, 'wb') as f: f.write(b'skipped\nthe rest\n')
            with open(path, 'rb') as f:
                os.lseek(f.fileno(), 8, os.SEEK_SET)
                lmtp(*args, SOCK, stdin=f, env=lines)
        check([t.message[-10:] for t in s.wait(4)[2:]] == [b'the rest\r\n'] * 2 and b'skip' not in s.transactions[3].message,
              'pipit-lmtp: a file is sent from its position on')
        equal(lmtp(SOCK), (111, '%s failed after I sent the message.%s452 4.2.2 full\n' % (SOCK, SAID)), 'pipit-lmtp: not now')
        equal(lmtp(SOCK), (100, '%s failed after I sent the message.%s552 5.2.2 full\n' % (SOCK, SAID)), 'pipit-lmtp: never')
    with server(rcpt='550 5.1.1 nobody') as s:
        equal(lmtp(SOCK)[0], 100, 'pipit-lmtp: the recipient refused')
        equal((lmtp(SOCK, env=dict(RECIPIENT='joe\nDATA@b.example'))[0], len(s.sessions)), (100, 1), 'pipit-lmtp: a recipient that cannot be sent is not')
    equal(lmtp(SOCK)[0], 111, 'pipit-lmtp: no such socket')
    for args in ((), (SOCK, SOCK), ('-x', SOCK), ('',), (':24',), ('[127.0.0.1',), ('relative/path',)):
        equal(lmtp(*args)[0], 100, 'pipit-lmtp %s: wrong usage' % ' '.join(args))
    for name in ('SENDER', 'RECIPIENT'):
        code, out = lmtp(SOCK, env={name: None})
        check(code == 100 and name in out, 'pipit-lmtp: %s is missing' % name)
    for line in (None, '', 'a: b', 'a: b\nc: d\n'):
        equal(lmtp('-d', SOCK, env=dict(RPLINE='a: b\n', DTLINE=line))[0], 100, 'pipit-lmtp -d: DTLINE is %r' % line)
    control(home, 'me', None)
    with server() as s: equal((lmtp(SOCK)[0], s.sessions), (111, []), 'pipit-lmtp: without control/me: not now')
    control(home, 'me', 'host.example')
    strace = shutil.which('strace')
    if not strace or subprocess.run([strace, '-o', '/dev/null', 'true'], stderr=subprocess.DEVNULL).returncode: return skip('no strace here')
    for what in ('landlock_restrict_self:error=EPERM', 'write:error=ENOSPC', 'socket:error=EMFILE', 'setsockopt:error=ENOMEM'):
        with server() as s:
            before = [strace, '-f', '-qq', '-o', '/dev/null', '-e', 'trace=' + what.split(':')[0], '-e', 'inject=' + what]
            code, out = lmtp('-d', SOCK, env=dict(lines, ASAN_OPTIONS='detect_leaks=0'), before=before)
            equal((code, s.transactions), (111, []), 'pipit-lmtp: %s: not now' % what)

def peer():
    """A server that other people wrote."""
    try:
        from aiosmtpd.controller import UnixSocketController
        from aiosmtpd.lmtp import LMTP
    except ImportError: return skip('no aiosmtpd here')
    class Handler:
        got = []
        async def handle_RCPT(self, server, session, env, address, options):
            if address.startswith('no'): return '550 no'
            env.rcpt_tos.append(address)
            return '250 ok'
        async def handle_DATA(self, server, session, env):
            self.got.append((env.mail_from, env.rcpt_tos, env.content))
            return '250 ok'
    class Controller(UnixSocketController):
        def factory(self): return LMTP(self.handler)
    c = Controller(Handler(), SOCK)
    c.start()
    try:
        os.chmod(SOCK, 0o666)
        equal(lmtp(SOCK)[0], 0, 'aiosmtpd accepts')
        equal(Handler.got, [('s@a.example', ['joe@b.example'], b'Subject: x\r\n\r\nbody\r\n')], 'aiosmtpd has the message')
    finally: c.stop()

for test in (dialogue, replies, breaks, local_trouble, routing, workers, command, peer): test()
done()
