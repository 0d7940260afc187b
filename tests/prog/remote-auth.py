#!/usr/bin/python3
"""remote-auth.py - logging in at relays: mechanisms, TLS, refusals, what is missing, servers that cheat; addresses to send from"""
import glob, os, re, socket, struct, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from authsink import *
from jobs import children, remote, rspawn
from relayhost import RelayHost
from tlsserver import Tlsd
from tlssink import *

home = make_home()
HOST = 'b.example'
USERS = {'joe': 'pass:word', 'a=b,c': 'x y', 'long': 'p' * 255}
NAMES = 'work:joe:pass:word\nodd:a=b,c:x y\nlong:long:%s\nbad:joe:wrong\nbroken:joe\n' % ('p' * 255)
ORDER = ('LOGIN', 'PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256') # the weakest first

class Result: pass

def send(port, words, policy=None, routes='smtproutes', key='', relay='[127.0.0.1]', sender='s@a.example'):
    """One delivery by rspawn: .letter, .text, .kind (of trouble), .log."""
    for name in ('smtproutes', 'senderroutes'): control(home, name, None)
    control(home, routes, '%s:%s:%d%s' % (key, relay, port, words and (words if words[0] == '|' else ' ' + words)))
    control(home, 'tlsdestinations', policy)
    log = os.path.join(SCRATCH, 'log')
    r = rspawn(home, log)
    got = Result()
    got.kind = ''
    num = r.give_text(HOST, sender, ['x@' + HOST])
    while num not in r.ended:
        packet = r.read(60)
        if not packet: break
        if packet[:1] == b'C': got.kind = chr(packet[5])
    first = r.results[num].get(0, '-')
    got.letter, got.text = first[0], first[1:]
    r.close()
    got.log = open(log).read()
    return got

def mechanisms():
    logins = Logins(USERS)
    for n in range(1, 5):
        with Sink(**logins.script(*ORDER[:n])) as s:
            logins.used.clear()
            r = send(s.port, 'auth=work,clear')
            equal((r.letter, logins.used, len(s.transactions)), ('K', [(ORDER[n - 1], 'joe', True)], 1), 'offered %s: the strongest is used' % ' '.join(ORDER[:n]))
            equal(r.log, '', 'and nothing is in the log')
    for m in ORDER:
        with Sink(**logins.script('X-FIRST', *ORDER)) as s:
            logins.used.clear()
            r = send(s.port, 'auth=work,clear,' + m.lower())
            equal((r.letter, logins.used), ('K', [(m, 'joe', True)]), 'auth=work,clear,%s: that one' % m.lower())
            for name, user in (('odd', 'a=b,c'), ('long', 'long')):
                logins.used.clear()
                r = send(s.port, 'auth=%s,clear,%s' % (name, m))
                equal((r.letter, logins.used), ('K', [(m, user, True)]), '%s: odd characters, and a password of 255 bytes' % m)
    check(max(len(l) for l in logins.heard if l.startswith('AUTH')) <= 510, 'no AUTH line is longer than a command may be')
    for words in ('joe pass:word', '|joe|pass:word'):
        with Sink(**logins.script(*ORDER)) as s:
            logins.used.clear()
            r = send(s.port, words)
            equal((r.letter, r.kind), ('Z', 'h'), 'as patches of qmail write it (%s): not without TLS' % words)
            equal(logins.used, [], 'nothing is said')

