"""queued.py - pipit-queued: the wire, the files, the recycling rules, limits and trouble"""
import ctypes, fcntl, glob, os, shutil, signal, socket, stat, struct, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from queuefile import *

def one(*a, **kw):
    c = Client()
    try: return c.send(*a, **kw)
    finally: c.close()

def start(*wrap, pool=None, wait=True):
    """Start queued; with pool=0 nothing makes files for the pool."""
    if pool is not None: control(home, 'queuepool', pool)
    global log, daemon
    log = open(os.path.join(SCRATCH, 'log'), 'ab')
    r, w = os.pipe()
    p = as_account([*wrap, BIN + '/pipit-queued', '-d', str(w)], stderr=log, pass_fds=[w])
    os.close(w)
    if wait and os.read(r, 1) != b'\n': check(False, 'queued starts')
    os.close(r)
    if wait: daemon = p
    return p

def stop(p):
    p.terminate()
    return p.wait(20)

def logged(word):
    return any(word in l for l in open(os.path.join(SCRATCH, 'log'), errors='replace'))

def queue(*path):
    return os.path.join(home, 'queue', *path)

def mess():
    """The files that hold mail, oldest first."""
    return [path for id, path in live_files(home)]

def name_of(id):
    return queue('mess', str(int(id) % 3), str(id))

def path_of(id):
    """Where a message lies: in mess/, or in free/ as long as send has not moved it."""
    return dict(live_files(home)).get(int(id), name_of(id))

def clear():
    for d in ('mess/*/*', 'mess/*/.new*', 'free/*', 'free/.new*', 'lock/overflow', 'lock/lastid'):
        for f in glob.glob(queue(d)):
            if os.path.isdir(f) and not os.path.islink(f): os.rmdir(f)
            else: os.unlink(f)

def put_free(id, data, mode=0o660):
    path = queue('free', str(id))
    with open(path, 'wb') as f: f.write(data)
    os.chmod(path, mode)
    own(path)
    return path

def inode(path):
    return os.stat(path, follow_symlinks=False).st_ino

def can_trace():
    try: return subprocess.run(['strace', '-o', '/dev/null', 'true'], capture_output=True).returncode == 0
    except FileNotFoundError: return False

def trace(inject):
    """Make a system call of the newest child fail, be slow, or kill it."""
    child = processes(daemon.pid)[-1]
    tracer = subprocess.Popen(['strace', '-qq', '-p', str(child), '-o', '/dev/null', '-e', 'inject=' + inject],
                              stderr=subprocess.DEVNULL)
    wait_for(lambda: 'TracerPid:\t0' not in open('/proc/%d/status' % child).read())
    return tracer

def untrace(tracer):
    tracer.send_signal(signal.SIGINT)
    tracer.wait()

# --- what is written

def test_messages():
    p = start()
    c = Client()
    type, code, id = c.send(b'Subject: x\n\nhello\n', b'Fa@b\0Tc@d\0Te@f\0')
    equal((type, code), ('K', 0), 'a message is queued')
    m = Message(path_of(id))
    check(m.good and m.live and m.id == int(id), 'its header and sums hold, its id is the name')
    equal((m.body, m.env, m.rcpts, m.uid), (b'Subject: x\n\nhello\n', b'Fa@b\0Tc@d\0Te@f\0', 2, os.getuid()),
          'message and envelope stand in it as they were given')
    check(abs(m.birth / 1e6 - time.time()) < 60, 'the birth is now')
    check(m.received.startswith(b'Received: by host.example (pipit, from uid %d) id %s; ' % (os.getuid(), id.encode())),
          'the Received line tells the uid and the id')
    check(not m.tail.strip(b'\0'), 'nothing but zeros behind its end')
    equal(stat.S_IMODE(os.stat(m.path).st_mode), 0o660, 'the file has mode 0660')
    for body in (b'', b'no newline', bytes(range(256)) * 3, b'\0\r\n.\r\n' * 20000, os.urandom(65536),
                 os.urandom(3000000)):
        type, code, id = c.send(body, b'F\0')
        m = Message(path_of(id)) if type == 'K' else None
        check(m and m.good and m.live and m.body == body and m.env == b'F\0' and m.rcpts == 0,
              'any bytes are queued as they are: %d of them' % len(body))
    many = b'Fa@b\0' + b''.join(b'Tuser%d@example.org\0' % i for i in range(20000))
    type, code, id = c.send(b'x\n', many)
    m = Message(path_of(id))
    check(m.good and m.rcpts == 20000 and m.env == many, '20,000 recipients')
    extras = b'Fa\0XBODY=8BITMIME\0XNOTIFY=NEVER\0Tb\0'
    equal(Message(path_of(c.send(b'', extras)[2])).env, extras, 'X records stay in the envelope')
    ids = [int(c.send()[2]) for _ in range(100)]
    check(ids == sorted(set(ids)), 'many messages over one connection have rising ids')
    # The whole conversation in one write, answers read afterwards.
    c.s.sendall(b''.join(t + struct.pack('>I', len(d)) + d for t, d in
                         [(b'O', b'\0' * 8), (b'D', b'x\n'), (b'E', b'F\0'), (b'.', b'')] * 3))
    equal([c.reply()[0] for _ in range(6)], ['K'] * 6, 'three messages in one write')
    before = len(mess())
    c.open()
    c.frame(b'D', b'y' * 200000)
    c.frame(b'A')
    equal(c.send()[0], 'K', 'a message after an abort')
    equal(len(mess()), before + 1, 'the aborted one left nothing')
    c.open()
    c.frame(b'D', b'y' * 200000)
    c.close()
    time.sleep(0.2)
    equal(len(mess()), before + 1, 'a client that disappears leaves nothing')
    check(not [f for f in mess() if not Message(f).good], 'all files hold')
    equal(stop(p), 0, 'queued ends after TERM')

