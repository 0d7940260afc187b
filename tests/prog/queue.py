"""queue.py - pipit-queue: qmail-queue's interface"""
import fcntl, glob, os, signal, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *

def pipe_of(data):
    """A descriptor to read <data> from."""
    r, w = os.pipe()
    def write():
        try:
            with os.fdopen(w, 'wb') as f: f.write(data)
        except BrokenPipeError: pass
    threading.Thread(target=write, daemon=True).start()
    return r

def run(msg, env, fd6=None, error=None, wrap=(), **kw):
    """Run pipit-queue. (exit code, text on 6, text on ERROR_FD)"""
    m = msg if isinstance(msg, int) else pipe_of(msg)
    e = env if isinstance(env, int) else pipe_of(env)
    environ = dict(os.environ)
    keep, texts = [], []
    for want in (fd6, error):
        r, w = os.pipe()
        texts.append(r)
        keep.append(fcntl.fcntl(w, fcntl.F_DUPFD_CLOEXEC, 20))
        os.close(w)
    def child():
        os.dup2(keep[0], 6) if fd6 else closed(6)
        if error: os.dup2(keep[1], error)
    if error: environ['ERROR_FD'] = str(error)
    p = subprocess.Popen([*wrap, BIN + '/pipit-queue'], stdin=m, stdout=e, env=environ, preexec_fn=child,
                         close_fds=False, **kw)
    for fd in (m, e, *keep): os.close(fd)
    code = p.wait(60)
    out = []
    for r in texts:
        with os.fdopen(r, 'rb') as f: out.append(f.read())
    return (code, *out)

def closed(fd):
    try: os.close(fd)
    except OSError: pass

def messages():
    out = []
    for f in glob.glob(home + '/queue/mess/*/*'):
        d = open(f, 'rb').read()
        m, e = int.from_bytes(d[48:56], 'big'), int.from_bytes(d[56:64], 'big')
        out.append((d[128:128 + m].split(b'\n', 1)[1], d[128 + m:128 + m + e]))
        os.unlink(f)
    return out

home = make_home()
os.environ['PIPIT_HOME'] = home
control(home, 'queuepool', '0')
queued = as_account([BIN + '/pipit-queued'], stderr=subprocess.DEVNULL)
wait_for(lambda: os.path.exists(home + '/run/queue'))

equal((run(b'Subject: x\n\nhi\n', b'Fa@b\0Tc@d\0Te@f\0\0')[0], messages()),
      (0, [(b'Subject: x\n\nhi\n', b'Fa@b\0Tc@d\0Te@f\0')]), 'a message is queued as it was given')
for why, msg in (('empty', b''), ('of NULs', b'\0' * 70000), ('of every byte', bytes(range(256)) * 50),
                 ('of 3 MB', os.urandom(3000000))):
    equal((run(msg, b'F\0Tx\0\0')[0], messages() == [(msg, b'F\0Tx\0')]), (0, True), 'a message ' + why)
equal((run(b'x', b'Fa\0\0')[0], messages()), (0, [(b'x', b'Fa\0')]), 'no recipients')
equal((run(b'x', b'Fa\0XBODY=8BITMIME\0Tb\0\0')[0], messages()), (0, [(b'x', b'Fa\0XBODY=8BITMIME\0Tb\0')]), 'X records')
# As a foreign program would ask for notices: what belongs to the message, then what belongs to each recipient before it.
wishes = b'Fa\0XRET=HDRS\0XENVID=id+2B1\0XNOTIFY=SUCCESS,FAILURE\0XORCPT=rfc822;b\0Tb\0Tc\0XNOTIFY=NEVER\0Td\0'
equal((run(b'x', wishes + b'\0')[0], messages()), (0, [(b'x', wishes)]), 'what is asked of notices')
equal(run(b'x', b'Fa\0Tb\0XNOTIFY=NEVER\0\0')[0], 91, 'but not of a recipient that does not follow')
equal(messages(), [], 'which is not queued')
equal((run(b'x', b'Fa\0Tb\0\0more')[0], messages()), (0, [(b'x', b'Fa\0Tb\0')]), 'what follows the end is not read')
many = b'Fa\0' + b''.join(b'Tuser%d@example.org\0' % i for i in range(50000))
equal((run(b'x', many + b'\0')[0], messages() == [(b'x', many)]), (0, True), '50,000 recipients')

for why, env, code in (
        ('cut off before the last NUL', b'Fa\0Tb\0', 54), ('cut off in a recipient', b'Fa\0Tb', 54),
        ('cut off in the sender', b'Fa', 54), ('empty', b'', 54), ('nothing but NUL', b'\0', 91),
        ('without a sender', b'Tb\0\0', 91), ('another letter', b'Fa\0Ub\0\0', 91), ('two senders', b'Fa\0Fb\0\0', 91),
        ('a sender of 1003 bytes', b'F' + b'x' * 1003 + b'\0\0', 11),
        ('a recipient of 1003 bytes', b'Fa\0T' + b'x' * 1003 + b'\0\0', 11),
        ('an endless address', b'F' + b'x' * 1000000, 11), ('an X record for nobody', b'Fa\0Tb\0XA=1\0\0', 91)):
    equal((run(b'x', env)[0], messages()), (code, []), 'envelope: %s: %d' % (why, code))
