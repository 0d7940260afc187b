"""pipit.py - what the Python tests share: a home to run programs in, cases, waiting"""
import ctypes, fcntl, os, pwd, random, re, shutil, socket, struct, subprocess, sys, time

SCRATCH = os.environ['SCRATCH']
BIN = os.environ['BIN']
ROOT = os.geteuid() == 0
# Root never runs a one-account instance as itself: its home belongs to this account.
ACCOUNT = pwd.getpwnam('nobody') if ROOT else pwd.getpwuid(os.geteuid())
ACCOUNTS_FROM = 64200 # uid and gid of the first account of conf-users in with_accounts()
failed = False

def check(ok, why):
    """One case: prints "ok" or "not ok"."""
    global failed
    print(('ok - ' if ok else 'not ok - ') + why, flush=True)
    if not ok: failed = True
    return ok

def equal(got, expected, why):
    if not check(got == expected, why):
        print('  got      %r\n  expected %r' % (got, expected), flush=True)

def skip(why):
    print('skip - ' + why, flush=True)

def done():
    sys.exit(1 if failed else 0)

CREATE_RULESET, VERSION = 444, 1 # of linux/landlock.h; the call has this number on all machines but alpha
def landlock():
    """The version of Landlock that this kernel has, or 0."""
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, VERSION))

def wait_for(condition, seconds=10, step=0.02):
    """Wait until condition() is true; returns its value, or the last false one."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end: return value
        time.sleep(step)

PORTS = '/tmp/pipit.ports' # a byte for each port, locked by the process that has it

def ports_file():
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT): # root may not create where another one's file is in /tmp
        try: fd = os.open(PORTS, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError: continue
        try: os.fchmod(fd, 0o666)
        except OSError: pass
        return fd

ports_fd = None
def reserve(port):
    """Is the port for this process alone, as long as it lives? Others that run tests ask here too."""
    global ports_fd
    if ports_fd is None: ports_fd = ports_file()
    if ports_fd is None: return True # nobody can tell
    try: fcntl.lockf(ports_fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError: return False
    return True

taken_ports = set()
def free_port():
    """A port of 127.0.0.1 that no outgoing connection will take meanwhile, for it is below the range of theirs, and no other test."""
    while True:
        port = random.randrange(10000, 32768)
        if port in taken_ports or not reserve(port): continue
        taken_ports.add(port)
        with socket.socket() as s:
            try: s.bind(('127.0.0.1', port))
            except OSError: continue
        return port

def own(path):
    if ROOT: os.chown(path, ACCOUNT.pw_uid, ACCOUNT.pw_gid)

def setup(home, *options):
    """Run pipit-setup for a one-account instance; complete, as its users get it."""
    if ROOT: options += ('-u', ACCOUNT.pw_name)
    p = subprocess.run([os.path.join(BIN, 'pipit-setup'), *options, home], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode: raise RuntimeError('pipit-setup: exit %d: %s' % (p.returncode, p.stdout))
    return home

def make_home(path=None, me='host.example', split=3):
    """A bare one-account instance: control/me and nothing else in control/ and alias/."""
    home = setup(path or os.path.join(SCRATCH, 'home'), '-n', me)
    for d in ('control', 'alias'):
        for name in os.listdir(os.path.join(home, d)):
            f = os.path.join(home, d, name)
            if os.path.isdir(f): shutil.rmtree(f)
            elif name != 'me': os.unlink(f)
    for d in ('mess', 'state'):
        d = os.path.join(home, 'queue', d)
        for n in os.listdir(d):
            if int(n) >= split: os.rmdir(os.path.join(d, n))
    return home

def control(home, name, text):
    """Write (or with None remove) a control file."""
    path = os.path.join(home, 'control', name)
    if text is None:
        if os.path.exists(path): os.unlink(path)
        return
    with open(path, 'w') as f: f.write(text if text.endswith('\n') or not text else text + '\n')

def as_account(*args, **kw):
    """subprocess.Popen as the account that owns the home."""
    if ROOT: kw.update(user=ACCOUNT.pw_uid, group=ACCOUNT.pw_gid, extra_groups=[])
    return subprocess.Popen(*args, **kw)

def new_log():
    """A file for the log of a process: not one that another process may be writing still."""
    path = os.path.join(SCRATCH, 'log')
    try: os.unlink(path)
    except FileNotFoundError: pass
    return open(path, 'w+')

def with_accounts(*command):
    """For root: <command>, to be run where the accounts of conf-users exist: in a mount
    namespace whose /etc/passwd and /etc/group have them. None where that is not allowed.
    The machine's own files are not touched."""
    names = re.search("accounts='(.*)'", open(os.path.join(BIN, 'pipit-setup')).read()).group(1).split()
    for kind, line in (('passwd', '%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n'), ('group', '%s:x:%d:\n')):
        kept = [l for l in open('/etc/' + kind) if l.split(':')[0] not in names]
        with open(os.path.join(SCRATCH, kind), 'w') as f:
            f.writelines(kept)
            for i, name in enumerate(names):
                ids = (ACCOUNTS_FROM + i,) * line.count('%d')
                f.write(line % ((name,) + ids))
    script = ('mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && '
              'shift && exec "$@"')
    prefix = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', SCRATCH]
    if subprocess.run(prefix + ['true'], stderr=subprocess.DEVNULL).returncode: return None
    return prefix + list(command)

def begin_with_accounts(test):
    """Have the test, which is the file <test>, begin anew where the accounts of conf-users exist; where that
    cannot be it is skipped, and over."""
    if sys.argv[1:] == ['separated']: return
    command = with_accounts('/usr/bin/python3', os.path.abspath(test), 'separated') if ROOT else None
    if command: os.execvp(command[0], command)
    skip('an instance with an account for each part needs root, and mounts of its own')
    done()

def conf_users():
    """The accounts' names."""
    with open('conf-users') as f: return f.read().split('\n\n')[0].split()

def cdb(pairs):
    """A constant database (cr.yp.to/cdb) of (key, value) pairs."""
    def digest(key):
        h = 5381
        for c in key: h = ((h << 5) + h ^ c) & 0xffffffff
        return h
    records, slots, at = b'', [[] for _ in range(256)], 2048
    for key, value in pairs:
        h = digest(key)
        slots[h & 255].append((h, at))
        records += struct.pack('<II', len(key), len(value)) + key + value
        at += 8 + len(key) + len(value)
    header, tables = b'', b''
    for entries in slots:
        size = 2 * len(entries)
        header += struct.pack('<II', at + len(tables), size)
        table = [(0, 0)] * size
        for h, pos in entries:
            i = (h >> 8) % size
            while table[i][1]: i = (i + 1) % size
            table[i] = (h, pos)
        tables += b''.join(struct.pack('<II', *t) for t in table)
    return header + records + tables

def write_cdb(path, pairs):
    """Put one in the place of the file."""
    with open(path + '.tmp', 'wb') as f: f.write(cdb(pairs))
    os.chmod(path + '.tmp', 0o644)
    os.rename(path + '.tmp', path)
