"""smtpd-listen.py - pipit-smtpd -l, and the same program under tcpserver and s6-ipcserver"""
import os, re, resource, shutil, signal, smtplib, socket, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
import smtpsession

home = make_home()
SMTPD = os.path.join(BIN, 'pipit-smtpd')
OUT = os.path.join(SCRATCH, 'out')
os.mkdir(OUT)
own(OUT)
STUB = os.path.join(SCRATCH, 'queue.sh')
with open(STUB, 'w') as f:
    f.write('#!/bin/sh\nenv >%s/environ\ncat >%s/msg\ncat <&1 >%s/env\nexit ${QX:-0}\n' % (OUT, OUT, OUT))
os.chmod(STUB, 0o755)
ASAN = b'libasan' in subprocess.run(['ldd', SMTPD], capture_output=True).stdout

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    kw.setdefault('me', 'host.example')
    kw.setdefault('rcpthosts', 'example.org')
    for name, text in kw.items(): control(home, name, text)

def rules(text, name='tcp.smtp.cdb'):
    path = os.path.join(home, 'control', name)
    subprocess.run(['tcprules', path, path + '.tmp'], input=text, text=True, check=True)
    os.chmod(path, 0o644)

class Listener(smtpsession.Listener):
    def __init__(self, *args, **kw): super().__init__(home, *args, **kw)

def cmd(s, line):
    s.sendall(line.encode() + b'\r\n')
    return s.recv(4000).decode()

def transaction(s, rcpt='x@example.org'):
    s.recv(1000)
    return [cmd(s, l)[:3] for l in ('EHLO x', 'MAIL FROM:<a@b>', 'RCPT TO:<%s>' % rcpt, 'DATA', 'x\r\n.')]

