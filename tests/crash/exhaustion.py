"""exhaustion.py - no space, no inodes, few descriptors, few processes, a log that nobody reads

usage: exhaustion.py [NAME...]: only these tests

Whatever runs out, mail is refused with a temporary answer or taken and kept; nothing is partial; and what
waits is delivered once there is enough again, each message once. The file systems are small ones of this
test's own (root); as an ordinary user only the limits are tried.
CRASH=long repeats the tests that depend on where it runs out.
"""
import glob, itertools, os, random, re, shutil, signal, smtplib, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from instance import *
from numbered import numbered, whole

LONG = os.environ.get('CRASH') == 'long'
SEED = int(os.environ.get('SEED', '0')) or int(time.time())
MB = 1 << 20
mounts = private_mounts()
rng = random.Random(SEED)
print('SEED=%d' % SEED)

i = Instance()
i.mailbox('joe')
i.mailbox('ann') # sends; where bounces go
i.mailbox('small')
i.dot_qmail('mbox', './small/mbox\n')
i.dot_qmail('fail', '|exit 100\n')
i.dot_qmail('fwd', '&joe@mail.example\n')
i.control('queuereserve', '0 0') # so that space does run out
i.control('queuepool', '20')
numbers = itertools.count(1)
acked = {} # number: recipients

def send(*rcpts, size=1000):
    """A new message by SMTP; the code that it got."""
    number = next(numbers)
    try: code = i.send('ann@mail.example', list(rcpts), numbered(number, size)) and 250
    except smtplib.SMTPResponseException as e: code = e.smtp_code
    except (OSError, smtplib.SMTPException) as e: code = 0
    if code == 250: acked[number] = rcpts
    return code

def sendmail(*rcpts, size=1000):
    """The same with the sendmail command; its exit code."""
    number = next(numbers)
    code, text = i.sendmail('-f', 'ann@mail.example', *rcpts, input=numbered(number, size))
    if code == 0: acked[number] = rcpts
    return code

def is_later(code): return code // 100 == 4 or code in (75, 111)

def fill(dir):
    """Leave no byte in the file system below <dir>; the file that does it."""
    path = os.path.join(dir, 'filler')
    with open(path, 'ab', 0) as f:
        for piece in (MB, 4096, 1):
            try:
                while True: f.write(b'x' * piece)
            except OSError: pass
        try: os.fsync(f.fileno())
        except OSError: pass
    return path

def use_up_inodes(dir):
    os.makedirs(os.path.join(dir, 'inodes'), exist_ok=True)
    for n in range(100000):
        try: open(os.path.join(dir, 'inodes', str(n)), 'x').close()
        except FileExistsError: pass
        except OSError: return

def mount(path, kind, size, options=''):
    """A small file system over <path>, with what is there."""
    copy = path + '.copy'
    subprocess.run(['cp', '-a', path, copy], check=True)
    if kind == 'tmpfs':
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%d' % size + options, 'pipit-test', path], check=True)
    else:
        image = os.path.join(SCRATCH, 'image.%s' % os.path.basename(path))
        with open(image, 'wb') as f: f.truncate(size)
        subprocess.run(['mkfs.ext4', '-q', '-F', '-m', '0', '-N', '128', image], check=True)
        subprocess.run(['mount', '-o', 'loop', image, path], check=True)
        os.rmdir(os.path.join(path, 'lost+found'))
    subprocess.run(['cp', '-a', copy + '/.', path], check=True)
    shutil.rmtree(copy)

def unmount(path):
    """Take the small file system away; what was in it stays, without what filled it."""
    copy = path + '.copy'
    for name in ('filler', 'inodes'): subprocess.run(['rm', '-rf', os.path.join(path, name)], check=True)
    subprocess.run(['cp', '-a', path, copy], check=True)
    subprocess.run(['umount', path], check=True)
    shutil.rmtree(path)
    os.rename(copy, path)

def with_queue_on(kind, size, options=''):
    """(Re)start with queue/ on a small file system."""
    i.stop()
    mount(i.home + '/queue', kind, size, options)
    i.start()

def big_queue():
    i.stop()
    unmount(i.home + '/queue')
    i.start()

def hurry():
    """What waits for its next attempt does not have to."""
    i.alrm()
    return i.wait_queue_empty(1)

