"""Dovecot's IMAP server reads a Maildir with a quota, and removes from it, while pipit delivers into it"""
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
mail_plugins = quota imap_quota
plugin {
  quota = maildir:User quota
}
''' % {'base': base, 'root': root, 'maildir': maildir, 'user': ACCOUNT.pw_name})

def imap():
    """A session with Dovecot's imap over a pipe, as the owner of the Maildir, already logged in."""
    words = ['setpriv', '--reuid=%d' % ACCOUNT.pw_uid, '--regid=%d' % ACCOUNT.pw_gid, '--clear-groups'] if ROOT else []
    words += ['env', '-u', 'MAIL', 'LD_LIBRARY_PATH=' + dovecot.env['LD_LIBRARY_PATH'], 'HOME=' + base, 'USER=joe',
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
def sums():
    """(bytes, messages) by maildirsize."""
    with open(maildir + '/maildirsize') as f: lines = [l.split() for l in f.read().splitlines()[1:]]
    return tuple(sum(int(l[i]) for l in lines) for i in (0, 1))
def there():
    names = [n for d in ('new', 'cur') for n in os.listdir(os.path.join(maildir, d))]
    return sum(int(re.search(r',S=(\d+)', n)[1]) for n in names), len(names)
def limit(quota):
    with open(maildir + '/maildirsize.new', 'w') as f: f.write('%s\n%d %d\n' % (quota, *there()))
    own(f.name)
    os.rename(f.name, maildir + '/maildirsize')

limit('%dS,%dC' % (64 << 20, 10 * COUNT))
m = imap()
equal(m.state, 'AUTH', "Dovecot's imap greets")
equal(m.select('INBOX')[0], 'OK', 'the Maildir can be selected')
sender.start()
seen, sizes, kept, rounds, last, end = {}, 0, COUNT, 0, 0, time.monotonic() + 60
while len(seen) < COUNT and time.monotonic() < end:
    m.noop()
    for uid in map(int, m.uid('SEARCH', 'UID', '%d:*' % (last + 1))[1][0].split()):
        if uid <= last: continue # the last one is always in a range
        last = uid
        ok, parts = m.uid('FETCH', str(uid), '(RFC822.SIZE BODY.PEEK[])')
        body = lf(parts[0][1])
        sizes += int(re.search(rb'RFC822.SIZE (\d+)', parts[0][0])[1]) == len(parts[0][1])
        number = re.search(rb'^X-Number: (\d+)$', body, re.M)[1]
        seen.setdefault(number, []).append(body)
        if uid % 2: continue
        kept -= 1
        m.uid('STORE', str(uid), '+FLAGS.SILENT', '\\Deleted')
        if uid % 3 == 0: m.expunge()
    if sender.is_alive(): rounds += 1
sender.join()
m.expunge()
check(rounds > 3, 'the mailbox was looked at while mail arrived (%d times)' % rounds)
equal(sorted(seen, key=int), sorted(sent, key=int), 'every message is seen')
equal([n for n in seen if len(seen[n]) != 1], [], 'each once')
equal([n for n in seen if strip_trace(seen[n][0]) != sent[n]], [], 'each body is right')
equal((sizes, len(m.search(None, 'ALL')[1][0].split())), (COUNT, kept), 'sizes are, and what was not removed meanwhile is there')
equal((sums(), sums()[1]), (there(), kept), 'what came and what was removed meanwhile is counted, by both')
usage = lambda: [int(n) for n in re.findall(rb'(?:STORAGE|MESSAGE) (\d+) (\d+)', m.getquotaroot('INBOX')[1][1][0]) for n in n]
equal(usage(), [(sums()[0] + 1023) // 1024, 64 << 10, kept, 10 * COUNT], 'Dovecot tells the quota and the use that pipit wrote down')
i.send('ann@sender.example', 'joe@mail.example', b'Subject: last\nX-Number: 9999\n\nlast\n')
wait_for(lambda: (m.noop(), m.search(None, 'SUBJECT', 'last')[1] != [b''])[1])
equal(len(m.search(None, 'SUBJECT', 'last')[1][0].split()), 1, 'mail after an expunge is seen')
equal((usage()[2], there()[1]), (kept + 1, kept + 1), 'and counted')
# Over quota, and when there is room again.
limit('%dC' % (kept + 1))
i.send('ann@sender.example', 'joe@mail.example', b'Subject: full\n\n\n')
check(wait_for(lambda: any('failure: ' in l and 'mailbox_is_over_quota' in l for l in i.log('send'))), 'mail for a full mailbox fails for good')
m.uid('STORE', '%d:*' % (last + 1), '+FLAGS', '\\Deleted')
m.expunge()
i.send('ann@sender.example', 'joe@mail.example', b'Subject: room\n\n\n')
check(wait_for(lambda: (m.noop(), m.search(None, 'SUBJECT', 'room')[1] != [b''])[1]), 'what Dovecot removes makes room')
m.logout()
with open(base + '/log') as f: log = f.read()
check('Error' not in log and 'Warning' not in log, 'Dovecot had nothing to complain about')
if 'Error' in log or 'Warning' in log: print(log)
equal(i.stop(), [], 'stopping leaves no process')
done()
