"""ofmipd.py - pipit-ofmipd: who may send, headers mended, envelopes completed, names, and mail programs as clients"""
import base64, os, re, smtplib, subprocess, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
import peers, smtpsession
from scripts import *

home = make_home()
STUB, OUT = keeping_queue()
CHECKER = script('checker', 'd=$(tr "\\0" "\\n" <&3)\nexec 3<&-\ncase "$d" in\n"ann\nsecret"*|"bob@y.org\nsecret"*) exec "$@";; esac\nexit 1\n')
ARGS = ('host', CHECKER, 'true')

def settings(**kw):
    for f in os.listdir(os.path.join(home, 'control')): os.unlink(os.path.join(home, 'control', f))
    for name, text in dict(dict(me='host.example', rcpthosts='host.example\nlocal.example', authinclear='192.0.2.0/24\n127.0.0.0/8',
                                authdelay='0', maxerrors='1000'), **kw).items(): control(home, name, text)

def session(*args, **kw):
    s = smtpsession.Session(home, args=args or ARGS, program=kw.pop('program', STUB), name='pipit-ofmipd', **kw)
    s.cmd('EHLO client.example')
    return s

def login(s, name='ann', password='secret'):
    return s.cmd('AUTH PLAIN ' + base64.b64encode(('\0%s\0%s' % (name, password)).encode()).decode())[:3]

def kept(name):
    try:
        with open(os.path.join(OUT, name), 'rb') as f: return f.read()
    except FileNotFoundError: return b''
def forget():
    for f in os.listdir(OUT): os.unlink(os.path.join(OUT, f))
def message():
    """What reached the queue, without its Received line, Date and Message-ID made plain."""
    text = re.sub(rb'\AReceived: .*\n([ \t].*\n)*', b'', kept('msg'))
    return re.sub(rb'^(Date|Message-ID): .*', rb'\1: -', text, flags=re.M).decode('latin-1')
def envelope(): return kept('env').decode().split('\0')[:-2]

def data(s, text, end='\r\n.\r\n'):
    s.cmd('DATA')
    s.send(text.replace('\n', '\r\n') + end)
    return s.reply()

def send(s, text, sender='ann', rcpt='b@x.org'):
    forget()
    for line in ('MAIL FROM:<%s>' % sender, 'RCPT TO:<%s>' % rcpt):
        r = s.cmd(line)
        if r[:3] != '250': return r
    return data(s, text)[:9]

def test_nobody_relays():
    """Who has not logged in sends nothing, whatever he says and in whatever order."""
    settings()
    NO = '530 5.7.0 log in first'
    for why, lines in {
            'at once': [], 'after HELO': ['HELO x'], 'with the null sender': ['RSET'], 'after a login that failed': ['AUTH PLAIN AGFubgB4'],
            'after one that was cancelled': ['AUTH PLAIN', '*'], 'after half of one': ['AUTH LOGIN', 'YW5u', '*'],
            'after many names': ['EHLO a', 'HELO b', 'EHLO host.example'], 'after STARTTLS that is not there': ['STARTTLS']}.items():
        s = session()
        for l in lines: s.cmd(l)
        for sender in ('', 'a@x.org', 'ann@host.example', 'postmaster'):
            equal(s.cmd('MAIL FROM:<%s>' % sender), NO, 'MAIL is refused %s' % why)
            for rcpt in ('b@x.org', 'ann@host.example', 'postmaster', 'b@local.example'):
                equal(s.cmd('RCPT TO:<%s>' % rcpt)[:3], '503', 'so is RCPT')
            equal(s.cmd('DATA')[:3], '503', 'and DATA')
            s.cmd('RSET')
        s.end()
    s = session()
    s.send('AUTH PLAIN AGFubgB4\r\nMAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nRSET\r\nMAIL FROM:<a@x.org>\r\n')
    equal([s.reply()[:3] for i in range(5)], ['535', '530', '503', '250', '530'], 'pipelined')
    s.end()
    check('code=530' in s.text and s.text.startswith('pipit-ofmipd: '), 'it is in the log')
    s = session('', 'host', CHECKER, 'true')
    equal(s.cmd('MAIL FROM:<a@x.org>'), NO, "an empty name cdb, as mess822's ofmipd is called")
    s.end()
    s = session(os.path.join(SCRATCH, 'none.cdb'))
    equal(s.cmd('MAIL FROM:<a@x.org>'), '451 4.3.0 logins cannot be checked now, try again later', 'without a program, and without pipit-authd: nobody, for now')
    s.end()
    equal(kept('msg'), b'', 'nothing came through')
    s = session(env={'RELAYCLIENT': ''})
    equal(send(s, 'x'), '250 2.0.0', 'RELAYCLIENT may')
    s.end()
    s = session()
    equal(login(s), '235', 'a login')
    equal(send(s, 'x'), '250 2.0.0', 'may send')
    equal(send(s, 'x', 'boss@x.org')[:9], '553 5.7.1', 'but not as somebody else')
    equal(send(s, 'From: boss@x.org\n\nx')[:9], '550 5.7.1', 'nor in the header')
    equal(send(s, 'From: ann@host.example, boss@x.org\n\nx')[:9], '550 5.7.1', 'nor beside him')
    equal(send(s, 'From: ann\nSender: boss@x.org\n\nx')[:9], '550 5.7.1', 'nor in Sender')
    equal(send(s, 'From: "boss@x.org" <ann>\n\nx'), '250 2.0.0', 'names are free')
    s.end()
    settings(senders='ann:any')
    s = session()
    login(s)
    equal(send(s, 'From: boss@x.org\n\nx', 'boss@x.org'), '250 2.0.0', 'control/senders allows it')
    s.end()

