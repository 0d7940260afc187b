#!/usr/bin/python3
"""remote-tls.py - TLS with servers: policies, certificates, falling back to clear text, what is put behind a 220, broken handshakes"""
import os, re, signal, ssl, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from dnsserver import DNSServer
from jobs import children, remote, rspawn
from tlsserver import Tlsd
from tlssink import *

LONG = os.environ.get('CRASH') == 'long'
home = make_home()
HOST = 'b.example'
os.mkdir(home + '/control/serverca')
ca, other_ca = CA('ca'), CA('other')
good = ca.issue('relay.example', HOST, '127.0.0.1')
wrong = ca.issue('wrong.example')
for a, name in ((ca, 'ca'), (other_ca, 'other')):
    with open('%s/control/serverca/%s.pem' % (home, name), 'w') as f: f.write(open(a.pem).read())
with open(home + '/control/serverca.pem', 'w') as f: f.write(open(ca.pem).read())

def setup_route(sink, policy=None, **controls):
    control(home, 'smtproutes', ':[127.0.0.1]:%d' % sink.port)
    control(home, 'tlsdestinations', policy)
    for name in ('timeoutremote', 'resolvers', 'lmtproutes'): control(home, name, None)
    control(home, 'connectionidle', '60') # no connection goes away because the machine is slow
    for name, value in controls.items(): control(home, name, str(value))

class Result: pass

def send(sink, policy=None, message=b'Subject: x\n\nbody\n', host=HOST, **controls):
    """One delivery by rspawn: .letter, .text, .tls (what the log gets), .packets."""
    setup_route(sink, policy, **controls)
    r = rspawn(home, os.path.join(SCRATCH, 'log'))
    got = deliver(r, message, host)
    r.close()
    wait_for(lambda: all(x.closed for x in sink.sessions), 20)
    return got

def deliver(r, message=b'Subject: x\n\nbody\n', host=HOST, extras=()):
    got = Result()
    r.told = []
    num = r.give_text(host, 's@a.example', ['x@' + host], message, extras=extras)
    results = r.finish(num, 60) or ['-']
    got.letter, got.text, got.tls = results[0][0], results[0][1:], r.tls.get(num)
    return got

def clear(s): return sum(1 for t in s.transactions if not t.session.secure)
def secure(s): return sum(1 for t in s.transactions if t.session.secure)

# --- levels ---

def levels():
    t = Tlsd(home, '-c')
    with TlsSink(good) as s:
        r = send(s)
        check(re.fullmatch(r'TLSv1\.3 TLS_\S+ yes ', r.tls) and r.letter == 'K', 'TLS where it is offered: %r' % r.tls)
        first = s.sessions[0]
        equal(first.commands, ['EHLO host.example', 'STARTTLS', 'EHLO host.example', 'MAIL FROM:<s@a.example> SIZE=20', 'RCPT TO:<x@b.example>', 'DATA', 'QUIT'],
              'EHLO is said again behind the handshake')
        check(first.secure and s.transactions[0].message == b'Subject: x\r\n\r\nbody\r\n', 'the message is whole')
    with TlsSink(good) as s:
        r = send(s, ':none')
        equal((r.letter, r.tls, s.shaken, clear(s)), ('K', None, 0, 1), 'none: in clear')
    with TlsSink(good, offer=False) as s:
        r = send(s, ':may')
        equal((r.letter, r.tls, clear(s)), ('K', 'no - - ', 1), 'may: in clear where it is not offered')
        for policy in ('encrypt', 'verify'):
            r = send(s, ':' + policy)
            check(r.letter == 'Z' and 'does not offer TLS, which is required. (#4.7.4)' in r.text, policy + ': not without TLS: %r' % r.text)
        equal(len(s.transactions), 1, 'and nothing was sent')
    with TlsSink(wrong) as s:
        r = send(s, ':encrypt')
        check(r.letter == 'K' and r.tls.endswith(' no certificate is not for [127.0.0.1]'), 'encrypt: whatever the certificate, and why it does not hold is a text: %r' % r.tls)
    with TlsSink(good, starttls='454 4.7.0 not now') as s:
        r = send(s, ':encrypt')
        check(r.letter == 'Z' and 'STARTTLS, which is required, was refused. (#4.7.4)' in r.text and '454 4.7.0' in r.text, 'encrypt: refused: %r' % r.text)
        equal((len(s.transactions), len(s.sessions), s.sessions[0].commands[-1]), (0, 1, 'QUIT'), 'and nothing was sent')
    with TlsSink(good, ehlo=['500 what']) as s: # HELO only
        equal((send(s, ':encrypt').letter, len(s.transactions)), ('Z', 0), 'encrypt: a server that knows HELO only')
    with TlsSink(good, wrapper=True) as s:
        r = send(s, ':encrypt wrapper')
        equal((r.letter, secure(s), 'STARTTLS' in s.sessions[0].commands), ('K', 1, False), 'wrapper: TLS from connecting on')
    with Sink(greeting=Slow(0.2, '220 x')) as s:
        r = send(s, ':may wrapper', timeoutremote=5)
        check(r.letter == 'Z' and '(#4.7.5)' in r.text and len(s.sessions) == 1, 'wrapper: never in clear: %r' % r.text)
        check('wrong version number (no TLS at once there: leave out wrapper?). (#' in r.text, 'wrapper where it is wrong: so it says: %r' % r.text)
    with TlsSink(good, lmtp=True) as s:
        r = send(s, ':encrypt', lmtproutes=':[127.0.0.1]:%d' % s.port)
        equal((r.letter, secure(s)), ('K', 1), 'LMTP')
    check(wait_for(lambda: not t.sessions()), 'no process is left')
    t.stop()