def over_tls():
    logins = Logins(USERS)
    script = lambda: logins.script(*ORDER)
    plain = logins.script(*ORDER)
    def secure(session, line): return plain['ehlo'] if session.secure else '250-sink.example\n250 STARTTLS'
    with TlsSink(good, **dict(script(), ehlo=secure)) as s:
        for words in ('auth=work', 'encrypt auth=work', 'verify auth=work', 'joe pass:word', '|joe|pass:word'):
            logins.used.clear()
            r = send(s.port, words)
            equal((r.letter, logins.used), ('K', [('SCRAM-SHA-256', 'joe', True)]), 'over TLS: ' + words)
    with TlsSink(wrong, **dict(script(), ehlo=secure)) as s:
        logins.used.clear()
        r = send(s.port, 'auth=work')
        check(r.letter == 'Z' and '(#4.7.5)' in r.text, 'a certificate for another host: not even a login, where nothing is said of TLS: %r' % r.text)
        r = send(s.port, 'auth=work', policy='[127.0.0.1]:verify')
        equal((r.letter, logins.used), ('Z', []), 'nor where tlsdestinations wants it')
        r = send(s.port, 'auth=work', policy='[127.0.0.1]:encrypt')
        equal((r.letter, logins.used), ('K', [('SCRAM-SHA-256', 'joe', True)]), 'but where encrypt is said')
    with TlsSink(good, **dict(script(), wrapper=True)) as s:
        for words in ('wrapper auth=work', 'wrapper encrypt auth=work'):
            logins.used.clear()
            equal((send(s.port, words).letter, logins.used), ('K', [('SCRAM-SHA-256', 'joe', True)]), 'TLS on connect: ' + words)
    with TlsSink(wrong, **dict(script(), wrapper=True)) as s:
        logins.used.clear()
        equal((send(s.port, 'wrapper auth=work').letter, logins.used), ('Z', []), 'TLS on connect with a certificate for another host: no login')
    with Sink(**script()) as s:
        for words in ('auth=work', 'none auth=work', 'auth=work,plain'):
            logins.heard.clear()
            r = send(s.port, words)
            equal((r.letter, logins.heard, len(s.transactions)), ('Z', [], 0), 'without TLS: %s logs in nowhere' % words)
        equal(r.text.split('\n')[0], 'Connected to 127.0.0.1 but it does not offer TLS, which is required. (#4.7.4)', 'the reason')
        r = send(s.port, 'none auth=work')
        check(r.kind == 'l' and 'mend=control/smtproutes' in r.log and 'auth=NAME,clear' in r.log, 'and how to mend it: %r' % r.log)

def refused():
    with Sink(**Logins(USERS).script(*ORDER)) as s:
        r = send(s.port, 'auth=bad,clear', routes='senderroutes', key='@a.example')
        equal((r.letter, r.kind, len(s.sessions), len(s.transactions)), ('Z', 'l', 1, 0), 'a wrong password: the mail waits')
        check('Unable to log in at 127.0.0.1: the server refuses the login. (#4.7.0)\n' in r.text and 'said: 535 5.7.8' in r.text, 'the text: %r' % r.text)
        lines = r.log.splitlines()
        check(len(lines) == 1 and re.match(r'alert: unable to log in at a relay host=.* ip=127.0.0.1 credentials=bad reply=.*535.* mend=control/smtpcredentials$', lines[0]),
              'one line says what to mend: %r' % r.log)
    for code, kind in (('454 4.7.0 later', 'h'), ('421 4.3.2 bye', 'h'), ('432 4.7.12 new password', 'l'), ('534 5.7.9 too weak', 'l'), ('504 5.5.4 unknown', 'l'),
                       ('530 5.7.0 what', 'l'), ('250 2.0.0 what', 'h'), ('235 2.7.0 just come in', '')):
        with Sink(**dict(Logins(USERS, code).script('LOGIN'), mail='250 ok')) as s:
            r = send(s.port, 'auth=work,clear')
            equal((r.letter, r.kind), ('Z' if kind else 'K', kind), 'AUTH is answered with ' + code)
            equal(r.log.count('\n'), kind == 'l', 'lines in the log')
    for fault, mech, why in (('signature', 'SCRAM-SHA-256', 'does not know the password'), ('early', 'SCRAM-SHA-256', 'has not shown that it knows'),
                             ('nonce', 'SCRAM-SHA-256', 'nonce'), ('rounds', 'SCRAM-SHA-256', 'iteration count'), ('garbage', 'CRAM-MD5', 'not base64'), ('long', 'LOGIN', 'asks for more'),
                             ('235 2.7.0 come in', 'SCRAM-SHA-256', 'has not shown')):
        logins = Logins(USERS, fault)
        with Sink(**dict(logins.script(mech), mail='250 ok')) as s:
            r = send(s.port, 'auth=work,clear')
            check(r.letter == 'Z' and r.kind == 'l' and why in r.text and not s.transactions, 'a server that cheats (%s): %r' % (fault, r.text))
            wait_for(lambda: s.sessions[0].closed)
            if fault not in ('early', '235 2.7.0 come in'): equal(s.sessions[0].commands[-2:], ['*', 'QUIT'], 'the login is cancelled')
    logins = Logins(USERS, 'lines')
    with Sink(**logins.script('CRAM-MD5')) as s: equal(send(s.port, 'auth=work,clear').letter, 'Z', 'a challenge of two lines')
    with Sink(**Logins(USERS).script('GSSAPI', 'XOAUTH2')) as s:
        r = send(s.port, 'auth=work,clear')
        check(r.kind == 'l' and 'offers no mechanism' in r.text and 'mend=control/smtproutes' in r.log, 'no mechanism in common: %r' % r.text)
    with Sink() as s:
        r = send(s.port, 'auth=work,clear')
        check(r.kind == 'l' and 'at 127.0.0.1: the server offers no AUTH (is that the submission port?). (#4.7.0)' in r.text and 'mend=control/smtproutes' in r.log, 'no AUTH at all: %r' % r.text)
        check(' host=127.0.0.1 ip=127.0.0.1 ' in r.log, 'a relay in brackets has its address for a name: %r' % r.log)
    for offered in (ORDER[:2], ORDER[2:3]):
        with Sink(**Logins(USERS).script('GSSAPI', *offered)) as s:
            r = send(s.port, 'auth=work,clear,scram-sha-256')
            check(r.kind == 'l' and ': the route asks for SCRAM-SHA-256, but the server offers %s. (#4.7.0)' % ' '.join(offered) in r.text and 'mend=control/smtproutes' in r.log,
                  'not the mechanism that the route asks for: %r' % r.text)
            equal((len(s.transactions), s.sessions[0].commands[1:]), (0, ['QUIT']), 'nothing is said')
    with Sink(**Logins(USERS).script('GSSAPI')) as s:
        r = send(s.port, 'auth=work,clear,plain')
        check(r.kind == 'l' and 'offers no mechanism' in r.text, 'nor any other that is known here: %r' % r.text)