def test_mended():
    settings()
    s = session()
    login(s)
    equal(send(s, 'To: bob, Carl <carl@y.org>\nSubject: s\nBcc: secret@x.org\n\nTo: bob\n.. body\n'), '250 2.0.0', 'a message')
    equal(message(), 'Date: -\nMessage-ID: -\nFrom: ann@host.example\nTo: bob@host.example, Carl <carl@y.org>\nSubject: s\n\nTo: bob\n. body\n\n',
          'its header is mended, its body is not')
    equal(envelope(), ['Fann@host.example', 'Tb@x.org'], 'its envelope is completed')
    for text, expected, why in (
            ('just text\nmore', 'Date: -\nMessage-ID: -\nFrom: ann@host.example\nCc: recipient list not shown: ;\n\njust text\nmore\n', 'no header at all'),
            ('\nbody', 'Date: -\nMessage-ID: -\nFrom: ann@host.example\nCc: recipient list not shown: ;\n\nbody\n', 'an empty one'),
            ('To: b@x.org', 'Date: -\nMessage-ID: -\nFrom: ann@host.example\nTo: b@x.org\n', 'a header without body'),
            ('To: b@x.org\n c\ngarbage\nFrom: c@x.org', 'Date: -\nMessage-ID: -\nFrom: ann@host.example\nTo: b@x.org,\n c@host.example\n\ngarbage\nFrom: c@x.org\n',
             'a line that is no field ends it')):
        equal(send(s, text), '250 2.0.0', why)
        equal(message(), expected, why)
    equal(send(s, 'From: ann\nFrom: ann\n\nx')[:9], '554 5.6.0', 'two From')
    equal(send(s, 'From: <a\n\nx')[:9], '554 5.6.0', 'a From that nobody can read')
    equal(send(s, 'x: %s\n\nx' % ('y' * 1100000))[:9], '552 5.3.4', 'a header over 1 MiB')
    equal(send(s, ''.join('X%d: y\n' % i for i in range(200000)) + '\nx')[:9], '552 5.3.4', 'of many fields')
    equal(send(s, 'To: %s\n\nx' % ','.join('a' for i in range(100001)))[:9], '552 5.3.4', 'too many addresses')
    equal(send(s, 'x: %s\n\n%s' % ('y' * 1000000, 'z' * 3000000)), '250 2.0.0', 'up to it, with any body')
    check(len(kept('msg')) > 4000000, 'whole')
    equal(send(s, 'a\rb')[:9], '550 5.6.0', 'a bare CR is refused')
    s.cmd('NOOP')
    equal(send(s, 'x', 'ann', 'joe'), '250 2.0.0', 'a recipient without domain')
    equal(envelope(), ['Fann@host.example', 'Tjoe@host.example'], 'is completed')
    equal(send(s, 'x', 'ann', 'joe@' + 'x' * 890), '555 5.1.0 address too long', 'one that gets too long')
    s.cmd('RSET')
    s.end()
    settings(rewrite='=:y.org\n-.y.org:y.org', idhost='id.example', locals='y.org')
    s = session()
    login(s)
    equal(send(s, 'To: x@pc.y.org\n\nx', 'ann', 'joe@lab.y.org'), '250 2.0.0', 'control/rewrite')
    equal(envelope(), ['Fann@y.org', 'Tjoe@y.org'], 'in the envelope')
    check('To: x@y.org\n' in message() and b'@id.example>' in kept('msg'), 'and in the header; idhost')
    s.end()