def submissions():
    """The port for TLS at once, where the route does not say so."""
    def silent(policy, timeout, **kw):
        with TlsSink(good, address='127.4.6.5', port=465, **kw) as s:
            setup_route(s, policy, timeoutremote=timeout)
            control(home, 'smtproutes', ':[127.4.6.5]:465')
            r = rspawn(home, os.path.join(SCRATCH, 'log'))
            got = deliver(r)
            r.close()
            return got.letter, got.text.split('\n')[0]
    want = 'Z', 'Connected to 127.4.6.5 but connection died (port 465 wants wrapper). (#4.4.2)'
    t = Tlsd(home, '-c')
    try:
        equal(silent(':may', 2, wrapper=True), want, 'no greeting on port 465')
        equal(silent(':may', 20, greeting=Close()), want, 'nor anything else')
        equal(silent(':encrypt wrapper', 20, wrapper=True, greeting=Close()), ('Z', 'Connected to 127.4.6.5 but connection died. (#4.4.2)'), 'with wrapper it is not that')
    except PermissionError: skip('port 465 is not for us')
    t.stop()

def syntax():
    t = Tlsd(home, '-c')
    with TlsSink(good) as s:
        for text in (HOST + ':maybe', HOST, 'b.example:', ':verify match=', ':verify match=a,,b', ':encrypt match=a', ':verify fingerprint=12',
                     ':verify ca=../x', ':none wrapper', ':verify fingerprint=%s ca=ca' % ('ab' * 32), ':verify match=a%b'):
            r = send(s, text)
            check(r.letter == 'Z' and 'Unable to read control files. (#4.3.0)' in r.text and 'control/tlsdestinations' in r.text,
                  'not a policy: %s: %r' % (text[:40], r.text[-90:]))
        equal(len(s.sessions), 0, 'nobody was asked')
        for text, want in (('b.example:none\n:encrypt', False), ('.example:none\n:encrypt', False), ('B.Example:encrypt\n:none', True), ('c.example:none\n:encrypt', True),
                           ('[127.0.0.1]:none\n:encrypt', False), ('# x\n\n:none', False)):
            n = secure(s)
            equal((send(s, text).letter, secure(s) > n), ('K', want), 'which line counts: %r' % text)
    t.stop()

