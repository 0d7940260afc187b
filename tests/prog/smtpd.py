"""smtpd.py - pipit-smtpd, one session at a time over a socketpair; a stub takes the messages"""
import os, re, shutil, socket, struct, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import smtpsession
from pipit import *

home = make_home()
OUT = os.path.join(SCRATCH, 'out')
os.mkdir(OUT)
own(OUT)
STUB = os.path.join(SCRATCH, 'queue.sh')
with open(STUB, 'w') as f:
    f.write('#!/bin/sh\ncat >%s/msg\ncat <&1 >%s/env\ntest -z "$TEXT" || printf "%%b" "$TEXT" >&6\nexit ${QX:-0}\n'
            % (OUT, OUT))
os.chmod(STUB, 0o755)

class Session(smtpsession.Session):
    """On the test's home, with the stub as its queue."""
    def __init__(self, env={}, stub=True, **kw):
        super().__init__(home, env, STUB if stub else None, **kw)

def read(name):
    with open(os.path.join(OUT, name), 'rb') as f: return f.read()

def clear():
    for f in os.listdir(OUT): os.unlink(os.path.join(OUT, f))

def begin(env={}, sender='<a@b.example>', rcpt='<x@example.org>', hello='EHLO me.example', **kw):
    s = Session(env, **kw)
    s.cmd(hello)
    s.cmd('MAIL FROM:' + sender)
    s.cmd('RCPT TO:' + rcpt)
    return s

def message(text, env={}, **kw):
    """Send one message; returns the reply after the dot. <text> ends it itself."""
    clear()
    s = begin(env, **kw)
    go = s.cmd('DATA')
    if go[:3] != '354': return s, go
    s.send(text)
    return s, s.reply()

def once(lines, env={}, **kw):
    """The replies to some commands, one after the other."""
    s = Session(env, **kw)
    replies = [s.cmd(l) for l in lines]
    s.end()
    return replies

def settings(**kw):
    """Replace the control files by these (and me, rcpthosts)."""
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    kw.setdefault('me', 'host.example')
    kw.setdefault('rcpthosts', 'example.org\n.example.net\n')
    for name, text in kw.items():
        if text is not None: control(home, name, text)

# --- the dialogue ---

def test_dialogue():
    settings()
    s = Session()
    equal(s.greeting, '220 host.example ESMTP', 'the greeting')
    equal(s.cmd('HELO me.example'), '250 host.example', 'HELO')
    s.cmd('EHLO me.example')
    equal(s.lines, ['250-host.example', '250-PIPELINING', '250-SIZE 0', '250-8BITMIME',
                    '250 ENHANCEDSTATUSCODES'], 'EHLO, with a QMAILQUEUE program')
    equal(s.cmd('RCPT TO:<x@example.org>'), '503 5.5.1 MAIL first', 'RCPT before MAIL')
    equal(s.cmd('DATA'), '503 5.5.1 MAIL first', 'DATA before MAIL')
    equal(s.cmd('mail from:<a@b.example>'), '250 2.1.0 ok', 'MAIL, in lower case')
    equal(s.cmd('MAIL FROM:<a@b.example>'), '503 5.5.1 one MAIL at a time', 'a second MAIL')
    equal(s.cmd('DATA'), '503 5.5.1 RCPT first', 'DATA without recipients')
    equal(s.cmd('RCPT TO:<x@example.org>'), '250 2.1.5 ok', 'RCPT')
    equal(s.cmd('RSET'), '250 2.0.0 flushed', 'RSET')
    equal(s.cmd('RCPT TO:<x@example.org>'), '503 5.5.1 MAIL first', 'RSET ends the transaction')
    equal(s.cmd('NOOP whatever'), '250 2.0.0 ok', 'NOOP')
    equal(s.cmd('VRFY x'), "252 2.5.0 send some mail, i'll try my best", 'VRFY')
    equal(s.cmd('HELP')[:4], '214 ', 'HELP')
    equal(s.cmd('EXPN x'), '502 5.5.1 unimplemented', 'an unknown command')
    equal(s.cmd(''), '502 5.5.1 unimplemented', 'an empty line')
    equal(s.cmd('QUIT'), '221 2.0.0 host.example', 'QUIT')
    check(s.closed(), 'QUIT closes')
    equal(s.end(), 0, 'exit code 0')
    check(' reason=quit' in s.text, 'the end of the session is logged')