def test_trace():
    p = start()
    trace = b'from client.example (client.example [192.0.2.1])\n  by host.example with ESMTP'
    if ROOT:
        type, code, id = one(trace=trace)
        check(b'from uid 0)' in Message(path_of(id)).msg, 'a trace from another account is not believed')
        c = Client(uid=ACCOUNT.pw_uid)
    else: c = Client()
    type, code, id = c.send(trace=trace)
    check(Message(path_of(id)).msg.startswith(b'Received: ' + trace + b' id ' + id.encode() + b'; '),
          'the trace of the SMTP account is believed')
    c.close()
    for bad in (b'from a\nX: y', b'from a\0', b'from a\n', b'x' * 2001):
        c = Client(uid=ACCOUNT.pw_uid if ROOT else None)
        n = len(mess())
        try: r = c.open(trace=bad)
        except EOFError: r = ('gone',)
        check(r[0] != 'K' and len(mess()) == n, 'a malformed trace is refused: %r' % bad[:20])
        c.close()
    stop(p)

def test_envelopes():
    p = start()
    c = Client()
    for env, code in ((b'Fa\0Tb', 54), (b'', 54), (b'Ta\0', 91), (b'Fa\0Zb\0', 91), (b'Fa\0Tb\0\0', 91),
                      (b'Fa\0T' + b'x' * 1003 + b'\0', 11), (b'F' + b'x' * 1003 + b'\0', 11),
                      (b'Fa\0Tb\0XA=b\0', 91)):
        type, got, why = c.send(env=env)
        equal((got, type), (code, 'D' if code == 11 else 'Z'), 'envelope %r: code %d' % (env[:12], code))
    equal(mess(), [], 'none of them was queued')
    equal(c.send(env=b'F' + b'x' * 1002 + b'\0T' + b'y' * 1002 + b'\0')[0], 'K', 'addresses of 1002 bytes')
    c.close()
    stop(p)

def test_protocol():
    p = start()
    def broken(why, *frames):
        c = Client()
        try:
            for f in frames: c.s.sendall(f)
            c.s.shutdown(socket.SHUT_WR)
            replies = []
            while True: replies.append(c.reply()[0])
        except (EOFError, OSError): pass
        c.close()
        check(not mess(), why)
    O = b'O' + struct.pack('>IQ', 8, 0)
    broken('bytes without an opening', b'D' + struct.pack('>I', 3) + b'abc', b'.' + struct.pack('>I', 0))
    broken('an unknown frame', b'?' + struct.pack('>I', 0))
    broken('a frame of 4 GiB', O, b'D\xff\xff\xff\xff' + b'x' * 1000)
    broken('an opening that is too long', b'O' + struct.pack('>I', 70000) + b'x' * 70000)
    broken('an opening that is too short', b'O' + struct.pack('>I', 3) + b'xxx')
    broken('two openings', O, O)
    broken('a message behind its envelope', O, b'E' + struct.pack('>I', 2) + b'F\0', b'D' + struct.pack('>I', 1) + b'x',
           b'.' + struct.pack('>I', 0))
    broken('a commit with a payload', O, b'E' + struct.pack('>I', 2) + b'F\0', b'.' + struct.pack('>I', 1) + b'x')
    broken('a commit that is cut off', O, b'E' + struct.pack('>I', 2) + b'F\0', b'.\0\0\0')
    for i in range(30): broken('random bytes', os.urandom(3000))
    equal(one()[0], 'K', 'and queued goes on')
    stop(p)

# --- send is told

