"""pipit.py - what the Python tests share: a home to run programs in, cases, waiting"""
import os, pwd, socket, subprocess, sys, time

SCRATCH = os.environ['SCRATCH']
BIN = os.environ['BIN']
ROOT = os.geteuid() == 0
# Root never runs a one-account instance as itself: its home belongs to this account.
ACCOUNT = pwd.getpwnam('nobody') if ROOT else pwd.getpwuid(os.geteuid())
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

def wait_for(condition, seconds=10, step=0.02):
    """Wait until condition() is true; returns its value, or the last false one."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end: return value
        time.sleep(step)

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def own(path):
    if ROOT: os.chown(path, ACCOUNT.pw_uid, ACCOUNT.pw_gid)

def make_home(path=None, me='host.example', split=3):
    """An empty one-account instance: control/me, queue/, run/, users/, alias/."""
    home = path or os.path.join(SCRATCH, 'home')
    dirs = ['', 'control', 'queue', 'run', 'users', 'alias', 'bin', 'log', 'queue/mess', 'queue/state',
            'queue/free', 'queue/bad', 'queue/lock']
    dirs += ['queue/%s/%d' % (d, n) for d in ('mess', 'state') for n in range(split)]
    for d in dirs:
        d = os.path.join(home, d)
        os.makedirs(d, exist_ok=True)
        own(d)
        os.chmod(d, 0o755)
    os.mkfifo(os.path.join(home, 'queue/lock/trigger'), 0o660)
    own(os.path.join(home, 'queue/lock/trigger'))
    control(home, 'me', me)
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
