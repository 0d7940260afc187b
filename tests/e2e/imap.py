"""Dovecot's IMAP server reads the Maildir while pipit delivers into it"""
import sys
sys.path.insert(0, 'tests')
import imaplib, shlex
from instance import *
import peers

try: root = reachable(peers.dovecot().root)
except peers.Unavailable as e:
    skip('Dovecot: %s' % e)
    done()

COUNT = 150
dovecot = peers.Peer(root)
i = Instance()
maildir = i.mailbox('joe')
base = os.path.join(SCRATCH, 'dovecot')
os.mkdir(base)
own(base)
conf = os.path.join(base, 'dovecot.conf')
with open(conf, 'w') as f: f.write('''
base_dir = %(base)s
libexec_dir = %(root)s/usr/lib/dovecot
mail_plugin_dir = %(root)s/usr/lib/dovecot/modules
mail_location = maildir:%(maildir)s
default_internal_user = %(user)s
default_login_user = %(user)s
first_valid_uid = 1
ssl = no
''' % {'base': base, 'root': root, 'maildir': maildir, 'user': ACCOUNT.pw_name})

def imap():
    """A session with Dovecot's imap over a pipe, as the owner of the Maildir, already logged in."""
    words = ['setpriv', '--reuid=%d' % ACCOUNT.pw_uid, '--regid=%d' % ACCOUNT.pw_gid, '--clear-groups'] if ROOT else []
    words += ['env', 'LD_LIBRARY_PATH=' + dovecot.env['LD_LIBRARY_PATH'], 'HOME=' + base, 'USER=joe',
              dovecot.path('usr/bin/doveconf'), '-c', conf, '-m', 'imap', '-e', dovecot.path('usr/lib/dovecot/imap')]
    return imaplib.IMAP4_stream(' '.join(map(shlex.quote, words)) + ' 2>' + base + '/log')

i.start()
sent = {b'%d' % n: b'Subject: message\nX-Number: %d\n\nbody %d\n' % (n, n) * 1 + b'line\n' * n for n in range(COUNT)}
def send_all():
    with i.smtp() as s:
        for message in sent.values():
            deliver(s, 'ann@sender.example', 'joe@mail.example', message)
            time.sleep(0.01)
sender = threading.Thread(target=send_all)
m = imap()
equal(m.state, 'AUTH', "Dovecot's imap greets")
equal(m.select('INBOX')[0], 'OK', 'the Maildir can be selected')
sender.start()
seen, rounds, most, end = {}, 0, 0, time.monotonic() + 60
while len(seen) < COUNT and time.monotonic() < end:
    m.noop()
    total = int(m.untagged_responses.get('EXISTS', [b'%d' % most])[-1])
    while most < total:
        most += 1
        ok, parts = m.fetch(str(most), '(UID FLAGS BODY.PEEK[])')
        body = lf(parts[0][1])
        number = re.search(rb'^X-Number: (\d+)$', body, re.M)[1]
        seen.setdefault(number, []).append(body)
    if sender.is_alive(): rounds += 1
sender.join()
check(rounds > 3, 'the mailbox was looked at while mail arrived (%d times)' % rounds)
equal(sorted(seen, key=int), sorted(sent, key=int), 'every message is seen')
equal([n for n in seen if len(seen[n]) != 1], [], 'each once')
equal([n for n in seen if strip_trace(seen[n][0]) != sent[n]], [], 'each body is right')
# What IMAP does to the Maildir does not disturb deliveries.
m.store('1:%d' % (COUNT // 2), '+FLAGS', '\\Deleted')
m.expunge()
i.send('ann@sender.example', 'joe@mail.example', b'Subject: last\nX-Number: 9999\n\nlast\n')
wait_for(lambda: (m.noop(), m.search(None, 'SUBJECT', 'last')[1] != [b''])[1])
equal(len(m.search(None, 'SUBJECT', 'last')[1][0].split()), 1, 'mail after an expunge is seen')
equal(len(m.search(None, 'ALL')[1][0].split()), COUNT - COUNT // 2 + 1, 'and the rest is there')
m.logout()
with open(base + '/log') as f: log = f.read()
check('Error' not in log and 'Warning' not in log, 'Dovecot had nothing to complain about')
if 'Error' in log or 'Warning' in log: print(log)
equal(i.stop(), [], 'stopping leaves no process')
done()