def test_trigger():
    p = start()
    one()
    check(not os.path.exists(queue('lock/overflow')), 'without a send nothing is noted')
    r = os.open(queue('lock/trigger'), os.O_RDONLY | os.O_NONBLOCK)
    c = Client()
    ids = [int(c.send()[2]) for _ in range(3)]
    told = struct.unpack('>6Q', os.read(r, 100))
    equal(told[::2], tuple(ids), 'the ids arrive in the trigger')
    equal([queue('free', str(n)) if n else name_of(i) for i, n in zip(ids, told[1::2])], [path_of(i) for i in ids],
          'and where they lie')
    os.close(r)
    equal(c.send()[0], 'K', 'a message when send has gone')
    r = os.open(queue('lock/trigger'), os.O_RDONLY | os.O_NONBLOCK)
    id = int(c.send()[2])
    equal(struct.unpack('>Q', os.read(r, 100)[-16:-8]), (id,), 'and when it is there again')
    w = os.open(queue('lock/trigger'), os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True: os.write(w, b'x' * 4096)
    except BlockingIOError: pass
    equal(c.send()[0], 'K', 'a message when the trigger is full')
    check(os.path.exists(queue('lock/overflow')), 'is noted in lock/overflow')
    os.close(w); os.close(r); c.close()
    stop(p)

# --- the pool

def old_file(id, msglen=2500, tail=b''):
    """A finished file full of old content."""
    body = (b'secret!' * (msglen // 7 + 1))[:msglen]
    return header(DONE, id, msglen, 6, body=body + b'Fold@\0') + body + b'Fold@\0' + tail

def test_recycling():
    def case(why, used, data=None, spoil=None, check_more=None):
        """A file with <data> lies in free/ and is known to queued when spoil(path) happens to
        it. Is it the one that the next message stands in?"""
        clear()
        path = put_free(1000, old_file(1000) if data is None else data)
        p = start(pool='0')
        time.sleep(0.1)
        if spoil: spoil(path)
        before = inode(path)
        type, code, id = one(b'new\n')
        m = Message(path_of(id)) if type == 'K' else None
        check(m and m.good and m.live and m.body == b'new\n', why + ': the message stands in the queue')
        equal(m and inode(m.path) == before, used, why + (': is used' if used else ': is not used'))
        equal(inode(path), before, why + ': stays where it is')
        if m and check_more: check_more(m)
        equal(stop(p), 0, why + ': queued lives on')
        clear()
    def stale(m):
        check(b'secret' not in m.data and len(m.data) > 2000, 'the old content behind the new end is zeroed')
    case('a finished file', True, check_more=stale)
    case('a file that was cut to less than its header says', True, old_file(1000, 9000)[:4000], check_more=stale)
    case('a file of a megabyte', True, old_file(1000, 1000000),
         check_more=lambda m: check(b'secret' not in m.data and len(m.data) < 1000, 'is cut down'))
    case('a file smaller than the message', True, header(DONE, 1000))
    case('a file whose writer was killed', False, header(BUSY, 1000))
    case('a live message', False, header(LIVE, 1000))
    case('a state word that is neither', False, header(b'DEAD', 1000))
    case('a header that does not hold', False, header(DONE, 1000)[:127] + b'x')
    case('an empty file', False, b'')
    bad = queue('bad', 'other')
    case('a file with a second name', False, spoil=lambda path: os.link(path, bad))
    os.unlink(bad)
    def symlink(path):
        os.rename(path, bad)
        os.symlink('../bad/other', path)
    case('a symbolic link', False, spoil=symlink)
    equal(open(bad, 'rb').read(), old_file(1000), 'its target is unchanged')
    os.unlink(bad)
    def replace(make):
        def spoil(path):
            os.unlink(path)
            make(path)
            own(path)
        return spoil
    case('a FIFO', False, spoil=replace(os.mkfifo))
    case('a directory', False, spoil=replace(os.mkdir))
    if ROOT:
        def foreign(path):
            os.chown(path, 0, 0)
            os.chmod(path, 0o666)
        case('a file of another owner', False, spoil=foreign)
        check(not logged('leases do not work'), 'and nobody tries to have it alone')
    else: skip('a file of another owner needs root')
    held = []
    case('a file that somebody has open', False, spoil=lambda path: held.append(open(path, 'rb')))
    held.pop().close()
    def locked(path):
        held.append(open(path, 'rb'))
        fcntl.flock(held[0], fcntl.LOCK_EX)
    case('a locked file', False, spoil=locked)
    held.pop().close()

def slow_child(call, then):
    """Send a message through a child that spends half a second in <call>; do then() meanwhile."""
    c = Client()
    c.open()
    tracer = trace(call + ':delay_enter=500000:when=1')
    c.frame(b'D', b'new\n')
    c.frame(b'E', b'F\0')
    c.frame(b'.')
    time.sleep(0.25)
    then()
    r = c.reply()
    c.close()
    untrace(tracer)
    return r

def test_races():
    if not can_trace(): return skip('system calls cannot be delayed here')
    for call, free in (('fdatasync', True), ('fsync', False)):
        clear()
        if free: put_free(1000, old_file(1000))
        p = start(pool='0')
        time.sleep(0.1)
        def is_locked():
            f, = mess()
            with open(f, 'rb') as h:
                try: fcntl.flock(h, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError: return check(True, 'a file is locked until %s is over' % call)
            check(False, 'a file is locked until %s is over' % call)
        equal(slow_child(call, is_locked)[0], 'K', 'and the message is queued')
        stop(p)
    # Somebody puts another file in the place of the one that was opened and found good.
    clear()
    path = put_free(1000, old_file(1000))
    p = start(pool='0')
    time.sleep(0.1)
    def swap():
        os.rename(path, queue('bad', 'first'))
        put_free(1000, header(LIVE, 1000) + b'precious')
    type, code, id = slow_child('newfstatat', swap)
    m = Message(path_of(id)) if type == 'K' else None
    check(m and m.good and m.body == b'new\n', 'a file that is swapped while it is taken: the message is queued')
    check(open(path, 'rb').read() == header(LIVE, 1000) + b'precious' and
          open(queue('bad', 'first'), 'rb').read() == old_file(1000), 'neither of the two files is written to')
    os.unlink(queue('bad', 'first'))
    stop(p)
    clear()

def test_junk():
    """Nothing but junk in free/, and plenty: mail goes on, and nobody spins."""
    for i in range(1, 301):
        path = queue('free', str(1000 + i))
        if i % 3 == 0: os.symlink('/etc/passwd', path)
        elif i % 3 == 1: os.mkfifo(path)
        else: put_free(1000 + i, header(LIVE, 1000 + i))
    p = start(pool='1000')
    c = Client()
    equal({c.send()[0] for _ in range(50)}, {'K'}, 'mail goes on with 300 unusable entries in free/')
    time.sleep(0.5)
    ticks = lambda: sum(sum(map(int, open('/proc/%s/stat' % q).read().rsplit(')', 1)[1].split()[11:13]))
                        for q in processes(p.pid))
    before = ticks()
    time.sleep(1)
    check(ticks() - before < 10, 'and nobody spins')
    c.close()
    stop(p)
    equal(len([f for f in os.listdir(queue('free')) if int(f) <= 1300]), 300, 'all of them are still there')
    clear()

def processes(pid):
    out = [pid]
    try: children = open('/proc/%d/task/%d/children' % (pid, pid)).read().split()
    except (FileNotFoundError, ProcessLookupError): return out # it has just ended
    for child in children: out += processes(int(child))
    return out

def test_filler():
    control(home, 'queuepool', '40')
    p = start()
    free = lambda: os.listdir(queue('free'))
    def settles_at(n):
        wait_for(lambda: len(free()) >= n, 5)
        time.sleep(0.3)
        return len(free()) == n
    check(settles_at(40), 'the pool is filled up to its bound of files: %d' % len(free()))
    control(home, 'queuepool', '100 400000')
    p.send_signal(signal.SIGHUP)
    check(settles_at(48), 'after HUP up to the new bound of bytes: %d files' % len(free()))
    files = [open(queue('free', f), 'rb').read() for f in free()]
    check(all(f[:12] == b'pipit-q\nDONE' and len(f) == 8192 and not f[128:].strip(b'\0') for f in files),
          'with finished files of zeros')
    filler = processes(p.pid)[1:]
    names = set(free())
    c = Client()
    ids = [c.send(b'new\n')[2] for _ in range(10)]
    check(all(Message(path_of(i)).good and os.path.getsize(path_of(i)) == 8192 for i in ids), 'messages use them')
    for f in filler: os.kill(f, signal.SIGKILL)
    check(wait_for(lambda: set(processes(p.pid)) - set(filler) - {p.pid}), 'a filler that is killed is replaced')
    c.close()
    stop(p)
    clear()

def test_collision():
    """Names that exist already are not replaced, in either way of writing."""
    for body in (b'new\n', b'y' * 200000):
        clear()
        p = start(pool='0')
        time.sleep(0.1)
        id = int(one()[2])
        base = id + 3600 * 1000000
        with open(queue('lock/lastid'), 'r+b') as f: f.write(struct.pack('=Q', base))
        for i in range(1, 4):
            with open(name_of(base + i), 'w') as f: f.write('precious')
        type, code, id = one(body)
        m = Message(path_of(id)) if type == 'K' else None
        check(m and m.good and m.id == base + 4 and b' id %d; ' % (base + 4) in m.msg and m.body == body,
              'an id that is taken: the next one is used')
        check(all(open(name_of(base + i)).read() == 'precious' for i in range(1, 4)), 'and nothing is replaced')
        stop(p)
    clear()

def test_ids():
    p = start(pool='0')
    future = int((time.time() + 86400) * 1e6)
    first = int(one()[2])
    stop(p)
    os.unlink(queue('lock/lastid'))
    os.rename(path_of(first), name_of(future))
    p = start()
    check(int(one()[2]) == future + 1, 'ids start above every name in mess/')
    stop(p)
    clear()
    put_free(future, header(DONE, 5))
    p = start()
    check(int(one()[2]) > future, 'and above every name in free/')
    stop(p)
    clear()
    put_free(7, header(LIVE, future))
    p = start()
    check(int(one()[2]) > future, 'and above the ids of messages that stand there under an older name')
    stop(p)
    p = start()
    check(int(one()[2]) > future, 'the last id is remembered when the clock is behind it')
    stop(p)
    clear()
    with open(queue('mess/0', '18446744073709551615'), 'w'): pass
    p = start()
    id = int(one()[2])
    check(abs(id / 1e6 - time.time()) < 60, 'a name that no id of ours can have is ignored')
    stop(p)
    os.unlink(queue('mess/0', '18446744073709551615'))
    clear()

def test_parallel():
    clear()
    p = start(pool='1000')
    results = []
    def work():
        c = Client()
        results.extend(c.send(b'x' * (i * 100)) for i in range(60))
        c.close()
    keep = True
    def recycle():
        while keep:
            for f in mess():
                with open(f, 'r+b') as h:
                    try: fcntl.flock(h, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError: continue
                    d = h.read(128)
                    if d[:12] != b'pipit-q\nLIVE': continue
                    m = Message(f)
                    seen[m.id] = m.good
                    h.seek(8); h.write(DONE)
                os.rename(f, queue('free', os.path.basename(f)))
            time.sleep(0.001)
    seen = {}
    threads = [threading.Thread(target=work) for _ in range(10)]
    keeper = threading.Thread(target=recycle)
    for t in threads + [keeper]: t.start()
    for t in threads: t.join()
    keep = False
    keeper.join()
    for f in mess():
        m = Message(f)
        if m.live: seen[m.id] = m.good
    ids = [int(r[2]) for r in results if r[0] == 'K']
    equal((len(ids), len(set(ids))), (600, 600), '10 writers: every message is acknowledged under its own id')
    check(set(ids) == set(seen) and all(seen.values()), 'and stands in the queue, whole, while files are used again')
    stop(p)
    clear()

# --- limits

def test_limits():
    control(home, 'concurrencyqueue', '6')
    control(home, 'concurrencyqueueuser', '2')
    p = start()
    def refused(c):
        try: return c.reply()[:2] == ('Z', 71)
        except socket.timeout: return False
    if ROOT:
        user = pwd.getpwnam('daemon').pw_uid
        a = [Client(user, 1) for _ in range(3)]
        check(a[0].send()[0] == a[1].send()[0] == 'K' and refused(a[2]), 'two connections of a user, not three')
        b = [Client(timeout=1) for _ in range(4)]
        check(all(c.send()[0] == 'K' for c in b), 'root is not counted as a user')
        full = Client(timeout=1)
        check(refused(full), 'six connections in all')
        full.close()
        a[0].close()
        time.sleep(0.2)
        d = Client(user, 1)
        equal(d.send()[0], 'K', 'a place that was left is free again')
        for c in a + b + [d]: c.close()
    else:
        skip('the limit of an ordinary user needs root')
        a = [Client(timeout=1) for _ in range(7)]
        check(all(c.send()[0] == 'K' for c in a[:6]) and refused(a[6]), 'six connections in all')
        for c in a: c.close()
    check(logged('connection refused'), 'refusals are logged')
    control(home, 'concurrencyqueue', 'many')
    p.send_signal(signal.SIGHUP)
    check(wait_for(lambda: logged('the old settings stay')), 'a control file that is wrong is reported after HUP')
    time.sleep(0.2)
    equal(one()[0], 'K', 'and the old settings stay')
    control(home, 'concurrencyqueue', '0')
    p.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    c = Client(timeout=2)
    check(refused(c), 'a new limit counts after HUP')
    c.close()
    stop(p)
    control(home, 'concurrencyqueue', 'many')
    p = start(wait=False)
    equal(p.wait(10), 111, 'it does not start with a wrong control file')
    control(home, 'concurrencyqueue', None)
    control(home, 'concurrencyqueueuser', None)

def test_reserve():
    control(home, 'queuereserve', '1152921504606846976')
    p = start()
    c = Client()
    equal(c.open()[:2], ('Z', 53), 'less free space than the reserve: told at once')
    c.frame(b'D', b'x' * 1000)
    c.frame(b'E', b'F\0')
    c.frame(b'.')
    equal(c.reply()[:2], ('Z', 53), 'and again at the commit')
    check(not mess() and not os.listdir(queue('free')), 'nothing is written')
    c.close()
    control(home, 'queuereserve', '0 1152921504606846976')
    p.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    c = Client()
    equal(c.open()[:2], ('Z', 53), 'fewer free inodes than the reserve')
    c.close()
    control(home, 'queuereserve', '0 0')
    p.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    c = Client()
    equal(c.open(size=1 << 62)[:2], ('Z', 53), 'a message that is announced larger than the disk')
    c.frame(b'A')
    equal(c.send()[0], 'K', 'a small one goes')
    c.close()
    stop(p)
    control(home, 'queuereserve', None)
    clear()

def test_full_disk():
    if not ROOT: return skip('a full disk needs root')
    if ctypes.CDLL(None).unshare(0x20000): return skip('no mount namespace')
    if subprocess.run(['mount', '--make-rprivate', '/'], capture_output=True).returncode: return skip('no mounts of its own')
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'none', queue('mess/0')]).returncode: return skip('no tmpfs')
    # The whole queue on the small file system.
    subprocess.run(['umount', queue('mess/0')], check=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'none', queue()], check=True)
    for d in ['', 'mess', 'free', 'bad', 'lock', 'state'] + ['mess/%d' % i for i in range(3)]:
        os.makedirs(queue(d), exist_ok=True)
        own(queue(d))
    control(home, 'queuereserve', '0 0')
    p = start(pool='0')
    c = Client()
    type, code, why = c.send(b'x' * 6000000)
    equal((type, code), ('Z', 53), 'a message that does not fit: 53')
    check(not mess(), 'nothing of it is left')
    equal(c.send()[0], 'K', 'the next one goes over the same connection')
    fill = open(queue('filler'), 'wb')
    try:
        while True: fill.write(b'x' * 4096)
    except OSError: pass
    try: fill.close()
    except OSError: pass
    n = len(mess())
    equal(c.send(b'x' * 20000)[:2], ('Z', 53), 'not a byte free: 53')
    equal(len(mess()), n, 'nothing of it is left')
    os.unlink(queue('filler'))
    equal(c.send(b'x' * 20000)[0], 'K', 'with space again: accepted')
    c.close()
    stop(p)
    clear()
    # A file of the pool that cannot grow is removed, not put back.
    put_free(1000, header(DONE, 1000))
    p = start()
    time.sleep(0.1)
    fill = os.open(queue('filler'), os.O_CREAT | os.O_WRONLY)
    try:
        while True: os.write(fill, b'x' * 4096)
    except OSError: os.close(fill)
    equal(one(b'x' * 60000)[:2], ('Z', 53), 'a file of the pool that cannot grow: 53')
    check(not mess() and not os.listdir(queue('free')), 'the file is removed')
    stop(p)
    # The reserve holds while a message of unknown size comes in.
    clear()
    os.unlink(queue('filler'))
    control(home, 'queuereserve', '1500000 0')
    p = start()
    equal(one(b'x' * 3600000)[:2], ('Z', 53), 'a message of unknown size does not eat the reserve')
    stop(p)
    subprocess.run(['umount', queue()], check=True)
    control(home, 'queuereserve', None)

# --- trouble


def test_faults():
    if not can_trace(): return skip('system calls cannot be made to fail here')
    def case(why, inject, free, result, body=b'new\n', live=0, kept=0):
        """<live> messages stand in the queue afterwards, and <kept> files in free/."""
        clear()
        if free: put_free(1000, header(DONE, 1000, 5) + b'x' * 8000)
        p = start(pool='0')
        time.sleep(0.1)
        c = Client()
        equal(c.open()[0], 'K', why + ': opened')
        tracer = trace(inject)
        for at in range(0, len(body), 60000): c.frame(b'D', body[at:at + 60000])
        c.frame(b'E', b'F\0')
        c.frame(b'.')
        try: r = c.reply()[:2]
        except (EOFError, OSError): r = ('gone', 0)
        c.close()
        equal(r, result, why + ': the reply')
        untrace(tracer)
        equal((len(mess()), len(os.listdir(queue('free'))), glob.glob(queue('mess/*/.new*'))), (live, kept, []),
              why + ': what is left in mess/ and free/')
        equal(one()[0], 'K', why + ': the next message goes')
        stop(p)
    case('fdatasync fails', 'fdatasync:error=EIO', True, ('Z', 53))
    case('the state cannot be written', 'pwrite64:error=EIO:when=1', True, ('Z', 53))
    case('the header cannot be written', 'pwrite64:error=ENOSPC:when=2', True, ('Z', 53))
    case('the body cannot be written', 'pwritev:error=EIO', True, ('Z', 53))
    case('fsync fails', 'fsync:error=EIO', False, ('Z', 53))
    case('fsync of the file fails', 'fsync:error=EIO:when=1', False, ('Z', 53))
    case('fsync of the directory fails', 'fsync:error=EIO:when=2', False, ('Z', 53))
    case('linkat fails', 'linkat:error=ENOSPC', False, ('Z', 53))
    case('a large message cannot be written', 'pwrite64:error=EIO:when=2', False, ('Z', 53), b'x' * 200000)
    case('no file can be made', 'openat:error=EMFILE', False, ('Z', 64))
    case('leases do not work', 'fcntl:error=EINVAL', True, ('K', 0), live=1, kept=1)
    check(logged('leases do not work'), 'which is logged')

def test_kills():
    """A child that is killed at any call of a commit leaves nothing that passes for mail, or all of it."""
    if not can_trace(): return skip('processes cannot be killed at a system call here')
    calls = ['openat', 'flock', 'newfstatat', 'pwritev', 'pwrite64', 'fdatasync', 'close']
    for call in calls + ['linkat', 'fsync']:
        clear()
        if call in calls: put_free(1000, header(DONE, 1000, 5) + b'x' * 8000)
        p = start(pool='0')
        time.sleep(0.05)
        c = Client()
        c.open()
        tracer = trace(call + ':signal=KILL:when=1')
        c.frame(b'D', b'new\n')
        c.frame(b'E', b'F\0')
        c.frame(b'.')
        try: r = c.reply()
        except (EOFError, OSError): r = None
        c.close()
        tracer.wait()
        live = [Message(f) for f in mess() + glob.glob(queue('free/*')) if open(f, 'rb').read(12) == b'pipit-q\nLIVE']
        check(r is None and all(m.good and m.body == b'new\n' for m in live), 'killed at %s' % call)
        equal(one()[0], 'K', 'killed at %s: queued goes on' % call)
        check(wait_for(lambda: logged('a child was killed')), 'and reports it')
        stop(p)
    clear()

def test_begun():
    """Where files without a name cannot be made, they get one that is no id."""
    if not can_trace(): return skip('O_TMPFILE cannot be made to fail here')
    with open(queue('mess/1/.new-5'), 'w'): pass
    own(queue('mess/1/.new-5'))
    p = start(pool='0')
    check(not os.path.exists(queue('mess/1/.new-5')), 'what a killed process had begun is removed at the start')
    for body in (b'new\n', b'x' * 200000):
        c = Client()
        c.open()
        tracer = trace('openat:error=EOPNOTSUPP:when=1')
        for at in range(0, len(body), 60000): c.frame(b'D', body[at:at + 60000])
        c.frame(b'E', b'F\0')
        c.frame(b'.')
        type, code, id = c.reply()
        m = Message(path_of(id)) if type == 'K' else None
        check(m and m.good and m.body == body and os.stat(m.path).st_nlink == 1 and
              not glob.glob(queue('mess/*/.new*')), 'a message without O_TMPFILE, %d bytes' % len(body))
        untrace(tracer)
        c.close()
    stop(p)
    clear()

def test_dirs():
    p = start(pool='0')
    if not ROOT:
        for i in range(3): os.chmod(queue('mess/%d' % i), 0o555)
        equal(one()[:2], ('Z', 64), 'a directory that cannot be written to: 64')
        for i in range(3): os.chmod(queue('mess/%d' % i), 0o755)
    else:
        for i in range(3): os.chown(queue('mess/%d' % i), 0, 0)
        equal(one()[:2], ('Z', 64), 'a directory that cannot be written to: 64')
        for i in range(3): own(queue('mess/%d' % i))
    os.rename(queue('free'), queue('gone'))
    equal(one()[0], 'K', 'without free/ mail goes on')
    os.rename(queue('gone'), queue('free'))
    stop(p)
    os.rename(queue('mess'), queue('gone'))
    p = start(wait=False)
    equal(p.wait(10), 111, 'without mess/ it does not start')
    os.rename(queue('gone'), queue('mess'))
    clear()

def test_life():
    p = start()
    q = start(wait=False)
    equal(q.wait(10), 111, 'a second queued refuses to start')
    idle, busy = Client(), Client()
    equal((idle.send()[0], busy.open()[0]), ('K', 'K'), 'two connections')
    p.terminate()
    time.sleep(0.3)
    try:
        idle.s.sendall(b'')
        gone = idle.s.recv(1) == b''
    except OSError: gone = True
    check(gone, 'TERM ends an idle connection')
    busy.frame(b'D', b'new\n')
    busy.frame(b'E', b'F\0')
    busy.frame(b'.')
    r = busy.reply()
    check(r[0] == 'K' and Message(path_of(r[2])).good, 'but not one inside a message')
    equal(p.wait(10), 0, 'then it ends')
    p = start()
    busy = Client()
    busy.open()
    p.kill()
    p.wait()
    p = start()
    equal(one()[0], 'K', 'a queued that was killed is replaced while its child lives')
    busy.frame(b'E', b'F\0')
    busy.frame(b'.')
    equal(busy.reply()[0], 'K', 'and the child finishes its message')
    time.sleep(0.2)
    try: check(busy.s.recv(1) == b'', 'and ends')
    except OSError: check(True, 'and ends')
    equal(stat.S_IMODE(os.stat(home + '/run/queue').st_mode), 0o666, 'every user may connect')
    stop(p)
    equal(subprocess.run([BIN + '/pipit-queued', 'x'], capture_output=True).returncode, 100, 'wrong usage')
    equal(subprocess.run([BIN + '/pipit-queued', '-d', 'x'], capture_output=True).returncode, 100, 'a wrong -d')
    equal(subprocess.run([BIN + '/pipit-queued'], capture_output=True, env=dict(os.environ, PIPIT_HOME='/nonexistent'))
          .returncode, 111, 'without a home')
    control(home, 'me', None)
    p = start(wait=False)
    equal(p.wait(10), 111, 'without control/me')
    control(home, 'me', 'host.example')
    clear()

def test_descriptors():
    """With hardly any descriptors it waits, and neither dies nor spins."""
    p = start('sh', '-c', 'ulimit -n 12; exec "$@"', 'sh', pool='0')
    clients = [Client(timeout=5) for _ in range(20)]
    ok = 0
    for c in clients:
        try: ok += c.send()[0] == 'K'
        except (EOFError, OSError): pass
        c.close()
    equal(one()[0], 'K', 'with 12 descriptors mail goes on (%d of 20 at a time)' % ok)
    stop(p)
    clear()

def test_accounts():
    """A privilege-separated instance: who owns what, and who is believed."""
    global home
    prefix = ROOT and with_accounts()
    if not prefix: return skip('a privilege-separated instance needs root')
    uid = {name: ACCOUNTS_FROM + n for n, name in enumerate(['a', 'd', 'l', 'q', 'r', 's'])}
    first, home = home, os.path.join(SCRATCH, 'separated')
    os.environ['PIPIT_HOME'] = home
    try:
        subprocess.run([*prefix, BIN + '/pipit-setup', '-n', 'host.example', home], check=True, capture_output=True)
        r, w = os.pipe()
        log = open(os.path.join(SCRATCH, 'log'), 'ab')
        p = subprocess.Popen([*prefix, BIN + '/pipit-queued', '-d', str(w)], stderr=log, pass_fds=[w])
        os.close(w)
        equal(os.read(r, 1), b'\n', 'queued starts as root')
        status = open('/proc/%d/status' % p.pid).read()
        check('Uid:' + ('\t%d' % uid['q']) * 4 in status and 'Groups:\t%d ' % uid['q'] in status, 'and is pipitq then')
        def by(who, **kw):
            c = Client(who)
            r = c.send(**kw)
            c.close()
            f = path_of(r[2])
            return f, Message(f)
        f, m = by(uid['d'], trace=b'from x by y')
        check(m.good and m.msg.startswith(b'Received: from x by y id '), 'pipitd is believed')
        st = os.stat(f)
        equal((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (uid['q'], uid['s'], 0o660), 'a file is pipitq:pipits 0660')
        for who in ('s', 'r', 'q', 'a'):
            f, m = by(uid[who], trace=b'from x by y')
            check(b'from uid %d)' % uid[who] in m.received, 'pipit%s is not' % who)
        f, m = by(uid['d'], trace=b'from x by y', body=b'x' * 100000)
        st = os.stat(f)
        equal((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (uid['q'], uid['s'], 0o660), 'a large file, too')
        stop(p)
    finally:
        home = first
        os.environ['PIPIT_HOME'] = home

home = make_home()
os.environ['PIPIT_HOME'] = home
tests = [test_messages, test_trace, test_envelopes, test_protocol, test_trigger, test_recycling, test_races, test_junk, test_filler,
         test_collision, test_ids, test_parallel, test_limits, test_reserve, test_faults, test_kills, test_begun,
         test_dirs, test_accounts, test_life, test_descriptors, test_full_disk]
only = sys.argv[1:]
for t in tests:
    if only and t.__name__ not in only: continue
    control(home, 'queuepool', None)
    clear()
    t()
done()
