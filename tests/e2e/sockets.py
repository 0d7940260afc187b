"""Who can reach what in a separated instance: sockets, FIFOs, files, other processes' descriptors; what each process has

Needs root. Every account of conf-users and strangers try everything; what is
allowed are the tables of ARCHITECTURE.md on sockets, processes and secrets, and FILES
below. A socket, FIFO, file or process that has no line there fails the test.
"""
import errno, fnmatch, json, os, poplib, pwd, ssl, stat, struct, sys
sys.path.insert(0, 'tests')
from instance import *
from queuefile import Client
from sink import Sink, Silent
from tlsserver import certificate
from tlssink import CA, TlsSink

begin_with_accounts(__file__)

WHO = {name: pwd.getpwnam(name) for name in conf_users()}
UID = {name: p.pw_uid for name, p in WHO.items()}
UID.update(user=65532, stranger=65533, nobody=pwd.getpwnam('nobody').pw_uid) # a user with a mailbox program that runs, and others
EVERYONE = set(UID)

def as_account_of(name, function):
    """The value of function(), which has to be JSON, called in a process of that account."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(UID[name])
            os.setuid(UID[name])
            text = json.dumps(function())
        except BaseException as e: text = json.dumps('%s: %s' % (type(e).__name__, e))
        with os.fdopen(w, 'w') as f: f.write(text)
        os._exit(0)
    os.close(w)
    with os.fdopen(r) as f: value = json.load(f)
    os.waitpid(pid, 0)
    return value

def attempt(function, *args):
    """'' when it can be done, or the name of the error."""
    try: function(*args)
    except OSError as e: return errno.errorcode[e.errno]
    return ''

# --- an instance in which everything is running

def quiet(name, text=None):
    """A dot-qmail file whose delivery lasts."""
    i.dot_qmail(name, text or '|exec sleep 60\n')

sink = Sink(greeting=Silent).start()
# A relay that goes on thinking about a login over TLS: with it a worker, its session of TLS and its login stay.
ca = CA()
relay = TlsSink(ca.issue('relay.example'), ehlo=lambda session, line: '250-relay.example\n250 ' + ('AUTH PLAIN' if session.secure else 'STARTTLS'), other=Silent).start()
ports = {name: free_port() for name in ('ofmipd', 'ofmipds', 'popup', 'popups')}
i = Instance(separated=True, options=('-a', '127.0.0.1', *(x for o, name in zip('mMpP', ports) for x in ('-' + o, str(ports[name])))))
i.control('smtproutes', 'far.example:[127.0.0.1]:%d\ndead.example:[127.0.0.1]:1\nrelay.example:[127.0.0.1]:%d verify match=relay.example auth=relay' % (sink.port, relay.port))
i.control('serverca.pem', open(ca.pem).read())
i.control('clientca.pem', open(ca.pem).read())
with open(i.home + '/control/smtpcredentials', 'a') as f: f.write('relay:joe:secret\n')
os.makedirs(i.home + '/control/certs', exist_ok=True)
certificate(i.home + '/control/certs/other.example.pem', 'other.example')
os.chown(i.home + '/control/certs/other.example.pem', 0, 0)
i.control('relayopentime', '60')
i.mailbox('box')
quiet('slow')
home = os.path.join(SCRATCH, 'user')
os.mkdir(home, 0o700)
os.chown(home, UID['user'], UID['user'])
users_cdb(i.home, ['=joe:joe:%d:%d:%s:::' % (UID['user'], UID['user'], home)])
with open(home + '/.qmail', 'w') as f: f.write('|exec sleep 60\n')
os.chown(home + '/.qmail', UID['user'], UID['user'])
box = home + '/Maildir'
for d in ('', '/tmp', '/new', '/cur'):
    os.mkdir(box + d, 0o700)
    os.chown(box + d, UID['user'], UID['user'])
with open(box + '/new/1', 'w') as f: f.write('Subject: x\n\nx\n')
os.chmod(box + '/new/1', 0o600)
os.chown(box + '/new/1', UID['user'], UID['user'])
# The service of pipit-handover, as INSTALL says.
os.makedirs(i.home + '/service/handed/log')
with open(i.home + '/service/handed/run', 'w') as f:
    f.write('#!/bin/sh\nexec 2>&1\nexec env - PATH=/usr/bin:/bin PIPIT_HOME=%s %s/bin/pipit-smtpd -l -s run/smtpd\n' % (i.home, i.home))
shutil.copy(i.home + '/service/smtpd/log/run', i.home + '/service/handed/log/run')
os.chmod(i.home + '/service/handed/run', 0o755)
os.mkdir(i.home + '/log/handed', 0o700)
os.chown(i.home + '/log/handed', UID['pipitl'], UID['pipitl'])
i.start()
def passwd(*args): equal(i.run(i.home + '/bin/pipit-passwd', *args, input=b'secret\n'), (0, ''), 'pipit-passwd ' + ' '.join(args))
passwd('-s', '-i', '4096', 'ann@mail.example')
# A login of an account that only this test knows, and one that takes long to check.
passwd('-s', '-i', '4096', 'joe@mail.example')
with open(i.home + '/users/passwd') as f: logins = f.read().splitlines()
secret = next(l for l in logins if l.startswith('joe')).split(':')[1]
with open(i.home + '/users/passwd', 'w') as f:
    f.write(''.join(l + (':%d:%d::%s:' % (UID['user'], UID['user'], home) if l.startswith('joe') else '') + '\n' for l in logins))
    f.write('long@mail.example:%s\n' % secret.replace('4096', '10000000', 1))
passwd('-b')
check(wait_for(lambda: os.path.exists(i.home + '/run/smtpd')), 'a listener for pipit-handover')
i.run(i.home + '/bin/pipit-hold', '-d', 'held.example')
TRUSTING = ssl._create_unverified_context()
session = i.smtp()
session.starttls(context=TRUSTING)
session.ehlo('client.example')
session.mail('a@c.example')
session.rcpt('box@mail.example') # which opens a connection to queued
# Sessions of submission: two that have logged in, one in the middle of it, and one that has not and tries to send.
wait_for(lambda: os.path.exists(i.home + '/run/auth'))
def submission():
    s = smtplib.SMTP('127.0.0.1', ports['ofmipd'], timeout=30)
    s.starttls(context=TRUSTING)
    s.ehlo('client.example')
    return s
sender, guest = submission(), submission()
writer = smtplib.SMTP_SSL('127.0.0.1', ports['ofmipds'], timeout=30, context=TRUSTING)
writer.login('ann@mail.example', 'secret')
stranger = smtplib.SMTP('127.0.0.1', ports['ofmipd'], timeout=30)
stranger.ehlo('client.example')
equal([stranger.mail('ann@mail.example')[0], stranger.rcpt('box@mail.example')[0]], [530, 503], 'who has not logged in sends nothing')
sender.login('ann@mail.example', 'secret')
equal([sender.mail('ann@mail.example')[0], sender.rcpt('x@far.example')[0]], [250, 250], 'a session of submission')
equal(guest.docmd('AUTH', 'SCRAM-SHA-256 biwsbj1hbm5AbWFpbC5leGFtcGxlLHI9cnlQ')[0], 334, 'and one that is to log in') # n,,n=ann@mail.example,r=ryP
for rcpt, size in (('slow@mail.example', 1), ('joe@mail.example', 1), ('x@dead.example', 1), ('x@relay.example', 1),
                   ('x@far.example', 100000)): # a large one lies in queue/mess
    i.sendmail('-f', 'a@c.example', rcpt, input=b'Subject: x\n\n' + b'x' * size + b'\n')
check(wait_for(lambda: i.pids('pipit-remote') and len(i.pids('sleep')) == 2 and any('AUTH' in c for x in relay.sessions for c in x.commands), 30), 'a delivery of each kind is under way')
check(wait_for(lambda: glob.glob(i.home + '/queue/state/[0-9]*/*'), 30), 'and one was put off')
# Of POP3 one in clear and one over TLS that are not logged in, one whose password is being checked, and one that is logged in.
for name in ('popup', 'popups'): wait_for(lambda: attempt(lambda: socket.create_connection(('127.0.0.1', ports[name])).close()) == '', 30)
visitor = poplib.POP3('127.0.0.1', ports['popup'], timeout=30)
caller, asker = (poplib.POP3_SSL('127.0.0.1', ports['popups'], context=TRUSTING, timeout=30) for _ in range(2))
reader = poplib.POP3('127.0.0.1', ports['popup'], timeout=30)
reader.stls(TRUSTING)
reader.user('joe@mail.example')
reader.pass_('secret')
equal(reader.stat()[0], 1, 'a session of POP3')
asker.user('long@mail.example')
def checks(): return [p for p, (parent, state, name) in processes().items() if name == 'pipit-checkpass' and parent in i.pids('pipit-authd')]
of_scram = checks()
asker.sock.sendall(b'PASS wrong\r\n')
held = wait_for(lambda: [p for p in checks() if p not in of_scram and kill(p, signal.SIGSTOP)], 10, 0)
check(len(held) == 1, 'and one whose password is being checked')

# --- what each process is, by the kernel

def table_of(heading):
    """The rows of the first table behind a line of ARCHITECTURE.md."""
    text = open('ARCHITECTURE.md').read().split('\n' + heading + '\n')[1].lstrip()
    return [[c.strip() for c in l.strip('| ').split(' | ')] for l in text.split('\n\n')[0].splitlines()[2:]]

def status_of(pid): return dict(re.findall(r'^(\w+):[ \t]*(.*?)[ \t]*$', open('/proc/%d/status' % pid).read(), re.M))
OURS = int(status_of(os.getpid())['CapEff'], 16)
READ_SEARCH, OVERRIDE = 1 << 2, 1 << 1
LOOKS = READ_SEARCH if OURS & READ_SEARCH else OVERRIDE # a container may lack the first
NAME_OF = {uid: name for name, uid in UID.items()}
NAME_OF[0] = 'root'

def kind_of(link):
    """What a descriptor is."""
    link = link.replace(i.home, '~')
    for pattern, kind in (('~', 'home'), ('~/queue', 'queue'), ('~/queue/lock/*', 'locks'), ('~/queue/*', 'message'), ('~.out', 'output'), ('~/log/*', 'log'),
                          ('~/service/*', 'service'), (box, 'maildir'), (box + '/*', 'maildir'), ('socket:*', 'sockets'), ('pipe:*', 'pipes'), ('anon_inode:*', 'signals'), ('/dev/null', 'null')):
        if fnmatch.fnmatchcase(link, pattern): return kind
    return 'files'

def state_of(pid):
    """As in the table: account, capabilities, no_new_privs, seccomp, descriptors from 3 on."""
    f = status_of(pid)
    account = NAME_OF.get(int(f['Uid'].split()[0]), f['Uid'])
    ids = [set(f[k].split()) for k in ('Uid', 'Gid')]
    groups = set(f['Groups'].split()) - ids[1]
    if len(ids[0]) != 1 or ids[1] != {str(UID.get(account, 0))} or groups: account += ' uid %(Uid)s gid %(Gid)s groups %(Groups)s' % f
    caps = [int(f[k], 16) for k in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb')]
    rights = {(0, 0, 0, 0): 'none', (OURS, OURS, 0, 0): 'all', (LOOKS, LOOKS, 0, 0): 'read'}.get(tuple(caps), 'capabilities %r' % caps)
    held = {int(fd): kind_of(os.readlink('/proc/%d/fd/%s' % (pid, fd))) for fd in os.listdir('/proc/%d/fd' % pid)}
    return account, rights, {'1': 'yes', '0': 'no'}[f['NoNewPrivs']], {'2': 'yes', '0': 'no'}.get(f['Seccomp'], f['Seccomp']), held

def processes_are():
    """{row of the table: states of processes}, those that fit no row, the rows' names, and {pid: row}."""
    rows, found, strange, pids = table_of('What each process has:'), {}, [], {}
    everything, parents = i.others(), processes()
    for pid, name in everything.items():
        try: state, command = state_of(pid), open('/proc/%d/cmdline' % pid).read().split('\0')
        except (FileNotFoundError, ProcessLookupError): continue # it has ended
        if name == 'pipit-tlsd' and '-c' in command: name += ' -c'
        child = everything.get(parents[pid][0]) == everything[pid]
        fits = [r for r in rows if r[0].split(' (')[0] == name and ('(' in r[0]) == child and state[0] in r[1].split(', ')
                and tuple(r[2:5]) == state[1:4] and {k for fd, k in state[4].items() if fd > 2} <= set(r[5].split(', '))]
        if fits:
            found.setdefault(fits[0][0], []).append(state)
            pids[pid] = fits[0][0]
        else: strange.append('%s%s: %s' % (name, ' (child)' if child else '', state))
    return found, strange, [r[0] for r in rows], pids

