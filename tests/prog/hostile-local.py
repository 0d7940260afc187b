"""hostile-local.py - what a user, or another one, puts in the way of a local delivery

Links, FIFOs, devices and folders in the place of the dot-qmail file, of a Maildir and its parts, of
an mbox: as root with real accounts, against files of root and of another user, put there before and
swapped in while mail is delivered. No file of others is ever written or read into a message.
"""
import ctypes, glob, os, shutil, stat, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from measure import LONG
from pipit import *

DELIVERIES = 2000 if LONG else 25
RENAME_EXCHANGE, AT_FDCWD = 2, -100
libc = ctypes.CDLL(None, use_errno=True)
home = make_home()
MSG = b'Subject: x\n\nthe message\n'
# The user is the account of the tests; the other one only exists for root.
UID, GID = ACCOUNT.pw_uid, ACCOUNT.pw_gid
OTHER = 64399
base = os.path.join(SCRATCH, 'homes')
user, other, roots = (os.path.join(base, n) for n in ('user', 'other', 'roots'))
SECRET = b'secret of another\n'

def own_by(path, uid, gid=None):
    if ROOT: os.lchown(path, uid, gid if gid is not None else uid)

def maildir(where, uid, gid=None):
    for d in ('', 'tmp', 'new', 'cur'):
        os.mkdir(os.path.join(where, d), 0o700)
        own_by(os.path.join(where, d), uid, gid)

def fresh():
    """A home of the user, one of another, and files of root."""
    shutil.rmtree(base, ignore_errors=True)
    os.mkdir(base, 0o755)
    os.mkdir(user, 0o755); own_by(user, UID, GID)
    maildir(user + '/Maildir', UID, GID)
    for d, uid in ((other, OTHER), (roots, 0)):
        os.mkdir(d, 0o755); own_by(d, uid)
        maildir(d + '/Maildir', uid)
        for name, mode in (('file', 0o600), ('readable', 0o644)):
            with open(os.path.join(d, name), 'wb') as f: f.write(SECRET)
            os.chmod(f.name, mode)
            own_by(f.name, uid)

def snapshot():
    """Everything that is not the user's: what is there, and what is in it."""
    found = {}
    for d in (other, roots):
        for where, dirs, files in os.walk(d):
            for f in files + dirs:
                path = os.path.join(where, f)
                st = os.lstat(path)
                found[path] = (st.st_mode, st.st_uid, st.st_nlink > 1 if stat.S_ISREG(st.st_mode) else 0, open(path, 'rb').read() if stat.S_ISREG(st.st_mode) else None)
    return found

def qmail(text):
    path = os.path.join(user, '.qmail')
    with open(path, 'w') as f: f.write(text)
    own_by(path, UID, GID)

QUOTA = ['-q', '100000000S']
def deliver(seconds=60, options=(), default='./Maildir/'):
    """(exit code, what it said) of a delivery to the user, as the user."""
    p = as_account([os.path.join(BIN, 'pipit-local'), *options, '-l', str(len(MSG)), '--', 'user', user, 'user', '', '', 'host.example', 'me@there.example', default],
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PIPIT_HOME=home, QMAILQUEUE='/bin/false'))
    try: out = p.communicate(MSG, seconds)[0]
    except subprocess.TimeoutExpired:
        p.kill()
        return None, 'still running: ' + p.communicate()[0].decode()
    return p.returncode, out.decode(errors='replace')

def put(path, what, target):
    """Put <what> in the place of <path>."""
    if os.path.isdir(path) and not os.path.islink(path): shutil.rmtree(path)
    elif os.path.lexists(path): os.unlink(path)
    if what == 'symbolic link': os.symlink(target, path)
    elif what == 'hard link': os.link(target, path)
    elif what == 'FIFO': os.mkfifo(path); own_by(path, UID, GID)
    elif what == 'folder': os.mkdir(path); own_by(path, UID, GID)
    elif what == 'device': os.symlink('/dev/full', path)
    elif what == 'link to itself': os.symlink(os.path.basename(path), path)