def missing():
    path = home + '/control/smtpcredentials'
    def try_it(why, text, words='auth=work,clear', mend='control/smtpcredentials'):
        with Sink(**Logins(USERS).script(*ORDER)) as s:
            r = send(s.port, words)
            check(r.letter == 'Z' and r.kind == 'l' and text in r.text and not s.transactions, '%s: %r' % (why, r.text))
            check(r.log.count('\n') == 1 and 'mend=' + mend in r.log, 'one line in the log: %r' % r.log)
    try_it('no such credentials', 'control/smtpcredentials: no line none:user:password', 'auth=none,clear')
    try_it('a part of a name', 'no line wor:user:password', 'auth=wor,clear')
    try_it('a line without a password', 'control/smtpcredentials: broken: not NAME:user:password', 'auth=broken,clear')
    os.chmod(path, 0o644)
    try_it('a file that others can read', 'control/smtpcredentials: others can read it; chmod 640')
    os.chmod(path, 0)
    try_it('one that nobody can read', 'not readable for pipit-authc')
    os.unlink(path)
    try_it('no file', 'control/smtpcredentials: missing; write NAME:user:password into it')
    os.mkdir(path)
    try_it('a directory', 'smtpcredentials: ')
    os.rmdir(path)
    credentials(home, NAMES)
    with Sink(**Logins(USERS).script(*ORDER)) as s: equal(send(s.port, 'auth=work,clear').letter, 'K', 'it is read anew for each login')
    for words, text in (('auth=', 'control/smtproutes: write auth=NAME'), ('auth=work bind=x', 'control/smtproutes: write bind='), ('secret', 'control/smtproutes: neither a word')):
        r = send(1, words)
        check(r.letter == 'Z' and text in r.text, 'a malformed route: %r' % r.text)

def real_server():
    """aiosmtpd, which knows PLAIN and LOGIN; in clear, and over TLS."""
    from aiosmtpd.smtp import AuthResult
    def authenticate(server, session, envelope, mechanism, data):
        ok = (data.login, data.password) == (b'joe', b'pass:word')
        if ok: seen.append(mechanism)
        return AuthResult(success=ok, handled=False)
    seen = []
    h = RelayHost(authenticator=authenticate, auth_required=True, auth_require_tls=False)
    equal([send(h.port, 'auth=work,clear' + m).letter for m in ('', ',login', ',plain')], ['K'] * 3, 'aiosmtpd takes mail after a login')
    equal(seen, ['PLAIN', 'LOGIN', 'PLAIN'], 'by these')
    r = send(h.port, 'auth=bad,clear')
    check(r.letter == 'Z' and r.kind == 'l' and '535 ' in r.text, 'not with a wrong password: %r' % r.text)
    r = send(h.port, '')
    check(r.kind == '' and '530 ' in r.text, 'nor without any: %r' % r.text)
    h.stop()
    seen.clear()
    h = RelayHost(authenticator=authenticate, auth_required=True, tls_context=good.context(), require_starttls=True)
    equal((send(h.port, 'auth=work').letter, seen), ('K', ['PLAIN']), 'aiosmtpd with TLS')
    equal(send(h.port, 'none auth=work').letter, 'Z', 'not without')
    h.stop()