def test_serve():
    settings()
    l = Listener(env={'QMAILQUEUE': STUB})
    equal(l.ready, b'\n', 'readiness is told')
    c = smtplib.SMTP('127.0.0.1', l.port, timeout=20)
    equal(c.sendmail('a@b.example', ['x@example.org'], 'Subject: y\r\n\r\nz\r\n'), {}, "Python's smtplib sends a message")
    c.quit()
    with open(os.path.join(OUT, 'environ')) as f: environ = f.read()
    check('TCPREMOTEIP=127.0.0.1\n' in environ and 'TCPLOCALIP=127.0.0.1\n' in environ and
          'TCPLOCALPORT=%d\n' % l.port in environ and 'PROTO=TCP\n' in environ, "tcpserver's variables are there for QMAILQUEUE")
    if shutil.which('swaks'):
        p = subprocess.run(['swaks', '-s', '127.0.0.1', '-p', str(l.port), '-f', 'a@b.example', '-t', 'x@example.org', '--silent', '2'],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(p.returncode == 0, 'swaks sends a message')
    else: skip('swaks is not there')
    s = l.connect()
    s.recv(1000)
    equal(l.stop(), 0, 'SIGTERM ends it')
    equal(s.recv(1000)[:9], b'421 4.3.2', 'an idle session is told so')
    s.close()
    check('reason=shutdown' in l.text(), 'and logged')

def test_term_in_transaction():
    settings()
    l = Listener(env={'QMAILQUEUE': STUB})
    s = l.connect()
    s.recv(1000)
    cmd(s, 'EHLO x'); cmd(s, 'MAIL FROM:<a@b>'); cmd(s, 'RCPT TO:<x@example.org>'); cmd(s, 'DATA')
    l.p.send_signal(signal.SIGTERM)
    time.sleep(1.3)
    try:
        socket.create_connection(('127.0.0.1', l.port), 5)
        check(False, 'SIGTERM closes the door')
    except ConnectionRefusedError: check(True, 'SIGTERM closes the door')
    check(l.p.poll() is None, 'but waits for a message that is being sent')
    r = cmd(s, 'hello\r\n.')
    equal(r[:3], '250', 'which is accepted')
    if '421' not in r: r = s.recv(1000).decode()
    check('421 4.3.2' in r, 'then the session ends')
    equal(l.p.wait(10), 0, 'and the listener')
    s.close()

def test_rules():
    settings()
    rules('127.0.0.1:allow,RELAYCLIENT="",DATABYTES="77"\n127.0.0.2:deny\n127.0.1.:allow,QMAILQUEUE="%s"\n:allow\n' % STUB)
    l = Listener()
    s = l.connect()
    s.recv(1000)
    check('SIZE 77' in cmd(s, 'EHLO x'), 'DATABYTES of a rule')
    cmd(s, 'MAIL FROM:<a@b>')
    equal(cmd(s, 'RCPT TO:<x@elsewhere.example>')[:3], '250', 'RELAYCLIENT of a rule')
    s.close()
    equal(l.greeting(source='127.0.0.2')[:3], '554', 'a client that is denied')
    s = l.connect(source='127.0.1.9')
    equal(transaction(s)[-1], '250', 'QMAILQUEUE of a rule')
    equal(cmd(s, 'MAIL FROM:<a@b>')[:3], '250', 'that client')
    equal(cmd(s, 'RCPT TO:<x@elsewhere.example>')[:3], '553', 'may not relay')
    s.close()
    rules('127.0.0.0/30:allow\n:deny\n')
    equal([l.greeting(source='127.0.0.3')[:3], l.greeting(source='127.0.0.4')[:3]], ['220', '554'], 'rules for networks')
    rules('127.0.0.2:allow\n:deny\n')
    equal(l.greeting(source='127.0.0.2')[:3], '220', 'new rules count at once')
    equal(l.greeting()[:3], '554', 'for all')
    with open(os.path.join(home, 'control/new.cdb'), 'wb') as f: f.write(b'garbage')
    os.rename(os.path.join(home, 'control/new.cdb'), os.path.join(home, 'control/tcp.smtp.cdb'))
    check(wait_for(lambda: (l.greeting(), time.sleep(0.3), 'the old rules stay' in l.text())[2], 5), 'a broken file is told of')
    equal(l.greeting(source='127.0.0.2')[:3], '220', 'and the old rules stay')
    os.unlink(os.path.join(home, 'control/tcp.smtp.cdb'))
    l.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: l.greeting()[:3] == '220', 5), 'without the file everybody may connect')
    l.stop()
    rules(':allow\n')
    l = Listener()
    rules(':allow,QMAILQUEUE="/bin/false"\n')
    check(wait_for(lambda: (l.greeting(), time.sleep(0.3), 'restart pipit-smtpd' in l.text())[2], 5),
          'a QMAILQUEUE that is new in the rules needs a restart, and is told of')
    l.stop()
    rules(':deny\n', 'other.cdb')
    l = Listener('-x', os.path.join(home, 'control/other.cdb'))
    equal(l.greeting()[:3], '554', '-x names another file')
    l.stop()
    p = as_account([SMTPD, '-l', '-a', '127.0.0.1', '-p', str(free_port()), '-x', '/nonexistent/x.cdb'], stderr=subprocess.PIPE,
                   env=dict(os.environ, PIPIT_HOME=home))
    err = p.communicate(timeout=20)[1].decode()
    check(p.returncode == 111 and '/nonexistent/x.cdb' in err, 'which has to be there')

def same_as_tcpserver():
    """Every rule that tcprulescheck finds is the one that counts here."""
    settings()
    text = ''.join('%s:allow,DATABYTES="%d"\n' % (k, n) for n, k in enumerate(
        ('127.0.0.1', '127.0.0.', '127.0.', '127.1.2.3-5', '127.', ''), 1000))
    rules(text)
    l = Listener()
    for ip in ('127.0.0.1', '127.0.0.11', '127.0.1.1', '127.1.2.4', '127.1.2.6', '127.9.9.9'):
        p = subprocess.run(['tcprulescheck', os.path.join(home, 'control/tcp.smtp.cdb')], env=dict(os.environ, TCPREMOTEIP=ip),
                           capture_output=True, text=True)
        expected = re.search(r'DATABYTES=(\d+)', p.stdout).group(1)
        with l.connect(source=ip) as s:
            s.recv(1000)
            check('SIZE %s\r\n' % expected in cmd(s, 'EHLO x'), 'tcpserver and -l agree about %s' % ip)
    l.stop()