def test_message():
    settings()
    s, r = message('Subject: x\r\n\r\n..dot\r\n.\r\n', sender='<a@b.example> BODY=8BITMIME SIZE=30')
    check(re.fullmatch(r'250 2\.0\.0 ok \d+ qp \d+', r), 'accepted: ' + r)
    m = read('msg').decode()
    check(re.match(r'Received: from me\.example \(unknown \[192\.0\.2\.1\]\)\n\tby host\.example with ESMTP;'
                   r'\n\t\w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\n', m), 'the Received line')
    check(m.endswith('\nSubject: x\n\n.dot\n'), 'the message is stored with LF, its dot undone')
    equal(read('env'), b'Fa@b.example\0Tx@example.org\0\0', 'the envelope')
    equal(s.cmd('MAIL FROM:<>'), '250 2.1.0 ok', 'a second transaction')
    s.cmd('RCPT TO:<y@sub.example.net>')
    s.cmd('DATA')
    equal(s.cmd('.')[:3], '250', 'an empty message')
    equal(read('env'), b'F\0Ty@sub.example.net\0\0', 'the second envelope')
    s.end()
    line = [l for l in s.text.splitlines() if ' accepted ' in l][0]
    check(re.match(r'pipit-smtpd: accepted session=\d+\.\d+ ip=192\.0\.2\.1 helo=me\.example from=<a@b\.example> '
                   r'rcpt=<x@example\.org> rcpts=1 bytes=20 code=250 reply="2\.0\.0 ok \d+ qp \d+"$', line),
          'the log line: ' + line)

def test_trace():
    settings()
    for env, hello, expected, why in (
            ({'TCPREMOTEHOST': 'mx.b.example', 'TCPREMOTEINFO': 'joe'}, 'HELO h',
             'from h (joe@mx.b.example [192.0.2.1])\n\tby host.example with SMTP;', 'host and ident'),
            ({'TCPREMOTEIP': '2001:db8::1'}, 'EHLO h', 'from h (unknown [IPv6:2001:db8::1])\n', 'IPv6'),
            ({'TCPREMOTEIP': '::ffff:192.0.2.9'}, 'EHLO h', 'from h (unknown [192.0.2.9])\n', 'IPv4 in IPv6'),
            ({'TCPREMOTEIP': '', 'TCP6REMOTEIP': '2001:db8::2', 'PROTO': 'TCP6'}, 'EHLO h',
             'from h (unknown [IPv6:2001:db8::2])\n', 'the TCP6 dialect'),
            ({'TCPREMOTEIP': 'no(address)'}, 'EHLO h', 'from h (unknown [unknown])\n', 'a bad TCPREMOTEIP'),
            ({'TCPREMOTEIP': ''}, 'EHLO h', 'from h (local)\n', 'no address at all'),
            ({}, 'EHLO (a) <b>\xe4;', 'from ?a???b??? (unknown [192.0.2.1])\n', 'an odd HELO name'),
            ({}, 'HELO', 'from unknown (unknown [192.0.2.1])\n', 'no HELO name')):
        s, r = message('\r\n.\r\n', env, hello=hello)
        s.end()
        check(expected in read('msg').decode(), 'trace: ' + why)
    s, r = message('\r\n.\r\n', hello='EHLO ' + 'h' * 3000)
    equal(r[:3], '250', 'a very long HELO name')
    check(max(map(len, read('msg').split(b'\n'))) < 400, 'is cut in the Received line')
    s.end()

# --- addresses ---

def test_addresses():
    settings()
    for arg, code in (('FROM:<a@b', '501 5.1.7'), ('<a@b>', '501 5.1.7'), ('FROM:', '501 5.1.7'),
                      ('FROM:<a@b>x', '501 5.5.4'), ('FROM:<a@b> SIZE=x', '501 5.5.4'),
                      ('FROM:<a@b> BODY=9BIT', '501 5.5.4'), ('FROM:<a@b> FOO=1', '555 5.5.4'),
                      ('FROM:<a@b> SIZE=99999999999999999999999', '250 2.1.0'), ('FROM:<a@b> BODY=7BIT', '250 2.1.0'),
                      ('FROM:<' + 'a' * 898 + '@b>', '250 2.1.0'), ('FROM:<' + 'a' * 899 + '@b>', '555 5.1.7'),
                      ('FROM:<"a b"@c>', '250 2.1.0'), ('FROM:<a b@c>', '501 5.1.7'), ('FROM:a@b', '250 2.1.0')):
        equal(once(['MAIL ' + arg])[0][:9], code, 'MAIL ' + arg[:40])
    for arg, code in (('TO:<>', '501 5.1.3'), ('TO:<x@example.org> NOTIFY=NEVER', '555 5.5.4'),
                      ('TO:<postmaster>', '250 2.1.5'), ('TO:<PostMaster>', '250 2.1.5'),
                      ('TO:<other>', '553 5.7.1'), ('TO:<x@EXAMPLE.ORG>', '250 2.1.5'),
                      ('TO:<x@example.com>', '553 5.7.1'), ('TO:<x@a.example.org>', '553 5.7.1'),
                      ('TO:<x@example.net>', '553 5.7.1'), ('TO:<x@a.b.example.net>', '250 2.1.5'),
                      ('TO:<x@example.org@example.com>', '553 5.7.1'), ('TO:<x%example.com@example.org>', '250 2.1.5'),
                      ('TO:<@example.org:x@example.com>', '553 5.7.1'), ('TO:<"x@example.org"@example.com>', '553 5.7.1'),
                      ('TO:<@relay.example,@b:x@example.org>', '250 2.1.5'), ('TO:<x@[192.0.2.55]>', '553 5.7.1')):
        equal(once(['MAIL FROM:<>', 'RCPT ' + arg])[1][:9], code, 'RCPT ' + arg)
    equal(once(['MAIL FROM:<a\x01@b>', 'MAIL FROM:<a\x00b@c>', 'NOOP\x00']), ['500 5.5.2 control character in command'] * 3,
          'control characters and NULs are refused')
    s, r = message('\r\n.\r\n', rcpt='<@x.example:"x y\\"@a"@example.org>')
    equal(read('env'), b'Fa@b.example\0Tx y"@a@example.org\0\0', 'quoting and the source route are undone')
    s.end()
    for ip in ('127.0.0.1', 'IPv6:::1'):
        if ip[0] == 'I' and not os.path.exists('/proc/net/if_inet6'): continue
        settings(localiphost='example.org')
        s, r = message('\r\n.\r\n', rcpt='<x@[%s]>' % ip)
        if ip[0] == 'I' and r[:3] != '250': skip('no IPv6 loopback address here')
        else: equal(read('env'), b'Fa@b.example\0Tx@example.org\0\0', 'x@[%s] becomes x@localiphost' % ip)
        s.end()

