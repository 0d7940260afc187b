"""local-mbox.py - pipit-local and mboxes that others use: locks, a mail reader, what a crash has left"""
import fcntl, mailbox, os, re, signal, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from localhome import *

def message(n): return b'Subject: number %d\n\nFrom the start\n%s' % (n, b'line\n' * (n % 7))

def begin(n=0, **kw):
    """Start a delivery that has its message."""
    m = message(n)
    p = start(length=len(m), **kw)
    p.stdin.write(m)
    p.stdin.close()
    return p

def end(p):
    out = p.stdout.read().decode()
    p.stdout.close()
    return p.wait(), out

def numbers(text):
    """The messages in an mbox, which must be whole: their numbers, or the text of one that is not."""
    found = []
    for m in re.split(rb'(?m)^From me@there\.example .*\n', text)[1:]:
        n = re.search(rb'^Subject: number (\d+)$', m, re.M)
        whole = n and m.endswith(message(int(n[1])).replace(b'\nFrom', b'\n>From') + b'\n')
        found.append(int(n[1]) if whole else m)
    return found

def prepare(dot=None):
    fresh()
    put('.qmail', './box\n')
    put('box', '')
    control(HOME, 'mboxdotlock', dot)

def waits(p):
    time.sleep(0.2)
    return p.poll() is None and read('box') == b''

def lockfiles(): return sorted(f for f in os.listdir(USER) if f.startswith('box.'))

def dotlock():
    prepare()
    put('box.lock', '1\n')
    equal(local(message(1))[0], 0, 'without control/mboxdotlock a lock file does not matter')
    prepare('1')
    equal((local(message(1))[0], lockfiles()), (0, []), 'with it there is one only for the delivery')
    prepare('1')
    put('box.lock', '1\n')
    p = begin(2)
    check(waits(p), "and somebody else's is waited for")
    os.unlink(USER + '/box.lock')
    equal((end(p)[0], numbers(read('box')), lockfiles()), (0, [2], []), 'until it is gone')
    for age, stale in ((200, False), (400, True)):
        prepare('1')
        put('box.lock', '1\n')
        os.utime(USER + '/box.lock', (time.time() - age,) * 2)
        p = begin(3)
        if stale: equal((end(p)[0], lockfiles()), (0, []), 'one of %d seconds ago is removed' % age)
        else:
            check(waits(p), 'one of %d seconds ago is not' % age)
            p.terminate()
            equal((end(p)[0], lockfiles(), read('box')), (-signal.SIGTERM, ['box.lock'], b''), 'who is asked to end while he waits leaves nothing')
    prepare('1')
    os.chmod(USER, 0o555)
    code, out = local(message(4))
    os.chmod(USER, 0o755)
    equal((code, 'Unable to lock ./box with a file beside it' in out, read('box')), (111, True, b''), 'a folder where no file can be made defers')
    for bad in ('2', 'yes'):
        control(HOME, 'mboxdotlock', bad)
        code, out = local(message(4))
        equal((code, 'control/mboxdotlock' in out, read('box')), (111, True, b''), 'a bad control file defers: ' + bad)
    # Somebody who knows nothing but lock files.
    prepare('1')
    p = as_account([sys.executable, '-c', """import os, time
for i in range(40):
    while True:
        try: os.close(os.open('box.lock', os.O_CREAT | os.O_EXCL))
        except FileExistsError: time.sleep(0.002)
        else: break
    with open('box', 'r+b') as f:
        at = f.seek(0, 2)
        f.write(b'From me@there.example x\\nSubject: number 0\\n\\n')
        f.flush()
        f.write(b'>From the start\\n\\n')
        f.flush()
        assert os.path.getsize('box') == f.tell()
    os.unlink('box.lock')
    time.sleep(0.001)
"""], cwd=USER)
    ps = [begin(n) for n in range(1, 31)]
    equal({end(q)[0] for q in ps} | {p.wait(60)}, {0}, 'deliveries beside somebody who knows only lock files')
    equal(sorted(map(str, numbers(read('box')))), sorted(['0'] * 40 + [str(n) for n in range(1, 31)]), 'each message is whole and there once')

