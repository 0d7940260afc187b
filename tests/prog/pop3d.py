"""pop3d.py - pipit-pop3d: every command, what is not a message, a Maildir that changes meanwhile"""
import glob, hashlib, os, poplib, shutil, socket, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

pop3d = os.path.join(BIN, 'pipit-pop3d')
user = os.path.join(SCRATCH, 'user')
os.mkdir(user); own(user)
box = os.path.join(user, 'Maildir')
if ROOT: os.chmod(SCRATCH, 0o755)

def fresh(**messages):
    shutil.rmtree(box, ignore_errors=True)
    for d in ('', '/new', '/cur', '/tmp'): os.mkdir(box + d, 0o700); own(box + d)
    for name, text in messages.items(): put(name.replace('__', '/'), text)

def put(name, text=b'Subject: x\n\nx\n'):
    with open(os.path.join(box, name), 'wb') as f: f.write(text)
    own(f.name)

def names(d): return sorted(os.listdir(os.path.join(box, d)))

def session(text, maildir='Maildir', before=()):
    """What it says to these commands, and its log."""
    p = as_account([*before, pop3d, maildir], cwd=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                   env={'TCPREMOTEIP': '192.0.2.7', 'USER': 'joe', 'PATH': os.environ['PATH']})
    out, err = p.communicate(text, 60)
    session.log, session.code = re.sub(' seconds=[0-9] ', ' seconds=0 ', err.decode()), p.returncode # on a busy machine they are more
    return out.decode('latin-1').split('\r\n')[:-1]