def make_cdb(name, records):
    """A cdb file, made by hand: key and value pairs."""
    data, tables, pos = b'', [[] for _ in range(256)], 2048
    for k, v in records:
        h = 5381
        for c in k: h = ((h << 5) + h ^ c) & 0xffffffff
        tables[h & 255].append((h, pos))
        data += struct.pack('<LL', len(k), len(v)) + k + v
        pos += 8 + len(k) + len(v)
    head = b''
    for t in tables:
        slots = [(0, 0)] * (2 * len(t))
        for h, p in t:
            i = (h >> 8) % len(slots)
            while slots[i][1]: i = (i + 1) % len(slots)
            slots[i] = (h, p)
        head += struct.pack('<LL', pos, len(slots))
        for h, p in slots: data += struct.pack('<LL', h, p)
        pos += 8 * len(slots)
    with open(os.path.join(home, 'control', name), 'wb') as f: f.write(head + data)

def rcpt(to, env={}, sender='<a@b.example>'):
    return once(['MAIL FROM:' + sender, 'RCPT TO:' + to], env)[1]

def test_rcpthosts():
    settings(rcpthosts=None)
    equal(rcpt('<x@example.org>')[:9], '553 5.7.1', 'no rcpthosts: nothing is taken')
    equal(rcpt('<x@example.org>', {'RELAYCLIENT': ''})[:3], '250', 'but from RELAYCLIENT')
    settings(rcpthosts='')
    equal(rcpt('<x@example.org>')[:9], '553 5.7.1', 'an empty rcpthosts: nothing is taken')
    settings()
    make_cdb('morercpthosts.cdb', [(b'more.example', b''), (b'.parent.example', b'')])
    equal(rcpt('<x@MORE.example>')[:3], '250', 'morercpthosts.cdb')
    equal(rcpt('<x@a.parent.example>')[:3], '250', 'a parent in morercpthosts.cdb')
    equal(rcpt('<x@less.example>')[:3], '553', 'a domain that is in neither')
    with open(os.path.join(home, 'control/morercpthosts.cdb'), 'r+b') as f: f.truncate(2050)
    equal(rcpt('<x@more.example>')[:9], '451 4.3.0', 'a damaged morercpthosts.cdb is temporary')
    with open(os.path.join(home, 'control/morercpthosts.cdb'), 'wb') as f: f.write(b'x')
    equal(rcpt('<x@more.example>')[:9], '451 4.3.0', 'so is one that is no cdb')
    equal(rcpt('<x@example.org>')[:3], '250', 'what rcpthosts has is not concerned')
    settings()
    s, r = message('\r\n.\r\n', {'RELAYCLIENT': '@out.example'}, rcpt='<x@example.com>')
    equal(read('env'), b'Fa@b.example\0Tx@example.com@out.example\0\0', "RELAYCLIENT's value is appended")
    s.end()
    s, r = message('\r\n.\r\n', {'RELAYCLIENT': ''}, rcpt='<nodomain>')
    equal(read('env'), b'Fa@b.example\0Tnodomain\0\0', 'RELAYCLIENT may leave out the domain')
    s.end()

def test_badmailfrom():
    settings(badmailfrom='bad@b.example\n@evil.example\n')
    equal(rcpt('<x@example.org>', sender='<BAD@b.example>'),
          '553 5.7.1 sorry, your envelope sender is in my badmailfrom list', 'a bad sender')
    equal(rcpt('<x@example.org>', sender='<a@Evil.example>')[:3], '553', 'a bad domain')
    equal(rcpt('<x@example.org>', sender='<good@b.example>')[:3], '250', 'another sender')
    equal(rcpt('<x@example.org>', sender='<>')[:3], '250', 'the null sender')

# --- limits ---

