"""popup.py - pipit-popup: as qmail-popup under tcpserver, as a listener, with TLS, with pipit-authd"""
import os, poplib, shutil, socket, ssl, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *
from authd import *
from scripts import script
from smtpsession import Listener
from tlsserver import *

popup, pop3d = (os.path.join(BIN, 'pipit-' + n) for n in ('popup', 'pop3d'))
home = make_home()
if ROOT: os.chmod(SCRATCH, 0o755)
user = os.path.join(home, 'joe')
box = os.path.join(user, 'Maildir')
for d in (user, box, *(box + '/' + d for d in ('new', 'cur', 'tmp'))): os.mkdir(d, 0o700); own(d)
with open(box + '/new/1', 'w') as f: f.write('Subject: hi\n\nhello\n')
own(f.name)

data = os.path.join(SCRATCH, 'data')
open(data, 'w').close(); own(data)
CHECKER = script('checker', 'cat <&3 >%s; exec 3<&-; export USER=joe; cd %s || exit 111\nd=$(tr "\\0" "\\n" <%s)\n' % (data, user, data) + '''case "$d" in
"joe
sec ret
<"*">") exec "$@";; spaces*) exit 1;; trouble*) exit 111;; misuse*) exit 2;; code*) set -- $d; exit ${1#code};; crash*) kill -SEGV $$;; esac
exit 1
''')
plain = dict(os.environ, PIPIT_HOME=home, TCPREMOTEIP='192.0.2.9', PROTO='TCP', TCPLOCALIP='192.0.2.1')

def session(text, *args, pipes=False, name='pipit-popup', env={}):
    """What it says to these commands, all sent at once; its log."""
    a, b = socket.socketpair()
    with a:
        kw = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE) if pipes else dict(stdin=b, stdout=b)
        p = as_account([name, *(args or ('pop.example', CHECKER, pop3d, 'Maildir'))], executable=popup, stderr=subprocess.PIPE, env=dict(plain, **env), **kw)
        b.close()
        if pipes: out, err = p.communicate(text, 60)
        else:
            a.sendall(text); a.shutdown(socket.SHUT_WR)
            out = b''
            while (c := a.recv(65536)): out += c
            err = p.communicate(timeout=60)[1]
    session.log, session.code = re.sub(' seconds=[0-9] ', ' seconds=0 ', err.decode()), p.returncode # on a busy machine they are more
    return out.decode('latin-1').split('\r\n')[:-1]

