"""Strangers cannot relay; clients that tcprules names can; under -l, tcpserver and s6-ipcserver"""
import sys
sys.path.insert(0, 'tests')
from instance import *

i = Instance()
i.mailbox('joe')
i.control('smtproutes', ':[127.0.0.1]:1') # whatever is taken for elsewhere waits in the queue
i.start()

def rcpt(server, address, client='127.0.0.1'):
    """The code of RCPT for <address> at a server (a port, or a path), from a client's address."""
    if isinstance(server, int): s = socket.create_connection(('127.0.0.1', server), 10, (client, 0))
    else:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        wait_for(lambda: not s.connect_ex(server))
    with s, s.makefile('rwb') as f:
        f.readline()
        for command in (b'HELO c.example', b'MAIL FROM:<ann@sender.example>', b'RCPT TO:<%s>' % address.encode()):
            f.write(command + b'\r\n')
            f.flush()
            code = f.readline()[:3].decode()
        f.write(b'QUIT\r\n')
        f.flush()
        f.readline()
        return code

equal(rcpt(i.port, 'joe@mail.example'), '250', '-l: mail for a domain in rcpthosts is taken')
equal(rcpt(i.port, 'x@far.example'), '553', '-l: mail for elsewhere is refused to a stranger')
i.control('rcpthosts', None)
equal(rcpt(i.port, 'x@far.example'), '553', '-l: no rcpthosts is no open relay')
i.control('rcpthosts', 'mail.example')

tcprules = shutil.which('tcprules')
rules = os.path.join(i.home, 'control', 'tcp.smtp.cdb')
if not tcprules: skip('tcprules is not installed')
else:
    text = ('127.0.0.1:allow\n127.0.0.2:allow,RELAYCLIENT=""\n127.0.0.3:allow,RELAYCLIENT=".suffix.example"\n'
            '127.0.0.4:deny\n127.0.0.5:allow,DATABYTES="100"\n:allow\n')
    subprocess.run([tcprules, rules, rules + '.tmp'], input=text.encode(), check=True)
    os.chmod(rules, 0o644)
    i.stop(); i.start()
    equal(rcpt(i.port, 'x@far.example'), '553', '-l with tcprules: a stranger is refused')
    equal(rcpt(i.port, 'x@far.example', '127.0.0.2'), '250',
          '-l with tcprules: a client with RELAYCLIENT may relay')
    try: denied = rcpt(i.port, 'joe@mail.example', '127.0.0.4')
    except (ConnectionError, OSError): denied = ''
    check(not denied.startswith('2'), '-l with tcprules: a denied client is not served')
    with smtplib.SMTP('127.0.0.1', i.port, timeout=20, source_address=('127.0.0.5', 0)) as s:
        try: code = deliver(s, 'a@b.example', 'joe@mail.example', b'Subject: x\n\n' + b'x' * 200 + b'\n')
        except smtplib.SMTPResponseException as e: code = e.smtp_code
        equal(code, 552, '-l with tcprules: DATABYTES of a client counts')
    with smtplib.SMTP('127.0.0.1', i.port, timeout=20, source_address=('127.0.0.3', 0)) as s:
        deliver(s, 'a@b.example', 'x@far.example', b'Subject: suffixed\n\nx\n')
    check(wait_for(lambda: any('x@far.example.suffix.example' in l for l in i.log('send'))),
          '-l with tcprules: the value of RELAYCLIENT is appended')

smtpd = os.path.join(i.home, 'bin', 'pipit-smtpd')
if tcprules and shutil.which('tcpserver'):
    port = free_port()
    p = i.popen('tcpserver', '-HR', '-l', '0', '-x', rules, '127.0.0.1', str(port), smtpd, stderr=subprocess.DEVNULL)
    wait_for(lambda: not socket.socket().connect_ex(('127.0.0.1', port)))
    equal(rcpt(port, 'joe@mail.example'), '250', 'tcpserver: mail for this host is taken')
    equal(rcpt(port, 'x@far.example'), '553', 'tcpserver: a stranger is refused')
    equal(rcpt(port, 'x@far.example', '127.0.0.2'), '250', 'tcpserver: a client with RELAYCLIENT may relay')
    with smtplib.SMTP('127.0.0.1', port, timeout=20) as s:
        deliver(s, 'tcp@b.example', 'joe@mail.example', b'Subject: tcpserver\n\nx\n')
    check(any(b'Subject: tcpserver' in m for m in i.wait_mails('joe', 1)),
          'tcpserver: a message is delivered')
    p.terminate(); p.wait()
else: skip('tcpserver is not installed')

if shutil.which('s6-ipcserver'):
    path = os.path.join(i.home, 'run', 'test-smtp')
    p = i.popen('s6-ipcserver', path, smtpd, stderr=subprocess.DEVNULL)
    equal(rcpt(path, 'joe@mail.example'), '250', 's6-ipcserver: mail for this host is taken')
    equal(rcpt(path, 'x@far.example'), '553', 's6-ipcserver: a stranger is refused')
    p.terminate(); p.wait()
    p = i.popen('s6-ipcserver', path, 'env', 'RELAYCLIENT=', smtpd, stderr=subprocess.DEVNULL)
    equal(rcpt(path, 'x@far.example'), '250', 's6-ipcserver: RELAYCLIENT in the environment counts')
    p.terminate(); p.wait()
else: skip('s6-ipcserver is not installed')

# Started as inetd does: the socket is descriptors 0 and 1, and nothing is known about the client.
ours, theirs = socket.socketpair()
p = i.popen(smtpd, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
theirs.close()
with ours, ours.makefile('rwb') as f:
    codes = [f.readline()[:3]]
    for command in (b'EHLO c.example', b'MAIL FROM:<ann@sender.example>\r\nRCPT TO:<joe@mail.example>\r\n'
                    b'RCPT TO:<x@far.example>', b'QUIT'):
        f.write(command + b'\r\n')
        f.flush()
        for _ in command.splitlines():
            while (line := f.readline())[3:4] == b'-': pass
            codes.append(line[:3])
    equal(codes, [b'220', b'250', b'250', b'250', b'553', b'221'], 'like inetd: it is served')
equal(p.wait(10), 0, 'like inetd: it ends')
equal(i.stop(), [], 'stopping leaves no process')
done()
