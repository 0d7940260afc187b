"""pop3.py - an instance with ports for POP3: mail that arrives is fetched, by programs that people have"""
import poplib, ssl, sys
sys.path.insert(0, 'tests')
from instance import *
from authd import passwd
import peers

port, tls_port = free_port(), free_port()
i = Instance(options=('-p', str(port), '-P', str(tls_port)))
i.control('authdelay', '0')
i.control('locals', 'mail.example\nlocalhost\nbox.example\n')
i.control('rcpthosts', 'mail.example\nbox.example\n')
boxes = os.path.join(i.home, 'boxes')
os.mkdir(boxes, 0o700); own(boxes)
with open(i.home + '/users/mailboxes', 'w') as f: f.write('*%s::%s\n=ann@box.example\n&postmaster@box.example:ann@box.example\n.\n' % (ACCOUNT.pw_name, boxes))
r = subprocess.run([i.home + '/bin/pipit-newmailboxes'], env=dict(os.environ, PIPIT_HOME=i.home), capture_output=True, text=True)
equal((r.returncode, r.stderr), (0, ''), 'a mailbox without an account')
passwd(i.home, 'ann@box.example', password='secret')
i.start()

def greets(p, first):
    with socket.socket() as s:
        s.settimeout(5)
        if s.connect_ex(('127.0.0.1', p)): return False
        return not first or s.recv(4) == first
check(wait_for(lambda: greets(port, b'+OK ') and greets(tls_port, b''), 30), 'both ports are open')
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
texts = [b'Subject: one\n\n.\n..x\nend\n', b'Subject: two\n\n' + 3000 * b'line of a longer message\n']
for m in texts: i.send('joe@mail.example', 'ann@box.example', m)
def new(): return [n for d, ds, fs in os.walk(boxes) if d.endswith(('/new', '/cur')) for n in fs]
check(wait_for(lambda: len(new()) == 2, 20), 'mail arrives')

def client():
    c = poplib.POP3_SSL('127.0.0.1', tls_port, context=context, timeout=60)
    c.user('ann@box.example')
    return c
c = client()
try: c.pass_('wrong'); check(False, 'a wrong password')
except poplib.error_proto: check(True, 'a wrong password')
c.close()
c = client(); c.pass_('secret')
def strip(lines): return strip_trace(b'\n'.join(lines) + b'\n')
equal(c.stat()[0], 2, 'poplib sees it, by TLS on connect')
equal(sorted(strip(c.retr(n)[1]) for n in (1, 2)), sorted(texts), 'as it was sent')
uids = c.uidl()[1]
c.quit()
c = client(); c.pass_('secret')
equal(c.uidl()[1], uids, 'unique ids stay')
c.quit()
c = poplib.POP3('127.0.0.1', port, timeout=60)
check('STLS' in c.capa(), 'STLS on the other port')
c.close()
equal(new() and [n for n in new() if ':2,' not in n], [], 'what was seen is in cur/')

def fetched(fetch):
    try: return fetch()
    except peers.Unavailable as e: skip(str(e))

if shutil.which('curl'):
    r = subprocess.run(['curl', '-sSk', '--ssl-reqd', '-u', 'ann@box.example:secret', 'pop3://127.0.0.1:%d/' % port], capture_output=True, timeout=60)
    check(r.returncode == 0 and r.stdout.count(b'\n') == 2, 'curl lists it over STLS: %r %r' % (r.stdout, r.stderr))
    r = subprocess.run(['curl', '-sSk', '-u', 'ann@box.example:secret', 'pop3s://127.0.0.1:%d/1' % tls_port], capture_output=True, timeout=60)
    check(r.returncode == 0 and lf(strip_trace(lf(r.stdout))) in texts, 'and gets it over TLS: %r' % r.stderr)
else: skip('no curl')

work = os.path.join(SCRATCH, 'work')
os.mkdir(work, 0o700)
def deliver_to(name):
    path = os.path.join(work, 'to-' + name)
    with open(path, 'w') as f: f.write('#!/bin/sh\ncat >%s/%s.$$\n' % (work, name))
    os.chmod(path, 0o755)
    return path