found, strange, named, row_of_pid = processes_are()
equal(strange, [], 'each of %d processes has just the account, rights and descriptors of its row' % sum(map(len, found.values())))
equal([n for n in named if n not in found], [], 'and each row its process')
equal([sorted(s[4].items()) for n in found if n.startswith('pipit-tlsd') and n.endswith('(session)') for s in found[n]
       if {0: 'sockets', 1: 'sockets', 2: 'pipes', 3: 'sockets'} != s[4]], [], 'sessions of pipit-tlsd hold four descriptors')
equal([s[4] for s in found.get('pipit-checkpass (reader)', [])], [{0: 'sockets'}], "and pipit-checkpass's reader one")
equal([s[4] for s in found.get('pipit-pop3d', [])], [{0: 'sockets', 1: 'sockets', 2: 'pipes', 3: 'maildir', 4: 'maildir', 5: 'maildir', 6: 'maildir'}],
      'pipit-pop3d holds its client, the log and four directories')

# --- who is at the other end of a session's sockets

SOCK_DIAG, DUMP, UNIX_DIAG_PEER, SHOW_PEER = 20, 0x301, 2, 4 # of linux/sock_diag.h, netlink.h, unix_diag.h

def socket_pairs():
    """{inode: inode of the other end} of the connected Unix sockets of this machine; None where the kernel does not tell."""
    pairs = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as s:
        s.send(struct.pack('=IHHIIBBHIIIII', 40, SOCK_DIAG, DUMP, 1, 0, socket.AF_UNIX, 0, 0, 0xffffffff, 0, SHOW_PEER, 0, 0))
        while True:
            data = s.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from('=IH', data)
                if kind != SOCK_DIAG: return pairs if kind == 3 else None # NLMSG_DONE, an error
                inode, at = struct.unpack_from('=I', data, 20)[0], 32
                while at < length:
                    n, what = struct.unpack_from('=HH', data, at)
                    if what == UNIX_DIAG_PEER: pairs[inode] = struct.unpack_from('=I', data, at + 4)[0]
                    at += n + 3 & ~3
                data = data[length + 3 & ~3:]