def certificates():
    t = Tlsd(home, '-c')
    expired = ca.issue(HOST, 'relay.example', '127.0.0.1', days=-1)
    below = ca.issue('mx1.b.example')
    wild = ca.issue('*.b.example')
    address = ca.issue('127.0.0.1')
    stranger = other_ca.issue(HOST, '127.0.0.1')
    for what, pair, policy, want in (
            ('the address of the relay', address, 'verify', 'K'), ('another name', wrong, 'verify', 'certificate is not for [127.0.0.1]'),
            ('a name', good, 'verify match=b.example', 'K'), ('the second name', good, 'verify match=x.example,relay.example', 'K'),
            ('another name than match=', good, 'verify match=x.example', 'certificate is not for x.example'),
            ('a host below', below, 'verify match=.b.example', 'K'), ('a wildcard', wild, 'verify match=.b.example', 'K'),
            ('a wildcard for a name', wild, 'verify match=mx.b.example', 'K'), ('a domain is not below itself', good, 'verify match=.b.example', 'certificate is not for'),
            ('the common name is no name', wrong, 'verify match=common.example', 'certificate is not for'),
            ('mx: what it is called', address, 'verify match=mx', 'K'), ('mx and others', wrong, 'verify match=mx,wrong.example', 'K'),
            ('expired', expired, 'verify', 'certificate: certificate has expired'), ('another CA', stranger, 'verify', 'certificate; CAs asked: control/serverca.pem. (#'),
            ('the CA that is named', stranger, 'verify ca=other', 'K'), ('only the CA that is named', good, 'verify ca=other', 'certificate; CAs asked: control/serverca/other.pem. (#'),
            ('fingerprint of the certificate', stranger, 'verify fingerprint=' + stranger.print(), 'K'),
            ('fingerprint of the key, with colons', expired, 'verify fingerprint=%s,%s' % ('0' * 64, ':'.join(re.findall('..', expired.print('key').upper()))), 'K'),
            ('another fingerprint', good, 'verify fingerprint=' + stranger.print(), 'certificate has another fingerprint')):
        with TlsSink(pair) as s:
            r = send(s, ':' + policy)
            if want == 'K':
                equal((r.letter, r.tls and r.tls.split(' ')[2], secure(s)), ('K', 'fingerprint' if 'fingerprint' in policy else 'yes', 1), 'verify: %s: %s' % (what, r.text if r.letter != 'K' else 'sent'))
            else:
                check(r.letter == 'Z' and want in r.text and '(#4.7.5)' in r.text and r.text.startswith('Connected to 127.0.0.1 but TLS, which is required, failed: '),
                      'verify: %s: %r' % (what, r.text))
                equal((len(s.transactions), len(s.sessions), s.sessions[0].commands[-1]), (0, 1, 'STARTTLS'), 'and nothing was said, nor tried in clear')
    with TlsSink(good) as s:
        r = send(s, ':verify ca=missing')
        check(r.letter == 'Z' and '(#4.3.0)' in r.text and 'here: control/serverca/missing.pem: no such file, or no CA in it. (#' in r.text and not s.transactions, 'a CA file that is not there: %r' % r.text)
    # By MX, the name is the domain's: what the DNS says counts only where that is said.
    mx = ca.issue('mx.other.example')
    zone = {'b.example': {'MX': ['10 mx.other.example']}, 'mx.other.example': {'A': ['127.0.0.1']}}
    with DNSServer(zone) as dns:
        for pair, policy, want in ((mx, 'verify', 'Z'), (good, 'verify', 'K'), (below, 'verify', 'K'), (mx, 'verify match=mx', 'K'), (mx, 'verify match=.other.example', 'K')):
            with TlsSink(pair) as s:
                r = send(s, ':' + policy, smtproutes=':[127.0.0.1]:%d' % s.port, resolvers=dns.resolver)
                control(home, 'smtproutes', 'b.example::%d' % s.port)
                sp = rspawn(home, os.path.join(SCRATCH, 'log'))
                r = deliver(sp)
                sp.close()
                equal(r.letter, want, 'MX, %s: %s' % (policy, r.text[:100]))
    # New CAs are taken without a restart.
    with TlsSink(stranger) as s:
        with open(home + '/control/serverca.pem', 'a') as f: f.write(open(other_ca.pem).read())
        t.hup()
        equal(send(s, ':verify').letter, 'K', 'a new CA')
        with open(home + '/control/serverca.pem', 'w') as f: f.write(open(ca.pem).read())
        t.hup()
        equal(send(s, ':verify').letter, 'Z', 'and without it')
        with open(home + '/control/serverca.pem', 'w') as f: f.write('nothing\n')
        check('control/serverca.pem: no certificates of CAs' in t.hup(), 'a broken file is named')
    with TlsSink(good) as s:
        equal(send(s, ':verify').letter, 'K', 'and what was read before stays')
        os.unlink(home + '/control/serverca.pem')
        t.hup()
        r = send(s, ':verify')
        check(re.search(r'certificate; CAs asked: (/etc/\S+|control/serverca\.pem)\. \(#', r.text), 'without that file: the CAs of the system are named: %r' % r.text)
    with open(home + '/control/serverca.pem', 'w') as f: f.write(open(ca.pem).read())
    t.stop()

