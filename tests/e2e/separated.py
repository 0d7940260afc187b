"""An instance with an account for each part: who owns what, who runs what, mail for a real user

Needs root. Where the accounts of conf-users do not exist, the test sees an
/etc/passwd of its own that has them.
"""
import sys
sys.path.insert(0, 'tests')
import grp, poplib, pwd
from authd import passwd
from instance import *
from tlsserver import *

NAMES = []
for line in open('conf-users'):
    if not line.strip(): break
    NAMES.append(line.strip())
USER = 65533 # a user with a mailbox

def exists(name):
    try: return pwd.getpwnam(name)
    except KeyError: return None

def own_accounts():
    """Put copies of /etc/passwd and /etc/group with the accounts over the real ones, in this test only."""
    for path, line in (('/etc/passwd', '%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n'), ('/etc/group', '%s:x:%d:\n')):
        copy = os.path.join(SCRATCH, os.path.basename(path))
        with open(path) as f: text = f.read()
        text = '\n'.join(l for l in text.splitlines() if l.split(':')[0] not in NAMES) + '\n'
        for n, name in enumerate(NAMES): text += line % ((name,) + (60100 + n,) * line.count('%d'))
        with open(copy, 'w') as f: f.write(text)
        if subprocess.run(['mount', '--bind', copy, path]).returncode: return False
    return True

if not ROOT:
    skip('an instance with an account for each part needs root')
    done()
if not all(map(exists, NAMES)) and not (private_mounts() and own_accounts()):
    skip('the accounts of conf-users are missing (make accounts), and mounting is not allowed')
    done()
uid = {n: pwd.getpwnam(n).pw_uid for n in NAMES}

pop3_port = free_port()
i = Instance(separated=True, options=('-a', '127.0.0.1', '-p', str(pop3_port)))
# A user with a home, and a dot-qmail file that says who reads it.
home = os.path.join(SCRATCH, 'user')
for d in ('', 'Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur'):
    os.mkdir(os.path.join(home, d), 0o700)
    os.chown(os.path.join(home, d), USER, USER)
users_cdb(i.home, ['=joe:joe:%d:%d:%s:::' % (USER, USER, home), '+joe-:joe:%d:%d:%s:-::' % (USER, USER, home)])
def user_file(name, text):
    with open(os.path.join(home, name), 'w') as f: f.write(text)
    os.chown(os.path.join(home, name), USER, USER)
user_file('.qmail-who', '|cat /proc/self/status >who.tmp && ls -l /proc/self/fd >fds && mv who.tmp who\n')
os.chmod(SCRATCH, 0o755)
i.control('smtproutes', ':[127.0.0.1]:1')
# A second listener, as INSTALL says.
smtps_port = free_port()
recipe = re.search(r'( +cd /var/pipit/service && mkdir -p smtps/log\n.*?)\n\n', open('INSTALL').read(), re.S)[1]
subprocess.run(['sh', '-ec', recipe.replace('/var/pipit', i.home).replace('echo 465 ', 'echo %d ' % smtps_port)], check=True)
shutil.copytree(i.home + '/log/smtpd', i.home + '/log/smtps')
os.chown(i.home + '/log/smtps', pwd.getpwnam('pipitl').pw_uid, pwd.getpwnam('pipitl').pw_gid)
i.start()

# Owners
def owner(path):
    st = os.stat(os.path.join(i.home, path))
    return st.st_uid, st.st_gid, st.st_mode & 0o7777
gid = {n: pwd.getpwnam(n).pw_gid for n in NAMES}
for path in ('queue', 'queue/mess', 'queue/mess/0', 'queue/state/0', 'queue/free', 'queue/bad', 'queue/lock'):
    equal(owner(path), (uid['pipitq'], gid['pipits'], 0o2770),
          '%s belongs to pipitq:pipits, mode 2770' % path)
equal((owner('run')[0], owner('run/queue')[2]), (uid['pipitq'], 0o666),
      'run/ belongs to pipitq, its socket is open to all')
for path in ('bin', 'control', 'users', 'service', 'bin/pipit-lspawn'):
    check(owner(path)[0] == 0 and not owner(path)[2] & 0o022,
          '%s belongs to root, nobody else writes there' % path)
equal([p for p in glob.glob(i.home + '/bin/*') if os.stat(p).st_mode & 0o6000], [],
      'no program is setuid or setgid')

# Mail in by SMTP and by an ordinary user's sendmail, out to the user's Maildir
i.send('ann@sender.example', 'joe@mail.example', b'Subject: by SMTP\n\nx\n')
p = subprocess.run([i.home + '/bin/sendmail', '-f', 'me@mail.example', 'joe@mail.example'],
                   input=b'Subject: by sendmail\n\nx\n',
                   user=65532, group=65532, extra_groups=[], cwd='/', env=dict(i.env))