equal(run(b'x', b'F' + b'x' * 1002 + b'\0T' + b'y' * 1002 + b'\0\0')[0], 0, 'addresses of 1002 bytes')
messages()

equal(run(os.open('/', os.O_RDONLY), b'Fa\0\0')[0], 54, 'a message that cannot be read: 54')
equal(run(b'x', os.open('/', os.O_RDONLY))[0], 54, 'an envelope that cannot be read: 54')
equal(messages(), [], 'nothing of these is queued')
p = subprocess.run(['sh', '-c', 'exec "$0/pipit-queue" <&- >&-', BIN])
equal(p.returncode, 54, 'closed descriptors 0 and 1: 54')
equal(subprocess.run([BIN + '/pipit-queue', 'x'], capture_output=True).returncode, 100, 'wrong usage: 100')
os.symlink(os.path.realpath(BIN + '/pipit-queue'), SCRATCH + '/qmail-queue.orig')
p = subprocess.run([SCRATCH + '/qmail-queue.orig', 'x'], capture_output=True, text=True)
check(p.returncode == 100 and 'pipit-queue: usage' in p.stderr, 'as qmail-queue.orig too, where people keep it: %r' % p.stderr)
equal(messages(), [], 'nothing of these is queued')

# texts
code, six, err = run(b'x', b'Ta\0\0', fd6=True)
check(code == 91 and six.startswith(b'Z') and b'\n' not in six, 'a text on 6: %r' % six)
code, six, err = run(b'x', b'F' + b'x' * 2000, fd6=True, error=9)
check(code == 11 and six.startswith(b'D') and six == err, 'the same on ERROR_FD: %r' % err)
equal(run(b'x', b'Fa\0\0', fd6=True, error=9), (0, b'', b''), 'no text after success')
messages()
for x in ('', 'x', '-1', '1', '999999999999', '77'):
    os.environ['ERROR_FD'] = x
    equal(run(b'x', b'Ta\0\0')[0], 91, 'ERROR_FD=%r does no harm' % x)
del os.environ['ERROR_FD']
leaked = os.path.join(SCRATCH, 'leaked')
subprocess.run(['sh', '-c', 'exec "$0/pipit-queue" </dev/null 6>"$1"', BIN, leaked], stdout=pipe_of(b'Ta\0\0'))
equal(os.path.getsize(leaked), 0, 'a file that a caller left open as 6 is not written to')
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True: os.write(w, b'x' * 65536)
except BlockingIOError: pass
os.set_blocking(w, True)
p = subprocess.Popen([BIN + '/pipit-queue'], stdin=subprocess.DEVNULL, stdout=pipe_of(b'Ta\0\0'),
                     preexec_fn=lambda: os.dup2(w, 6), close_fds=False)
equal(p.wait(10), 91, 'a full pipe on 6 is not waited for')
os.close(r); os.close(w)

# trouble
control(home, 'queuereserve', '1152921504606846976')
queued.send_signal(signal.SIGHUP)
time.sleep(0.3)
code, six, err = run(b'x' * 300000, b'Fa\0\0', fd6=True)
check(code == 53 and six.startswith(b'Z') and b'room' in six, 'no room: 53 %r' % six)
control(home, 'queuereserve', None)
queued.send_signal(signal.SIGHUP)
time.sleep(0.2)
equal(run(b'x', b'Fa\0' + b'T\0' * 70000000)[0], 51, 'an envelope of 140 MB: 51')
os.environ['PIPIT_HOME'] = '/nonexistent'
equal(run(b'x', b'Fa\0\0')[0], 61, 'no home: 61')
os.environ['PIPIT_HOME'] = home
equal(messages(), [], 'nothing of these is queued')

queued.terminate()
queued.wait()
# queued is away for a moment
started = []
def later():
    time.sleep(1)
    started.append(as_account([BIN + '/pipit-queued'], stderr=subprocess.DEVNULL))
threading.Thread(target=later).start()
began = time.monotonic()
equal(run(b'x', b'Fa\0\0')[0], 0, 'a queued that is away for a second is waited for')
check(0.5 < time.monotonic() - began < 10, 'and not longer')
messages()
# It dies in the middle of a message.
slow, w = os.pipe()
os.write(w, b'x' * 10000)
p = subprocess.Popen([BIN + '/pipit-queue'], stdin=slow, stdout=pipe_of(b'Fa\0\0'))
time.sleep(0.5)
children = open('/proc/%d/task/%d/children' % (started[0].pid, started[0].pid)).read().split()
for pid in children: os.kill(int(pid), signal.SIGKILL)
os.write(w, b'x' * 10000)
os.close(w); os.close(slow)
check(p.wait(20) in (71, 74), 'queued dies inside a message: temporary (%d)' % p.returncode)
equal(messages(), [], 'and nothing is queued')
started[0].terminate()
started[0].wait()
done()