def nameless():
    """Ciphers without certificates, where control/tlsclientciphers has them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers('aNULL:@SECLEVEL=0')
    control(home, 'tlsclientciphers', 'ALL:@SECLEVEL=0')
    t = Tlsd(home, '-c')
    with TlsSink(context=context) as s:
        r = send(s, ':encrypt')
        equal((r.letter, secure(s), s.failures), ('K', 1, []), 'encrypt: a server without a certificate: %r' % r.tls)
        r = send(s, ':verify')
        check(r.letter == 'Z' and 'TLS, which is required, failed: it has shown no certificate. (#4.7.5)' in r.text, 'verify: refused: %r' % r.text)
        equal((len(s.transactions), s.sessions[-1].commands[-1]), (1, 'STARTTLS'), 'and nothing was said')
    control(home, 'tlsclientciphers', None)
    t.stop()

# --- in clear after all ---

def fallback():
    old = good.context((ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1))
    for what, make, why in (('TLS 1.1 only', lambda: TlsSink(context=old), 'protocol version'),
                            ('refused', lambda: TlsSink(good, starttls='454 4.7.0 not now'), 'STARTTLS was refused'),
                            ('closed instead of an answer', lambda: TlsSink(good, starttls=Close()), 'no answer to STARTTLS'),
                            ('closed in the handshake', lambda: TlsSink(good, cut=0), 'closed by server'),
                            ('no TLS', lambda: TlsSink(good, babble=b'250 what?\r\n'), 'wrong version number')):
        t = Tlsd(home, '-c')
        with make() as s:
            r = send(s, ':may')
            equal((r.letter, clear(s), len(s.sessions), [x.commands.count('STARTTLS') for x in s.sessions]), ('K', 1, 2, [1, 0]), 'may: %s: a new connection in clear' % what)
            check(r.tls.startswith('no - - ') and why in r.tls, 'and the log says why: %r' % r.tls)
            wait_for(lambda: not t.sessions())
            r = send(s, ':may')
            equal((r.letter, clear(s), len(s.sessions), r.tls), ('K', 2, 3, 'no - - failed lately'), 'the next one is not tried at all')
            r = send(s, ':encrypt')
            check(r.letter == 'Z' and len(s.transactions) == 2 and re.search(r'\(#4\.[47]\.', r.text), 'encrypt: tried, and no mail in clear: %r' % r.text)
        t.stop()
    t = Tlsd(home, '-c')
    with TlsSink(good, hang=True) as s:
        r = send(s, ':may', timeoutremote=3)
        equal((r.letter, clear(s), r.tls), ('K', 1, 'no - - timeout'), 'may: no answer in the handshake: in clear')
    with TlsSink(good, starttls=['454 not now', '220 go']) as s:
        port = s.port
        equal([send(s, ':may').letter, clear(s)], ['K', 1], 'refused once')
        wait_for(lambda: not t.sessions())
        equal([send(s, ':encrypt').letter, secure(s)], ['K', 1], 'who needs TLS asks again')
        wait_for(lambda: not t.sessions())
        equal([send(s, ':may').letter, secure(s)], ['K', 2], 'what has worked for them counts for all')
    with TlsSink(good) as s: equal([send(s, ':may').letter, secure(s)], ['K', 1], 'another port is another server')
    # TLS 1.3: refused when the client is through with its part.
    picky = good.context()
    picky.verify_mode = ssl.CERT_REQUIRED
    with TlsSink(context=picky) as s:
        r = send(s, ':may')
        equal((r.letter, clear(s), len(s.sessions)), ('K', 1, 2), 'may: refused behind the handshake: in clear')
        check(wait_for(lambda: not t.sessions()) and send(s, ':may').tls == 'no - - failed lately', 'and remembered')
        r = send(s, ':encrypt')
        equal((r.letter, clear(s)), ('Z', 2), 'encrypt: not in clear: %r' % r.text)
    t.stop()

def trouble():
    """What is wrong here, and not with the server."""
    with TlsSink(good) as s:
        r = send(s, ':may')
        equal((r.letter, clear(s), len(s.sessions)), ('K', 1, 1), 'may: without pipit-tlsd in clear')
        check(r.tls.startswith('no - - not available here: '), 'and the log says so: %r' % r.tls)
        for policy in ('encrypt', 'verify', 'encrypt wrapper'):
            r = send(s, ':' + policy)
            check(r.letter == 'Z' and 'TLS is required, but is not available here: run/tlsc: ' in r.text and '(#4.3.0)' in r.text, policy + ': %r' % r.text)
        equal(len(s.sessions), 1, 'nobody was connected to')
    control(home, 'concurrencytlsc', '0')
    t = Tlsd(home, '-c')
    with TlsSink(good) as s:
        r = send(s, ':may')
        equal((r.letter, clear(s), r.tls), ('K', 1, 'no - - not available here: as many sessions as control/concurrencytlsc allows'), 'may: a full pipit-tlsd')
        r = send(s, ':encrypt')
        check(r.letter == 'Z' and 'concurrencytlsc' in r.text and '(#4.3.0)' in r.text and len(s.transactions) == 1, 'encrypt: a full pipit-tlsd: %r' % r.text)
    control(home, 'concurrencytlsc', None)
    t.hup()
    # It is killed in the middle of a message; and in the handshake.
    held = threading.Event()
    with TlsSink(good, dot=lambda session, line: held.wait(20) and '250 late') as s:
        setup_route(s, ':may')
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        num = r.give_text(HOST, 's@a.example', ['x@' + HOST], b'Subject: x\n\n' + b'line\n' * 1000)
        check(wait_for(lambda: s.transactions) and wait_for(lambda: len(t.sessions()) == 1), 'a session')
        for pid in t.sessions(): os.kill(pid, signal.SIGKILL)
        got = r.finish(num)
        held.set()
        check(got and got[0][0] == 'Z' and 'connection died. Possible duplicate! (#4.4.2)' in got[0], 'killed in a session: for now: %r' % got)
        check(wait_for(lambda: 'begun anew' in t.text()), 'pipit-tlsd executes itself anew')
        equal(deliver(r).letter, 'K', 'and goes on')
        r.close()
    with TlsSink(good, late=None, starttls=lambda session, line: kill_all(t) or '220 go') as s:
        r = send(s, ':may')
        check(r.letter == 'Z' and 'TLS was interrupted: pipit-tlsd went away. (#4.4.2)' in r.text and len(s.transactions) == 0, 'killed before the handshake: for now: %r' % r.text)
    with TlsSink(good) as s:
        offer = s.script['ehlo']
        s.script['ehlo'] = lambda session, line: session.secure and kill_all(t) or offer(session, line)
        r = send(s, ':may')
        check(r.letter == 'Z' and 'connection died. (#4.4.2)' in r.text and len(s.transactions) == 0 and len(s.sessions) == 1, 'killed right behind the handshake: for now, and no other try: %r' % r.text)
    with TlsSink(good) as s:
        s.script['ehlo'] = [s.script['ehlo'], Close(), '250 x']
        r = send(s, ':may')
        equal((r.letter, clear(s), r.tls), ('K', 1, 'no - - ended with the handshake'), 'closed right behind the handshake by the server: in clear')
    t.stop()

def kill_all(t):
    wait_for(lambda: t.sessions())
    for pid in t.sessions(): os.kill(pid, signal.SIGKILL)

# --- somebody in between ---

INJECTED = b'250-evil.example\r\n250 SIZE 1\r\n'

def injected():
    t = Tlsd(home, '-c')
    for policy in ('may', 'encrypt', 'verify'):
        with TlsSink(good, inject=INJECTED) as s:
            r = send(s, ':' + policy)
            check(r.letter == 'Z' and 'text in clear stands behind its answer to STARTTLS' in r.text and '(#4.7.5)' in r.text, '%s: text behind the 220: %r' % (policy, r.text))
            equal((len(s.sessions), len(s.transactions), s.shaken), (1, 0, 0), 'no handshake, no mail, and no other try')
    # Later, before or in the handshake: never read as an answer.
    count = 1000 if LONG else 12
    bad = []
    with TlsSink(good) as s:
        setup_route(s, ':encrypt')
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        for n in range(count):
            s.late = (n * 0.02 / count, INJECTED)
            s.inject = None if n % 2 else b''
            got = deliver(r)
            if got.letter != 'Z' or s.transactions or '(#4.7.5)' not in got.text: bad.append((n, got.text))
        r.close()
    equal(bad, [], '%d timings of text behind the 220: never mail, never an answer' % count)
    # What was offered in clear is forgotten.
    with TlsSink(good) as s:
        s.script['ehlo'] = lambda session, line: '250 x' if session.secure else '250-x\n250-PIPELINING\n250-SIZE 3\n250-DSN\n250-8BITMIME\n250 STARTTLS'
        r = send(s, ':may')
        equal((r.letter, s.sessions[0].commands[2:]), ('K', ['EHLO host.example', 'MAIL FROM:<s@a.example>', 'RCPT TO:<x@b.example>', 'DATA', 'QUIT']), 'offers made in clear are forgotten')
        check(all(w.count(b'\r\n') == 1 for w in s.sessions[0].writes if b'Subject' not in w and b'body' not in w), 'and so is PIPELINING')
    t.stop()

def aborted():
    """The handshake is cut off after every byte of the server's."""
    t = Tlsd(home, '-c')
    with TlsSink(good, cut=1 << 20) as s:
        setup_route(s, ':encrypt')
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        deliver(r)
        total = s.handshake_bytes
        check(total > 500, 'a handshake has %d bytes' % total)
        bad = []
        for n in range(0, total, 1 if LONG else 97):
            s.cut = n
            got = deliver(r)
            if got.letter != 'Z' or '(#4.' not in got.text: bad.append((n, got.text))
        equal((bad, len(s.transactions)), ([], 0), 'aborted at every byte: for now, and no mail')
        r.close()
    check(wait_for(lambda: not t.sessions()), 'no process is left')
    t.stop()