def attacks():
    if not ROOT: return skip('files of other users: needs root')
    for name, lines in (('.qmail', None), ('Maildir', './Maildir/\n'), ('Maildir/tmp', './Maildir/\n'), ('Maildir/new', './Maildir/\n'), ('Maildir/maildirsize', './Maildir/\n'), ('box', './box\n')):
        for what in ('symbolic link', 'hard link', 'FIFO', 'folder', 'device', 'link to itself'):
            for owner in (other, roots):
                for file in ('file', 'readable'):
                    if what not in ('symbolic link', 'hard link') and (owner, file) != (roots, 'file'): continue
                    options = QUOTA if name == 'Maildir/maildirsize' else []
                    directory = name.startswith('Maildir') and not options
                    if directory and (what == 'hard link' or file == 'readable'): continue
                    fresh()
                    if lines: qmail(lines)
                    target = os.path.join(owner, name if directory else file)
                    put(os.path.join(user, name), what, target)
                    before = snapshot()
                    code, out = deliver(options=options)
                    same = snapshot() == before
                    leak = SECRET in b''.join(open(f, 'rb').read() for f in glob.glob(user + '/Maildir/new/*') + glob.glob(user + '/box') if os.path.isfile(f) and not os.path.islink(f)
                                              and os.stat(f).st_nlink == 1)
                    # A .qmail that is no file is none; one that can be read is obeyed as the user's own.
                    fine = code == 111 or (name == '.qmail' and (what in ('FIFO', 'folder', 'device') or file == 'readable') and code == 0) or \
                        (name in ('Maildir/tmp', 'Maildir/new') and what == 'folder' and code == 0)
                    check(fine and same and not leak, '%s is a %s to %s of %s: deferred, nothing of theirs is touched' % (name, what, file, os.path.basename(owner))) or print(code, out, same, leak)

def followed():
    """A link to an mbox, or above a Maildir, leads where the user's own rights do, and no further."""
    if not ROOT: return skip('files of other users: needs root')
    fresh()
    qmail('./box\n')
    os.chmod(other + '/readable', 0o666)
    put(user + '/box', 'symbolic link', other + '/readable')
    code, out = deliver()
    with open(other + '/readable', 'rb') as f: text = f.read()
    check(code == 0 and text.startswith(SECRET + b'\nFrom ') and text.endswith(MSG + b'\n'), "a link to another's file that he may write is followed, as in qmail")
    for folder, mode, want in ((other, 0o755, 111), (other, 0o777, 0)):
        fresh()
        os.chmod(folder, mode)
        put(user + '/way', 'symbolic link', folder)
        before = snapshot()
        code, out = deliver(options=['-M'], default='./way/in/Maildir/')
        equal((code, {k: v for k, v in snapshot().items() if k in before} == before, os.path.exists(folder + '/in/Maildir/new')), (want, True, not want), 'so is one on the way to a Maildir that is made: mode %o' % mode)
    fresh()
    qmail('./box\n')
    control(home, 'mboxdotlock', '1')
    put(user + '/box.lock', 'symbolic link', roots + '/file')
    os.utime(user + '/box.lock', (1, 1), follow_symlinks=False)
    before = snapshot()
    code, out = deliver()
    equal((code, snapshot() == before, os.path.lexists(user + '/box.lock')), (0, True, False), 'a lock file that is an old link is removed itself')
    control(home, 'mboxdotlock', None)

HOLDER = '''import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
fds = [os.open(f, os.O_RDWR) for f in sys.argv[1:]]
for fd in fds: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print(flush=True)
time.sleep(60)
'''

def leases():
    """A user can make every open() of his files by others wait; not this one."""
    for name in ('.qmail', 'box', 'Maildir/maildirsize'):
        fresh()
        qmail('./box\n' if name == 'box' else './Maildir/\n')
        path = os.path.join(user, name)
        if name != '.qmail':
            with open(path, 'w') as f: f.write('100000S\n0 0\n')
            own_by(path, UID, GID)
        p = as_account([sys.executable, '-c', HOLDER, path], stdout=subprocess.PIPE)
        if p.stdout.readline() != b'\n': skip('leases: not on this file system')
        else:
            began = time.monotonic()
            code, out = deliver()
            check(code == 111 and time.monotonic() - began < 20, 'a lease on %s defers at once' % name) or print(code, out)
        p.kill()
        p.wait()
        p.stdout.close()

SWAPPER = '''import ctypes, os, sys
libc = ctypes.CDLL(None)
a, b = map(os.fsencode, sys.argv[1:3])
while True: libc.renameat2(-100, a, -100, b, 2)
'''

