"""hostile-surroundings.py - started in ways that nobody should start a program in

Closed descriptors in every combination, no arguments at all, limits of nothing, an environment of
megabytes, a umask of 0777, signals that are ignored or blocked, a working directory that is gone:
no program crashes, answers for good what is only local trouble, writes into a file that it did
not mean, or says that a message is queued that is not.
"""
import ctypes, glob, itertools, os, resource, shutil, signal, socket, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from measure import SANITIZED
from pipit import *
from queuefile import *
from sink import Sink

home = make_home()
control(home, 'rcpthosts', 'example.org')
ENV = dict(os.environ, PIPIT_HOME=home, USER='joe')
PROGRAMS = sorted(p for p in os.listdir(BIN) if p.startswith('pipit-') and open(os.path.join(BIN, p), 'rb').read(4) == b'\x7fELF')
STAYING = ('pipit-queued', 'pipit-authd', 'pipit-rcptd', 'pipit-start') # as services
MESSAGE = b'Subject: x\n\nthe body\n'
user = os.path.join(SCRATCH, 'user')
sink = Sink().start()
control(home, 'smtproutes', ':[127.0.0.1]:%d' % sink.port)

def queued():
    r, w = os.pipe()
    p = as_account([os.path.join(BIN, 'pipit-queued'), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
    os.close(w)
    os.read(r, 1)
    os.close(r)
    return p

def messages():
    """What is in the queue: the messages without our Received line; it is empty then."""
    found = []
    for id, path in live_files(home):
        found.append(Message(path).body)
        os.unlink(path)
    return found

def fresh():
    shutil.rmtree(user, ignore_errors=True)
    for d in ('', 'Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur'):
        os.mkdir(os.path.join(user, d))
        own(os.path.join(user, d))
    os.chmod(user, 0o755)

def new(): return [open(f, 'rb').read() for f in glob.glob(user + '/Maildir/new/*')]

def prepare(closed=(), ready=None):
    """In the child, before it becomes the program."""
    def f():
        if ready: ready()
        for fd in closed:
            try: os.close(fd)
            except OSError: pass
    return f

def run(argv, closed=(), ready=None, message=MESSAGE, envelope=None, env=ENV, cwd='/', seconds=60, account=False):
    """Start it with a message on 0 (and with <envelope> that on 1), its output in files. (status, out, err)"""
    out, err = (open(os.path.join(SCRATCH, n), 'w+b') for n in ('out', 'err'))
    data = open(os.path.join(SCRATCH, 'message'), 'w+b')
    data.write(message)
    data.seek(0)
    one = out
    if envelope is not None:
        one = open(os.path.join(SCRATCH, 'envelope'), 'w+b')
        one.write(envelope)
        one.seek(0)
    start = as_account if account else subprocess.Popen
    p = start([os.path.join(BIN, argv[0]), *argv[1:]], stdin=data, stdout=one, stderr=err, preexec_fn=prepare(closed, ready), env=env, cwd=cwd)
    try: status = p.wait(seconds)
    except subprocess.TimeoutExpired:
        p.kill()
        status = p.wait() and None
    texts = []
    for f in (out, err):
        f.seek(0)
        texts.append(f.read().decode(errors='replace'))
        f.close()
    data.close()
    return (status, *texts)

LOCAL = ['pipit-local', '--', 'joe', user, 'joe', '', '', 'host.example', 'me@there.example', './Maildir/']
REMOTE = ['pipit-remote', 'b.example', 's@a.example', 'r@b.example']

def name(closed): return 'without ' + ' '.join(map(str, closed)) if closed else 'with all three'

def descriptors():
    q = queued()
    for closed in itertools.chain.from_iterable(itertools.combinations((0, 1, 2), n) for n in range(4)):
        whole = 0 not in closed
        status, out, err = run(['pipit-queue'], closed, envelope=b'Fa@b\0Tc@d\0\0')
        ok = whole and 1 not in closed
        equal((status, messages()), (0 if ok else 54, [MESSAGE] if ok else []), 'pipit-queue, %s' % name(closed))
        for argv in (['pipit-inject', 'a@example.org'], ['pipit-sendmail', '-i', 'a@example.org']):
            status, out, err = run(argv, closed)
            got = messages()
            equal((status, [m.endswith(MESSAGE) and m.count(b'pipit-inject:') == 0 for m in got]), (0, [True]) if whole else (111, []), '%s, %s' % (argv[0], name(closed)))
        fresh()
        status, out, err = run(LOCAL, closed, account=True)
        got = new()
        equal((status, [m.endswith(MESSAGE) for m in got]), (0, [True]) if whole else (111, []), 'pipit-local, %s' % name(closed))
        fresh()
        status, out, err = run(['pipit-local', '-l', str(len(MESSAGE)), *LOCAL[1:]], closed, account=True)
        equal((status, len(new())), (0, 1) if whole else (111, 0), 'pipit-local -l, %s' % name(closed))
        before = len(sink.transactions)
        status, out, err = run(REMOTE, closed, account=True)
        check(len(sink.transactions) - before == whole and (1 in closed or out[-200:].lstrip('r\0')[:1] == ('K' if whole else 'Z')), 'pipit-remote, %s' % name(closed))
        status, out, err = run(['pipit-smtpd'], closed, message=b'EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@example.org>\r\nNOOP\r\nQUIT\r\n')
        check(status in (0, 111) and (closed or out.endswith('221 2.0.0 host.example\r\n')), 'pipit-smtpd, %s' % name(closed))
        status, out, err = run(['pipit-sendmail', '-bs'], closed, message=b'QUIT\r\n')
        check(status in (0, 111) and (closed or '221' in out), 'sendmail -bs, %s' % name(closed))
        status, out, err = run(['pipit-sendmail', '-bp'], closed)
        check(status in (0, 111), 'sendmail -bp, %s' % name(closed))
        for program in PROGRAMS:
            if program in ('pipit-queue', 'pipit-qread', 'pipit-remote', 'pipit-start', 'pipit-queued', 'pipit-authc', 'pipit-authd', 'pipit-rcptd', 'pipit-smtpd', 'pipit-ofmipd', 'pipit-popup', 'pipit-inject', 'pipit-sendmail'): continue
            status, out, err = run([program], closed, account=True)
            check(status in (2, 100, 111) if program == 'pipit-checkpass' else status in (100, 111), '%s, %s, and wrongly called: %s' % (program, name(closed), status))
    q.terminate()
    q.wait(20)
    for closed in itertools.chain.from_iterable(itertools.combinations((0, 1, 2), n) for n in range(1, 4)):
        r, w = os.pipe()
        p = as_account([os.path.join(BIN, 'pipit-queued'), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV,
                       preexec_fn=prepare(closed))
        os.close(w)
        check(os.read(r, 1) == b'\n', 'pipit-queued starts, %s' % name(closed))
        os.close(r)
        equal((run(['pipit-queue'], envelope=b'Fa@b\0Tc@d\0\0')[0], messages()), (0, [MESSAGE]), 'and takes mail as it is')
        p.terminate()
        equal(p.wait(20), 0, 'and ends')
        port = free_port()
        r, w = os.pipe()
        p = as_account([os.path.join(BIN, 'pipit-smtpd'), '-l', '-a', '127.0.0.1', '-p', str(port), '-d', str(w)], pass_fds=[w], stdin=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=ENV, preexec_fn=prepare(closed))
        os.close(w)
        check(os.read(r, 1) == b'\n', 'pipit-smtpd -l starts, %s' % name(closed))
        os.close(r)
        with socket.create_connection(('127.0.0.1', port), 20) as s:
            f = s.makefile('rwb')
            said = [f.readline()]
            for line in (b'HELO x', b'MAIL FROM:<a@b>', b'RCPT TO:<x@elsewhere.example>', b'QUIT'):
                f.write(line + b'\r\n')
                f.flush()
                said.append(f.readline())
            equal([l[:3] for l in said] + [f.read()], [b'220', b'250', b'250', b'553', b'221', b''], 'and no log line goes to a client')
        p.terminate()
        p.wait(20)

def no_arguments():
    """execve() with argv[0] = NULL: newer kernels make that one empty argument."""
    code = '''import ctypes, sys
libc = ctypes.CDLL(None)
libc.execve(sys.argv[1].encode(), (ctypes.c_char_p * 1)(None), (ctypes.c_char_p * 2)(('PIPIT_HOME=' + sys.argv[2]).encode(), None))'''
    for program in PROGRAMS:
        p = as_account([sys.executable, '-c', code, os.path.join(BIN, program), home], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if program in STAYING:
            time.sleep(0.5)
            check(p.poll() in (None, 100, 111), '%s without arguments' % program)
            p.terminate()
            p.communicate(timeout=20)
            continue
        try: out = p.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            p.terminate()
            out = p.communicate()[0]
        check(p.returncode in (0, 2, 54, 91, 100, 111), '%s without arguments: %s' % (program, p.returncode))
    equal(messages(), [], 'and nothing was queued')

def limit(**limits):
    def f():
        for k, v in limits.items(): resource.setrlimit(getattr(resource, 'RLIMIT_' + k.upper()), (v, v))
    return f

def ignore_all():
    for s in range(1, 32):
        if s not in (9, 19): signal.signal(s, signal.SIG_IGN)
def block_all(): signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
def gone():
    d = os.path.join(user, 'gone')
    os.mkdir(d)
    os.chdir(d)
    os.rmdir(d)

SURROUNDINGS = {'no processes': limit(nproc=0), 'files of no bytes': limit(fsize=0), 'no core': limit(core=0), 'no locked memory': limit(memlock=0),
                'a stack of 256 KiB': limit(stack=262144), 'no queued signals': limit(sigpending=0) if hasattr(resource, 'RLIMIT_SIGPENDING') else (lambda: None),
                'all signals ignored': ignore_all, 'all signals blocked': block_all, 'a umask of 0777': lambda: os.umask(0o777), 'a umask of 0': lambda: os.umask(0),
                'a directory that is gone': gone, 'a nice value': lambda: os.nice(19)}
SURROUNDINGS.update({'%d descriptors' % n: limit(nofile=n) for n in range(0, 12)})
if not SANITIZED: SURROUNDINGS.update({'%d KiB of address space' % k: limit(**{'as': k << 10}) for k in (3000, 4000, 5000, 6000, 8000)})

def surroundings():
    q = queued()
    for why, ready in SURROUNDINGS.items():
        if SANITIZED and 'descriptors' in why and int(why.split()[0]) < 6: continue # it needs some itself
        fresh()
        for argv in (['pipit-inject', 'a@example.org'], ['pipit-sendmail', '-i', '-f', 'me@x.org', 'a@example.org']):
            status, out, err = run(argv, ready=ready, account=True)
            got = messages()
            # 127: the program could not be loaded.
            fine = status == 0 and len(got) == 1 and got[0].endswith(MESSAGE) or status in (111, 127, -9, -11 if 'address' in why or 'stack' in why else 111) and not got
            if not check(fine, '%s with %s: queued, or 111' % (argv[0], why)): print('  %r %r %r' % (status, err, got))
            if why not in ('no processes', 'files of no bytes') and not any(w in why for w in ('descriptors', 'address')): equal(status, 0, 'in fact queued')
        status, out, err = run(['pipit-queue'], ready=ready, envelope=b'Fa@b\0Tc@d\0\0', account=True)
        got = messages()
        check((status, got) == (0, [MESSAGE]) or status not in (0, 11, 31, 100) and not got, 'pipit-queue with %s: queued, or a temporary code (%s)' % (why, status))
        status, out, err = run(LOCAL, ready=ready, account=True)
        got = new()
        ok = status == 0 and len(got) == 1 and got[0].endswith(MESSAGE) or status in (111, 127) and not got
        if not check(ok, 'pipit-local with %s: delivered, or 111 (%s)' % (why, status)): print('  %r %r %r' % (out, err, got))
        before = len(sink.transactions)
        status, out, err = run(REMOTE, ready=ready, account=True)
        sent = len(sink.transactions) - before
        letter = out.lstrip('r\0')[:1]
        check((letter, sent) == ('K', 1) or letter == 'Z' and not sent or status != 0, 'pipit-remote with %s: sent, or not now (%s)' % (why, letter or status))
        status, out, err = run(['pipit-smtpd'], ready=ready, message=b'QUIT\r\n', account=True)
        check(out[:4] in ('220 ', '421 ', '') and status in (0, 111, 127, -11), 'pipit-smtpd with %s: 220 or 421 (%s)' % (why, status))
    equal([p for p in os.listdir(user) if p != 'Maildir'], [], 'nothing else was written')
    big = {'X%d' % n: 'y' * 100000 for n in range(10)}
    for argv in (['pipit-inject', 'a@example.org'], ['pipit-sendmail', '-t'], ['pipit-sendmail', 'a@example.org']):
        status, out, err = run(argv, env=dict(ENV, **big), message=b'To: a@example.org\n' + MESSAGE)
        equal((status, len(messages())), (0, 1), '%s with an environment of a megabyte' % ' '.join(argv))
    for name in ('QMAILUSER', 'MAILHOST', 'QMAILNAME', 'QMAILINJECT', 'TMPDIR', 'TZ', 'QMAILDEFAULTHOST', 'LD_BIND_NOW', 'MALLOC_ARENA_MAX'):
        status, out, err = run(['pipit-inject', 'a@example.org'], env=dict(ENV, **{name: 'z' * 100000}))
        got = messages()
        check((status, len(got)) in ((0, 1), (100, 0)), '100,000 bytes in %s: queued or refused (%s)' % (name, status))
    preload = os.path.join(SCRATCH, 'none.so')
    status, out, err = run(['pipit-sendmail', 'a@example.org'], env=dict(ENV, LD_PRELOAD=preload))
    equal((status, len(messages())), (0, 1), 'LD_PRELOAD of nothing: no matter, for no program has rights that its caller has not')
    check(not [p for p in os.listdir(BIN) if os.stat(os.path.join(BIN, p)).st_mode & 0o6000], 'none is setuid or setgid')
    q.terminate()
    q.wait(20)

for test in (descriptors, no_arguments, surroundings):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        began = time.monotonic()
        test()
        print('  %s took %.1f s' % (test.__name__, time.monotonic() - began), flush=True)
sink.stop()
done()