def test_full():
    settings(concurrencysmtpd='4', concurrencysmtpdclient='2')
    l = Listener()
    held = [l.connect(), l.connect()]
    for s in held: s.recv(1000)
    equal(l.greeting(), '421 4.3.2 too many connections from you, try again later\r\n', 'one session too many from a client')
    for ip in ('127.0.0.2', '127.0.0.3'):
        held.append(l.connect(source=ip))
        equal(held[-1].recv(1000)[:3], b'220', 'another client is served')
    equal(l.greeting(source='127.0.0.4'), '421 4.3.2 too many connections, try again later\r\n', 'one too many in all')
    check(wait_for(lambda: l.text().count('turned away') == 2), 'both are logged')
    for s in held: s.close()
    check(wait_for(lambda: l.greeting()[:3] == '220', 5), 'there is room again when they have gone')
    # A crowd that reads nothing must not hold the listener up.
    crowd = []
    for i in range(100): crowd.append(l.connect())
    began = time.monotonic()
    check(wait_for(lambda: l.greeting(source='127.0.0.9')[:3] == '220', 20), 'a crowd from one client')
    check(time.monotonic() - began < 15, 'does not hold others up')
    for s in crowd: s.close()
    settings(concurrencysmtpd='4', concurrencysmtpdclient='1')
    rules('127.0.0.5:allow,RELAYCLIENT=""\n:allow\n')
    l.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: 'settings read' in l.text()), 'SIGHUP rereads the settings')
    wait_for(lambda: l.greeting(source='127.0.0.8')[:3] == '220')
    held = [l.connect(source='127.0.0.5') for i in range(3)]
    equal([s.recv(1000)[:3] for s in held], [b'220'] * 3, 'clients that may relay count in all only')
    for s in held: s.close()
    l.stop()
    settings()
    l = Listener('-c', '1')
    s = l.connect()
    s.recv(1000)
    equal(l.greeting(source='127.0.0.2')[:9], '421 4.3.2', '-c')
    s.close()
    l.stop()
    l = Listener('-C', '1')
    s = l.connect()
    s.recv(1000)
    equal([l.greeting()[:3], l.greeting(source='127.0.0.2')[:3]], ['421', '220'], '-C')
    s.close()
    l.stop()

def test_settings():
    for name, text in (('databytes', 'x'), ('me', '')):
        settings(**{name: text})
        p = as_account([SMTPD, '-l', '-a', '127.0.0.1', '-p', str(free_port())], stderr=subprocess.PIPE, env=dict(os.environ, PIPIT_HOME=home))
        err = p.communicate(timeout=20)[1].decode()
        check(p.returncode == 111 and 'control/%s' % name in err, 'it does not start with a broken control/%s' % name)
    settings(smtpgreeting='one')
    l = Listener()
    equal(l.greeting(), '220 one ESMTP\r\n', 'the first greeting')
    control(home, 'smtpgreeting', 'two')
    check(wait_for(lambda: (time.sleep(0.2), l.greeting() == '220 two ESMTP\r\n')[1], 5), 'a changed file counts without a signal')
    control(home, 'databytes', 'broken')
    control(home, 'smtpgreeting', 'three')
    l.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: 'the old settings stay' in l.text()), 'a broken file is told of at SIGHUP')
    equal(l.greeting(), '220 two ESMTP\r\n', 'and the old settings stay')
    control(home, 'databytes', None)
    l.p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: l.greeting() == '220 three ESMTP\r\n', 5), 'until it is mended')
    l.stop(signal.SIGINT)