def source():
    """Where mail comes from."""
    def peers(s): return [x.conn_peer for x in s.sessions]
    class Peer(Session):
        def __init__(self, sink, conn):
            self.conn_peer = conn.getpeername()[0]
            super().__init__(sink, conn)
    class PeerSink(Sink): session_class = Peer
    with PeerSink() as s:
        for words, control_text, want in (('', None, '127.0.0.1'), ('bind=127.0.0.7', None, '127.0.0.7'), ('bind=::1,127.0.0.8', None, '127.0.0.8'),
                                          ('', '127.0.0.9', '127.0.0.9'), ('bind=127.0.0.7', '127.0.0.9', '127.0.0.7'), ('', '0.0.0.0', '127.0.0.1')):
            control(home, 'outgoingip', control_text)
            s.sessions.clear()
            r = send(s.port, words)
            equal((r.letter, peers(s)), ('K', [want]), 'from %s (%s, outgoingip %s)' % (want, words or 'no bind=', control_text))
        control(home, 'outgoingip', None)
        s.sessions.clear()
        r = send(s.port, 'bind=192.0.2.9')
        check(r.letter == 'Z' and r.kind == 'h' and 'this host has not got the address to send from. (#4.4.1)\n192.0.2.9: ' in r.text and not s.sessions,
              'an address that is not ours: %r' % r.text)
        r = send(s.port, 'bind=::1')
        check(r.letter == 'Z' and 'bind= in control/smtproutes' in r.text and not s.sessions, 'of another family than the server: %r' % r.text)
        control(home, 'outgoingip', '::1')
        r = send(s.port, '')
        check(r.letter == 'Z' and 'control/outgoingip' in r.text and not s.sessions, 'the same for outgoingip: %r' % r.text)
        control(home, 'outgoingip', '127.0.0.1\n127.0.0.2')
        r = send(s.port, '')
        check(r.letter == 'Z' and 'control/outgoingip' in r.text and not s.sessions, 'two of one family: %r' % r.text)
        control(home, 'outgoingip', None)
    try:
        with PeerSink(address='::1') as s:
            equal((send(s.port, 'bind=::1,127.0.0.1', relay='[::1]').letter, peers(s)), ('K', ['::1']), 'by IPv6')
    except OSError: skip('no IPv6 here')

def verdicts():
    def text(route, key=''):
        control(home, 'smtproutes', '%s:%s' % (key, route))
        p = remote(home, HOST, 's@a.example', 'x@' + HOST)
        return p.letter + p.text
    equal(text('error=5.1.2 No mail to there.'), 'DNo mail to there. (#5.1.2)\n', 'a route that is an error')
    equal(text('error=Go away'), 'DGo away (#5.7.1)\n', 'without a code')
    equal(text('defer=4.3.2 Closed on Sundays', HOST), 'ZClosed on Sundays (#4.3.2)\n', 'one for now')
    equal(text('defer=5.3.2 x'), 'Z5.3.2 x (#4.7.1)\n', 'with a code of the wrong kind')
    check(text('local=joe').startswith('ZMail for this host is for pipit-send to deliver, by control/smtproutes.'), 'local: not for pipit-remote')
    control(home, 'smtproutes', ':error=x')
    control(home, 'senderroutes', '<>:error=5.7.1 No reports\n@a.example:error=5.7.2 Not you')
    p = [remote(home, HOST, s, 'x@' + HOST).text for s in ('', 'joe@a.example', 'joe@b.example')]
    equal(p, ['No reports (#5.7.1)\n', 'Not you (#5.7.2)\n', 'x (#5.7.1)\n'], 'by sender')
    control(home, 'routeorder', 'both')
    p = remote(home, HOST, 'x@a.example', 'x@' + HOST)
    check(p.letter == 'Z' and 'control/routeorder: line 1: write sender or recipient' in p.text, 'a malformed routeorder: %r' % p.text)
    for name in ('senderroutes', 'routeorder'): control(home, name, None)