def races():
    if not ROOT: return skip('races against files of other users: needs root')
    for name, lines in (('Maildir', './Maildir/\n'), ('Maildir/tmp', './Maildir/\n'), ('Maildir/new', './Maildir/\n'), ('box', './box\n'), ('.qmail', './Maildir/\n'), ('file', '|cat >>got\n./file\n'),
                        ('Maildir/maildirsize', './Maildir/\n'), ('way', './way/Maildir/\n')):
        fresh()
        qmail(lines)
        options = QUOTA if name == 'Maildir/maildirsize' else []
        directory = name.startswith('Maildir') and not options
        mine, theirs = os.path.join(user, name), os.path.join(user, 'theirs')
        if name == 'box' or name == 'file':
            open(mine, 'w').close(); own_by(mine, UID, GID)
        if name == 'way':
            os.mkdir(mine, 0o755); own_by(mine, UID, GID)
            maildir(mine + '/Maildir', UID, GID)
        elif options:
            with open(mine, 'w') as f: f.write('100000000S\n0 0\n')
            own_by(mine, UID, GID)
        os.symlink(roots if name == 'way' else os.path.join(roots, name if directory else 'file'), theirs)
        own_by(theirs, UID, GID)
        # Even where all may write: what is reached by a link is not his Maildir.
        if name in ('Maildir/tmp', 'Maildir/new'):
            for d in ('Maildir', name): os.chmod(os.path.join(roots, d), 0o777)
        before = snapshot()
        # As the user: he may rename what is in his home as often as he likes.
        p = as_account([sys.executable, '-c', SWAPPER, mine, theirs])
        codes = {}
        began = time.monotonic()
        n = 0
        while n < DELIVERIES and time.monotonic() - began < (120 if LONG else 6):
            code, out = deliver(options=options)
            codes[code] = codes.get(code, 0) + 1
            n += 1
        p.kill()
        p.wait()
        check(snapshot() == before and set(codes) <= {0, 111}, '%s exchanged all the time with a link to one of root\'s, %d deliveries: nothing of root\'s is touched (%s)' % (name, n, codes))
        if directory:
            if os.path.islink(mine): libc.renameat2(AT_FDCWD, os.fsencode(mine), AT_FDCWD, os.fsencode(theirs), RENAME_EXCHANGE)
            got = glob.glob(user + '/Maildir/new/*')
            whole = all(open(f, 'rb').read().endswith(MSG) for f in got)
            check(whole and len(got) >= codes.get(0, 0), 'and what was delivered is there, whole: %d of %d' % (len(got), codes.get(0, 0)))

def edits():
    """A user who edits his dot-qmail file while mail comes, the old way and the good way."""
    fresh()
    maildir(user + '/Second', UID, GID)
    one, two = './Maildir/\n', '# a comment that makes it longer\n./Second/\n'
    stop = []
    def edit():
        n = 0
        while not stop:
            n += 1
            path = os.path.join(user, '.qmail')
            with open(path + '.new', 'w') as f: f.write(one if n % 2 else two)
            own_by(path + '.new', UID, GID)
            os.rename(path + '.new', path)
    qmail(one)
    t = threading.Thread(target=edit)
    t.start()
    codes = [deliver()[0] for _ in range(DELIVERIES)]
    stop.append(1)
    t.join()
    equal((set(codes), len(glob.glob(user + '/Maildir/new/*')) + len(glob.glob(user + '/Second/new/*'))), ({0}, DELIVERIES), 'a dot-qmail file that is replaced all the time: each message goes one way or the other')
    with open(os.path.join(user, '.qmail'), 'w') as f: f.write('./Maildir/\n' + '#' * 100000 + '\n')
    stop.clear()
    def rewrite():
        while not stop:
            with open(os.path.join(user, '.qmail'), 'r+') as f:
                f.truncate(50)
                f.truncate(100012)
    t = threading.Thread(target=rewrite)
    t.start()
    codes = [deliver()[0] for _ in range(DELIVERIES)]
    stop.append(1)
    t.join()
    check(set(codes) <= {0, 111}, 'one that is cut and grows while it is read: delivered or deferred, never refused')

for test in (attacks, followed, leases, races, edits):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        began = time.monotonic()
        test()
        print('  %s took %.1f s' % (test.__name__, time.monotonic() - began), flush=True)
shutil.rmtree(base, ignore_errors=True)
done()