def test_received():
    settings()
    for login_first, hide, expected in ((1, 0, r'Received: from client\.example \(ann@unknown \[192\.0\.2\.1\]\)\n\tby host\.example with ESMTPA;\n'),
                                        (0, 0, r'Received: from client\.example \(unknown \[192\.0\.2\.1\]\)\n\tby host\.example with ESMTP;\n'),
                                        (1, 1, r'Received: by host\.example with ESMTPA;\n')):
        settings(ofmiphideclient=str(hide))
        s = session(env={} if login_first else {'RELAYCLIENT': ''})
        if login_first: login(s)
        send(s, 'x')
        check(re.match(expected, kept('msg').decode()), 'Received%s: %r' % (', hidden' if hide else '', kept('msg')[:120]))
        check(not hide or b'192.0.2.1' not in kept('msg') and b'client.example' not in kept('msg'), 'nothing tells where it comes from')
        s.end()
        check('ip=192.0.2.1' in s.text, 'the log does')

def test_names():
    settings()
    def make(*args, text=None):
        return subprocess.run([os.path.join(BIN, 'pipit-ofmipname'), *args], input=text, env=dict(os.environ, PIPIT_HOME=home), text=True, capture_output=True)
    control(home, 'ofmipname', '# who is who\nann@host.example:Ann "A" Bee:ann.bee@x.org:\n\nroot@host.example::root@x.org\n')
    r = make()
    equal((r.returncode, r.stderr), (0, ''), 'control/ofmipname is compiled')
    s = session()
    login(s)
    equal(send(s, 'From: me@pc\nTo: b@x.org\n\nx'), '250 2.0.0', 'sent')
    check('From: "Ann \\"A\\" Bee" <ann.bee@x.org>\n' in message() and 'me@pc' not in message(), 'name and address in From are replaced: %r' % message())
    equal(envelope()[0], 'Fann.bee@x.org', 'and the sender')
    s.end()
    other = os.path.join(OUT, 'other.cdb')
    for args in ((other, *ARGS), (other,)):
        forget()
        r = make(other, other + '.tmp', text='ann@host.example:Other:o@x.org:\n')
        equal(r.returncode, 0, "as mess822's is called: %s" % r.stderr)
        s = session(*args, env={'RELAYCLIENT': ''})
        for line in ('MAIL FROM:<ANN@host.example>', 'RCPT TO:<b@x.org>'): s.cmd(line)
        equal(data(s, 'x')[:3], '250', 'with a name cdb of its own')
        check('From: "Other" <o@x.org>\n' in message(), 'which counts')
        s.end()
    q = smtpsession.Queued(home)
    l = smtpsession.Listener(home, other, name='pipit-ofmipd', env={'RELAYCLIENT': ''})
    with smtplib.SMTP('127.0.0.1', l.port, timeout=30) as c: c.sendmail('ann', ['b@x.org'], 'Subject: s\n\nx')
    equal(['Fo@x.org' in m[1].decode() and 'From: "Other" <o@x.org>' in m[0].decode() for m in q.messages().values()], [True],
          'a confined listener can read it too: %r' % l.text())
    l.stop()
    q.stop()
    s = session(os.path.join(SCRATCH, 'missing.cdb'), env={'RELAYCLIENT': ''})
    equal(s.cmd('MAIL FROM:<ann>')[:9], '451 4.3.5', 'one that is missing')
    s.end()
    check('missing.cdb: No such file' in s.text, 'the log says so')
    write_cdb(os.path.join(home, 'control', 'ofmipname.cdb'), [(b'ann@host.example', b'no address')])
    s = session(env={'RELAYCLIENT': ''})
    equal(s.cmd('MAIL FROM:<ann>')[:9], '451 4.3.5', 'one with other things in it')
    s.end()
    for text, why in (('ann@host.example\n', 'line 1: not address:name:address:'), ('a:b\x01:c:\n', 'line 1: control character'), ('\n:b:c@d:\n', 'line 2: no address')):
        control(home, 'ofmipname', text)
        r = make()
        check(r.returncode == 111 and why in r.stderr, '%r: %s' % (text, r.stderr.strip()))
    control(home, 'ofmipname', None)

