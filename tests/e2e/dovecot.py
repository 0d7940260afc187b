"""Mail for Dovecot by LMTP, with the lines of INSTALL: a domain of lmtproutes, dot-qmail files, reports

Needs root: Dovecot becomes the users. Where the accounts of conf-users do not exist, the test sees an
/etc/passwd of its own that has them.
"""
import sys
sys.path.insert(0, 'tests')
import collections
from instance import *
from notices import Notice, send
import peers

USER = 65533 # whose mailboxes they are
USERS = ['u%d' % n for n in range(5)]
COUNT = 1000

if sys.argv[1:] != ['separated']:
    command = with_accounts('/usr/bin/python3', os.path.abspath(__file__), 'separated') if ROOT else None
    if command: sys.exit(subprocess.run(command).returncode)
    skip('Dovecot and accounts for each part need root, and mounts')
    done()
try: dovecot = peers.dovecot()
except peers.Unavailable as e:
    skip('Dovecot: %s' % e)
    done()

# Dovecot's programs look for each other where they were built for.
if subprocess.run(['mount', '-t', 'overlay', 'dovecot', '-o', 'lowerdir=%s/usr:/usr' % dovecot.root, '/usr']).returncode:
    skip('Dovecot: its files cannot be mounted over /usr')
    done()

os.chmod(SCRATCH, 0o755)
base = os.path.join(SCRATCH, 'dovecot')
os.mkdir(base, 0o755)
text = open('INSTALL').read()
port = free_port()
listeners = re.findall(r'^     service lmtp \{\n.*?^     \}\n', text, re.M | re.S)
equal(len(listeners), 2, 'INSTALL has two listeners')
listeners[1] = listeners[1].replace('port = 24', 'address = 127.0.0.1\n port = %d' % port)
route = re.search(r'echo (example.org:/run/dovecot/\S+) >>control/lmtproutes', text)[1].replace('/run/dovecot', base)
default = re.search(r"echo '(.*)' >control/defaultdelivery", text)[1].replace('/run/dovecot', base)
for u in USERS + ['small', 'joe']:
    os.mkdir(os.path.join(base, u), 0o700)
    os.chown(os.path.join(base, u), USER, USER)
with open(base + '/users', 'w') as f:
    for u in USERS + ['joe']: f.write('%s:{plain}x:%d:%d::%s/%s::\n' % (u, USER, USER, base, u))
    f.write('small:{plain}x:%d:%d::%s/small::userdb_quota_rule=*:bytes=1000\n' % (USER, USER, base))
with open(base + '.conf', 'w') as f: f.write('''
base_dir = %(base)s
state_dir = %(base)s
log_path = %(base)s/log
protocols = lmtp
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
first_valid_uid = 1
ssl = no
mail_fsync = never
mail_location = maildir:~/Maildir
mail_plugins = quota
plugin {
  quota = maildir:User quota
}
passdb {
  driver = passwd-file
  args = %(base)s/users
}
userdb {
  driver = passwd-file
  args = %(base)s/users
}
auth_username_format = %%Ln
''' % {'base': base} + ''.join(listeners))

def log():
    try:
        with open(base + '/log', errors='replace') as f: return f.read()
    except FileNotFoundError: return ''

class Dovecot:
    def __enter__(self):
        self.process = subprocess.Popen(['/usr/sbin/dovecot', '-F', '-c', base + '.conf'], stdin=subprocess.DEVNULL)
        if not wait_for(lambda: os.path.exists(route.split(':')[1])): raise RuntimeError(log())
        return self
    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(20)

def mails(user):
    found = []
    for d in ('new', 'cur'):
        for path in glob.glob('%s/%s/Maildir/%s/*' % (base, user, d)):
            with open(path, 'rb') as f: found.append(f.read())
    return found

i = Instance(separated=True, options=('-a', '127.0.0.1'))
for name, text in (('lmtproutes', route + '\n'), ('rcpthosts', 'mail.example\nexample.org\n'), ('locals', 'mail.example\n'),
                   ('defaultdelivery', default + '\n')): i.control(name, text)
i.mailbox('reports')
i.dot_qmail('s-default', './reports/\n')
home = os.path.join(base, 'joe')
users_cdb(i.home, ['=joe:joe:%d:%d:%s:::' % (USER, USER, home), '+joe-:joe:%d:%d:%s:-::' % (USER, USER, home)])
i.start()