def sockets_of(pid):
    try: links = [os.readlink('/proc/%d/fd/%s' % (pid, fd)) for fd in os.listdir('/proc/%d/fd' % pid)]
    except (FileNotFoundError, ProcessLookupError): return set() # it has ended
    return {int(l[8:-1]) for l in links if l.startswith('socket:')}

def lead_to(pairs):
    """{pid: [row of the process at the other end, for each socket]}; one that is no pair leads to the network."""
    held = {pid: sockets_of(pid) for pid in row_of_pid}
    holders = {}
    for pid, inodes in held.items():
        for n in inodes: holders.setdefault(n, set()).add(row_of_pid[pid])
    return {pid: sorted(' and '.join(sorted(holders.get(pairs[n], {'nobody'}))) if n in pairs else 'the network' for n in inodes)
            for pid, inodes in held.items()}

try: pairs = socket_pairs()
except OSError: pairs = None
if pairs is None: skip('this kernel does not tell who is at the other end of a socket')
else:
    ends = lead_to(pairs)
    allowed = [(name, sorted(to.split(', '))) for name, when, to in table_of('Where the sockets of sessions lead, where somebody logs in:')]
    present = [(row, ends[pid]) for pid, row in row_of_pid.items() if row in {name for name, to in allowed}]
    equal(sorted(present), sorted(allowed), 'the sockets of %d processes lead where the table says' % len(present))
    for name in ('pipit-smtpd', 'pipit-ofmipd', 'pipit-popup'):
        equal({e for pid, row in row_of_pid.items() if row == name for e in ends[pid]} - {'the network', name + ' (child)'}, set(), '%s: its own lead to its children alone' % name)