def test_addresses():
    settings()
    l = Listener(address=None)
    equal(l.greeting()[:3], '220', 'without -a: IPv4')
    if os.path.exists('/proc/net/if_inet6'):
        try: equal(l.greeting(source='::1', to='::1')[:3], '220', 'and IPv6')
        except OSError: skip('no IPv6 loopback address here')
    l.stop()
    l = Listener('-a', '127.0.0.3')
    equal([l.greeting()[:3], l.greeting(to='127.0.0.3')[:3]], ['220', '220'], 'several addresses')
    p = as_account([SMTPD, '-l', '-a', '127.0.0.1', '-p', str(l.port)], stderr=subprocess.PIPE, env=dict(os.environ, PIPIT_HOME=home))
    err = p.communicate(timeout=20)[1].decode()
    check(p.returncode == 111 and 'listen on 127.0.0.1' in err, 'a port that is taken')
    l.stop()
    p = as_account([SMTPD, '-l', '-a', 'localhost'], stderr=subprocess.PIPE, env=dict(os.environ, PIPIT_HOME=home))
    check(b'not an address' in p.communicate(timeout=20)[1] and p.returncode == 111, 'a name is no address')

def test_shortage():
    settings()
    l = Listener(prefix=['prlimit', '--nofile=9', '--'])
    if l.ready != b'\n': return skip('no prlimit here')
    first = [l.connect() for i in range(3)]
    check(all(s.recv(100)[:3] == b'220' for s in first), 'with nine descriptors several sessions run')
    for s in first: s.close()
    l.stop()
    if not shutil.which('strace'): return skip('strace is not there')
    for call, error, code in (('accept4', 'EMFILE', None), ('accept4', 'ENOMEM', None), ('clone', 'EAGAIN', '421'), ('clone', 'ENOMEM', '421')):
        l = Listener(prefix=['strace', '-qq', '-o', '/dev/null', '-e', 'trace=' + call, '-e', 'inject=%s:error=%s:when=1..2' % (call, error)])
        if l.ready != b'\n':
            l.p.wait(10)
            return skip('ptrace is not allowed here')
        if code: equal([l.greeting()[:3], l.greeting()[:3], l.greeting()[:3]], [code, code, '220'], 'fork fails with %s: 421' % error)
        else:
            began = time.monotonic()
            equal(l.greeting()[:3], '220', 'accept fails with %s: the client waits and is served' % error)
            check(1 < time.monotonic() - began < 10, 'without a busy loop')
        child = int(open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()[0])
        os.kill(child, signal.SIGTERM)
        l.p.wait(30)

def test_crash():
    settings()
    l = Listener()
    s = l.connect()
    s.recv(1000)
    child = int(open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()[0])
    os.kill(child, signal.SIGKILL)
    check(wait_for(lambda: 'alert: session crashed pid=%d signal=9' % child in l.text()), 'a session that crashes is an alert')
    equal(l.greeting()[:3], '220', 'and no harm to others')
    l.stop()

def test_confined():
    settings()
    l = Listener()
    s = l.connect()
    s.recv(1000)
    child = open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()[0]
    status = open('/proc/%s/status' % child).read()
    check('NoNewPrivs:\t1' in status, 'a session cannot gain rights')
    limits = open('/proc/%s/limits' % child).read()
    if ASAN: skip('a sanitizer build has no memory limit')
    else: check(re.search(r'Max address space +134217728', limits), 'its memory is limited')
    fds = os.listdir('/proc/%s/fd' % child)
    s.close()
    l.stop()