with Dovecot():
    # Each message for one, two or three of the users.
    to = {n: [USERS[(n + k) % len(USERS)] for k in range(1 + n % 3)] for n in range(COUNT)}
    with i.smtp() as s:
        for n in range(COUNT):
            deliver(s, 'ann@sender.example', [u + '@example.org' for u in to[n]], b'Subject: x\nX-Number: %d\n\n.line\n' % n + b'body\n' * (n % 50))
    if not check(i.wait_queue_empty(60), 'everything is delivered'):
        print(i.tail(), '\n'.join(log().splitlines()[-20:]))
        done()
    got = {u: collections.Counter(int(re.search(rb'^X-Number: (\d+)$', m, re.M)[1]) for m in mails(u)) for u in USERS}
    wrong = [(u, n) for n in range(COUNT) for u in USERS if got[u][n] != (u in to[n])]
    equal(wrong[:10], [], 'each of %d messages is there for each of its users, once' % COUNT)
    m = next(m for m in mails('u2') if b'\nX-Number: 27\n' in m)
    check(lf(m).endswith(b'\n\n.line\n' + b'body\n' * 27), 'a message is as it was')
    check(b'\nDelivered-To: u2@example.org\n' in b'\n' + m and b'Return-Path: <ann@sender.example>\n' in m, "Dovecot's own lines are there")
    connections = log().count(': Connect from')
    check(0 < connections <= COUNT // 10, 'one connection carries many messages (%d connections)' % connections)
    check(any('success: %s_accepted_message./Remote_host_said:_250_2.0.0_<u' % route.split(':')[1] in l for l in i.log('send')), 'the log names the socket')

    # Mixed replies: who is no user, and who has no room.
    before = len(mails('u0'))
    big = b'Subject: big\n\n' + b'x' * 50 + b'\n' * 2000
    send(i.port, 's-mixed@mail.example', ['%s@example.org NOTIFY=SUCCESS,FAILURE' % u for u in ('u0', 'nobody', 'small')], big)
    wait_for(lambda: len(i.mails('reports')) >= 1, 20)
    check(i.wait_queue_empty(30), 'a message with different ends is finished')
    reports = [Notice(m) for m in i.mails('reports')]
    said = {p['Final-Recipient'].split(';')[1].strip().split('@')[0]: (p['Action'], p['Status'])
            for r in reports for p in r.rcpts}
    equal((said.get('u0', '')[0], said.get('nobody'), said.get('small')),
          ('delivered', ('failed', '5.1.1'), ('failed', '5.2.2')), 'delivered, no such user, no room: each is reported as it was')
    equal((len(mails('u0')) - before, mails('small')), (1, []), 'and so it is')

    # Mail for an account of this host, by the line for those without a dot-qmail file.
    i.send('ann@sender.example', 'joe@mail.example', b'Subject: local\n\nx\n')
    wait_for(lambda: mails('joe'), 20)
    check(len(mails('joe')) == 1 and b'\nDelivered-To: joe@mail.example\n' in b'\n' + mails('joe')[0], 'by defaultdelivery')
    with open(home + '/.qmail-ext', 'w') as f: f.write('|pipit-lmtp -d -r joe %s/lmtp\n' % base)
    os.chown(home + '/.qmail-ext', USER, USER)
    i.send('ann@sender.example', 'joe-ext@mail.example', b'Subject: ext\n\nx\n')
    wait_for(lambda: len(mails('joe')) == 2, 20)
    check([m for m in mails('joe') if b'\nDelivered-To: joe-ext@mail.example\n' in m and b'Subject: ext' in m], 'by a dot-qmail file')
    with open(home + '/.qmail-ext', 'w') as f: f.write('|pipit-lmtp -r nobody [127.0.0.1]:%d\n' % port)
    i.send('s-dot@mail.example', 'joe-ext@mail.example', b'Subject: ext\n\nx\n')
    wait_for(lambda: len(i.mails('reports')) >= len(reports) + 1, 20)
    check(b"550 5.1.1 <nobody> User doesn't exist" in b''.join(i.mails('reports')), "what Dovecot refuses is reported in its words")

# Without Dovecot mail waits; afterwards it arrives.
before = len(mails('u1'))
i.send('ann@sender.example', 'u1@example.org', b'Subject: later\n\nx\n')
i.send('ann@sender.example', 'joe@mail.example', b'Subject: later\n\nx\n')
waiting = lambda: [l for l in i.log('send') if 'deferral' in l]
wait_for(lambda: len(waiting()) >= 2)
check(len(i.queue()) == 2 and any('LMTP_connection' in l for l in waiting()), 'Dovecot is down: mail waits')
with Dovecot():
    wait_for(lambda: (i.alrm(), len(mails('u1')) > before and len(mails('joe')) == 3)[1], 30, 0.5)
    check(i.wait_queue_empty(20), 'it is there again: mail arrives')
trouble = [l for l in log().splitlines() if re.search('Error|Fatal|Panic', l) and 'quota' not in l.lower()]
equal(trouble, [], 'Dovecot had nothing to complain about')
equal(i.stop(), [], 'stopping leaves no process')
done()