def boxes():
    return {b: [whole(m) for m in i.mails(b)] for b in ('joe', 'small')}

def mended(why, seconds=60):
    """All that was taken is delivered, once; nothing else is, and nothing stays."""
    if not check(wait_for(hurry, seconds, 0.1), '%s: everything that waits goes out once that is over' % why):
        for name, lines in i.logs().items(): print(*lines[-20:], sep='\n  %s: ' % name)
    found = boxes()
    got = found['joe'] + found['small']
    mbox = os.path.join(i.home, 'alias', 'small', 'mbox')
    if os.path.exists(mbox):
        parts = re.split(rb'(?m)^From ann@mail.example .*\n', open(mbox, 'rb').read())
        check(not parts[0], '%s: no part of a message in the mbox' % why)
        got += [whole(p[:-1]) for p in parts[1:]]
    equal(got.count(None), 0, '%s: no message is partial' % why)
    want = [n for n, rcpts in acked.items() for r in rcpts if not r.startswith('fail')]
    equal((sorted(set(want) - set(got)), sorted(n for n in set(got) if n and got.count(n) > want.count(n) and n in acked)),
          ([], []), '%s: nothing is lost, nothing repeated (%d messages)' % (why, len(want)))
    failed = [n for n, rcpts in acked.items() for r in rcpts if r.startswith('fail')]
    check(len(failed) <= len(i.mails('ann')) <= 2 * len(failed) and all(b'fail@' in m for m in i.mails('ann')),
          '%s: %d bounces for %d failures, no other' % (why, len(i.mails('ann')), len(failed)))
    equal([l for s in i.logs().values() for l in s if re.search('crash|signal=(?!15)', l)], [], '%s: nobody crashed' % why)
    fresh()

def fresh():
    acked.clear()
    for b in ('joe', 'ann', 'small'):
        for f in glob.glob(os.path.join(i.home, 'alias', b, '*', '*')) + glob.glob(os.path.join(i.home, 'alias', b, 'mbox')):
            os.unlink(f)

def deferrals(): return sum('deferral: ' in l for l in i.log('send'))

def deferred(why, seconds=20):
    before = deferred.count
    got = wait_for(lambda: deferrals() > before, seconds)
    deferred.count = deferrals()
    check(got, '%s: deferred' % why)
deferred.count = 0

# --- space and inodes of the queue

def test_full_queue():
    """Where it runs out: inside a message, at its commit, in the middle of many."""
    for kind in ('ext4', 'tmpfs'):
        why = 'the queue on %s is full' % kind
        with_queue_on(kind, 16 * MB)
        equal(send('joe@mail.example'), 250, '%s: mail goes before' % why)
        code = send('joe@mail.example', size=20 * MB)
        check(is_later(code), '%s: a message that does not fit: %d' % (why, code))
        codes = [send('joe@mail.example', size=rng.choice((700, 70000, 700000, 3000000))) for _ in range(30 if LONG else 8)]
        filler = fill(i.home + '/queue')
        codes += [send('joe@mail.example', size=rng.choice((700, 70000))) for _ in range(30 if LONG else 8)]
        check(all(c == 250 or is_later(c) for c in codes), '%s: taken or put off: %s' % (why, sorted(set(codes))))
        i.wait_queue_empty()
        codes = []
        for program in (send, sendmail):
            filler = fill(i.home + '/queue') # what was finished meanwhile has made room
            codes.append(program('joe@mail.example', size=100000))
        check(all(map(is_later, codes)), '%s: a message that needs space: %s' % (why, codes))
        os.unlink(filler)
        equal((send('joe@mail.example', size=100000), sendmail('joe@mail.example', size=100000)), (250, 0),
              '%s: taken at once when there is space again' % why)
        mended(why)
        big_queue()

def test_reserve():
    """The usual setting: refused before anything is full."""
    i.control('queuereserve', None)
    with_queue_on('ext4', 16 * MB)
    with i.smtp() as s:
        s.ehlo()
        codes = [s.mail('ann@mail.example')[0], s.rcpt('joe@mail.example')[0], s.docmd('DATA')[0]]
    check(452 in codes and 354 not in codes, 'less space than the reserve: 452 before DATA: %s' % codes)
    check(is_later(sendmail('joe@mail.example')), 'less space than the reserve: sendmail fails for now')
    i.control('queuereserve', '0 0')
    big_queue()
    mended('less space than the reserve')