# --- connections ---

def reuse():
    t = Tlsd(home, '-c')
    with TlsSink(good) as s:
        setup_route(s, ':verify')
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        go = threading.Event()
        s.script['data'] = lambda session, line: '354 go' if go.wait(10) else Close()
        nums = [r.give_text(HOST, 's@a.example', ['x@' + HOST], b'Subject: %d\n\nx\n' % n, waits=n > 0) for n in range(3)]
        go.set()
        got = [r.finish(n) for n in nums]
        equal((''.join(x[0][0] for x in got), len(s.sessions), s.shaken), ('KKK', 1, 1), 'three jobs in flight over one TLS session')
        equal([r.tls[n].split(' ')[2] for n in nums], ['yes'] * 3, 'each has it in the log')
        check(any(w.count(b'\r\n.\r\nMAIL FROM:') for w in s.sessions[0].writes), 'the next envelope goes out behind the message')
        equal(deliver(r).letter, 'K', 'a later one')
        equal(len(s.sessions), 1, 'on the same connection')
        big = b'x' * 70 + b'\n'
        equal((deliver(r, big * 40000).letter, s.transactions[-1].message == big.replace(b'\n', b'\r\n') * 40000), ('K', True), 'a large message is whole')
        r.close()
        check(wait_for(lambda: all(x.closed for x in s.sessions)) and s.sessions[0].commands[-1] == 'QUIT', 'QUIT')
    with TlsSink(good) as s:
        setup_route(s, ':may')
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        deliver(r)
        control(home, 'tlsdestinations', ':verify match=x.example')
        equal((deliver(r).letter, len(s.transactions)), ('Z', 1), 'a new policy counts for connections that are there')
        r.close()
    # A host with a policy of its own shares no connection with others.
    with TlsSink(good) as s:
        setup_route(s, 'c.example:encrypt\nd.example:verify match=relay.example\ne.example:verify match=relay.example')
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        hop = '[127.0.0.1]:%d' % s.port
        for host, name, sessions in (('a.example', hop, 1), ('b.example', hop, 1), ('c.example', hop, 2), ('d.example', hop, 3)):
            equal((deliver(r, host=host, extras=['NEXTHOP=' + name]).letter, len(s.sessions)), ('K', sessions), '%s, as next hop %s: connection %d' % (host, name, sessions))
        r.close()
    zone = {h: {'MX': ['10 mx.example']} for h in ('a.example', 'b.example', 'c.example')}
    zone['mx.example'] = {'A': ['127.0.0.1']}
    with DNSServer(zone) as dns, TlsSink(good) as s:
        setup_route(s, 'b.example:encrypt', resolvers=dns.resolver, smtproutes='::%d' % s.port)
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        for host in ('a.example', 'b.example', 'c.example'): deliver(r, host=host, extras=['NEXTHOP=' + r.groups[0]] if r.groups else [])
        check(re.fullmatch(r'mx\.example:%d/tls\.[0-9a-f]{16}' % s.port, r.groups[1]) and r.groups[0] == 'mx.example:%d' % s.port,
              'the next hop of one with a policy of its own has another name: %r' % r.groups)
        equal([x.commands.count('DATA') for x in s.sessions], [2, 1] if len(s.sessions) == 2 else [1, 1, 1], 'and another connection')
        r.close()
    with DNSServer(zone) as dns, TlsSink(ca.issue('a.example', 'b.example')) as s:
        setup_route(s, ':verify', resolvers=dns.resolver, smtproutes='::%d' % s.port)
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        got = [deliver(r, host=h, extras=['NEXTHOP=mx.example:%d' % s.port]).letter for h in ('a.example', 'b.example', 'c.example')]
        equal((''.join(got), [x.commands.count('DATA') for x in s.sessions]), ('KKZ', [1, 1, 0]), 'verify: each domain is verified for itself')
        r.close()
    check(wait_for(lambda: not t.sessions()), 'no process is left')
    t.stop()

def command():
    """As a command, and from pipit-lmtp."""
    t = Tlsd(home, '-c')
    with TlsSink(good) as s:
        setup_route(s, ':verify')
        r = remote(home, HOST, 's@a.example', 'x@' + HOST, message=b'x\n')
        equal((r.raw[:3], secure(s)), (b'r\0K', 1), 'pipit-remote as a command')
    t.stop()

def python_server():
    """Another implementation of STARTTLS: aiosmtpd."""
    from relayhost import RelayHost
    t = Tlsd(home, '-c')
    server = RelayHost(tls_context=good.context(), require_starttls=True)
    class Port: port, sessions = server.port, []
    equal((send(Port, ':verify').letter, len(server.mails)), ('K', 1), 'aiosmtpd, which wants STARTTLS')
    server.stop()
    t.stop()

for f in (levels, submissions, syntax, certificates, nameless, fallback, trouble, injected, aborted, reuse, command, python_server):
    if len(sys.argv) < 2 or f.__name__ in sys.argv[1:]:
        start = time.monotonic()
        f()
        print('# %s: %.1f s' % (f.__name__, time.monotonic() - start))
done()