def test_limits():
    settings(maxrcpt='3', maxerrors='5')
    s = begin()
    replies = [s.cmd('RCPT TO:<x%d@example.org>' % i) for i in range(6)]
    equal([r[:9] for r in replies], ['250 2.1.5'] * 2 + ['452 4.5.3'] * 4, 'maxrcpt')
    equal(s.cmd('DATA')[:3], '354', 'those that fit are taken')
    equal(s.cmd('.')[:3], '250', 'in one message')
    equal(read('env').count(b'Tx'), 3, 'of three recipients')
    s.end()
    equal(s.text.count('code=452'), 1, 'one log line for all that are too many')
    equal(once(['MAIL FROM:<>', 'RCPT TO:<a@example.org>', 'RCPT TO:<b@example.org>'])[2][:9], '452 4.5.3',
          'the null sender has one recipient at a time')
    s = Session()
    replies = [s.cmd('FOO') for i in range(5)]
    equal(replies, ['502 5.5.1 unimplemented'] * 5, 'errors up to maxerrors')
    equal(s.reply(), '421 4.7.0 too many errors', 'then 421')
    check(s.closed(), 'and the end')
    s.end()
    check('reason="too many errors"' in s.text and ' errors=5 ' in s.text, 'which is logged')
    s, r = message('x\r\n.\r\n', stub=True)
    for i in range(4): s.cmd('FOO')
    s.cmd('MAIL FROM:<a@b>'); s.cmd('RCPT TO:<x@example.org>'); s.cmd('DATA')
    equal([s.cmd('.')[:3]] + [s.cmd('FOO')[:3] for i in range(4)], ['250'] + ['502'] * 4, 'an accepted message starts the count anew')
    s.end()
    s = Session()
    began = time.monotonic()
    for i in range(1000): s.send(b'FOO\r\n' * 100)
    s.end()
    check(time.monotonic() - began < 30 and len(s.text) < 1000, '100,000 bad commands end the session soon')

def test_lines():
    settings(maxline='600')
    for size, expected in ((600, '250 2.0.0 ok'), (601, '500 5.5.2 line too long'), (20000, '500 5.5.2 line too long'),
                           (100000, '500 5.5.2 line too long')):
        s = Session()
        s.send('NOOP ' + 'x' * (size - 7) + '\r\n')
        equal(s.reply(), expected, 'a line of %d bytes' % size)
        equal(s.cmd('NOOP'), '250 2.0.0 ok', 'and the next is read as usual')
        s.end()
    settings()
    for line in ('NOOP ' + 'x' * 4089, 'MAIL FROM:<' + 'a' * 898 + '@b>' + ' ' * 3100):
        equal(once([line])[0][:1], '2', 'a line of %d bytes with the default maxline' % (len(line) + 2))
    s = Session()
    s.send(b'x' * 50000000)
    s.send(b'\r\n')
    equal(s.reply(), '500 5.5.2 line too long', 'a line of 50 MB')
    peak = int(re.search(r'VmHWM:\s*(\d+)', open('/proc/%d/status' % s.p.pid).read()).group(1))
    if 'asan' in open('/proc/%d/maps' % s.p.pid).read(): skip('memory of a sanitizer build says nothing')
    else: check(peak < 6000, 'costs no memory: %d KiB' % peak)
    s.end()
    s = Session()
    s.send(b'NOOP\n')
    equal(s.reply(), '500 5.5.2 command lines must end with CR LF', 'a command with a bare LF')
    check(s.closed(), 'ends the session')
    s.end()

def test_timeouts():
    settings(timeoutsmtpd='1')
    began = time.monotonic()
    s = Session()
    equal(s.reply(), '421 4.4.2 timeout', 'a silent client')
    check(s.closed() and 0.8 < time.monotonic() - began < 30, 'after timeoutsmtpd')
    s.end()
    s = begin()
    s.cmd('DATA')
    s.send('half a line')
    equal(s.reply(), '421 4.4.2 timeout', 'one that stops within the message')
    s.end()
    check(' accepted ' not in s.text, 'whose message is not accepted')
    settings(timeoutsession='2')
    s = Session()
    began = time.monotonic()
    while time.monotonic() - began < 40:
        s.send(b'x')
        if s.s.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) if readable(s.s) else b'': break
        time.sleep(0.1)
    equal(s.reply(), '421 4.4.2 this session has lasted too long', 'a client that keeps sending a little')
    check(time.monotonic() - began < 30, 'after timeoutsession')
    s.end()
    check('reason="session timeout"' in s.text, 'which is logged')
    settings(timeoutsession='1')
    s = begin()
    s.cmd('DATA')
    for i in range(8):
        s.send(b'x' * 998 + b'\r\n')
        time.sleep(0.2)
    s.send('.\r\n')
    equal(s.reply()[:3], '250', 'a message that keeps coming may last longer')
    s.end()

def readable(sock):
    import select
    return bool(select.select([sock], [], [], 0)[0])