equal(p.returncode, 0, 'sendmail of an ordinary user reaches the queue')
new = os.path.join(home, 'Maildir/new')
wait_for(lambda: len(os.listdir(new)) >= 2, 20)
files = [os.path.join(new, f) for f in os.listdir(new)]
equal(sorted(open(f).read().split('Subject: ')[1] for f in files), ['by SMTP\n\nx\n', 'by sendmail\n\nx\n'],
      'both lie in the Maildir')
equal({os.stat(f).st_uid for f in files}, {USER}, 'the files belong to the user')
check(any('uid 65532' in open(f).read() for f in files),
      'the Received field names the uid that sent by sendmail')
by_smtp = [open(f).read() for f in files if 'by SMTP' in open(f).read()]
check(by_smtp and 'from uid' not in by_smtp[0], "queued believes the SMTP server's Received text")
i.send('ann@sender.example', 'postmaster@mail.example', b'Subject: for the postmaster\n\nx\n')
check(wait_for(lambda: os.listdir(i.home + '/alias/Maildir/new')),
      "the postmaster's mail lies in alias/Maildir")
equal({os.stat(f).st_uid for f in glob.glob(i.home + '/alias/Maildir/new/*')}, {uid['pipita']}, 'as pipita')
i.send('ann@sender.example', 'joe-who@mail.example', b'Subject: program\n\nx\n')
wait_for(lambda: os.path.exists(home + '/who'))
who = open(home + '/who').read() if os.path.exists(home + '/who') else ''
ids = dict(re.findall(r'^(Uid|Gid):\t(.*)$', who, re.M))
equal(ids, dict.fromkeys(('Uid', 'Gid'), '\t'.join([str(USER)] * 4)), "a user's program runs as the user")
groups = re.search(r'^Groups:\t(.*)$', who, re.M)
equal(groups and [g for g in groups[1].split() if g != str(USER)], [], 'with no group of others')
check(i.home + '/queue' not in (open(home + '/fds').read() if os.path.exists(home + '/fds') else ''),
      'with no descriptor of the queue')

# Who does not exist is refused, in a home that is closed to the server; and when that cannot be told, nobody is.
def rcpt(*names):
    with i.smtp() as s:
        s.ehlo(), s.mail('ann@sender.example')
        return [s.rcpt(n + '@mail.example')[0] for n in names]
user_file('.qmail-list-default', './Maildir/\n')
equal(rcpt('joe', 'joe-who', 'joe-list-x', 'joe-list', 'joe-nosuch', 'nosuch', 'postmaster'), [250, 250, 250, 550, 550, 550, 250],
      'recipients that exist are taken, others refused')
check(wait_for(lambda: any(' refused ' in l and 'rcpt=<joe-nosuch@mail.example> code=550' in l for l in i.log('smtpd'))), 'which is logged')
subprocess.run(['s6-svc', '-wD', '-d', i.home + '/service/rcptd'], check=True)
equal(rcpt('joe', 'nosuch'), [451, 451], 'without pipit-rcptd all are asked to come again')
subprocess.run(['s6-svc', '-wU', '-u', i.home + '/service/rcptd'], check=True)
kill(i.pids('pipit-rcptd')[0])
check(wait_for(lambda: rcpt('joe', 'nosuch') == [250, 550], 10), 'killed, it is there again')
def status(pid):
    """/proc/PID/status; empty when the process has just ended."""
    try:
        with open('/proc/%d/status' % pid) as f: return f.read()
    except (FileNotFoundError, ProcessLookupError): return ''
def runs_as(pid):
    m = re.search(r'^Uid:\t(\d+)', status(pid), re.M)
    return int(m[1]) if m else None
# TLS: keys are root's, also those that come later, in directories that only root can enter.
def secure():
    """A client over TLS, and the certificate it got."""
    c = i.smtp()
    c.starttls(context=any_server())
    return c, c.sock.getpeercert(True)

def serves(path): return wait_for(lambda: secure()[1] == der(path), 10, 0.2)

check(wait_for(lambda: i.smtp().ehlo() and i.log('tlsd') and 'ready' in i.log('tlsd')[0]), 'pipit-tlsd is ready')
equal(owner('control/servercert.pem'), (0, 0, 0o600), "control/servercert.pem is root's alone")
check(serves(i.home + '/control/servercert.pem'), 'and clients get it')
def listens():
    with socket.socket() as s: return s.connect_ex(('127.0.0.1', smtps_port)) == 0
wait_for(listens)
with smtplib.SMTP_SSL('127.0.0.1', smtps_port, timeout=30, context=any_server()) as c:
    equal((c.noop()[0], c.sock.getpeercert(True)), (250, der(i.home + '/control/servercert.pem')), "a service with env/SMTPS: TLS on connect")
live = os.path.join(SCRATCH, 'letsencrypt')
os.mkdir(live, 0o700)
def renew():
    text = open(certificate(SCRATCH + '/pair', 'mail.example')).read()
    for name in ('fullchain', 'privkey'):
        with open('%s/%s.new' % (live, name), 'w') as f: f.write(text)
        os.chmod('%s/%s.new' % (live, name), 0o600)
        os.chown('%s/%s.new' % (live, name), 0, 0)
        os.rename('%s/%s.new' % (live, name), '%s/%s.pem' % (live, name))