# --- as qmail-popup ---
control(home, 'authdelay', '0')
ok, wrong = '+OK', '-ERR [AUTH] login or password wrong'
r = session(b'USER joe\r\nPASS sec ret\r\nSTAT\r\nRETR 1\r\nQUIT\r\n')
equal(r, ['+OK POP3 ready', ok, ok, '+OK 1 19', ok, 'Subject: hi', '', 'hello', '.', ok], 'all in one go: what stands behind PASS is for pop3d')
check(open(data).read().startswith('joe\0sec ret\0<') and open(data).read().endswith('@pop.example>\0'), 'the program reads login, password and timestamp')
check('pipit-pop3d: end ip=192.0.2.9 user=joe ' in session.log and 'pipit-popup: end ip=192.0.2.9 failures=0 seconds=0 reason="logged in"\n' in session.log and session.log.count('\n') == 2 and session.code == 0, 'two lines in the log: %r' % session.log)
equal(session(b'USER joe\r\nPASS sec ret\r\nQUIT\r\n', pipes=True), ['+OK POP3 ready', ok, ok, ok], 'over pipes too')
os.rename(box, box + '.away')
equal(session(b'USER joe\r\nPASS sec ret\r\nSTAT\r\nQUIT\r\n')[1:], [ok, ok, '+OK 0 0', ok], 'who has no mail yet reads an empty mailbox')
os.rename(box + '.away', box)
r = session(b'user joe\npass sec ret\nquit\n')
equal(r[1:], [ok, ok, ok], 'in lower case, with LF')
r = session(b'USER joe\r\nPASS  sec ret\r\nUSER joe\r\nPASS sec ret \r\nUSER joe\r\nPASS x\r\nUSER joe\r\n')
equal(r[1:], [ok, wrong] * 3, 'blanks belong to a password; three failures end it')
equal([l for l in session.log.split('\n') if 'auth failed' in l][:1], ['pipit-popup: auth failed ip=192.0.2.9 service=pop3 mechanism=USER login=joe'], 'a failure is a line in the log')
check('failures=3' in session.log and 'reason="too many failed logins"' in session.log, 'and is counted')
later = '-ERR [SYS/TEMP] logins cannot be checked now, try again later'
for name in ('trouble', 'misuse'): equal(session(b'USER %s\r\nPASS x\r\nUSER joe\r\n' % name.encode())[1:], [ok, later], 'exit code of the program: ' + name)
for code in (3, 20, 21, 22, 23): equal((session(b'USER code%d\r\nPASS x\r\nQUIT\r\n' % code)[1:], session.log.count('auth failed')), ([ok, wrong, ok], 1), 'vchkpw refuses with %d' % code)
for code in (4, 19, 24): equal(session(b'USER code%d\r\nPASS x\r\nQUIT\r\n' % code)[1:], [ok, later], 'and not with %d' % code)
equal(session(b'USER crash\r\nPASS x\r\nQUIT\r\n')[1:], [ok, '-ERR [SYS/TEMP] aack, child crashed'], 'a program that crashes')
equal(session(b'USER joe\r\nPASS x\r\nQUIT\r\n', 'h', '/no/such/program', 'x')[1:], [ok, later], 'a program that is missing')
bad = [b'', b'STAT', b'PASS x', b'USER', b'USER  ', b'APOP joe d', b'NOOP', b'USER a\0b', b'x' * 600, b'USER ' + b'x' * 508, b'\xff']
r = session(b'\r\n'.join(bad) + b'\r\nQUIT\r\n')
check(len(r) == len(bad) + 2 and all(l.startswith('-ERR ') for l in r[1:-1]) and r[-1] == ok, 'what is wrong is answered with -ERR: %r' % list(zip(bad, r[1:])))
equal(session(b'USER joe\r\nPASS\r\nPASS \r\nQUIT\r\n')[1:], [ok] + ['-ERR write PASS and the password'] * 2 + [ok], 'an empty password reaches no program: some let in who has none')
equal(session(b'STLS\r\n')[1:], ['-ERR [SYS/TEMP] TLS is not available now'], 'STLS without pipit-tlsd')
check(session(b'x' * 100000 + b'\r\nQUIT\r\n')[1:] == ['-ERR line too long', ok], 'a line of 100,000 bytes')
check(len(session(b'FOO\r\n' * 50)) == 21, '20 errors end it')
equal(session(b'USER joe\r\nPASS ' + b'x' * 505 + b'\r\nQUIT\r\n')[2], wrong, 'more than the program would read')
r = session(b'CAPA\r\nQUIT\r\n')
check(r[1] == ok and {'TOP', 'UIDL', 'USER', 'PIPELINING', 'RESP-CODES', 'AUTH-RESP-CODE'} <= set(r[2:-2]) and 'STLS' not in r, 'CAPA: %r' % r)
equal(session(b'USER joe\r\nPASS sec ret\r\n', '-r', 'h', CHECKER, pop3d, 'Maildir')[1:], ['-ERR [AUTH] not in clear: STLS first, or use the port for TLS'] * 2, '-r: no password in clear')
r = [session(b'APOP joe 0123456789abcdef\r\n', *a, name=n) for a, n in ((('-m', 'h', CHECKER, 'x'), 'pipit-popup'), (('h', CHECKER, 'x'), 'qmail-popup'))]
check(all(re.fullmatch(r'\+OK <[0-9.]+@h>', x[0]) and x[1] == wrong for x in r), 'APOP with -m, or as qmail-popup: %r' % r)
equal(open(data).read(), 'joe\x000123456789abcdef\0%s\0' % r[1][0][4:], 'the program gets digest and timestamp')
check(session(b'')[0] != session(b'', '-m', 'h', CHECKER, 'x')[0], 'without, there is no timestamp')
for args in (['h'], ['-x'], ['-c', '3', 'h', 'a', 'b'], ['-l', '-s', 'x'], ['-A', 'h', 'a']):
    equal(subprocess.run([popup, *args], stdin=subprocess.DEVNULL, capture_output=True, env=plain).returncode, 100, 'wrong usage: ' + ' '.join(args))