for p in held: kill(p)

# --- sockets and FIFOs

def table():
    """{path: accounts that may use it} of ARCHITECTURE.md."""
    text = open('ARCHITECTURE.md').read().split('\n## Sockets\n')[1].split('\n## ')[0]
    rows = {}
    for line in re.findall(r'^\| (`.*) \|$', text, re.M):
        path, mode, who, test = line.split(' | ')
        allowed = EVERYONE if who.startswith('every') else set(re.findall('`(pipit.)`', who))
        check(os.path.exists(test.strip('`')), '%s: its test is there' % path)
        for p in re.findall('`([^`]*)`', path): rows[p] = (allowed, mode)
    return rows

LISTENS, UNCONNECTED = 0x10000, '01' # of /proc/net/unix

def listening(pids):
    """{inode: (name, pids)} of the sockets of these processes that somebody may connect or send to; the name
    is a path, @text or a port."""
    found, names = {}, {}
    for line in open('/proc/net/unix').read().splitlines()[1:]:
        field = line.split(None, 7)
        if field[5] == UNCONNECTED and (len(field) > 7 or int(field[3], 16) & LISTENS): names[field[6]] = (field + ['nameless'])[7]
    for path, state in (('tcp', '0A'), ('tcp6', '0A'), ('udp', '07'), ('udp6', '07'), ('raw', '07'), ('raw6', '07')):
        for line in open('/proc/net/' + path).read().splitlines()[1:]:
            field = line.split()
            if field[3] == state: names[field[9]] = '%s port %d' % (path[:3], int(field[1].split(':')[1], 16))
    for pid in pids:
        for fd in glob.glob('/proc/%d/fd/*' % pid):
            try: m = re.match(r'socket:\[(\d+)\]', os.readlink(fd))
            except OSError: continue
            if m and m[1] in names: found.setdefault(m[1], (names[m[1]], []))[1].append(pid)
    return found