renew()
os.mkdir(i.home + '/control/certs')
os.symlink(live, i.home + '/control/certs/default')
check(serves(live + '/fullchain.pem'), 'a directory as certbot makes it, linked')
c, old = secure()
victim = secure()[0]
table = processes()
def tlsd(): return [p for p in i.pids('pipit-tlsd') if runs_as(p) == uid['pipitt']] # not the one for servers
parent = [p for p in tlsd() if p in table and table[p][0] not in tlsd()][0]
rights = {p: re.findall(r'^(?:CapPrm|CapEff):\s+(\w+)$', status(p), re.M) for p in tlsd()}
reader = [p for p, caps in rights.items() if caps and caps != ['0' * 16] * 2]
equal([rights[p] for p in reader], [['0' * 15 + '4'] * 2], 'one process may read all files, no other has any capability')
kill([p for p in tlsd() if p not in (parent, *reader)][-1])
check(wait_for(lambda: any('begun anew' in l for l in i.log('tlsd'))), 'a crash: pipit-tlsd executes itself anew')
renew()
check(serves(live + '/fullchain.pem') and der(live + '/fullchain.pem') != old, 'and still gets renewed keys')
equal(deliver(c, 'ann@sender.example', 'postmaster@mail.example', b'Subject: over TLS\n\nx\n')[:8], '2.0.0 ok', 'a session from before takes mail')
for x in (c, victim): x.close()

def runs_as(pid):
    with open('/proc/%d/status' % pid) as f: return int(re.search(r'^Uid:\t(\d+)', f.read(), re.M)[1])
# POP3: who asks for the password has no rights; who gives the mail has the user's.
reader = pwd.getpwnam('daemon')
box = os.path.join(SCRATCH, 'reader')
for d in ('', '/Maildir', '/Maildir/tmp', '/Maildir/new', '/Maildir/cur'):
    os.mkdir(box + d, 0o700)
    os.chown(box + d, reader.pw_uid, reader.pw_gid)
with open(box + '/Maildir/new/1', 'w') as f: f.write('Subject: x\n')
os.chown(f.name, reader.pw_uid, reader.pw_gid)
equal(passwd(i.home, '-u', 'daemon', '-h', box, 'reader', password='secret'), (0, ''), 'a login')
c = poplib.POP3('127.0.0.1', pop3_port, timeout=60)
c.stls(any_server())
c.user('reader')
equal(c.pass_('secret'), b'+OK', 'it logs in by POP3')
equal(({runs_as(p) for p in i.pids('pipit-popup')}, {runs_as(p) for p in i.pids('pipit-pop3d')}), ({uid['pipitd']}, {reader.pw_uid}),
      'pipit-popup runs as pipitd, pipit-pop3d as the user')
c.dele(1)
equal((c.quit(), os.listdir(box + '/Maildir/new')), (b'+OK', []), 'who may remove his mail')

# A message that waits, so that every process exists.
i.sendmail('-f', 'me@mail.example', 'x@far.example', input=b'Subject: far\n\nx\n')
check(wait_for(lambda: any('deferral: ' in l for l in i.log('send'))),
      'mail for elsewhere is tried, and waits')
for name, account in (('pipit-queued', 'pipitq'), ('pipit-send', 'pipits'), ('pipit-rspawn', 'pipitr'),
                      ('pipit-smtpd', 'pipitd'), ('pipit-rcptd', 'pipitv'), ('pipit-authc', 'pipitk'), ('pipit-tlsd', 'pipitt pipitc'), ('s6-log', 'pipitl')):
    got = {runs_as(p) for p in i.pids(name)} - {None}
    equal(got, {uid[a] for a in account.split()}, '%s runs as %s' % (name, account))
equal({runs_as(p) for p in i.pids('pipit-lspawn')}, {0}, 'pipit-lspawn runs as root')
equal({runs_as(p) for p in i.pids('pipit-authd')}, {0}, 'so does pipit-authd, which checkpassword programs need')
allowed = {'pipit-lspawn', 'pipit-authd', 's6-svscan', 's6-supervise', 'pipit-run'}
root = sorted({n for p, n in i.others().items() if runs_as(p) == 0} - allowed)
equal(root, [], 'nothing else does')
def denied(path, who):
    return subprocess.run(['test', '-r', path], user=who, group=who, extra_groups=[]).returncode != 0
check(denied(i.home + '/queue/mess', 65532) and denied(i.home + '/queue/mess', uid['pipitd']) and
      denied(i.home + '/queue/mess', uid['pipitr']), 'neither users nor pipitd nor pipitr can look into the queue')
for path in glob.glob(i.home + '/queue/mess/*/*') + glob.glob(i.home + '/queue/free/*')[:3]:
    st = os.stat(path)
    equal((st.st_uid, st.st_gid, st.st_mode & 0o777), (uid['pipitq'], gid['pipits'], 0o660),
          'a message file is pipitq:pipits 660')
equal(i.stop(), [], 'stopping leaves no process')
done()