LOOK = script('look', """exec /usr/bin/python3 -c 'import socket
s = socket.socket(fileno=0)
s.send(str([s.getsockopt(socket.SOL_SOCKET, o, 16) for o in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)]).encode() + b"\\r\\n")'
""")
equal(session(b'USER joe\r\nPASS sec ret\r\n', 'h', CHECKER, LOOK)[2:], [str([b'\0' * 16] * 2)], 'the program finds the socket without our limits')

# --- UCSPI-TLS: the server that has started it does TLS; here that part is left out ---
s, b = socket.socketpair()
ctl, ctl2 = socket.socketpair()
(r, w2), (r2, w) = os.pipe(), os.pipe()
for x in (s, ctl): x.settimeout(20)
log = open(os.path.join(SCRATCH, 'ucspi.log'), 'w+')
p = as_account([popup, '-r', 'h', CHECKER, pop3d, 'Maildir'], stdin=b, stdout=b, stderr=log, pass_fds=(ctl2.fileno(), r2, w2),
               env=dict(plain, SSLCTLFD=str(ctl2.fileno()), SSLREADFD=str(r2), SSLWRITEFD=str(w2)))
b.close(); ctl2.close(); os.close(r2); os.close(w2)
f = s.makefile('rb')
f.readline(); s.sendall(b'CAPA\r\n')
check(b'STLS\r\n' in list(iter(f.readline, b'.\r\n')), 'UCSPI-TLS: STLS is offered')
s.sendall(b'STLS\r\n')
equal((f.readline()[:3], ctl.recv(10)), (b'+OK', b'Y'), 'and the server is asked for it')
ctl.sendall(b'SSL_PROTOCOL=TLSv1.2\0SSL_CIPHER=A-B\0\0'); ctl.close()
os.write(w, b'USER joe\r\nPASS sec ret\r\nSTAT\r\nQUIT\r\n'); os.close(w)
equal(os.fdopen(r, 'rb').read(), b'+OK\r\n+OK\r\n+OK 1 19\r\n+OK\r\n', 'mail goes over its descriptors')
p.wait(20); log.seek(0)
check('tls=TLSv1.2:A-B' in log.read(), 'what it tells is in the log')
s.close(); f.close(); log.close()

# --- a listener ---
control(home, 'authinclear', '127.0.0.1')
control(home, 'concurrencypop3', '3')
control(home, 'concurrencypop3client', '2')
def ends(l): return [x for x in l.text().split('\n') if 'pipit-popup: end' in x]
l = Listener(home, 'host', CHECKER, pop3d, 'Maildir', name='pipit-popup')
c = poplib.POP3('127.0.0.1', l.port, timeout=30)
c.user('joe'); c.pass_('sec ret')
equal((c.stat()[0], c.retr(1)[1]), (1, [b'Subject: hi', b'', b'hello']), 'poplib gets its mail')
d = poplib.POP3('127.0.0.1', l.port, timeout=30)
with l.connect() as s: equal(s.recv(200), b'-ERR [SYS/TEMP] too many connections from you, try again later\r\n', 'concurrencypop3client: a third one of the same client')
with l.connect(source='127.0.0.2') as s:
    check(s.recv(200).startswith(b'+OK '), 'another client')
    with l.connect(source='127.0.0.3') as t: equal(t.recv(200), b'-ERR [SYS/TEMP] too many connections, try again later\r\n', 'concurrencypop3')
    s.sendall(b'USER joe\r\n')
    check(b'[AUTH]' in s.recv(200), 'no password in clear but from authinclear')