def test_separated():
    """As root, with the accounts there: the port is bound first, then root is given up."""
    prefix = ROOT and with_accounts()
    if not prefix: return skip('root becomes pipitd: needs root, and a mount namespace')
    uid = ACCOUNTS_FROM + 1
    where = os.path.join(SCRATCH, 'separated')
    subprocess.run([*prefix, os.path.join(BIN, 'pipit-setup'), '-n', 'host.example', where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open('/proc/sys/net/ipv4/ip_unprivileged_port_start') as f: low = int(f.read()) > 100
    port = 99 if low else free_port()
    r, w = os.pipe()
    p = subprocess.Popen([*prefix, os.path.join(where, 'bin/pipit-smtpd'), '-l', '-a', '127.0.0.1', '-p', str(port), '-d', str(w)], pass_fds=[w],
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=where))
    os.close(w)
    ready = os.read(r, 1)
    os.close(r)
    if ready != b'\n':
        p.wait(10)
        return skip('port %d is not to be had here' % port)
    status = open('/proc/%d/status' % p.pid).read()
    check(re.search(r'^Uid:' + r'\t%d' % uid * 4 + '$', status, re.M) and
          re.search(r'^Groups:\t%d *$' % uid, status, re.M), 'root becomes pipitd')
    with socket.create_connection(('127.0.0.1', port), 20) as s: equal(s.recv(100)[:3], b'220', 'and serves')
    p.terminate()
    equal(p.wait(20), 0, 'until SIGTERM')

def test_memory():
    if ASAN: return skip('memory of a sanitizer build says nothing')
    settings()
    l = Listener()
    held = [l.connect(source='127.0.0.%d' % (2 + i // 10)) for i in range(50)]
    for s in held:
        s.recv(1000)
        cmd(s, 'EHLO x')
    kids = open('/proc/%d/task/%d/children' % (l.p.pid, l.p.pid)).read().split()
    pss = [int(re.search(r'^Pss:\s+(\d+)', open('/proc/%s/smaps_rollup' % k).read(), re.M).group(1)) for k in kids]
    check(len(kids) == 50 and sum(pss) / 50 < 120, 'an open session takes less than 120 KiB: %d' % (sum(pss) / 50))
    for s in held: s.close()
    l.stop()

def test_tcpserver():
    if not shutil.which('tcpserver'): return skip('tcpserver is not there')
    settings()
    rules('127.0.0.2:allow,RELAYCLIENT=""\n:allow\n')
    port = free_port()
    p = as_account(['tcpserver', '-HR', '-lx', '-x', os.path.join(home, 'control/tcp.smtp.cdb'), '127.0.0.1', str(port), SMTPD],
                   stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=home, QMAILQUEUE=STUB))
    connect = lambda ip: socket.create_connection(('127.0.0.1', port), 20, (ip, 0))
    def up():
        try: return connect('127.0.0.1').close() or True
        except ConnectionRefusedError: return False
    wait_for(up)
    with connect('127.0.0.1') as s: equal(transaction(s)[-1], '250', 'under tcpserver')
    with open(os.path.join(OUT, 'msg')) as f: check('(unknown [127.0.0.1])' in f.read(), 'the client is known')
    with connect('127.0.0.2') as s: equal(transaction(s, 'x@elsewhere.example')[-1], '250', 'RELAYCLIENT comes from its rules')
    p.terminate()
    p.wait(10)

def test_ipcserver():
    if not shutil.which('s6-ipcserver'): return skip('s6-ipcserver is not there')
    settings()
    sock = os.path.join(OUT, 'socket')
    p = as_account(['s6-ipcserver', sock, SMTPD], stderr=subprocess.DEVNULL, env=dict(os.environ, PIPIT_HOME=home, QMAILQUEUE=STUB))
    wait_for(lambda: os.path.exists(sock))
    with socket.socket(socket.AF_UNIX) as s:
        wait_for(lambda: s.connect_ex(sock) == 0)
        s.settimeout(20)
        equal(transaction(s)[-1], '250', 'under s6-ipcserver')
    with open(os.path.join(OUT, 'msg')) as f: check('from x (local)' in f.read(), 'the client is local')
    p.terminate()
    p.wait(10)

def test_inetd():
    """As inetd does it: the connection on 0, 1 and 2, and no environment."""
    settings()
    with socket.socket() as l:
        l.bind(('127.0.0.1', 0))
        l.listen()
        c = socket.create_connection(l.getsockname(), 20)
        s, peer = l.accept()
    p = as_account([SMTPD], stdin=s, stdout=s, stderr=subprocess.DEVNULL, env={'PIPIT_HOME': home, 'QMAILQUEUE': STUB, 'PATH': '/bin:/usr/bin'})
    s.close()
    equal(transaction(c)[-1], '250', 'as inetd starts it')
    with open(os.path.join(OUT, 'msg')) as f: check('(unknown [127.0.0.1])' in f.read(), 'the client is asked of the socket')
    c.close()
    p.wait(20)

if shutil.which('tcprules'): test_same = same_as_tcpserver
for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]): test()
done()