rows = table()
def row_of(path):
    """The row of the table for a path below the home."""
    return [r for r in rows if fnmatch.fnmatchcase(path, r) and path.count('/') == r.count('/')]

def find_special():
    """{path: what} of all that is neither a file nor a directory."""
    found = {}
    for d, dirs, files in os.walk(i.home):
        for path in (os.path.join(d, f) for f in files):
            try: mode = os.lstat(path).st_mode
            except FileNotFoundError: continue # a file of the queue has moved
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode): continue
            found[os.path.relpath(path, i.home)] = 'FIFO' if stat.S_ISFIFO(mode) else 'socket' if stat.S_ISSOCK(mode) else 'device'
    return found

def unknown(special): return [p for p in special if len(row_of(p)) != 1]

os.mkfifo(i.home + '/queue/lock/another')
with socket.socket(socket.AF_UNIX) as s:
    s.bind('\0pipit-test.%d' % os.getpid())
    s.listen()
    equal((unknown(find_special()), [name for name, pids in listening([os.getpid()]).values() if 'pipit-test' in name]),
          (['queue/lock/another'], ['@pipit-test.%d' % os.getpid()]), 'a new FIFO and a new socket would be seen')
os.unlink(i.home + '/queue/lock/another')
special = find_special()
equal(unknown(special), [], 'each of %d sockets and FIFOs has its line in the table' % len(special))
equal([r for r in rows if '/' in r and not any(r in row_of(p) for p in special)], [], 'and each line its socket or FIFO')
holders = listening(i.others())
names = sorted({name for name, pids in holders.values()})
known = ['run/queue', os.path.join(i.home, 'run/queue'), 'run/rcptd', 'run/smtpd', os.path.join(i.home, 'queue/lock/control'), 'run/tls', 'run/tlsc', 'run/authc', 'run/auth', 'run/relayopen', *('tcp port %d' % p for p in (i.port, *ports.values()))]
equal([n for n in names if n not in known], [], 'no process listens anywhere else, and none has a named socket more')
check('TCP port of pipit-smtpd' in rows and 'TCP ports of pipit-ofmipd' in rows and 'TCP ports of pipit-popup' in rows and {'tcp port %d' % p for p in (i.port, *ports.values())} <= set(names), 'the ports are in the table')
tables = processes()
for inode, (name, pids) in holders.items():
    top = [p for p in pids if tables[p][0] not in pids]
    equal((len(pids), len(top)), (1, 1), '%s: one process has the listening socket, its children do not' % name)

def try_special():
    """What this account can do with each of them."""
    result = {}
    for path, kind in special.items():
        p = os.path.join(i.home, path)
        if kind == 'socket':
            for of_type in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                with socket.socket(socket.AF_UNIX, of_type) as s: result[path] = [attempt(s.connect, p)]
                if result[path] != ['EPROTOTYPE']: break
        else: # opened, and nothing written; O_RDWR is tried too, for it never waits for the other side
            result[path] = [attempt(lambda mode=mode: os.close(os.open(p, mode | os.O_NONBLOCK)))
                            for mode in (os.O_WRONLY, os.O_RDONLY, os.O_RDWR)]
    return result