def test_sizes():
    settings(databytes='1000')
    s = Session()
    s.cmd('EHLO me')
    check('250-SIZE 1000' in s.lines, 'databytes is announced')
    equal(s.cmd('MAIL FROM:<a@b> SIZE=1001'), '552 5.3.4 sorry, that message size exceeds my databytes limit',
          'a size over it is refused')
    equal(s.cmd('MAIL FROM:<a@b> SIZE=1000')[:3], '250', 'one at it is not')
    s.end()
    for env, size, code in (({}, 1000, '250'), ({}, 1001, '552'), ({'DATABYTES': '2000'}, 1500, '250'),
                            ({'DATABYTES': '2000'}, 2001, '552'), ({'DATABYTES': '0'}, 100000, '250')):
        s, r = message(b'x' * (size - 2) + b'\r\n.\r\n', env)
        equal(r[:3], code, 'a message of %d bytes, %r' % (size, env))
        equal(s.cmd('NOOP')[:3], '250', 'and the session goes on')
        s.end()
    s, r = message((b'y' * 98 + b'\r\n') * 500000 + b'.\r\n')
    equal(r[:9], '552 5.3.4', '50 MB over databytes are read to their end')
    check(not os.path.exists(os.path.join(OUT, 'env')) or not read('env'), 'and nothing is queued')
    s.end()
    s = Session({'DATABYTES': 'many'}, greeting=False)
    equal(s.reply()[:3], '421', 'a DATABYTES that is no number')
    equal(s.end(), 111, 'is local trouble')

def test_hops():
    settings()
    for n, code in ((99, '250'), (100, '554')):
        s, r = message('Received: x\r\n' * (n - 5) + 'Delivered-To: y\r\n' * 5 + '\r\nReceived: z\r\n' * 3 + '.\r\n')
        equal(r[:3], code, '%d hops' % n)
        s.end()

# --- the text of a message ---

def test_line_ends():
    settings()
    for text, count in ((b'a\nb\r\n', 'bare LF 1'), (b'a\rb\r\n', 'bare CR 1'), (b'a\0b\r\n', 'NUL 1'),
                        (b'x\n.\nQUIT\r\n', 'bare LF 2'), (b'x\n.\r\nQUIT\r\n', 'bare LF 1'),
                        (b'x\r\n.\nQUIT\r\n', 'bare LF 1'), (b'x\r.\rQUIT\r\n', 'bare CR 2'),
                        (b'x\r\n.\rQUIT\r\n', 'bare CR 1'), (b'x\r\r\n', 'bare CR 1')):
        s, r = message(text + b'.\r\n')
        equal(r[:9], '550 5.6.0', 'refused at the true end: %r' % text)
        equal(s.cmd('NOOP'), '250 2.0.0 ok', 'and nothing of it was a command')
        s.end()
        check(count in s.text and ' first at byte ' in s.text, 'the log counts: ' + count)
        check(not os.path.exists(os.path.join(OUT, 'env')) or not read('env'), 'nothing is queued')
    settings(normalizeclients='198.51.100.7\n203.0.113.\n2001:db8::/32\n')
    for ip, mended in (('198.51.100.7', True), ('198.51.100.8', False), ('203.0.113.200', True),
                       ('2001:db8:ffff::1', True), ('2001:db9::1', False)):
        s, r = message(b'A: b\n\n.x\n.\n\r\ny\rz\n\r\n.\r\n', ip=ip)
        if mended: check(r[:3] == '250' and read('msg').endswith(b'\nA: b\n\nx\n\n\ny\nz\n\n'), 'mended for %s' % ip)
        else: equal(r[:3], '550', 'not mended for %s' % ip)
        s.end()
    s = Session(ip='198.51.100.7')
    s.send(b'NOOP\n')
    equal(s.reply(), '250 2.0.0 ok', 'commands of old devices may end with LF')
    s.end()
    s, r = message(b'a\0b\r\n.\r\n', ip='198.51.100.7')
    equal(r[:3], '550', 'a NUL is never mended')
    s.end()