def no_deadlock():
    """Who has one lock and waits for the other is let through."""
    for have, want in ((fcntl.lockf, fcntl.flock), (fcntl.flock, fcntl.lockf)):
        prepare()
        with open(USER + '/box', 'r+b') as f:
            have(f, fcntl.LOCK_EX)
            p = begin()
            time.sleep(0.1)
            def got():
                try: want(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError: return False
                return True
            check(wait_for(got, 5, 0.003), 'a reader that locks with %s and then %s does not wait for a delivery that waits for him' % (have.__name__, want.__name__))
        equal((end(p)[0], numbers(read('box'))), (0, [0]), 'which goes on afterwards')

def torn():
    prepare()
    for tail, gap in ((b'torn', b'\n\n'), (b'torn\n', b'\n')):
        old = b'From x\n\n' + tail
        put('box', old)
        code, out = local(message(5))
        check(code == 0 and re.fullmatch(r'did 1\+0\+0\nThe last message in \./box has no blank line .* at %d\?\n' % len(old), out), 'what a crash has cut off is told: %r' % tail)
        check(read('box').startswith(old + gap + b'From me@'), 'and kept')
    equal(local(message(6))[1], 'did 1+0+0\n', 'once')

def snail(*options, commands):
    """What s-nail says about the mbox; it knows nothing of lock files."""
    p = as_account(['s-nail', '-:/', '-Shold', '-Skeep', '-Semptystart', '-Squiet', '-Scrt=0', *options, '-f', 'box'], cwd=USER, stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(ENV, HOME=USER, LC_ALL='C'))
    return p.communicate(commands, 60)[0]

def seen(out):
    """The messages that it shows, which must be whole: their numbers."""
    parts = re.split(rb'(?m)^\[-- Message +\d+ -- .*\n', out)[1:]
    found = [re.search(rb'^Subject: number (\d+)$', p, re.M) for p in parts]
    return [int(n[1]) if n and message(int(n[1])).split(b'\n\n', 1)[1].replace(b'From', b'>From').strip() in p else p for n, p in zip(found, parts)]

def reader():
    """s-nail reads the mbox while messages come. It does not write meanwhile: before it waits for its lock it has looked whether there is new
    mail, and then overwrites what came while it waited."""
    count = 50
    for dot in (None, '1'):
        prepare(dot)
        todo, running, wrong, before, runs = list(range(count)), [], [], 0, 0
        while todo or running:
            while todo and len(running) < 4: running.append(begin(todo.pop()))
            got = seen(snail('-R', commands=b'Print *\nexit\n'))
            if not all(isinstance(n, int) for n in got) or len(set(got)) < max(len(got), before): wrong.append(got[:3])
            before, runs = len(got), runs + 1
            for q in [q for q in running if q.poll() is not None]:
                running.remove(q)
                result = end(q)
                if result != (0, 'did 1+0+0\n'): wrong.append(result)
        equal(wrong, [], 'in %d looks s-nail sees whole messages, each once, and none goes away%s' % (runs, ', with lock files' if dot else ''))
        equal(sorted(seen(snail('-R', commands=b'Print *\nexit\n'))), list(range(count)), 'at the end all of them')
        snail(commands=b'delete 1-%d\nquit\n' % (count - 1))
        equal((len(numbers(read('box'))), local(message(1))[1], len(numbers(read('box')))), (1, 'did 1+0+0\n', 2), 'it deletes, and mail goes on')
        equal(lockfiles(), [], 'no lock is left')

for test in (dotlock, no_deadlock, torn, reader):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        began = time.monotonic()
        test()
        print('  %s took %.1f s' % (test.__name__, time.monotonic() - began))
done()
