"""smtpd-auth.py - AUTH in pipit-smtpd by checkpassword programs: RFC 4954 to the letter, control/senders, Received"""
import base64, hmac, os, smtplib, subprocess, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
import smtpsession
from scripts import *

home = make_home()
STUB, OUT = keeping_queue()
READ = 'cat <&3 >%s/data; exec 3<&-; d=$(tr "\\0" "\\n" <%s/data)\n' % (OUT, OUT)
CHECKER = script('checker', READ + '''case "$d" in
"ann
tanstaaftanstaaf"*|"ann@example.org
secret"*) exec "$@";;
trouble*) exit 111;; misuse*) exit 2;; code*) set -- $d; exit ${1#code};; odd*) exit 77;; crash*) kill -SEGV $$;; prints*) echo 250 fake; exit 1;;
esac
exit 1
''')
CRAM = script('cram', READ + 'exec %s -c "$d" "$@"\n' % script('cram.py', ''))
with open(os.path.join(SCRATCH, 'cram.py'), 'w') as f:
    f.write('''#!/usr/bin/python3
import hmac, os, sys
user, a, b = sys.argv[2].split('\\n')[:3]
response, challenge = (a, b) if os.environ['ORDER'] == 'm' else (b, a)
ok = user == 'tim' and hmac.new(b'tanstaaftanstaaf', challenge.encode(), 'md5').hexdigest() == response
os.execvp(sys.argv[3], sys.argv[3:]) if ok else sys.exit(1)
''')

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    for name, text in dict(dict(me='host.example', rcpthosts='example.org', authinclear='192.0.2.0/24', authdelay='0',
                                maxerrors='1000'), **kw).items():
        if text is not None: control(home, name, text)

def session(*args, **kw):
    s = smtpsession.Session(home, args=args or ('host', CHECKER, 'true'), program=STUB, **kw)
    s.cmd('EHLO client.example')
    return s

def b64(s): return base64.b64encode(s if isinstance(s, bytes) else s.encode()).decode()
def plain(login='ann@example.org', password='secret', authzid=''):
    return 'AUTH PLAIN ' + b64('%s\0%s\0%s' % (authzid, login, password))

def test_offered():
    settings()
    s = smtpsession.Session(home)
    s.cmd('EHLO x')
    check(not any('AUTH' in l for l in s.lines), 'AUTH is not offered by default')
    equal(s.cmd(plain())[:9], '502 5.5.1', 'nor known')
    s.end()
    settings(authinclear=None)
    s = session()
    check(not any('AUTH' in l for l in s.lines), 'nor in clear')
    equal(s.cmd(plain())[:10], '538 5.7.11', 'where it is refused')
    s.end()
    settings()
    s = session()
    check('250-AUTH PLAIN LOGIN' in s.lines, 'a checkpassword program is on the command line, and control/authinclear')
    equal(s.cmd(plain()), '235 2.7.0 go ahead', 'PLAIN with an initial response')
    s.cmd('EHLO x')
    check(not any('AUTH' in l for l in s.lines), 'it is not offered to who has logged in')
    s.end()
    s = session('-m', 'host', CHECKER, 'true')
    check('250-AUTH CRAM-MD5 PLAIN LOGIN' in s.lines, '-m: CRAM-MD5 is offered')
    s.end()

def test_letter():
    settings(brtlimit='0')
    s = session()
    for line, code, why in (
            ('AUTH', '501 5.5.4', 'no mechanism'), ('AUTH FOO', '504 5.5.4', 'an unknown one'),
            ('AUTH CRAM-MD5', '504 5.5.4', 'one that is not offered'), ('AUTH SCRAM-SHA-256', '504 5.5.4', 'nor SCRAM'),
            ('AUTH PLAIN =', '501 5.5.2', 'an empty initial response is none that PLAIN wants'),
            ('AUTH PLAIN x', '501 5.5.2', 'not base64'), ('AUTH PLAIN ' + b64('a\0b'), '501 5.5.2', 'too few parts'),
            ('AUTH PLAIN ' + b64('\0a\0b\0c'), '501 5.5.2', 'too many'), ('AUTH PLAIN ' + b64('\0\0b'), '501 5.5.2', 'an empty login'),
            ('AUTH PLAIN ' + b64('\0a\0'), '501 5.5.2', 'an empty password'),
            ('AUTH PLAIN ' + b64('\0a\0b') + ' x', '501 5.5.4', 'two initial responses'),
            ('AUTH PLAIN', '334 ', 'no initial response'), ('*', '501 5.7.0', 'cancelled'),
            ('AUTH PLAIN', '334 ', 'no initial response'), ('AAAA', '501 5.5.2', 'a bad response'),
            ('AUTH LOGIN', '334 VXNlcm5hbWU6', 'LOGIN'), (b64('ann'), '334 UGFzc3dvcmQ6', 'the login'), ('*', '501 5.7.0', 'cancelled'),
            ('AUTH LOGIN ' + b64('ann'), '334 UGFzc3dvcmQ6', 'LOGIN with an initial response'), ('*', '501 5.7.0', 'cancelled'),
            ('AUTH PLAIN', '334 ', 'a line'), ('A' * 12300, '500 5.5.6', 'that is too long'),
            ('AUTH PLAIN ' + 'A' * 12300, '500 5.5.2', 'so is a command'),
            ('AUTH PLAIN ' + b64('\0ann\0' + 'x' * 9150), '535 5.7.8', 'not one of nearly 12288 bytes'),
            ('NOOP ' + 'x' * 5000, '500 5.5.2', 'other commands are shorter'), ('NOOP', '250 2.0.0', 'the session goes on'),
            ('MAIL FROM:<a@b.example>', '250 2.1.0', 'a transaction'), (plain(), '503 5.5.1', 'no AUTH within it'), ('RSET', '250 2.0.0', 'none'),
            (plain(authzid='bob'), '535 5.7.8', 'nobody may act for another'),
            ('auth plain ' + plain(authzid='ann@example.org')[11:], '235 2.7.0', 'but for himself'),
            (plain(), '503 5.5.1', 'AUTH after success')):
        equal(s.cmd(line)[:len(code)], code, why)
    equal(s.end(), 0, 'exit code')
    s = session()
    s.cmd('HELO x')
    equal(s.cmd(plain())[:9], '503 5.5.1', 'after HELO')
    s.end()