def explained():
    """pipit-remote -e says where mail goes, and by which line."""
    def tell(*args):
        p = as_account([BIN + '/pipit-remote', '-e', *args], stdout=-1, stderr=-1, text=True, env=dict(os.environ, PIPIT_HOME=home))
        out, err = p.communicate()
        return p.returncode, out or err
    control(home, 'smtproutes', 'far.example:[192.0.2.1]:26 none\nold.example:error=5.1.2 Gone\nlab.example:local=box\n:rest.relay')
    control(home, 'senderroutes', '@a.example:one.relay;587|joe|secret\n@b.example: bind=192.0.2.7,2001:db8::7 encrypt\n<>:null.relay:465 wrapper auth=work,clear')
    control(home, 'lmtproutes', 'box.example:/run/lmtp')
    for args, text in ((('far.example', 'x@a.example'), 'relay [192.0.2.1], port 26, by control/smtproutes; TLS: none'), (('x.example',), 'relay rest.relay, port 25, by control/smtproutes'),
                       (('x.example', 'x@a.example'), 'relay one.relay, port 587, by control/senderroutes: @a.example; login: joe'),
                       (('x.example', 'x@b.example'), 'the mail exchangers of x.example, port 25, by control/senderroutes: @b.example; TLS: encrypt; from 192.0.2.7; from 2001:db8::7'),
                       (('x.example', ''), 'relay null.relay, port 465, by control/senderroutes: <>; TLS: wrapper verify; login: work, also in clear'),
                       (('old.example',), 'refused: 5.1.2 Gone, by control/smtproutes'), (('lab.example',), 'delivered here, with the prefix box, by control/smtproutes'),
                       (('box.example', 'x@a.example'), 'LMTP server /run/lmtp, by control/lmtproutes')):
        equal(tell(*args), (0, text + '\n'), 'explained: %s' % ' '.join(args))
    control(home, 'smtproutes', None)
    equal(tell('x.example'), (0, 'the mail exchangers of x.example, port 25\n'), 'without a line')
    control(home, 'senderroutes', '@a.example:one.relay secret')
    code, text = tell('x.example', 'x@a.example')
    check(code == 111 and 'control/senderroutes: neither a word of a route' in text, 'a malformed line: %r' % text)
    for name in ('senderroutes', 'lmtproutes'): control(home, name, None)

def rights(a):
    def needed(name): return 'libcrypto' in subprocess.run(['readelf', '-d', BIN + '/' + name], capture_output=True, text=True).stdout
    equal([n for n in ('pipit-authc', 'pipit-remote', 'pipit-send', 'pipit-rspawn') if needed(n)], ['pipit-authc'], 'only pipit-authc is linked with libcrypto')
    held = []
    def look(session, line):
        held.extend(open('/proc/%s/status' % p).read() for p in a.children())
        return '454 4.7.0 later'
    wait_for(lambda: not a.children())
    with Sink(**dict(Logins(USERS).script('CRAM-MD5'), other=look)) as s: send(s.port, 'auth=work,clear')
    check(len(held) == 1 and 'NoNewPrivs:\t1' in held[0] and 'Seccomp:\t2' in held[0], 'a login has a process, which is confined')
    check(wait_for(lambda: not a.children()), 'and which ends')
    # What makes no sense.
    for packet in (b'N', b'N\x0f', b'N\x0fwo\0rk', b'X\x0fwork', b'U\x0fjoe', b'U\x0f\0x', b'U\x0fjoe\0', b'N\x00work', b'C', b'x' * 4100):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(20)
        s.connect(home + '/run/authc')
        s.send(packet)
        check(s.recv(4200)[:1] in (b'E', b''), 'pipit-authc is asked %r' % packet[:20])
        s.close()
    check('crashed' not in a.text(), 'no crash')

ca = CA('ca')
good, wrong = ca.issue('relay.example', HOST, '127.0.0.1'), ca.issue('wrong.example')
with open(home + '/control/serverca.pem', 'w') as f: f.write(open(ca.pem).read())
credentials(home, NAMES)
a, t = Authc(home), Tlsd(home, '-c')
mechanisms(); over_tls(); refused(); missing(); real_server(); source(); verdicts(); explained(); rights(a)
equal((a.stop(), t.stop()), (0, 0), 'TERM ends them')
p = as_account([BIN + '/pipit-authc', 'x'], stderr=-1, env=dict(os.environ, PIPIT_HOME=home))
equal((p.communicate()[1].count(b'\n'), p.returncode), (1, 100), 'an argument is a usage error')
with Sink(**Logins(USERS).script(*ORDER)) as s:
    r = send(s.port, 'auth=work,clear')
    check(r.kind == 'l' and 'pipit-authc does not answer on run/authc: Connection refused' in r.text and 'mend=service/authc' in r.log, 'without pipit-authc: %r' % r.text)
done()