c.quit(); d.quit()
check(wait_for(lambda: len(ends(l)) == 3), 'each has its line')
control(home, 'rcpthosts', 'a\nb'); control(home, 'rcptcheck', 'nonsense')
control(home, 'concurrencypop3client', '20'); control(home, 'concurrencypop3', '50')
time.sleep(1.1)
sockets = [l.connect() for _ in range(10)]
check(all(s.recv(100).startswith(b'+OK') for s in sockets), 'settings are read anew, and not those of SMTP')
for s in sockets: s.close()
equal(l.stop(), 0, 'TERM ends it')
control(home, 'rcptcheck', None)

# --- TLS ---
cert = certificate(os.path.join(home, 'control/servercert.pem'), 'host.example')
context = any_server()
t = Tlsd(home)
control(home, 'authinclear', None)
l = Listener(home, 'host', CHECKER, pop3d, 'Maildir', name='pipit-popup')
c = poplib.POP3('127.0.0.1', l.port, timeout=30)
check('STLS' in c.capa() and 'USER' not in c.capa(), 'STLS is offered, USER not in clear')
for f in (lambda: c.user('joe'), lambda: c.apop('joe', 'x')):
    try: f(); check(False, 'a login in clear')
    except poplib.error_proto: check(True, 'no login in clear')
c.stls(context)
check('STLS' not in c.capa() and 'USER' in c.capa(), 'then the other way round')
c.user('joe'); c.pass_('sec ret')
equal(c.retr(1)[1], [b'Subject: hi', b'', b'hello'], 'mail over STLS')
c.quit()
check(wait_for(lambda: any('tls=TLSv1.3:' in e and 'reason="logged in"' in e for e in ends(l))), 'its line says so')
with l.connect() as s:
    s.recv(200); s.sendall(b'STLS\r\nUSER joe\r\n')
    equal(s.recv(200), b'-ERR you went on in clear behind STLS\r\n', 'what was typed ahead of TLS ends it')
    equal(s.recv(200), b'', 'and nothing of it is read')
for n in range(20): # between the answer and the handshake
    with l.connect() as s:
        s.recv(200); s.sendall(b'STLS\r\n')
        if n % 2: s.recv(200)
        s.sendall(b'CAPA\r\nUSER joe\r\n')
        got = b''
        try:
            while (x := s.recv(1000)): got += x
        except ConnectionResetError: pass
        check(b'UIDL' not in got and b'[AUTH]' not in got, 'text is never read as a command behind STLS: %r' % got)
l.stop()
control(home, 'authinclear', '127.0.0.1')
l = Listener(home, '-t', 'host', CHECKER, pop3d, 'Maildir', name='pipit-popup')
c = poplib.POP3_SSL('127.0.0.1', l.port, context=context, timeout=30)
c.user('joe'); c.pass_('sec ret')
equal((c.stat()[0], c.quit()), (1, b'+OK'), '-t: TLS on connect')
if shutil.which('curl'):
    r = subprocess.run(['curl', '-sSk', '-u', 'joe:sec ret', 'pop3s://127.0.0.1:%d/1' % l.port], capture_output=True, timeout=60)
    equal((r.returncode, r.stdout), (0, b'Subject: hi\r\n\r\nhello\r\n'), 'curl by pop3s: %r' % r.stderr)
l.stop()
if shutil.which('curl'):
    l = Listener(home, 'host', CHECKER, pop3d, 'Maildir', name='pipit-popup')
    c = poplib.POP3('127.0.0.1', l.port, timeout=30)
    c.user('joe')
    c.stls(context)
    try: c.pass_('sec ret'); check(False, 'a name from before TLS')
    except poplib.error_proto as e: equal(e.args[0], b'-ERR USER first', 'a name that was said before TLS is forgotten')
    c.close()
    for args in ([], ['--ssl-reqd']):
        r = subprocess.run(['curl', '-sSk', *args, '-u', 'joe:sec ret', 'pop3://127.0.0.1:%d/' % l.port], capture_output=True, timeout=60)
        equal((r.returncode, r.stdout), (0, b'1 19\r\n'), 'curl by pop3 %s: %r' % (args, r.stderr))
    l.stop()

