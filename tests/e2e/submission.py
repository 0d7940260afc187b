"""submission.py - an instance with ports for submission: people log in over TLS, and their mail arrives"""
import sys
sys.path.insert(0, 'tests')
from instance import *

# As root with an account for each part, as people have it.
separated = sys.argv[1:] == ['separated']
command = ROOT and not separated and with_accounts('/usr/bin/python3', os.path.abspath(__file__), 'separated')
if command: os.execvp(command[0], command)

port, tls_port = free_port(), free_port()
i = Instance(options=('-a', '127.0.0.1', '-m', str(port), '-M', str(tls_port)), separated=separated)
i.mailbox('joe')
checker = os.path.join(SCRATCH, 'checker')
with open(checker, 'w') as f:
    f.write('#!/bin/sh\n[ "$(tr "\\0" "\\n" <&3 | head -n 2)" = "ann\nsecret" ] || exit 1\nexec 3<&- "$@"\n')
os.chmod(checker, 0o755)
# Port 587 asks pipit-authd, which is what pipit-setup makes; 465 a program.
code, text = i.run(i.home + '/bin/pipit-passwd', 'ann', input=b'secret\n')
equal(code, 0, 'a login: %s' % text)
with open(i.home + '/service/ofmipds/env/CHECKPASSWORD', 'w') as f: f.write(checker + ' true\n')
i.start()

def greets(p, first):
    with socket.socket() as s:
        s.settimeout(5)
        if s.connect_ex(('127.0.0.1', p)): return False
        return not first or s.recv(4) == first
check(wait_for(lambda: greets(port, b'220 ') and greets(tls_port, b''), 30), 'both ports are open')

def swaks(*args):
    p = subprocess.run(['swaks', '-f', 'ann', '-t', 'joe', '--ehlo', 'client.example', '--h-From', 'Ann <ann>', '--h-To', 'joe', *args],
                       capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    return p.stdout

login = ('-au', 'ann', '-ap', 'secret')
here = '127.0.0.1:%d'
for n, (why, args) in enumerate((('STARTTLS and PLAIN', ('-s', here % port, '-tls', '--auth', 'PLAIN', *login)),
                                 ('STARTTLS and LOGIN', ('-s', here % port, '-tls', '--auth', 'LOGIN', *login)),
                                 ('TLS on connect', ('-s', here % tls_port, '--tls-on-connect', '--auth', 'PLAIN', *login)))):
    out = swaks(*args)
    check(' 250 2.0.0 ok' in out, '%s: %s' % (why, '' if ' 250 2.0.0 ok' in out else out[-600:]))
    mails = i.wait_mails('joe', n + 1)
    check(len(mails) == n + 1 and b'\nFrom: Ann <ann@mail.example>\n' in mails[-1] and b'\nTo: joe@mail.example\n' in mails[-1] and b'with ESMTPSA\n' in mails[-1]
          and mails[-1].startswith(b'Return-Path: <ann@mail.example>\n'), 'it arrives, with a header that is whole: %r' % mails[-1:])
check('AUTH' not in swaks('-s', here % port).split('STARTTLS')[0] and '530 5.7.0 STARTTLS first' in swaks('-s', here % port), 'in clear nobody can log in, or send')
check('530 5.7.0 log in first' in swaks('-s', here % port, '-tls'), 'nor without login over TLS')
check('535 5.7.8' in swaks('-s', here % port, '-tls', '--auth', 'PLAIN', '-au', 'ann', '-ap', 'wrong'), 'a wrong password')
equal(len(i.mails('joe')), 3, 'nothing else arrived')
equal(i.stop(), [], 'all of it ends')
done()