def got(name): return sorted(strip_trace(lf(open(os.path.join(work, n), 'rb').read())) for n in os.listdir(work) if n.startswith(name + '.'))
mpop = fetched(peers.mpop)
if mpop:
    rc = os.path.join(work, 'mpoprc')
    with open(rc, 'w') as f: f.write('account a\nhost 127.0.0.1\nport %d\nuser ann@box.example\npassword secret\ntls on\ntls_starttls on\ntls_certcheck off\nauth user\nkeep on\n'
                                     'uidls_file %s/uidls\ndelivery mda %s\nreceived_header off\naccount default : a\n' % (port, work, deliver_to('mpop')))
    os.chmod(rc, 0o600)
    for n in (1, 2):
        r = subprocess.run([mpop.path('usr/bin/mpop'), '-C', rc], env=dict(mpop.env, HOME=work), stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        check(r.returncode == 0 and got('mpop') == sorted(texts), 'mpop, with STLS and pipelining, fetches once (%d): %r' % (n, r.stdout + r.stderr))
getmail = fetched(peers.getmail)
if getmail:
    home = os.path.join(SCRATCH, 'getmail') # it delivers nothing as root, so the account has the Maildir
    for d in ('', '/got', '/got/tmp', '/got/new', '/got/cur'): os.mkdir(home + d, 0o700); own(home + d)
    with open(home + '/getmailrc', 'w') as f: f.write('[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = %d\nusername = ann@box.example\npassword = secret\n'
                                                      '[destination]\ntype = Maildir\npath = %s/got/\nuser = %s\n[options]\nread_all = false\n' % (tls_port, home, ACCOUNT.pw_name))
    for count in (2, 0):
        r = subprocess.run(['/usr/bin/python3', getmail.path('usr/bin/getmail'), '--getmaildir', home], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, HOME=work, PYTHONPATH=getmail.path('usr/lib/python3/dist-packages')))
        mails = [strip_trace(open(os.path.join(home, 'got/new', n), 'rb').read()) for n in os.listdir(home + '/got/new')]
        check(r.returncode == 0 and re.search(r'^  %d messages \(' % count, r.stdout, re.M) and sorted(mails) == sorted(texts), 'getmail, over TLS into a Maildir, fetches %d: %r' % (count, r.stdout + r.stderr))
movemail = fetched(peers.movemail)
if movemail:
    for scheme, p in (('pop', port), ('pops', tls_port)): # without TLS pop:// could not log in
        mbox = os.path.join(work, scheme)
        for n in (1, 2):
            r = subprocess.run([movemail.path('usr/bin/movemail.mailutils'), '--no-config', '--uidl', '--preserve', '%s://ann%%40box.example:secret@127.0.0.1:%d' % (scheme, p), mbox],
                               env=dict(movemail.env, HOME=work), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            with open(mbox, 'rb') as f: mails = [re.sub(rb'^X-(UIDL|IMAPbase|UID): .*\n', b'', strip_trace(m), flags=re.M) for m in re.split(rb'^From .*\n', f.read(), flags=re.M)[1:]]
            # Of a message of more than some 8 kB movemail 3.15 loses a piece, from whatever server: only the beginning of that is compared.
            check(r.returncode == 0 and [m[:1000] for m in sorted(mails)] == [(t + b'\n')[:1000] for t in sorted(texts)], 'movemail, by %s:// into an mbox, fetches once (%d): %r' % (scheme, n, r.stdout + r.stderr))
fetchmail = fetched(peers.fetchmail)
if fetchmail:
    rc = os.path.join(work, 'fetchmailrc')
    with open(rc, 'w') as f: f.write('poll 127.0.0.1 service %d protocol pop3 uidl user "ann@box.example" password "secret" ssl no sslcertck sslproto "auto" fetchall no keep mda "%s"\n'
                                     % (tls_port, deliver_to('fetchmail')))
    os.chmod(rc, 0o600)
    r = subprocess.run([fetchmail.path('usr/bin/fetchmail'), '-f', rc, '--nosyslog', '--pidfile', work + '/pid', '-i', work + '/ids'],
                       env=dict(fetchmail.env, HOME=work, FETCHMAILHOME=work, FETCHMAIL_DISABLE_CBC_IV_COUNTERMEASURE='1'), stdin=subprocess.DEVNULL, capture_output=True, timeout=90)
    check(r.returncode == 0 and len(got('fetchmail')) == 2, 'fetchmail takes it away over TLS: %r' % (r.stdout + r.stderr))
    check(wait_for(lambda: new() == [], 10), 'and it is gone: %r' % new())
check(all(wait_for(lambda: any(w in l for l in i.log('authd'))) for w in ('auth failed ip=127.0.0.1 service=pop3', 'login ip=127.0.0.1 service=pop3')), 'logins are in the log')
check(wait_for(lambda: any('pipit-pop3d: end ip=127.0.0.1 user=ann@box.example ' in l for l in i.log('authd')), 10), 'and sessions')
equal(i.stop(), [], 'all of it ends')
done()