def test_login_data():
    settings()
    s = session()
    s.cmd('AUTH LOGIN')
    s.cmd(b64('ann@example.org'))
    equal(s.cmd(b64('secret')), '235 2.7.0 go ahead', 'LOGIN')
    s.end()
    with open(os.path.join(OUT, 'data')) as f: equal(f.read(), 'ann@example.org\0secret\0\0', 'descriptor 3: login, password, an empty timestamp')

def test_cram():
    settings()
    for order in 'mk':
        s = session('-' + order, 'host', CRAM, 'true', env={'ORDER': order})
        challenge = base64.b64decode(s.cmd('AUTH CRAM-MD5')[4:])
        check(challenge.startswith(b'<') and challenge.endswith(b'@host.example>'), 'a challenge')
        digest = hmac.new(b'tanstaaftanstaaf', challenge, 'md5').hexdigest()
        equal(s.cmd(b64('tim ' + digest)), '235 2.7.0 go ahead', 'CRAM-MD5 -%s' % order)
        s.end()
        s = session('-' + order, 'host', CRAM, 'true', env={'ORDER': order})
        s.cmd('AUTH CRAM-MD5')
        equal(s.cmd(b64('tim ' + digest))[:9], '535 5.7.8', 'an old response is worth nothing')
        equal(s.cmd('AUTH CRAM-MD5 ' + b64('x'))[:9], '501 5.5.2', 'no initial response')
        s.end()

def test_failures():
    settings()
    s = session()
    for n in range(3): equal(s.cmd(plain('evil\nip=1.2.3.4', 'x')), '535 5.7.8 login or password wrong', 'a failure')
    equal(s.reply()[:9], '421 4.7.0', 'the third one ends the session')
    check(s.closed(), 'which is closed')
    s.end()
    lines = [l for l in s.text.split('\n') if 'auth failed' in l]
    equal(lines, ['pipit-smtpd: auth failed ip=192.0.2.1 service=smtp mechanism=PLAIN login="evil\\x0aip=1.2.3.4"'] * 3,
          'each has one line, in which the login is one value')
    for code in (3, 20, 21, 22, 23):
        s = session()
        equal(s.cmd(plain('code%d' % code, 'x'))[:9], '535 5.7.8', 'vchkpw refuses with %d' % code)
        s.end()
        check('auth failed' in s.text and 'unable' not in s.text, 'which is logged as a failure')
    settings(authdelay='1')
    s = session()
    began = time.monotonic()
    s.cmd(plain('x', 'y'))
    check(time.monotonic() - began >= 0.9, 'control/authdelay: a failure costs time')
    s.end()

def test_trouble():
    settings()
    for login in ('trouble', 'misuse', 'odd', 'crash', 'code4', 'code19', 'code24'):
        s = session()
        equal(s.cmd(plain(login, 'x')), '454 4.7.0 logins cannot be checked now, try again later', 'a program in trouble (%s) says nothing of a password' % login)
        s.end()
        check('unable to check a login' in s.text and 'auth failed' not in s.text, 'and has a line of its own')
    for argv in (('host', '/nonexistent', 'true'), ('host', CHECKER, '/nonexistent')):
        s = session(*argv)
        equal(s.cmd(plain())[:9], '454 4.7.0', 'a program that is not there: %s' % argv[-1])
        s.end()
    s = session()
    equal(s.cmd(plain('prints', 'x'))[:9], '535 5.7.8', 'what a program prints')
    equal(s.cmd('NOOP')[:3], '250', 'is not for the client')
    s.end()
    s = session('host', CHECKER, script('no', 'exit 77\n'))
    equal(s.cmd(plain())[:9], '454 4.7.0', 'the last program decides')
    s.end()
    s = session('host', script('outer', READ + 'exec 3<<E\n$d\nE\nexec "$@"\n') , script('inner', 'tr "\\0" "\\n" <&3 | grep -q ann || exit 1; exec "$@"\n'), 'true')
    equal(s.cmd(plain())[:3], '235', 'chained programs')
    s.end()

