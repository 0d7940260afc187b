"""submission.py - an instance with ports for submission: people log in over TLS, their mail arrives, and no more than they may send"""
import sys
sys.path.insert(0, 'tests')
import ssl
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

# --- what a login may send in an hour: both ports count

def client(p=tls_port):
    """Logged in, as ann."""
    unverified = ssl._create_unverified_context()
    s = smtplib.SMTP_SSL('127.0.0.1', p, timeout=60, context=unverified) if p == tls_port else smtplib.SMTP('127.0.0.1', p, timeout=60)
    if p != tls_port: s.starttls(context=unverified)
    s.login('ann', 'secret')
    return s

def data(s, recipients):
    """The answer to DATA, and with 354 that to an empty message."""
    equal([s.mail('ann')[0]] + [s.rcpt('joe')[0] for n in range(recipients)], [250] * (recipients + 1), 'MAIL and %d RCPT' % recipients)
    code, text = s.docmd('DATA')
    if code != 354: return code, text
    s.send(b'\r\n.\r\n')
    return s.getreply()

def refused(answer): return answer[0] == 450 and re.fullmatch(rb'4\.7\.1 you have sent too much within an hour, try again in \d+ seconds', answer[1])

i.control('loginlimits', 'ann:2:6')
time.sleep(1.1) # a change is seen after a second
with client() as a, client(port) as b:
    answers = [data(a, 7), data(a, 5), data(b, 2), data(a, 1), data(b, 1), data(a, 1)]
equal(answers[0], (550, b'5.7.1 this is more than you may send within an hour'), 'more recipients than the limit')
equal([c for c, text in answers[1:2] + answers[3:4]], [250, 250], 'up to the limits')
check(refused(answers[2]), 'over the limit of recipients, in another session at another port: %r' % (answers[2],))
check(refused(answers[4]) and refused(answers[5]), 'over that of messages, in both: %r' % (answers[4:],))
check(wait_for(lambda: any('code=450' in l and 'too much' in l and 'login=ann' in l for l in i.log('ofmipd'))), 'the log says so')
before = 3 + 5 + 1
equal(len(i.wait_mails('joe', before)), before, 'what was accepted arrives')

# Who cannot tell lets nobody send more.
i.control('loginlimits', 'ann:1000:1000')
time.sleep(1.1)
with client() as a:
    equal(data(a, 1)[0], 250, 'with other limits')
    subprocess.run(['s6-svc', '-wd', '-T', '20000', '-d', i.home + '/service/authd'], check=True)
    code, text = data(a, 1)
    check(code == 451 and text.startswith(b'4.3.0 unable to tell how much you have sent'), 'without pipit-authd: %d %r' % (code, text))
    said = lambda what: any(what in l for l in i.log('ofmipds'))
    check(wait_for(lambda: said('code=451') and said('pipit-authd cannot be reached')), 'the log says what to mend')
    try: code = client(port) and 235
    except smtplib.SMTPAuthenticationError as e: code = e.smtp_code
    equal(code, 454, 'nor can anybody log in')
    check('451 4.3.0 logins cannot be checked now' in swaks('-s', here % port, '-tls'), 'who has not is refused for now, for he could not')
    subprocess.run(['s6-svc', '-u', i.home + '/service/authd'], check=True)
    def sends():
        a.rset()
        return data(a, 1)[0] == 250
    check(wait_for(sends, 20, 0.5), 'and when it is back, they can')
equal(len(i.wait_mails('joe', before + 2)), before + 2, 'nothing was accepted meanwhile')
check(i.wait_queue_empty(), 'and nothing waits')
equal(i.stop(), [], 'all of it ends')
done()