def test_files():
    settings(rewrite='what')
    s = smtpsession.Session(home, args=ARGS, name='pipit-ofmipd', program=STUB)
    equal(s.greeting[:9], '421 4.3.0', 'control/rewrite with something else in it')
    s.end()
    check('control/rewrite: what: not an instruction' in s.text, 'the line: %r' % s.text)
    for args in (('host',), ('-Q',), ('x.cdb', 'host')):
        r = subprocess.run([os.path.join(BIN, 'pipit-ofmipd'), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(os.environ, PIPIT_HOME=home))
        equal((r.returncode, r.stderr.startswith('pipit-ofmipd: usage: pipit-ofmipd ')), (100, True), 'wrong usage: %r %r' % (args, r.stderr[:80]))

def test_clients():
    """Mail programs, at a listener that runs a checkpassword program, into the queue."""
    settings(locals='host.example')
    q = smtpsession.Queued(home)
    l = smtpsession.Listener(home, *ARGS, name='pipit-ofmipd')
    body = os.path.join(SCRATCH, 'body')
    with open(body, 'w') as f: f.write('From: Ann <ann>\nTo: bob b@x.org\nSubject: s\n\nhello\n')
    env = dict(os.environ, HOME=SCRATCH, EMAIL='ann@host.example', GIT_CONFIG_NOSYSTEM='1')
    url = 'smtp://127.0.0.1:%d' % l.port
    repo = os.path.join(SCRATCH, 'repo')
    git = lambda *a: subprocess.run(['git', '-c', 'user.name=Ann', '-c', 'user.email=ann@host.example', '-C', repo, *a], check=True, capture_output=True, env=env)
    os.mkdir(repo)
    git('init', '-q'); git('commit', '-q', '--allow-empty', '-m', 'one'); git('commit', '-q', '--allow-empty', '-m', 'two')
    with open(repo + '/f', 'w') as f: f.write('x\n')
    git('add', 'f'); git('commit', '-q', '-m', 'three')
    try: msmtp, libraries = peers.found_msmtp()
    except peers.Unavailable: msmtp, libraries = 'msmtp', {}
    clients = {
        'swaks': ['swaks', '--server', '127.0.0.1:%d' % l.port, '--auth', 'PLAIN', '-au', 'ann', '-ap', 'secret', '-f', 'ann', '-t', 'b@x.org', '--ehlo', 'c', '--h-From', 'ann'],
        'swaks-login': ['swaks', '--server', '127.0.0.1:%d' % l.port, '--auth', 'LOGIN', '-au', 'ann', '-ap', 'secret', '-f', 'ann@host.example', '-t', 'b@x.org', '--ehlo', 'c', '--h-From', 'ann'],
        'curl': ['curl', '-s', '-S', '--crlf', '--url', url, '--user', 'ann:secret', '--mail-from', 'ann@host.example', '--mail-rcpt', 'b@x.org', '-T', body],
        'git send-email': ['git', '-C', repo, '-c', 'user.name=Ann', '-c', 'user.email=ann@host.example', 'send-email', '--quiet', '--from=Ann <ann@host.example>', '--to=b@x.org',
                           '--confirm=never', '--suppress-cc=all', '--smtp-server=127.0.0.1', '--smtp-server-port=%d' % l.port, '--smtp-user=ann', '--smtp-pass=secret', '--smtp-auth=PLAIN', '--no-thread', '-1'],
        's-nail': ['s-nail', '-:/', '-Sv15-compat', '-Smta=smtp://ann:secret@127.0.0.1:%d' % l.port, '-Ssmtp-config=-all,plain', '-Shostname=host.example',
                   '-Sfrom=ann@host.example', '-s', 'subject', 'b@x.org'],
        'msmtp': [msmtp, '--host=127.0.0.1', '--port=%d' % l.port, '--auth=plain', '--user=ann', '--passwordeval=echo secret', '--tls=off', '-f', 'ann@host.example', 'b@x.org'],
    }
    def arrived(name, ran):
        left = q.messages()
        new = [m for i, m in left.items() if i not in seen]
        seen.update(left)
        check(len(new) == 1 and new[0][1].startswith(b'Fann@host.example\0') and b'\0Tb@x.org\0' in b'\0' + new[0][1] and b'with ESMTPA' in new[0][0] and
              re.search(rb'^Date: ', new[0][0], re.M) and re.search(rb'^Message-I[Dd]: ', new[0][0], re.M) and re.search(rb'^From: .*ann@host\.example', new[0][0], re.M),
              '%s: %s %r' % (name, ran, [m[0][:300] for m in new] if len(new) != 1 else ''))
    seen = dict(q.messages())
    for name, command in clients.items():
        if not shutil.which(command[0]): skip(name + ' is not there'); continue
        p = subprocess.run(command, input=open(body).read(), env=dict(env, **libraries) if name == 'msmtp' else env, capture_output=True, text=True, timeout=60)
        arrived(name, '' if not p.returncode else 'exit %d %s %s' % (p.returncode, p.stdout[-600:], p.stderr[-300:]))
    with smtplib.SMTP('127.0.0.1', l.port, timeout=30) as c:
        c.login('ann', 'secret')
        c.sendmail('ann@host.example', ['b@x.org'], 'Subject: s\n\nx')
    arrived('smtplib', '')
    p = subprocess.run(['swaks', '--server', '127.0.0.1:%d' % l.port, '-f', 'ann', '-t', 'b@x.org', '--ehlo', 'c'], capture_output=True, text=True, timeout=60)
    check('530 5.7.0' in p.stdout and not [i for i in q.messages() if i not in seen], 'without a login nothing is sent')
    l.stop()
    q.stop()

test_nobody_relays()
test_mended()
test_received()
test_names()
test_files()
test_clients()
done()