def test_relay():
    settings(senders='ann@example.org:self @lists.example.org')
    s = session()
    for line, code, why in (
            ('MAIL FROM:<ann@example.org>', '250', 'without login'), ('RCPT TO:<x@elsewhere.example>', '553 5.7.1', 'no relaying'), ('RSET', '250', ''),
            (plain(), '235', 'login'), ('MAIL FROM:<bob@example.org>', '553 5.7.1', 'not as another one'),
            ('MAIL FROM:<x@lists.example.org> AUTH=<>', '250', 'as an address of its own'), ('RSET', '250', ''),
            ('MAIL FROM:<ann@example.org> AUTH=e+3Dmc2@example.com', '250', 'AUTH= of RFC 4954'), ('RSET', '250', ''),
            ('MAIL FROM:<ann@example.org> AUTH=a=b', '501', 'that is no xtext'),
            ('MAIL FROM:<>', '250', 'notices'), ('RSET', '250', ''),
            ('MAIL FROM:<Ann+x@example.org>', '250', 'a tag'), ('RCPT TO:<x@elsewhere.example>', '250', 'relaying'), ('DATA', '354', 'DATA'),
            ('Subject: x\r\n\r\ny\r\n.', '250', 'a message')):
        equal(s.cmd(line)[:len(code)], code, why)
    s.cmd('QUIT')
    s.end()
    with open(os.path.join(OUT, 'msg')) as f: received = f.read().split('\nSubject')[0]
    check('(ann@example.org@' in received and 'with ESMTPA' in received, 'Received: %r' % received)
    check(' login=ann@example.org ' in [l for l in s.text.split('\n') if ': accepted ' in l][0], 'the login is in the log')
    control(home, 'senders', 'ann')
    s = session()
    s.cmd(plain())
    equal(s.cmd('MAIL FROM:<ann@example.org>')[:9], '451 4.3.5', 'a malformed control/senders')
    s.end()
    check('control/senders' in s.text, 'is told about')

def test_required():
    settings()
    s = session('-r', 'host', CHECKER, 'true')
    equal(s.cmd('MAIL FROM:<x@example.org>'), '530 5.7.0 log in first', '-r: no mail without login')
    s.cmd(plain())
    equal(s.cmd('MAIL FROM:<ann@example.org>')[:3], '250', 'with it there is')
    s.end()
    s = session('-r', 'host', CHECKER, 'true', env={'RELAYCLIENT': ''})
    equal(s.cmd('MAIL FROM:<x@example.org>')[:3], '250', 'RELAYCLIENT needs none')
    s.end()
    for args in (['-m'], ['-r'], ['host'], ['-A', 'host', CHECKER]):
        p = subprocess.run([os.path.join(BIN, 'pipit-smtpd'), *args], stdin=subprocess.DEVNULL, capture_output=True)
        equal(p.returncode, 100, 'wrong usage: %s' % ' '.join(args)[:20])

def test_clients():
    settings(authinclear='127.0.0.0/8')
    l = smtpsession.Listener(home, '-m', 'host', CHECKER, 'true', env={'QMAILQUEUE': STUB, 'ORDER': 'm'})
    c = smtplib.SMTP('127.0.0.1', l.port, timeout=20)
    c.login('ann@example.org', 'secret')
    equal(c.sendmail('ann@example.org', ['x@elsewhere.example'], 'Subject: x\r\n\r\ny\r\n'), {}, "Python's smtplib logs in (PLAIN, after CRAM-MD5 failed)")
    c.quit()
    for kind in ('PLAIN', 'LOGIN'):
        p = subprocess.run(['swaks', '-s', '127.0.0.1', '-p', str(l.port), '-f', 'ann@example.org', '-t', 'x@elsewhere.example', '--auth', kind,
                            '-au', 'ann@example.org', '-ap', 'secret'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(p.returncode == 0 and '~> AUTH ' + kind in p.stdout or p.returncode == 0 and 'AUTH ' + kind in p.stdout, 'swaks: %s' % kind)
    l.stop()
    l = smtpsession.Listener(home, '-m', 'host', CRAM, 'true', env={'QMAILQUEUE': STUB, 'ORDER': 'm'})
    c = smtplib.SMTP('127.0.0.1', l.port, timeout=20)
    c.login('tim', 'tanstaaftanstaaf')
    check(True, "Python's smtplib: CRAM-MD5")
    c.quit()
    p = subprocess.run(['swaks', '-s', '127.0.0.1', '-p', str(l.port), '-f', 'tim@host.example', '-t', 'x@elsewhere.example', '--auth', 'CRAM-MD5',
                        '-au', 'tim', '-ap', 'tanstaaftanstaaf'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(p.returncode == 0, 'swaks: CRAM-MD5')
    l.stop()

for name, test in list(globals().items()):
    if name.startswith('test_'):
        print('# ' + name)
        test()
done()