def test_foreign():
    settings()
    for first in (b'GET / HTTP/1.1\r\n', b'POST /x HTTP/1.0\r\n', b'connect x:25 HTTP/1.1\r\n', b'PUT / HTTP/1.1\r\n'):
        s = Session()
        s.send(first + b'EHLO x\r\nMAIL FROM:<a@b>\r\n')
        equal(s.reply(), '554 5.5.1 this is a mail server', 'HTTP: %r' % first)
        check(s.closed(), 'ends the session')
        s.end()
    s = Session()
    s.send(b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')
    equal(s.reply()[:3], '421', 'a TLS handshake')
    check(s.closed(), 'ends the session')
    s.end()

DIALOGUE = [b'EHLO x\r\n', b'MAIL FROM:<a@b> SIZE=10\r\nRCPT TO:<x@example.org>\r\nDATA\r\n',
            b'Subject: y\r\n\r\n..z\r\n.\r\n', b'QUIT\r\n']

def test_splits():
    settings()
    expected = None
    total = sum(map(len, DIALOGUE))
    bad = []
    for cut in list(range(1, total)) + [0]:
        clear()
        s, got, at = Session(), [], 0
        for part in DIALOGUE:
            # Cut 0: every byte by itself. Each group waits for its answers, as a client has to.
            points = set(range(1, len(part))) if not cut else {cut - at} & set(range(1, len(part)))
            for i in range(len(part)):
                if i in points: time.sleep(0.0003 if not cut else 0.001)
                if i in points or i == 0:
                    end = min([p for p in points if p > i] or [len(part)])
                    s.send(part[i:end])
            got += [s.reply() for _ in range(3 if b'DATA' in part else 1)]
            at += len(part)
        s.end()
        got = [re.sub(r'ok \d+ qp \d+', 'ok N qp N', r) for r in got] + [read('msg').split(b'+0')[-1][-17:], read('env')]
        if expected is None: expected = got
        if got != expected: bad.append((cut, got))
    equal(bad[:1], [], 'the dialogue reads the same, wherever it is cut')
    equal([e[:3] for e in expected[:6]], ['250', '250', '250', '354', '250', '221'], 'as it should')

# --- the queue ---

def test_queue_codes():
    settings()
    table = {0: '250 2.0.0', 11: '554 5.', 31: '554 5.', 40: '554 5.', 51: '451 4.', 52: '451 4.', 53: '452 4.3.1',
             54: '451 4.', 55: '451 4.', 56: '451 4.', 61: '451 4.', 66: '451 4.', 71: '451 4.', 72: '451 4.',
             73: '451 4.', 74: '451 4.', 81: '451 4.', 91: '451 4.', 111: '451 4.', 120: '451 4.', 115: '554 5.'}
    for code, expected in table.items():
        s, r = message('x\r\n.\r\n', {'QX': str(code)})
        check(r.startswith(expected), 'exit code %d: %s' % (code, r))
        s.end()
        check((' accepted ' in s.text) == (code == 0), 'and so is the log')
    for code, text, expected in ((82, 'Dno spam please', '554 5.3.0 no spam please'), (82, 'Zlater, please', '451 4.3.0 later, please'),
                                 (88, 'D5.7.1 not you', '554 5.7.1 not you'), (82, 'D5.7.1234 no', '554 5.3.0 5.7.1234 no'),
                                 (82, 'D5.7 no', '554 5.3.0 5.7 no'), (82, 'D5.7.1', '554 5.7.1 queue trouble'),
                                 (82, 'Da\\r\\nQUIT', None)):
        s, r = message('x\r\n.\r\n', {'QX': str(code), 'TEXT': text})
        if expected: equal(r, expected, 'exit code %d with %r' % (code, text))
        else: check(r[:3] == '554' and s.cmd('NOOP') == '250 2.0.0 ok', 'no line end gets out of a text')
        s.end()
    s, r = message('x\r\n.\r\n', {'QMAILQUEUE': '/nonexistent/queue'})
    check(r.startswith('451 4.'), 'no such program: ' + r)
    s.end()
    s = begin(stub=False)
    equal(s.cmd('DATA')[:6], '451 4.', 'no queued: temporary, before the message is sent')
    equal(s.cmd('NOOP'), '250 2.0.0 ok', 'and the session goes on')
    s.end()
    check(' deferred ' in s.text, 'which is logged')

def test_queued():
    settings()
    q = smtpsession.Queued(home)
    s, r = message('Subject: x\r\n\r\ny\r\n.\r\n', stub=False, sender='<a@b.example> BODY=8BITMIME SIZE=20')
    check(re.fullmatch(r'250 2\.0\.0 ok \d+ qp \d+', r), 'pipit-queued takes a message: ' + r)
    text, env = q.message(r.split()[-1])
    check(text.startswith(b'Received: from me.example (unknown [192.0.2.1])\n\tby host.example with ESMTP'), 'our trace is in it')
    check(text.endswith(b'\nSubject: x\n\ny\n') and text.count(b'Received:') == 1, 'and the message')
    equal(env.rstrip(b'\0'), b'Fa@b.example\0XBODY=8BITMIME\0Tx@example.org', 'and the envelope')
    ids = [r.split()[-1]]
    for i in range(3):
        s.send('MAIL FROM:<>\r\nRCPT TO:<y%d@example.org>\r\nDATA\r\n' % i)
        codes = [s.reply()[:3] for _ in range(3)]
        r = s.cmd('m%d\r\n.' % i)
        ids.append(r.split()[-1])
        check(codes == ['250', '250', '354'] and q.message(ids[-1])[0].endswith(b'm%d\n' % i), 'message %d of the session' % (i + 2))
    check(len(set(ids)) == 4, 'every message has its own id')
    s.cmd('MAIL FROM:<>'); s.cmd('RCPT TO:<z@example.org>'); s.cmd('RSET')
    s.cmd('MAIL FROM:<a@b>'); s.cmd('RCPT TO:<z@example.org>'); s.cmd('DATA')
    equal(s.cmd('a\nb\r\n.')[:3], '550', 'a refused message and one that was given up')
    equal(sorted(q.messages()), sorted(ids), 'leave nothing in the queue')
    s.cmd('MAIL FROM:<a@b>'); s.cmd('RCPT TO:<z@example.org>')
    r = s.cmd('DATA')
    q.stop()
    s.send('late\r\n.\r\n')
    r = s.reply()
    check(r[:3] in ('250', '451'), 'queued stops within a message: ' + r)
    if r[:3] == '250': check(q.message(r.split()[-1])[0].endswith(b'late\n'), '250 only if it is on disk')
    s.cmd('MAIL FROM:<a@b>'); s.cmd('RCPT TO:<z@example.org>')
    equal(s.cmd('DATA')[:6], '451 4.', 'without queued')
    q = smtpsession.Queued(home)
    s.cmd('MAIL FROM:<a@b>'); s.cmd('RCPT TO:<z@example.org>')
    equal((s.cmd('DATA')[:3], s.cmd('.')[:3]), ('354', '250'), 'and with it again, in the same session')
    s.end()
    check(' id=%s ' % ids[1] in s.text, 'the log has the ids')
    q.stop()
    settings(queuereserve='9000000000000')
    q = smtpsession.Queued(home)
    s = begin(stub=False)
    equal(s.cmd('DATA')[:9], '452 4.3.1', 'no room in the queue: before the message is sent')
    equal(s.cmd('NOOP')[:3], '250', 'and the session goes on')
    s.end()
    q.stop()

DSN_MAIL = [ # arguments behind MAIL FROM:<a@b>, the reply
    ('RET=FULL', '250'), ('ret=hdrs', '250'), ('RET=HDRS ENVID=QQ314159', '250'), ('RET=ALL', '501'), ('RET', '501'),
    ('RET=FULL RET=FULL', '501'), ('ENVID=a ENVID=b', '501'), ('ENVID=' + 'x' * 100, '250'), ('ENVID=' + 'x' * 101, '501'),
    ('ENVID=a+2Bb+3D+20', '250'), ('ENVID=a+2b', '501'), ('ENVID=a+', '501'), ('ENVID=a+2', '501'), ('ENVID=a=b', '501'),
    ('ENVID=a+0Ab', '501'), ('ENVID=a+00b', '501'), ('ENVID=a+80', '501'), ('ENVID=', '501'), ('ENVID', '501'),
    ('NOTIFY=NEVER', '555'), ('ORCPT=rfc822;a@b', '555')]
DSN_RCPT = [
    ('NOTIFY=NEVER', '250'), ('notify=success,Failure,DELAY', '250'), ('NOTIFY=DELAY', '250'), ('NOTIFY=NEVER,SUCCESS', '501'),
    ('NOTIFY=SUCCESS,NEVER', '501'), ('NOTIFY=', '501'), ('NOTIFY', '501'), ('NOTIFY=SUCCESS,', '501'), ('NOTIFY=,SUCCESS', '501'),
    ('NOTIFY=SUCCESS,,DELAY', '501'), ('NOTIFY=OFTEN', '501'), ('NOTIFY=NEVER NOTIFY=NEVER', '501'),
    ('ORCPT=rfc822;joe@a.example', '250'), ('ORCPT=x-y;a+2Bb', '250'), ('ORCPT=rfc822;a ORCPT=rfc822;b', '501'),
    ('ORCPT=rfc822', '501'), ('ORCPT=rfc822;', '501'), ('ORCPT=;a', '501'), ('ORCPT=a;b;c+', '501'), ('ORCPT=rfc822;a+0D+0Ab', '501'),
    ('ORCPT=rfc822;a+c3', '501'), ('ORCPT=rfc822;a+C3', '501'), ('ORCPT=rfc822;a=b', '501'), ('ORCPT=rfc(822);a', '501'),
    ('ORCPT=rfc822;' + 'x' * 493, '250'), ('ORCPT=rfc822;' + 'x' * 494, '501'), ('RET=FULL', '555'), ('SIZE=1', '555')]

def test_dsn():
    settings(maxerrors='0')
    for program in (False, True):
        s = Session(stub=program)
        s.cmd('EHLO me.example')
        equal('250-DSN' in s.lines, not program, 'DSN is %soffered' % ('not ' if program else ''))
        def ask(line, code, way):
            if program: code = '501' if way else '555'
            r = s.cmd(line)
            check(r[:3] == code and (code == '250' or r[4:9] == '5.5.4'), '%s: %s' % (line[:70], r))
        # With a program none of them is known; what is no parameter at all stays one.
        for arg, code in DSN_MAIL:
            ask('MAIL FROM:<a@b> ' + arg, code, arg == 'ENVID=')
            s.cmd('RSET')
        for arg, code in DSN_RCPT:
            s.cmd('MAIL FROM:<a@b>')
            ask('RCPT TO:<x@example.org> ' + arg, code, arg == 'NOTIFY=')
            s.cmd('RSET')
        s.end()
    q = smtpsession.Queued(home)
    s = Session(stub=False)
    def put(*rcpts, mail=''):
        s.cmd('MAIL FROM:<a@b>' + mail)
        codes = [s.cmd('RCPT TO:' + r)[:3] for r in rcpts]
        s.cmd('DATA')
        return codes, q.message(s.cmd('x\r\n.').split()[-1])[1]
    equal(put('<x@example.org> ORCPT=rfc822;X+2B@example.org NOTIFY=delay,success', '<y@example.org>', '<z@example.org> NOTIFY=never',
              '<no@example.org> NOTIFY=NO', mail=' ret=full ENVID=A+2Bb BODY=8BITMIME'),
          (['250', '250', '250', '501'],
           b'Fa@b\0XBODY=8BITMIME\0XRET=FULL\0XENVID=A+2Bb\0XNOTIFY=SUCCESS,DELAY\0XORCPT=rfc822;X+2B@example.org\0Tx@example.org\0'
           b'Ty@example.org\0XNOTIFY=NEVER\0Tz@example.org\0'), 'they are in the envelope, and not those of a recipient that was refused')
    s.cmd('MAIL FROM:<a@b> RET=HDRS ENVID=gone')
    s.cmd('RSET')
    equal(put('<x@example.org>')[1], b'Fa@b\0Tx@example.org\0', 'nor any in the next one')
    s.end()
    check('rcpt=<x@example.org> rcpt=<y@example.org> rcpt=<z@example.org> rcpts=3' in s.text, 'the log has the recipients alone')
    q.stop()

def test_lost():
    settings()
    s = begin()
    s.cmd('DATA')
    s.send('half a message\r\n')
    equal(s.end(), 0, 'a client that goes away within the message')
    check(' accepted ' not in s.text and 'reason="closed by client"' in s.text, 'leaves nothing behind but a line')

# --- settings ---

def test_broken_settings():
    for name, text, named in (('me', None, 'control/me'), ('me', '', 'control/me'), ('databytes', '10k', 'control/databytes: line 1'),
                              ('maxline', '100', 'control/maxline'), ('maxrcpt', '0', 'control/maxrcpt'), ('maxerrors', '99999999999999999999', 'control/maxerrors'), ('normalizeclients', '192.0.2.0/24\nfoo\n', 'control/normalizeclients: foo'),
                              ('rcpthosts', 'a\0b\n', 'control/rcpthosts: line 1'), ('smtpgreeting', 'a\x07b', 'control/smtpgreeting')):
        settings(**{name: text})
        s = Session(greeting=False)
        equal(s.reply(), '421 4.3.0 local trouble, try again later', 'broken: control/%s' % name)
        equal(s.end(), 111, 'exit code 111')
        check(named in s.text and s.text.count('\n') == 1, 'one line says what is wrong: ' + s.text.strip())
    settings()
    os.unlink(os.path.join(home, 'control/rcpthosts'))
    os.mkdir(os.path.join(home, 'control/rcpthosts'))
    s = Session(greeting=False)
    equal(s.reply()[:3], '421', 'a directory in place of a control file')
    s.end()
    os.rmdir(os.path.join(home, 'control/rcpthosts'))
    settings(smtpgreeting='mx.example ready', me='host.example')
    equal(Session().greeting, '220 mx.example ready ESMTP', 'smtpgreeting')

def test_usage():
    for args in (['-x', 'y'], ['-Z'], ['word'], ['-l', '-p', '99999'], ['-l', '-c', '0']):
        p = subprocess.run([os.path.join(BIN, 'pipit-smtpd')] + args, stdin=subprocess.DEVNULL, capture_output=True)
        check(p.returncode == 100 and p.stderr.count(b'\n') == 1, 'wrong usage: %s' % ' '.join(args))

def test_injected():
    """Errors of the system, each at its place: 421 or 4xx and a line, never a bounce."""
    settings()
    if not shutil.which('strace'): return skip('strace is not there')
    asan = b'libasan' in subprocess.run(['ldd', os.path.join(BIN, 'pipit-smtpd')], capture_output=True).stdout
    for call, when in (('prctl', '1+'), ('prlimit64', '2')):
        if asan and call == 'prlimit64':
            skip('a sanitizer build has no memory limit')
            continue
        log = os.path.join(SCRATCH, 'log')
        a, b = socket.socketpair()
        inject = '%s:error=EPERM:when=%s' % (call, when)
        with open(log, 'w') as f:
            p = as_account(['strace', '-qq', '-o', '/dev/null', '-e', 'trace=' + call, '-e', 'inject=' + inject, os.path.join(BIN, 'pipit-smtpd')],
                           stdin=b, stdout=b, stderr=f, env=dict(os.environ, PIPIT_HOME=home, TCPREMOTEIP='192.0.2.1'))
        b.close()
        a.settimeout(20)
        try: got = a.recv(1000).decode()
        except ConnectionResetError: got = ''
        a.close()
        code = p.wait(20)
        text = open(log).read()
        if 'ptrace' in text or 'strace' in text: return skip('ptrace is not allowed here')
        check(got[:3] == '421' and code == 111 and 'unable' in text, '%s fails: %s' % (call, got.strip()))

# --- started as people start it ---

def test_pipes():
    settings()
    p = as_account([os.path.join(BIN, 'pipit-smtpd')], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=home))
    out, _ = p.communicate(b'EHLO x\r\nNOOP\r\nQUIT\r\n', 20)
    equal([l[:3] for l in out.splitlines()], [b'220'] + [b'250'] * 7 + [b'221'], 'over two pipes')
    p = as_account(['sh', '-c', 'exec %s <&- >&- 2>&-' % os.path.join(BIN, 'pipit-smtpd')], env=dict(os.environ, PIPIT_HOME=home))
    check(p.wait(20) in (0, 111), 'with its descriptors closed')

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]): test()
done()