def test_no_inodes():
    for kind, options in (('ext4', ''), ('tmpfs', ',nr_inodes=200')):
        why = 'the queue on %s has no inodes' % kind
        with_queue_on(kind, 16 * MB, options)
        send('joe@mail.example')
        use_up_inodes(i.home + '/queue')
        codes = [send('joe@mail.example', size=s) for s in (700, 100000) * 12]
        codes += [sendmail('joe@mail.example', 'small@mail.example', size=100000)]
        check(all(c in (0, 250) or is_later(c) for c in codes), '%s: taken or put off: %s' % (why, sorted(set(codes))))
        check(is_later(codes[-1]), '%s: a large message is put off: %d' % (why, codes[-1]))
        shutil.rmtree(i.home + '/queue/inodes')
        equal(send('joe@mail.example', size=100000), 250, '%s: taken at once when there are some again' % why)
        mended(why)
        big_queue()

def test_full_for_bounce():
    """What becomes of a message cannot be written down, and its bounce cannot be queued."""
    for out in ('space', 'inodes') if LONG else (rng.choice(('space', 'inodes')),):
        why = 'no %s for a bounce' % out
        with_queue_on('ext4', 16 * MB)
        i.dot_qmail('fail', '|sleep 2; exit 100\n')
        equal(send('joe@mail.example', 'fail@mail.example'), 250, '%s: a message is taken' % why)
        wait_for(lambda: i.mails('joe'))
        if out == 'space': fill(i.home + '/queue')
        else: use_up_inodes(i.home + '/queue')
        for _ in range(40): # the pool, too
            if send('joe@mail.example', size=700) != 250: break
        wait_for(lambda: any('failure: ' in l for l in i.log('send')), 10)
        for _ in range(4):
            i.alrm()
            time.sleep(1)
        subprocess.run(['rm', '-rf', i.home + '/queue/filler', i.home + '/queue/inodes'], check=True)
        mended(why)
        big_queue()
        i.dot_qmail('fail', '|exit 100\n')

def test_late():
    """A disk that says only at a sync, or never, that it has no space."""
    if not os.path.exists('/dev/loop-control'): return skip('no loop devices')
    pool = os.path.join(SCRATCH, 'pool')
    os.makedirs(pool, exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=10m', 'pipit-test', pool], check=True)
    image = pool + '/image'
    with open(image, 'wb') as f: f.truncate(64 * MB)
    subprocess.run(['mkfs.ext4', '-q', '-F', '-m', '0', image], check=True)
    queue = i.home + '/queue'
    i.stop()
    os.rename(queue, queue + '.away')
    os.mkdir(queue)
    subprocess.run(['mount', '-o', 'loop', image, queue], check=True)
    subprocess.run(['cp', '-a', queue + '.away/.', queue], check=True)
    os.sync()
    i.start()
    i.dot_qmail('joe', '|exit 111\n') # so that they stay in the queue
    codes = [send('joe@mail.example', size=rng.choice((1000, 300000, MB))) for _ in range(40)]
    check(all(c == 250 or is_later(c) for c in codes) and any(map(is_later, codes)) and 250 in codes,
          'no space, told late: taken or put off: %s' % sorted(set(codes)))
    # What is in the caches is not on disk: the administrator makes room, and starts again.
    i.stop()
    subprocess.run(['mount', '-o', 'remount,size=100m', pool], check=True)
    subprocess.run(['umount', queue], check=True)
    subprocess.run(['e2fsck', '-fy', image], stdout=subprocess.DEVNULL)
    subprocess.run(['mount', '-o', 'loop', image, queue], check=True)
    i.dot_qmail('joe', './joe/\n')
    i.start()
    mended('no space, told late')
    i.stop()
    subprocess.run(['umount', queue], check=True)
    os.rmdir(queue)
    os.rename(queue + '.away', queue)
    subprocess.run(['umount', pool], check=True)
    i.start()

# --- space and inodes of a mailbox

def test_full_mailbox():
    box = os.path.join(i.home, 'alias', 'small')
    def give_small(options):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', options + ',mode=700,uid=%d,gid=%d' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid),
                        'pipit-test', box], check=True)
        i.mailbox('small')
    give_small('size=128k')
    for rcpt in ('small', 'mbox'):
        why = 'a mailbox is full (%s)' % rcpt
        send('mbox@mail.example')
        wait_for(lambda: os.path.exists(box + '/mbox') and open(box + '/mbox', 'rb').read().endswith(b'\n\n'))
        before = open(box + '/mbox', 'rb').read()
        deferred.count = deferrals() # what was tried again before does not count
        equal(send(rcpt + '@mail.example', size=200000), 250, '%s: a message is taken' % why)
        deferred(why)
        equal((os.listdir(box + '/new'), os.listdir(box + '/tmp'), open(box + '/mbox', 'rb').read()), ([], [], before),
              '%s: no part of it is there' % why)
        subprocess.run(['mount', '-o', 'remount,size=2m', box], check=True)
        mended(why)
        subprocess.run(['mount', '-o', 'remount,size=128k', box], check=True)
    subprocess.run(['umount', box], check=True)
    give_small('size=1m,nr_inodes=5') # the directories and one file
    why = 'a mailbox without inodes'
    for _ in range(2): send('small@mail.example')
    send('mbox@mail.example')
    deferred(why)
    subprocess.run(['mount', '-o', 'remount,nr_inodes=50', box], check=True)
    mended(why)
    subprocess.run(['umount', box], check=True)