class Client(poplib.POP3):
    """poplib on a socketpair, from the greeting on."""
    def __init__(self, maildir='Maildir'):
        self.ours, theirs = socket.socketpair()
        self.process = as_account([pop3d, maildir], cwd=user, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
        theirs.close()
        super().__init__('x')
    def _create_socket(self, timeout): return self.ours
    def end(self):
        self.close()
        self.process.wait(30)
        self.process.stderr.close()

# --- commands ---
fresh(**{'new__1.a': b'Subject: one\n\nx\n.dot\n..\n\nend\n', 'cur__2.b:2,S': b'Subject: two\n\nno line end', 'cur__10.c:2,': b'Subject: three\n'})
r = session(b'STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nUIDL 3\r\nLAST\r\nNOOP\r\nQUIT\r\n')
equal(r, ['+OK', '+OK 3 69', '+OK', '1 29', '2 25', '3 15', '.', '+OK 2 25', '+OK', '1 1.a', '2 2.b', '3 10.c', '.', '+OK 3 10.c', '+OK 0', '+OK', '+OK'],
      'STAT, LIST, UIDL, LAST, NOOP: in the order of delivery, with the sizes of the files')
equal((session.code, session.log), (0, 'pipit-pop3d: end ip=192.0.2.7 user=joe messages=3 retrieved=0 bytes=0 deleted=0 seconds=0 reason=quit\n'), 'its line in the log')
equal((names('new'), names('cur')), ([], ['1.a:2,', '10.c:2,', '2.b:2,S']), 'QUIT moves to cur what is left in new')
r = session(b'RETR 1\r\nRETR 2\r\nretr 3\r\nLAST\r\nQUIT\r\n')
equal(r, ['+OK', '+OK', 'Subject: one', '', 'x', '..dot', '...', '', 'end', '.', '+OK', 'Subject: two', '', 'no line end', '.', '+OK', 'Subject: three', '.', '+OK 3', '+OK'],
      'RETR: dots at line starts doubled, a missing line end added, nothing else')
for n, want in ((0, ['']), (1, ['', 'x']), (3, ['', 'x', '..dot', '...']), (99, ['', 'x', '..dot', '...', '', 'end'])):
    equal(session(b'TOP 1 %d\nQUIT\n' % n)[2:-1], ['Subject: one', *want, '.'], 'TOP with %d lines; LF ends a command too' % n)
equal(session(b'TOP 3 5\r\n')[2:], ['Subject: three', '.'], 'TOP of a message without a body')
r = session(b'DELE 1\r\nSTAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 1\r\nDELE 1\r\nLIST 1\r\nRSET\r\nSTAT\r\nDELE 2\r\n')
gone = '-ERR the message is deleted'
equal(r, ['+OK', '+OK', '+OK 2 40', '+OK', '2 25', '3 15', '.', '+OK', '2 2.b', '3 10.c', '.', gone, gone, gone, gone, '+OK', '+OK 3 69', '+OK'],
      'DELE hides a message, RSET brings it back')
check(names('cur') == ['1.a:2,', '10.c:2,', '2.b:2,S'] and 'deleted=0' in session.log and 'reason="closed by client"' in session.log, 'without QUIT nothing is removed')
equal((session(b'DELE 1\r\nDELE 3\r\nQUIT\r\n')[-1], names('cur')), ('+OK', ['2.b:2,S']), 'QUIT removes')
r = session(b'CAPA\r\nQUIT\r\n')
check(r[1] == '+OK' and r[-2] == '.' and {'TOP', 'UIDL', 'PIPELINING', 'RESP-CODES'} <= set(r[2:-2]) and 'STLS' not in r, 'CAPA')

bad = [b'', b'FOO', b'STAT\0', b'RETR', b'RETR 0', b'RETR 2', b'RETR 99999999999999999999999', b'RETR x', b'RETR -1', b'RETR 1x', b'RETR 1 2 3', b'TOP 1', b'TOP',
       b'TOP 1 x', b'DELE', b'DELE 4294967297', b'LIST 2', b'LIST x', b'UIDL 2', b'USER joe', b'PASS x', b'STLS', b'x' * 600, b'\xff\xfe', b'RETRO 1', b'RET 1', b'STLS', b'APOP a b']
r = session(b'\r\n'.join(bad) + b'\r\nNOOP\r\n')
check(len(r) == len(bad) + 2 and all(l.startswith('-ERR') for l in r[1:-1]) and r[-1] == '+OK', 'what is wrong is answered with -ERR: %r' % list(zip(bad, r[1:])))
r = session(b'x' * 100000 + b'\r\nNOOP\r\n')
equal((r[1:], session.code), (['-ERR line too long', '+OK'], 0), 'a line of 100,000 bytes')
r = session(b'FOO\r\n' * 200)
check(len(r) == 101 and 'reason="too many errors"' in session.log, '100 errors in a row end it')
r = session(b'RETR ' + b'1\r\nRETR 1\r\n' * 2000)
check(len(r) > 2000 and session.code == 0, 'commands may be sent in one go')

# --- line ends and dots, as any client has to see them ---
text = b'Subject: z\n\n' + b''.join(os.urandom(40).replace(b'\r', b'').replace(b'\0', b'') + b'\n.\n' for _ in range(3000))
fresh(new__5=text, new__6=text.replace(b'\n', b'\r\n'))
c = Client()
for n in (1, 2): equal(hashlib.md5(b'\n'.join(c.retr(n)[1]) + b'\n').digest(), hashlib.md5(text).digest(), 'a message of %d bytes is whole by poplib' % len(text))
c.quit(); c.end()

# --- what is no message ---
fresh(new__1=b'ok\n')
secret = os.path.join(user, 'secret')
with open(secret, 'w') as f: f.write('secret\n')
own(secret)
os.symlink(secret, box + '/new/2'); os.mkfifo(box + '/new/3'); os.mkdir(box + '/cur/4'); put('new/.5'); put('tmp/6')
equal(session(b'LIST\r\nQUIT\r\n')[1:-1], ['+OK', '1 3', '.'], 'links, FIFOs, folders, hidden files and tmp/ are no messages')
check(os.path.exists(secret) and os.path.islink(box + '/new/2'), 'and stay')
fresh(new__1=b'ok\n')
c = Client()
os.unlink(box + '/new/1'); os.symlink(secret, box + '/new/1')
try: got = c.retr(1)
except poplib.error_proto as e: got = str(e)
check('secret' not in str(got) and 'ERR' in str(got), 'a message that becomes a link is not read: %r' % got)
c.dele(1); c.quit(); c.end()
check(os.path.exists(secret), 'nor does its target go')
shutil.rmtree(box + '/new'); os.makedirs(user + '/away', exist_ok=True); own(user + '/away'); os.symlink(user + '/away', box + '/new')
r = session(b'QUIT\r\n')
check(r[0].startswith('-ERR [SYS/TEMP]') and session.code == 111 and session.log.count('\n') == 1, 'new/ that is a link: %r %r' % (r, session.log))
shutil.rmtree(box)

# --- no mail yet ---
def unreadable(maildir, where, why):
    r = session(b'', maildir)
    equal((r, session.code), (['-ERR [SYS/TEMP] your mailbox cannot be read now'], 111), why)
    check(re.fullmatch(r'pipit-pop3d: warning: unable to read the Maildir %s \(user joe, ip 192\.0\.2\.7\): .*\n' % re.escape(where), session.log),
          'its line names all of the path, the login and the address: %r' % session.log)
for maildir in ('Maildir', './Maildir/', box):
    equal(session(b'STAT\r\nLIST\r\nUIDL\r\nQUIT\r\n', maildir), ['+OK', '+OK 0 0', '+OK', '.', '+OK', '.', '+OK'], 'no Maildir yet: no mail (%s)' % maildir)
    equal((session.code, session.log.count('\n'), ' messages=0 ' in session.log), (0, 1, True), 'and one line in the log')
check(not os.path.exists(box), 'which makes none')
c = Client()
fresh(new__1=b'1\n')
equal((c.stat(), c.list()[1], c.uidl()[1], c.quit(), names('new')), ((0, 0), [], [], b'+OK', ['1']), 'what comes meanwhile stays new')
c.end()
equal(session(b'STAT\r\nQUIT\r\n')[1], '+OK 1 2', 'and is there in the next session')
shutil.rmtree(box)
unreadable('example.org/ann/', user + '/example.org/ann/', 'a Maildir in a folder that is missing: perhaps that is not mounted')
unreadable('./nowhere/ann', user + '/nowhere/ann', 'the same in the other way of writing it')
unreadable(user + '/nowhere/ann', user + '/nowhere/ann', 'and in full')
unreadable('', user + '/', 'no name')
os.symlink('nowhere', box)
for maildir in ('Maildir', 'Maildir/'): unreadable(maildir, user + '/' + maildir, 'a link to nowhere')
os.unlink(box)
os.mkdir(box); own(box)
unreadable('Maildir', box, 'one without folders')
os.chmod(box, 0o300)
unreadable('Maildir/.Sub', box + '/.Sub', 'one in a folder that cannot be read')
os.chmod(box, 0)
unreadable('Maildir/.Sub', box + '/.Sub', 'nor searched')
os.rmdir(box)
if ROOT:
    fresh()
    p = subprocess.run([pop3d, 'Maildir'], cwd=user, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    check(p.returncode == 100 and p.stdout.startswith(b'-ERR [SYS/PERM]') and p.stderr.count(b'\n') == 1, 'root is refused')
for args in ([], ['a', 'b']): equal(subprocess.run([pop3d, *args], stdin=subprocess.DEVNULL, capture_output=True).returncode, 100, 'wrong usage')

# --- unique ids and sizes that stand in names ---
long = '1732837212.M123456P12345VfeI' + '0' * 40 + '.a-long-host.example.org,S=77'
fresh(**{'cur__' + n: b'x\n' for n in ('1.a,S=5:2,', '2.b,S=5,W=6:2,S', '3.c,W=x:2,', '4.d,S=99999999999999999999:2,', '5 e:2,', long + ':2,')})
r = session(b'LIST\r\nUIDL\r\nQUIT\r\n')
equal(r[2:8], ['1 5', '2 6', '3 2', '4 2', '5 2', '6 77'], 'W= is the size, else S=, else what the file has')
equal(r[10:16], ['1 1.a,S=5', '2 2.b,S=5,W=6', '3 3.c,W=x', '4 4.d,S=99999999999999999999', '5 ' + hashlib.sha256(b'5 e').hexdigest(),
                 '6 ' + hashlib.sha256(long.encode()).hexdigest()], 'names that are no unique ids have one that is')

# --- meanwhile ---
fresh(new__1=b'1\n', new__2=b'2\n', new__3=b'3\n', new__4=b'4\n')
c = Client()
os.rename(box + '/new/1', box + '/cur/1:2,'); os.rename(box + '/cur/1:2,', box + '/cur/1:2,SR')
os.unlink(box + '/new/2'); os.rename(box + '/new/3', box + '/cur/3:2,')
put('new/9')
equal([c.retr(1)[1], c.retr(4)[1]], [[b'1'], [b'4']], 'a message that was moved is found')
for f in (c.retr, lambda n: c.top(n, 0)):
    try: f(2); check(False, 'a message that is gone')
    except poplib.error_proto as e: check(b'gone' in e.args[0], 'a message that is gone: %s' % e)
c.dele(2); c.dele(3); c.dele(4)
equal((c.stat()[0], c.quit()), (1, b'+OK'), 'what somebody else has removed counts as removed')
c.end()
equal((names('new'), names('cur')), (['9'], ['1:2,SR']), 'QUIT finds what was moved; what came meanwhile stays new')
fresh(new__1=b'1\n', new__2=b'2\n')
a, b = Client(), Client()
a.dele(1); b.dele(1); b.dele(2)
equal((a.quit(), b.quit(), names('new'), names('cur')), (b'+OK', b'+OK', [], []), 'two sessions at once')
a.end(); b.end()
if ROOT:
    fresh(new__1=b'1\n')
    os.chown(box + '/new', 0, 0); os.chmod(box + '/new', 0o755)
    r = session(b'DELE 1\r\nQUIT\r\n')
    equal(r[-1], '-ERR [SYS/TEMP] some deleted messages could not be removed', 'what cannot be removed is told')

fresh(new__1=b'1\n', new__5=b'5\n')
os.link(box + '/new/5', box + '/cur/5:2,S')
equal(session(b'UIDL\r\nQUIT\r\n')[2:4], ['1 1', '2 5'], 'one that is found in both folders is one message')

# --- Maildir++ ---
fresh(**{'new__1,S=2': b'1\n', 'cur__2:2,': b'22\n', 'cur__3,S=4:2,': b'333\n'})
put('maildirsize', b'1000S\n9 3\n')
session(b'DELE 1\r\nDELE 2\r\nQUIT\r\n')
equal(open(box + '/maildirsize').read(), '1000S\n9 3\n-5 -2\n', 'maildirsize hears of what has gone')
session(b'RETR 1\r\nQUIT\r\n')
equal(open(box + '/maildirsize').read(), '1000S\n9 3\n-5 -2\n', 'and of nothing else')

def folder(path):
    for d in ('', '/new', '/cur', '/tmp'): os.mkdir(path + d, 0o700); own(path + d)
folder(box + '/.Sub')
for name in ('.Sub/maildirfolder', '.Sub/new/4,S=2', '.Sub/cur/5,S=4:2,', '.Sub/cur/6:2,'): put(name, b'6\n')
equal((session(b'DELE 1\r\nDELE 2\r\nQUIT\r\n', 'Maildir/.Sub')[-1], open(box + '/maildirsize').read()), ('+OK', '1000S\n9 3\n-5 -2\n-6 -2\n'), 'that of a subfolder lies above it')
for maildir, sums in (('Maildir', '1000S\n9 3\n-4 -1\n'), ('Maildir/.Sub', '1000S\n9 3\n' if landlock() > 1 else '1000S\n9 3\n-2 -1\n')):
    c = Client(maildir)
    put('tmp/sums', b'1000S\n9 3\n'); os.rename(box + '/tmp/sums', box + '/maildirsize')
    c.dele(1)
    equal((c.quit(), open(box + '/maildirsize').read()), (b'+OK', sums), '%s: one that was made anew meanwhile' % maildir)
    c.end()
put('.Sub/new/7,S=2', b'7\n')
os.chmod(box, 0o300)
equal((session(b'DELE 1\r\nQUIT\r\n', 'Maildir/.Sub')[-1], open(box + '/maildirsize').read()), ('+OK', sums), 'one in a folder that cannot be opened')
os.chmod(box, 0o700)
os.unlink(box + '/maildirsize')
put('.Sub/new/7,S=2', b'7\n')
equal((session(b'DELE 1\r\nQUIT\r\n', 'Maildir/.Sub')[-1], os.listdir(box + '/.Sub/new')), ('+OK', []), 'a subfolder, and no maildirsize')
c = Client('Maildir/.Sub')
c.stat()
held = [os.readlink(f) for f in glob.glob('/proc/%d/fd/*' % c.process.pid)]
check(box + '/.Sub' in held and box not in held, 'of the folder above nothing is held then: %r' % held)
c.quit(); c.end()

# --- other people's mail, where it has the same uid ---
other = os.path.join(user, 'other')
folder(other)
def tried(f, n):
    try: return f(n)[1]
    except poplib.error_proto as e: return e.args[0]
def misled(maildir):
    """What a session reads, and can remove, when its cur/ has become another mailbox's."""
    c = Client(maildir)
    cur = os.path.join(user, maildir, 'cur')
    os.rmdir(other + '/cur'); os.rename(cur, other + '/cur')
    read = tried(c.retr, 1)
    c.dele(1)
    end = tried(lambda n: (0, c.quit()), 0)
    c.end()
    left = os.listdir(other + '/cur')
    os.rename(other + '/cur', cur); os.mkdir(other + '/cur'); own(other + '/cur')
    return read, end, left
if landlock() < 2: skip('this kernel has no Landlock, or its first version')
else:
    denied, not_removed = b'-ERR [SYS/TEMP] the message cannot be read now', b'-ERR [SYS/TEMP] some deleted messages could not be removed'
    fresh(**{'cur__1:2,': b'1\n'})
    equal(misled('Maildir'), (denied, not_removed, ['1:2,']), 'what lies in another mailbox is neither read nor removed')
    folder(box + '/.Sub')
    for name in ('.Sub/maildirfolder', '.Sub/cur/1:2,', 'maildirsize'): put(name, b'1\n')
    equal(misled('Maildir/.Sub'), (denied, not_removed, ['1:2,']), 'nor by the session of a subfolder')
    os.rename(other, box + '/.Other'); os.symlink(box + '/.Other', other)
    equal(misled('Maildir/.Sub'), (denied, not_removed, ['1:2,']), 'not even what lies in the Maildir that it belongs to')
fresh(new__1=b'1\n')
strace = shutil.which('strace')
if not strace or subprocess.run([strace, '-o', '/dev/null', 'true'], stderr=subprocess.DEVNULL).returncode: skip('no strace here')
else:
    def injected(what):
        put('new/1')
        r = session(b'DELE 1\r\nQUIT\r\n', before=[strace, '-qq', '-o', '/dev/null', '-e', 'trace=' + what.split(':')[0], '-e', 'inject=' + what])
        return r[-1], session.code, session.log.count('\n')
    put('new/2')
    for what in ('landlock_create_ruleset:error=ENOSYS', 'landlock_create_ruleset:error=EOPNOTSUPP', 'landlock_create_ruleset:retval=1'):
        os.path.exists(box + '/cur/2:2,') and os.rename(box + '/cur/2:2,', box + '/new/2')
        equal((injected(what), names('new'), names('cur')), (('+OK', 0, 1), [], ['2:2,']), '%s: it does without' % what)
    faults = ['prctl:error=EPERM:when=1'] + ['landlock_%s:error=EPERM' % s for s in ('create_ruleset', 'add_rule', 'restrict_self') if landlock() > 1]
    for what in faults:
        equal(injected(what), ('-ERR [SYS/TEMP] local trouble, try again later', 111, 1), '%s: no session' % what)

# --- where a Maildir may lie ---
def mounted(script, why):
    """A session in which a message is moved and one removed, behind mounts of its own."""
    fresh(new__1=b'1\n', new__2=b'2\n')
    put('maildirsize', b'1000S\n9 3\n')
    os.makedirs(SCRATCH + '/mnt/w', exist_ok=True); os.makedirs(SCRATCH + '/mnt/u', exist_ok=True); own(SCRATCH + '/mnt/u')
    run = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', 'cd "$1" && { %s; } || exit 99; cd "$1"; shift; setpriv --reuid=%d --regid=%d --clear-groups "$@"; cd Maildir; ls new cur; cat maildirsize' %
           (script, ACCOUNT.pw_uid, ACCOUNT.pw_gid), 'sh', user, pop3d, 'Maildir']
    p = subprocess.run(run, input=b'DELE 1\r\nQUIT\r\n', capture_output=True, env=dict(os.environ, MNT=SCRATCH + '/mnt'))
    if p.returncode == 99 or b'unshare' in p.stderr: return skip(why + ': no such mount here')
    equal(p.stdout.decode(), '+OK\r\n' * 3 + 'cur:\n2:2,\n\nnew:\n1000S\n9 3\n-2 -1\n', why)
if ROOT:
    mounted('mount -t overlay -o lowerdir=Maildir,upperdir="$MNT/u",workdir="$MNT/w" overlay Maildir', 'a Maildir that is an overlay')
    mounted('mount -t tmpfs tmpfs "$MNT" && mkdir "$MNT/u" "$MNT/w" && mount -t overlay -o lowerdir="$PWD",upperdir="$MNT/u",workdir="$MNT/w" overlay "$PWD"', 'one that lies in an overlay')
    mounted('mount -t tmpfs tmpfs "$MNT" && cp -a Maildir "$MNT" && mount --bind "$MNT/Maildir" Maildir', 'one of another file system, bound')
else: skip('mounts need root')

# --- many ---
shutil.rmtree(box)
memory = tempfile.mkdtemp(dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else SCRATCH) # a disk may take a millisecond to remove a file
own(memory)
os.symlink(memory, box)
for d in ('new', 'cur', 'tmp'): os.mkdir(memory + '/' + d, 0o700); own(memory + '/' + d)
MANY = 2000 if 'san/' in BIN + '/' else 10000
for n in range(MANY):
    with open('%s/%s/%d.M%d.h,S=2%s' % (box, 'cur' if n % 2 else 'new', 1700000000 + n, n, ':2,' if n % 2 else ''), 'w') as f: f.write('x\n')
    own(f.name)
began = time.monotonic()
c = Client()
equal(c.stat(), (MANY, 2 * MANY), '%d messages' % MANY)
equal([len(c.list()[1]), len(c.uidl()[1])], [MANY, MANY], 'LIST and UIDL of them')
status = open('/proc/%d/status' % c.process.pid).read()
peak = int(re.search(r'VmHWM:\s*(\d+)', status).group(1))
if MANY == 10000: check(peak < 12000, 'in %d KB of memory' % peak)
for n in range(1, MANY + 1, 100): c.dele(n)
c.quit(); c.end()
equal((len(names('new')), len(names('cur'))), (0, MANY - MANY // 100), 'QUIT of them')
check(time.monotonic() - began < 20, 'it took %.2f s' % (time.monotonic() - began))
shutil.rmtree(memory)
done()