# --- pipit-authd ---
control(home, 'authinclear', None)
control(home, 'authdelay', '1')
passwd(home, '-u', ACCOUNT.pw_name, '-h', user, 'joe', password='pencil')
a = Authd(home)
l = Listener(home, name='pipit-popup')
c = poplib.POP3('127.0.0.1', l.port, timeout=60)
c.stls(context)
try: c.user('joe'); c.pass_('wrong'); check(False, 'a wrong password')
except poplib.error_proto as e: check(b'[AUTH]' in e.args[0], 'a wrong password: %s' % e)
equal(len(a.lines('auth failed ip=127.0.0.1 service=pop3 mechanism=USER login=joe')), 1, 'pipit-authd logs it')
def log_in():
    try: c.user('joe'); return c.pass_('pencil')
    except poplib.error_proto as e: return None if b'try again in' in e.args[0] else e
check(wait_for(log_in, 20, 0.5) == b'+OK', 'pipit-authd starts pipit-pop3d')
equal((c.stat()[0], c.retr(1)[1]), (1, [b'Subject: hi', b'', b'hello']), 'over TLS')
equal(len(ends(l)), 0, 'the session counts as long as it lasts')
c.dele(1); c.quit()
check(wait_for(lambda: len(ends(l)) == 1 and 'reason="logged in"' in ends(l)[0]), 'and is over: %r' % l.text())
equal(os.listdir(box + '/new') + os.listdir(box + '/cur'), [], 'the message is gone')
with l.connect() as s:
    s = context.wrap_socket((s.recv(100), s.sendall(b'STLS\r\n'), s.recv(100), s)[3])
    s.sendall(b'USER joe\r\nPASS pencil\r\nSTAT\r\nQUIT\r\n')
    got = b''
    while got.count(b'\n') < 4 and (x := s.recv(1000)): got += x
    equal(got, b'+OK\r\n+OK\r\n+OK 0 0\r\n+OK\r\n', 'commands behind PASS reach pipit-pop3d')
a.stop()
with l.connect() as s:
    s = context.wrap_socket((s.recv(100), s.sendall(b'STLS\r\n'), s.recv(100), s)[3])
    s.sendall(b'USER joe\r\nPASS pencil\r\n')
    got = s.recv(1000)
    if got.count(b'\n') < 2: got += s.recv(1000)
    equal(got, b'+OK\r\n' + later.encode() + b'\r\n', 'without pipit-authd: later')
l.stop(); t.p.terminate(); t.p.wait()

# --- what is meant for SMTP does not keep it from being confined ---
rules = os.path.join(SCRATCH, 'rules.cdb')
write_cdb(rules, [(b'', b'+QMAILQUEUE=/no/such\0')])
def state(pid): return re.findall(r'^(?:NoNewPrivs|Seccomp):\s*(\d)', open('/proc/%d/status' % pid).read(), re.M)
def states(*args, env={}):
    """Of a listener and of a session."""
    l = Listener(home, *args, name='pipit-popup', env=env)
    with l.connect() as s:
        s.recv(100)
        child = int(open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read())
        found = state(l.p.pid), state(child)
    l.stop()
    return found
expected = states()
equal(expected[0][0], '1', 'a listener can gain no rights')
for args, env in ((('-x', rules), {}), ((), {'QMAILQUEUE': '/no/such'}), ((), {'RCPTCHECK': '/no/such'})): equal(states(*args, env=env), expected, 'nor with ' + ' '.join((*args, *env)))

# --- nor has it what sessions of SMTP share, which is about their recipients ---
def shared(name):
    l = Listener(home, name=name)
    found = [x for x in open('/proc/%d/maps' % l.p.pid) if ' rw-s ' in x]
    l.stop()
    return len(found)
equal([shared('pipit-smtpd'), shared('pipit-popup')], [1, 0], 'one of SMTP shares memory with its sessions, one of POP3 does not')
done()