got = {name: as_account_of(name, try_special) for name in UID}
for path, kind in sorted(special.items()):
    allowed, mode = rows[row_of(path)[0]] if row_of(path) else (set(), '')
    ways = {name: set(got[name][path]) if isinstance(got[name], dict) else {got[name]} for name in UID}
    equal({n for n in UID if ways[n] == {''}}, allowed, '%s: may be used by %s' % (
        path, 'every account' if allowed == EVERYONE else ', '.join(sorted(allowed)) or 'root alone'))
    equal({n: w for n, w in ways.items() if n not in allowed and w != {'EACCES'}}, {}, '%s: all others are denied' % path)
    if re.match('0[0-7]{3}', mode):
        equal('%04o' % (os.stat(os.path.join(i.home, path)).st_mode & 0o7777), mode[:4], '%s: its mode' % path)
check(wait_for(i.ready, 10), 'all of that disturbed nobody')

def list_held(uid, groups=()):
    p = subprocess.run([i.home + '/bin/pipit-hold', '-l'], env=i.env, user=uid, group=uid, extra_groups=groups, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout

held = (0, 'domain held.example\n')
equal(list_held(0), held, 'root commands pipit-send')
equal(list_held(UID['user'], [UID['pipits']]), held, 'a member of the group pipits does')
for name in sorted(EVERYONE - {'pipits'}):
    status, out = list_held(UID[name])
    check(status == 100 and 'not permitted' in out and out.count('\n') == 1, '%s does not, and is told so' % name)

# Whose word is believed about where a message came from.
for n, name in enumerate(sorted(UID)):
    reply = as_account_of(name, lambda: Client(home=i.home).send(b'Subject: %d\n\nx\n' % n, b'Fa@c.example\0Tbox@mail.example\0',
                                                              trace=b'from forged (forged [192.0.2.9])\n\tby mail.example with SMTP')[0])
    equal(reply, 'K', '%s may hand in a message' % name)
mails = i.wait_mails('box', len(UID))
told = {}
for mail in mails:
    n = int(re.search(rb'Subject: (\d+)', mail)[1])
    m = re.search(rb'\nReceived: ([^\n]*(\n[ \t][^\n]*)*)', mail)
    told[sorted(UID)[n]] = m[1].decode()
equal({n for n, t in told.items() if 'forged' in t}, {'pipitd'}, "the trace record of the SMTP server's account is believed, and no other")
equal({n: 'from uid %d)' % UID[n] in t for n, t in told.items() if n != 'pipitd'}, {n: True for n in UID if n != 'pipitd'},
      'of the others the uid is written down')

# --- files

NOBODY, ALL = '', ' '.join(EVERYONE)
SERVICE = 'pipitq pipits'
FILES = [ # pattern (of the path below the home; the last that fits counts), who reads, who writes
    ('.', ALL, NOBODY), ('bin', ALL, NOBODY), ('bin/*', ALL, NOBODY),
    ('control', ALL, NOBODY), ('control/*', ALL, NOBODY), ('control/servercert.pem', NOBODY, NOBODY), ('control/certs/*', NOBODY, NOBODY), ('control/serverca.pem', ALL, NOBODY), ('control/clientca.pem', ALL, NOBODY),
    ('users', ALL, NOBODY), ('users/*', ALL, NOBODY), ('users/passwd*', NOBODY, NOBODY),
    ('alias', ALL, 'pipita'), ('alias/.qmail-*', ALL, 'pipita'), ('alias/Maildir*', 'pipita', 'pipita'),
    ('alias/.qmail-box', 'pipita', 'pipita'), ('alias/.qmail-slow', 'pipita', 'pipita'), ('alias/box*', 'pipita', 'pipita'),
    ('log', ALL, NOBODY), ('log/*', 'pipitl', 'pipitl'),
    ('run', ALL, 'pipitq'), ('run/queue', ALL, ALL), ('run/smtpd', 'pipitd', 'pipitd'),
    ('run/rcptd', 'pipitd pipitv', 'pipitd pipitv'),
    ('run/tls', 'pipitd pipitt', 'pipitd pipitt'), ('run/tlsc', 'pipitr pipitc', 'pipitr pipitc'),
    ('run/auth', 'pipitd', 'pipitd'), ('run/relayopen', ALL, ALL),
    ('run/authc', 'pipitr pipitk', 'pipitr pipitk'), ('control/smtpcredentials', 'pipitk', NOBODY),
    ('service', ALL, NOBODY), ('service/*', ALL, NOBODY), ('service/.s6-svscan*', NOBODY, NOBODY),
    ('service/*/supervise*', NOBODY, NOBODY), ('service/*/event', NOBODY, NOBODY),
    ('queue', SERVICE, SERVICE), ('queue/*', SERVICE, SERVICE),
    ('queue/lock/done', 'pipits', 'pipits'), ('queue/lock/sendmutex', 'pipits', 'pipits'), ('queue/lock/queued', 'pipitq', 'pipitq'),
    ('queue/lock/control', 'pipits', 'pipits'), ('queue/lock/holds', 'pipits', 'pipits'),
    ('queue/state/free*', 'pipits', 'pipits'), ('queue/state/*/*', 'pipits', 'pipits'),
]

def rule_of(path):
    fits = [rule for rule in FILES if fnmatch.fnmatchcase(path, rule[0])]
    return fits[-1] if fits else None

def walk():
    yield '.'
    for d, dirs, files in os.walk(i.home):
        for name in dirs + files: yield os.path.relpath(os.path.join(d, name), i.home)

paths = [p for p in walk() if not os.path.islink(os.path.join(i.home, p))]
equal([p for p in paths if not rule_of(p)], [], 'each of %d files and directories has its rule' % len(paths))
seen = ('control/servercert.pem', 'control/certs/*', 'control/clientca.pem', 'control/smtpcredentials', 'users/passwd', 'users/passwd.cdb', 'queue/mess/*/*', 'queue/free/*', 'queue/state/[0-9]*/*', 'log/*/current', 'alias/box/new/*', 'users/cdb')
equal([s for s in seen if not any(fnmatch.fnmatchcase(p, s) for p in paths)], [], 'messages, state files and logs are among them')

def try_paths():
    """[can read, can write], the way to it included; directories: list, make files in."""
    return {p: [os.access(os.path.join(i.home, p), os.R_OK | (os.X_OK if os.path.isdir(os.path.join(i.home, p)) else 0)),
                os.access(os.path.join(i.home, p), os.W_OK)] for p in paths}

access = {name: as_account_of(name, try_paths) for name in UID}
wrong = {rule[0]: [] for rule in FILES}
for p in paths:
    rule = rule_of(p)
    if not rule or not os.path.lexists(os.path.join(i.home, p)): continue # moved meanwhile
    for kind, allowed in ((0, rule[1]), (1, rule[2])):
        can = {n for n in UID if access[n][p][kind]}
        if can != set(allowed.split()):
            wrong[rule[0]].append('%s %s by %s' % (p, ('read', 'written')[kind], ' '.join(sorted(can)) or 'nobody'))
for pattern, readers, writers in FILES:
    equal(wrong[pattern][:5], [], '%s: read by %s, written by %s' % (
        pattern, 'all' if readers == ALL else readers or 'root alone', 'all' if writers == ALL else writers or 'root alone'))

# A user's home, which is closed to all others.
def try_home():
    return [attempt(os.listdir, home), attempt(lambda: open(home + '/.qmail').close()), attempt(os.stat, home + '/.qmail'), attempt(lambda: open(box + '/new/1').close())]
equal({name: as_account_of(name, try_home) for name in UID}, {name: [''] * 4 if name == 'user' else ['EACCES'] * 4 for name in UID}, "a user's home is his alone")

# Which processes that is: those of an account that may, and those that may read everything. Of these one has no call to open,
# and one opens only a Maildir, which is tried below.
def may_open(path):
    readers = {n for n in UID if (access[n][path][0] if path in access[n] else n == 'user')}
    cannot = {'pipit-rcptd (look)'} | ({'pipit-pop3d'} if path != 'his Maildir' else set())
    return {row for row, states in found.items() for s in states if s[0] != 'root' and row not in cannot and (s[0] in readers or s[1] != 'none')}
existing = lambda pattern: next((p for p in paths if fnmatch.fnmatchcase(p, pattern)), pattern)
for what, who in table_of('Who can open what is secret, beside what is root:'):
    for path in re.findall('`([^`]*)`', what):
        equal(may_open(existing(path)), set(who.split(', ')), '%s can be opened by %s' % (path, who))
equal({row for row, states in found.items() for s in states if s[0] == 'root'}, {'pipit-authd', 'pipit-checkpass', 'pipit-lspawn', 's6-svscan', 's6-supervise'}, 'these are root')

# --- other people's processes

def try_processes():
    """What this account can do to each process."""
    result = {}
    for pid in everything:
        doors = {'fd': lambda: [os.readlink(f) for f in map(('/proc/%d/fd/' % pid).__add__, os.listdir('/proc/%d/fd' % pid))],
                 'mem': lambda: os.close(os.open('/proc/%d/mem' % pid, os.O_RDONLY)),
                 'environ': lambda: open('/proc/%d/environ' % pid, 'rb').read(), 'cwd': lambda: os.readlink('/proc/%d/cwd' % pid),
                 'kill': lambda: os.kill(pid, 0)}
        result[str(pid)] = [name for name, f in doors.items() if attempt(f) == '']
    return result

everything = i.others()
owner = {pid: int(re.search(r'^Uid:\t(\d+)', open('/proc/%d/status' % pid).read(), re.M)[1]) for pid in everything}
reached = {name: as_account_of(name, try_processes) for name in UID}
equal({n: r for n, r in reached.items() if not isinstance(r, dict)}, {}, 'everybody could try')
ran = sorted({everything[p] for p in everything})
for name in ran:
    pids = [p for p in everything if everything[p] == name]
    foreign = {n: reached[n][str(p)] for p in pids for n in UID if UID[n] != owner[p] and reached[n][str(p)]}
    equal(foreign, {}, '%s: its descriptors, memory and environment are closed to other accounts, and it takes no signal' % name)
for name in ('pipit-queued', 'pipit-rcptd', 'pipit-smtpd', 'pipit-ofmipd', 'pipit-popup', 'pipit-local', 'pipit-tlsd'):
    own = {n: set(reached[n][str(p)]) - {'kill'} for p in i.pids(name) for n in UID if UID[n] == owner[p] and str(p) in reached[n]}
    equal({n: d for n, d in own.items() if d}, {}, '%s: also to processes of its own account' % name)
equal({'pipit-queued', 'pipit-rcptd', 'pipit-smtpd', 'pipit-ofmipd', 'pipit-popup', 'pipit-pop3d', 'pipit-tlsd', 'pipit-authd', 'pipit-send', 'pipit-lspawn', 'pipit-rspawn', 'pipit-remote', 'pipit-local', 's6-log'} - set(ran),
      set(), 'every program that stays was among them')

# What runs for users holds nothing of the instance's.
for pid in i.pids('sleep'):
    fds = [os.readlink(f) for f in glob.glob('/proc/%d/fd/*' % pid)]
    equal([f for f in fds if i.home + '/queue' in f or f.startswith('socket:')], [], 'a program of uid %d has neither a socket nor a file of the queue'
          % owner.get(pid, -1))

# Of what its account may read, a listener, and its children with it, opens only what lies in control/.
if not landlock(): skip('this kernel has no Landlock')
else:
    outside, link = os.path.join(SCRATCH, 'outside'), i.home + '/control/authinclear'
    with open(outside, 'w') as f: f.write('192.0.2.1\n')
    os.chmod(outside, 0o644)
    os.symlink(outside, link)
    equal(as_account_of('pipitd', lambda: open(link).read()), '192.0.2.1\n', 'pipitd can read a file that a link in control/ leads to')
    for pid, row in row_of_pid.items():
        if row in ('pipit-smtpd', 'pipit-ofmipd', 'pipit-popup'): kill(pid, signal.SIGHUP)
    for name in ('smtpd', 'handed', *ports):
        check(wait_for(lambda: any('authinclear: Permission denied' in l for l in i.log(name))), '%s cannot: %r' % (name, i.log(name)[-1:]))
    os.unlink(link)

# Nor does a session of POP3 open a message that has become another mailbox's.
if landlock() < 2: skip('this kernel has no Landlock, or its first version')
else:
    os.rename(box + '/new', home + '/other')
    equal(as_account_of('user', lambda: open(home + '/other/1').read()), 'Subject: x\n\nx\n', 'its account can read a message elsewhere')
    try: got = reader.retr(1)
    except poplib.error_proto as e: got = str(e)
    check('the message cannot be read now' in str(got), 'pipit-pop3d cannot: %r' % (got,))
    os.rename(home + '/other', box + '/new')
    equal(reader.retr(1)[1], [b'Subject: x', b'', b'x'], 'one in the Maildir it can')

for s in (sink, relay): s.stop()
for s in (session, sender, guest, writer, stranger, visitor, caller, asker, reader): s.close()
for pid in i.pids('sleep'): kill(pid, signal.SIGTERM)
equal(i.stop(), [], 'stopping leaves no process')
done()