def test_full_for_forward():
    """A forward that finds the queue full."""
    with_queue_on('ext4', 16 * MB)
    i.dot_qmail('fwd', '|sleep 1\n&joe@mail.example\n')
    equal(send('fwd@mail.example', size=100000), 250, 'a forward into a full queue: the message is taken')
    fill(i.home + '/queue')
    deferred('a forward into a full queue')
    equal(i.mails('joe'), [], 'a forward into a full queue: nothing arrives')
    os.unlink(i.home + '/queue/filler')
    mended('a forward into a full queue')
    big_queue()

# --- descriptors and processes

def crowd(n):
    """<n> clients at once, by SMTP and sendmail; their codes."""
    codes = []
    def one(k):
        time.sleep(rng.random() / 5)
        codes.append(send(rng.choice(('joe', 'fwd', 'small')) + '@mail.example', size=rng.choice((700, 100000))) if k % 3
                     else sendmail('joe@mail.example'))
    threads = [threading.Thread(target=one, args=(k,)) for k in range(n)]
    for t in threads: t.start()
    for t in threads: t.join()
    return codes

def count_starts():
    """How often did a service start, or fail to?"""
    return sum(bool(re.search('ready|cannot start|fatal', l)) for s in i.logs().values() for l in s)

def test_descriptors():
    """Each service, and each program that it starts, with 16 descriptors."""
    why = '16 descriptors'
    runs = {path: open(path).read() for path in glob.glob(os.path.join(i.home, 'service', '*', 'run'))}
    i.stop()
    for path, text in runs.items():
        first, rest = text.split('\n', 1)
        equal(first, '#!/bin/sh', '%s: %s is a script' % (why, os.path.relpath(path, i.home)))
        with open(path, 'w') as f: f.write('#!/bin/sh\nulimit -n 16\n' + rest)
    i.start(wait=False)
    wait_for(lambda: i.queue_open() and i.banner(), 15, 0.1)
    codes = [c for _ in range(3 if LONG else 1) for c in crowd(12)]
    check(not any(c // 100 == 5 or c == 100 for c in codes), '%s: no permanent answer: %s' % (why, sorted(set(codes))))
    time.sleep(2)
    starts = count_starts()
    time.sleep(3)
    starts = count_starts() - starts
    check(len(acked) > 0, '%s: mail is taken: %s' % (why, sorted(codes)))
    check(starts <= 2, '%s: nothing is started again and again: %d times in 3 seconds' % (why, starts))
    check(wait_for(lambda: i.mails('joe') or any('deferral: ' in l for l in i.log('send')), 5),
          '%s: mail is delivered, or put off' % why)
    i.stop()
    for path, text in runs.items():
        with open(path, 'w') as f: f.write(text)
    i.start()
    mended(why)

def group(limit):
    """A cgroup for at most <limit> processes, of either version. Its directory, or None."""
    for top in ('/sys/fs/cgroup/pids', '/sys/fs/cgroup'):
        path = os.path.join(top, 'pipit-test-%d' % os.getpid())
        try:
            os.mkdir(path)
            if not os.path.exists(path + '/pids.max'): os.rmdir(path)
            else:
                with open(path + '/pids.max', 'w') as f: f.write(str(limit))
                return path
        except OSError: pass

def set_limit(path, limit):
    with open(path + '/pids.max', 'w') as f: f.write(str(limit))

PROCESSES = 45

def settled(path):
    """How many processes are in the group, once all have started."""
    def count(): return int(open(path + '/pids.current').read())
    last, since = count(), time.monotonic()
    while time.monotonic() < since + 1:
        time.sleep(0.1)
        if count() != last: last, since = count(), time.monotonic()
    return last

def test_processes():
    """No processes for more than an instance has, with its supervision; it is complete before: where
    s6-supervise itself cannot fork, it waits for a minute."""
    why = 'no more processes'
    path = group('max') if ROOT else None
    if not path: return skip('a limit of processes for one instance needs root and a cgroup')
    try:
        enter = ['sh', '-c', 'exec "$@"', 'sh']
        i.stop()
        # Whoever starts it enters the group before it becomes the account.
        def join(): open(path + '/cgroup.procs', 'w').write(str(os.getpid()))
        real = i.popen
        def popen(*args, **kw):
            kw.update(preexec_fn=join)
            kw.setdefault('env', i.env)
            command = ['setpriv', '--reuid=%d' % ACCOUNT.pw_uid, '--regid=%d' % ACCOUNT.pw_gid, '--clear-groups', *args]
            return subprocess.Popen(command, **kw)
        i.popen = popen
        try: i.start()
        finally: i.popen = real
        now = settled(path)
        check(now <= PROCESSES, 'an instance has %d processes when nothing happens, at most %d' % (now, PROCESSES))
        for limit in (now + 3, now + 1, now) if LONG else (now + 3, now):
            set_limit(path, limit)
            codes = crowd(12)
            check(all(c in (0, 250) or is_later(c) for c in codes), '%s: taken, or put off with a word: %s' % (why, sorted(codes)))
            check(any(map(is_later, codes)), '%s: some are put off' % why) if limit == now else None
        time.sleep(1)
        set_limit(path, 'max')
        equal(send('joe@mail.example'), 250, '%s: taken at once without the limit' % why)
        mended(why)
    finally:
        i.stop()
        wait_for(lambda: not open(path + '/cgroup.procs').read(), 10)
        os.rmdir(path)
    i.start()

# --- logs

def test_log():
    """Logs cannot be written, or their reader is gone, or asleep."""
    def loggers(): return [p for p in i.others() if i.others().get(p, '').startswith(('s6-log', 'multilog'))]
    if mounts:
        logs = i.home + '/log'
        i.stop()
        mount(logs, 'tmpfs', 4 * MB)
        os.mkdir(logs + '/.full')
        fill(logs + '/.full')
        i.start()
        codes = [send('joe@mail.example') for _ in range(5)]
        check(all(c == 250 or is_later(c) for c in codes), 'the disk of the logs is full: %s' % codes)
        os.unlink(logs + '/.full/filler')
        mended('the disk of the logs is full')
        i.stop()
        unmount(logs)
        i.start()
    for p in loggers(): kill(p, signal.SIGSTOP)
    codes = [send('joe@mail.example') for _ in range(5)]
    check(all(c == 250 or is_later(c) for c in codes), 'the loggers sleep: %s' % codes)
    for p in loggers(): kill(p, signal.SIGCONT)
    for _ in range(3):
        for p in loggers(): kill(p)
        codes = [send('joe@mail.example') for _ in range(3)]
        check(all(c == 250 or is_later(c) for c in codes), 'the loggers are killed: %s' % codes)
    mended('nobody reads the logs')

tests = [(n[5:], t) for n, t in list(globals().items()) if n.startswith('test_')]
i.start()
for name, test in tests:
    if sys.argv[1:] and name not in sys.argv[1:]: continue
    if not mounts and name in ('full_queue', 'reserve', 'no_inodes', 'full_for_bounce', 'late', 'full_mailbox', 'full_for_forward'):
        skip('%s: needs root and mounts of its own' % name)
        continue
    began = time.monotonic()
    test()
    print('  %s: %.1f s' % (name, time.monotonic() - began), flush=True)
equal(i.stop(), [], 'stopping leaves no process')
done()
