"""command.py - control of pipit-send while it runs: pipit-hold, -release, -flush, -queue-rm, and their socket"""
import fcntl, os, re, signal, socket, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from sender import *
from queuefile import Message, live_files

def said(home, name, *args):
    """What a command printed; its exit status when that is not 0."""
    status, out, err = tool(home, name, *args)
    return out if (status, err) == (0, '') else (status, out, err)

class Answers:
    """Stubs' deliveries, by what the recipient's name begins with: K..., or Z."""
    def __init__(self): self.seen = []
    def __call__(self, j):
        j.read()
        for i, r in enumerate(j.rcpts):
            self.seen.append(r)
            j.result('Z' if r.startswith('later') else 'K', 'said\n', i)
        j.end()
    def count(self, rcpt): return self.seen.count(rcpt)

def start(home):
    a = Answers()
    s = Send(home, local=a, remote=a)
    s.answers = a
    return s

def kill_all(s):
    """As when everything is killed at once."""
    pids = [s.pid, *s.children()]
    for p in pids: os.kill(p, signal.SIGKILL)
    s.stop()
    wait_for(lambda: not any(alive(p) for p in pids))

def lines_of(home, id):
    """The recipients of a message as pipit-qread shows them."""
    text = tool(home, 'qread')[1]
    m = re.search(r'#%d .*\n((\s.*\n)*)' % id, text)
    return m and m[1].splitlines()

def test_usage():
    home = fresh_home()
    for name, args in (('flush', []), ('flush', ['all', 'all']), ('flush', ['-x']), ('hold', ['far.example']), ('hold', ['-l', 'all']),
                       ('hold', ['-d', 'a.example', '-s', 'b']), ('release', []), ('release', ['-d', 'a', 'b']), ('queue-rm', []),
                       ('queue-rm', ['-b']), ('queue-rm', ['far.example'])):
        status, out, err = tool(home, name, *args)
        equal((status, out, err.count('\n')), (100, '', 1), 'pipit-%s %s: wrong usage' % (name, ' '.join(args)))
    for args, why in ((['-d', 'a@b.example'], 'a domain'), (['-d', ''], 'a domain'), (['-d', 'x' * 256], 'a domain'), (['-i', '12x'], 'id'),
                      (['-i', '-5'], 'id'), (['-i', '9' * 30], 'id'), (['0'], 'id'), (['-s', 'a\nb'], 'control characters'),
                      (['-s', 'x' * 1003], 'too long'), (['-s', '@'], 'no domain')):
        status, out, err = tool(home, 'queue-rm', *args)
        check(status == 100 and why in err and err.count('\n') == 1, 'pipit-queue-rm %s: %r' % (' '.join(args)[:30], err[-60:]))
    for name, args in (('flush', ['all']), ('hold', ['all']), ('release', ['all']), ('queue-rm', ['all']), ('hold', ['-l'])):
        status, out, err = tool(home, name, *args)
        check((status, out) == (111, '') and 'is it running?' in err, 'pipit-%s %s without pipit-send: 111' % (name, args[0]))
    status, out, err = tool(home + '/none', 'flush', 'all')
    equal(status, 111, 'no instance: 111')

def test_hold_domain():
    home = fresh_home()
    s = start(home)
    equal(said(home, 'hold', '-l'), '', 'nothing is held at first')
    equal(said(home, 'hold', '-d', 'far.example'), 'domain far.example is held\n', 'a domain is held')
    equal(said(home, 'hold', '-d', 'FAR.Example'), 'domain FAR.Example was held already\n', 'again: it says so')
    m = Mail(home, 's@a.example', ['x@Far.example', 'y@near.example', 'joe@host.example']).announce()
    n = Mail(home, 's@a.example', ['later@near.example']).announce()
    check(wait_for(lambda: len(s.answers.seen) >= 3), 'the other recipients and messages are tried')
    check(wait_for(m.in_mess), 'the message stays in the queue')
    wait_for(lambda: '  done' in str(lines_of(home, m.id)))
    equal(lines_of(home, m.id), ['  held\tremote\tx@Far.example', '  done\tremote\ty@near.example', '  done\tlocal\tjoe@host.example'],
          'pipit-qread shows what is held')
    s.give(signal.SIGALRM)
    check(wait_for(lambda: s.answers.count('later@near.example') == 2), 'ALRM tries the rest')
    equal(said(home, 'flush', 'far.example'), '0 messages made due\n', 'pipit-flush of what is held finds nothing')
    equal(said(home, 'flush', 'near.example'), '1 message made due\n', 'pipit-flush of another domain does')
    check(wait_for(lambda: s.answers.count('later@near.example') == 3), 'which is tried')
    equal(s.stop(), 0, 'TERM')
    s = start(home)
    equal(said(home, 'hold', '-l'), 'domain far.example\n', 'it is held after a restart')
    k = Mail(home, 's@a.example', ['z@far.example', 'w@near.example']).announce()
    check(wait_for(lambda: 'w@near.example' in s.answers.seen), 'other mail moves')
    s.give(signal.SIGALRM)
    check(wait_for(lambda: s.answers.count('later@near.example') == 1), 'also mail that was found on disk')
    equal([r for r in s.answers.seen if r.lower().endswith('@far.example')], [], 'what is held was never tried')
    equal(said(home, 'release', '-d', 'far.example'), '2 messages made due\n', 'pipit-release')
    check(wait_for(lambda: {'x@Far.example', 'z@far.example'} <= set(s.answers.seen), 2), 'all of it is tried at once')
    check(wait_for(lambda: m.finished() and k.finished()), 'and ends')
    equal(len(re.findall('^new msg %d$' % k.id, s.log(), re.M)), 1, 'a message that was held is new only once')
    status, out, err = tool(home, 'release', '-d', 'far.example')
    equal((status, out, 'was not held' in err), (0, '0 messages made due\n', True), 'released again: it says that it was not held')
    equal(said(home, 'hold', '-l'), '', 'nothing is held')
    check(re.search(r'^status: local 0/10 remote 0/20$', s.log(), re.M) and not re.search('^(warning|alert)', s.log(), re.M), 'the log is as ever')
    s.stop()

def test_selectors():
    """By sender, a sender's domain, the null sender, an expanded sender, id, everything; rewritten domains."""
    home = fresh_home(virtualdomains='virtual.example:joe', percenthack='hack.example')
    s = start(home)
    cases = [(['-s', 'Ann@b.example'], 'ann@B.example', 'sender Ann@b.example', 'x@q.example', None),
             (['-s', '@c.example'], 'any@C.example', 'sender @c.example', 'x@q.example', None),
             (['-s', ''], '', 'sender <>', 'x@q.example', None),
             (['-s', 'list-@d.example'], 'list-@d.example-@[]', 'sender list-@d.example', 'x@q.example', None),
             (['-d', 'virtual.example'], 's@a.example', 'domain virtual.example', 'x@virtual.example', 'joe-x@virtual.example'),
             (['-d', 'inner.example'], 's@a.example', 'domain inner.example', 'x%inner.example@hack.example', 'x@inner.example'),
             (['-d', 'host.example'], 's@a.example', 'domain host.example', 'x', 'x@host.example')]
    for i, (args, sender, words, rcpt, to) in enumerate(cases):
        s.answers.seen.clear()
        equal(said(home, 'hold', *args), words + ' is held\n', 'hold ' + words)
        equal(said(home, 'hold', '-l'), words + '\n', 'which is listed')
        m = Mail(home, sender, [rcpt]).announce()
        n = Mail(home, 'other@e.example', ['free%d@f.example' % i]).announce()
        check(wait_for(n.finished) and wait_for(m.in_mess), words + ': others go')
        equal(said(home, 'release', *args), '1 message made due\n', words + ': released')
        check(wait_for(m.finished) and s.answers.seen == ['free%d@f.example' % i, to or rcpt], words + ': only then it goes')
    s.answers.seen.clear()
    m = Mail(home, 's@a.example', ['later@g.example']).announce()
    check(wait_for(lambda: s.answers.count('later@g.example') == 1), 'a message waits')
    check(wait_for(lambda: os.path.exists(m.name('state'))), 'and that is written down')
    equal(said(home, 'hold', '-i', str(m.id)), 'message %d is held\n' % m.id, 'it is held by its id')
    s.give(signal.SIGALRM)
    equal(said(home, 'flush', str(m.id)), '0 messages made due\n', 'and cannot be flushed')
    equal(said(home, 'hold', 'all'), 'all mail is held\n', 'all mail is held')
    n = Mail(home, 's@a.example', ['x@h.example', 'y@host.example']).announce()
    check(wait_for(lambda: lines_of(home, n.id) == ['  held\tremote\tx@h.example', '  held\tlocal\ty@host.example']), 'new mail too')
    check(wait_for(lambda: s.has('new msg %d' % n.id)), 'which is told when it comes in')
    equal(said(home, 'hold', '-l'), 'message %d\nall mail\n' % m.id, 'both are listed')
    check('made due' in str(said(home, 'release', 'all')), 'all mail is released')
    check(wait_for(n.finished), 'it goes')
    equal(s.answers.count('later@g.example'), 1, 'what is held otherwise stays held')
    equal(said(home, 'release', '-i', str(m.id)), '1 message made due\n', 'that one is released')
    check(wait_for(lambda: s.answers.count('later@g.example') == 2), 'and tried at once, whatever its time')
    s.stop()

def test_hold_waiting():
    """What waits at its destination is held, what is in flight is not interrupted; nothing ages."""
    home = fresh_home(concurrencyremote='1', queuelifetime='1')
    s = Send(home)
    ms = [Mail(home, 's@a.example', ['r%d@far.example' % i], birth=int((time.time() - 86400 * 30) * 1e6)).announce() for i in range(5)]
    j = s.remote.job()
    near = Mail(home, 's@a.example', ['x@near.example', 'y@far.example']).announce()
    check(wait_for(lambda: s.has('new msg %d' % near.id)), 'six messages are loaded')
    equal(said(home, 'hold', '-d', 'far.example'), 'domain far.example is held\n', 'their domain is held')
    j.all('K', 'ok\n')
    check(wait_for(next(m for m in ms if m.id == j.id).finished), 'the one in flight comes to its end')
    j = s.remote.job()
    equal(j.rcpts, ['x@near.example'], 'the next one is of another domain')
    j.all('K', 'ok\n')
    check(s.remote.job(0.3) is None, 'and no other is tried')
    equal(said(home, 'release', '-d', 'far.example'), '5 messages made due\n', 'released')
    j = s.remote.job()
    j.all('Z', 'no\n')
    check(s.wait_log('deferral: no'), 'what was held is not given up for its age')
    s.stop(signal.SIGKILL)

def test_flush():
    home = fresh_home()
    s = start(home)
    ms = [Mail(home, 'u@u%d.example' % (i % 2), ['later%d@d%d.example' % (i, i % 3), 'x@e.example']).announce() for i in range(6)]
    check(wait_for(lambda: len(s.answers.seen) == 12) and wait_for(lambda: all(os.path.exists(m.name('state')) for m in ms)), 'six messages wait')
    def tried(args):
        s.answers.seen.clear()
        n = int(re.match(r'(\d+) messages? made due$', said(home, 'flush', *args)).group(1))
        wait_for(lambda: len(s.answers.seen) >= n)
        return n, sorted(s.answers.seen)
    wait_for(lambda: len(re.findall(' deferral: ', s.log())) == 6)
    equal(tried(['D1.example']), (2, ['later1@d1.example', 'later4@d1.example']), 'pipit-flush DOMAIN')
    equal(tried(['-s', '@u0.example']), (3, ['later%d@d%d.example' % (i, i % 3) for i in (0, 2, 4)]), 'pipit-flush -s')
    equal(tried([str(ms[5].id)]), (1, ['later5@d2.example']), 'pipit-flush ID')
    equal(tried(['all']), (6, ['later%d@d%d.example' % (i, i % 3) for i in range(6)]), 'pipit-flush all')
    with open(ms[0].name('mess')) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        s.answers.seen.clear()
        equal(said(home, 'flush', str(ms[0].id)), '1 message made due\n', 'a message whose file somebody holds')
        time.sleep(0.3)
        equal(s.answers.seen, [], 'is not tried meanwhile')
    check(wait_for(lambda: s.answers.seen == ['later0@d0.example']), 'but as soon as he lets go')
    for args in (['nowhere.example'], ['e.example'], ['1'], ['-s', 'nobody@u0.example']):
        equal(said(home, 'flush', *args), '0 messages made due\n', 'nothing to flush: ' + args[-1])
    s.stop()
    s = start(home)
    equal(tried(['d2.example']), (2, ['later2@d2.example', 'later5@d2.example']), 'after a restart, from disk')
    s.stop()

def bounces(home, ms):
    """The bounces in the queue, that is what is there beside <ms>."""
    return [Message(p) for id, p in live_files(home) if id not in {m.id for m in ms}]

def test_remove():
    """Waiting at a destination, waiting for its time, in flight; some of the recipients; by id, sender, domain."""
    home = fresh_home(concurrencyremote='1')
    s = Send(home)
    first = Mail(home, 's@a.example', ['later@far.example', 'x@near.example']).announce()
    j = s.remote.job()
    waits = [Mail(home, 's%d@a.example' % i, ['r%d@far.example' % i, 'q%d@near.example' % i, 'w@host.example']).announce() for i in range(3)]
    for i in range(3): s.local.job().all('Z', 'no\n')
    p = as_account([BIN + '/pipit-queue-rm', '-d', 'far.example'], env=dict(os.environ, PIPIT_HOME=home), stdout=subprocess.PIPE, text=True)
    check(wait_for(lambda: len(re.findall('^remove msg', s.log(), re.M)) == 3), 'those that wait are removed at once')
    check(p.poll() is None, 'for the one in flight the command waits')
    j.all('Z', 'not now\n')
    equal((p.communicate(timeout=20)[0], p.returncode), ('4 messages: 4 recipients removed\n', 0), 'then that is removed too')
    check(s.has('remove msg %d rcpt=later@far.example bounce=no' % first.id), 'which the log tells')
    seen = []
    while len(seen) < 4:
        j = s.remote.job()
        if not j: break
        seen += j.rcpts
        j.all('K', 'ok\n')
    equal(sorted(seen), ['q0@near.example', 'q1@near.example', 'q2@near.example', 'x@near.example'], 'the other recipients get it')
    check(wait_for(first.finished), 'the message ends')
    rest = ['  done\tremote\tr0@far.example', '  done\tremote\tq0@near.example', '\tlocal\tw@host.example']
    check(wait_for(lambda: lines_of(home, waits[0].id) == rest), 'the rest waits on')
    check(s.local.job(0.2) is None, 'till its time')
    equal(said(home, 'queue-rm', str(waits[0].id)), '1 message: 1 recipient removed\n', 'by id')
    equal(said(home, 'queue-rm', '-s', 'S1@a.example'), '1 message: 1 recipient removed\n', 'by sender')
    equal(said(home, 'queue-rm', '-d', 'elsewhere.example'), '0 messages: 0 recipients removed\n', 'nothing to remove')
    equal(said(home, 'queue-rm', str(waits[0].id)), '0 messages: 0 recipients removed\n', 'what is gone')
    check(wait_for(lambda: waits[0].finished() and waits[1].finished()), 'they end')
    check(s.has('end msg %d' % waits[0].id), 'which the log tells')
    success = Mail(home, 's@a.example', ['x@far.example']).announce()
    j = s.remote.job()
    p = as_account([BIN + '/pipit-queue-rm', 'all'], env=dict(os.environ, PIPIT_HOME=home), stdout=subprocess.PIPE, text=True)
    check(wait_for(lambda: s.has('remove msg %d rcpt=w@host.example bounce=no' % waits[2].id)), 'all are removed')
    j.all('K', 'ok\n')
    equal(p.communicate(timeout=20)[0], '1 message: 1 recipient removed\n', 'but for the delivery in flight, which succeeds')
    check(wait_for(success.finished) and live_files(home) == [], 'nothing is left')
    equal(bounces(home, []), [], 'nobody was told')
    s.stop()

def test_remove_bounce():
    home = fresh_home()
    queued = as_account([BIN + '/pipit-queued'], env=dict(os.environ, PIPIT_HOME=home), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    check(wait_for(lambda: os.path.exists(home + '/run/queue')), 'queued is there')
    try:
        s = start(home)
        said(home, 'hold', '-d', 'far.example') # also what is held can be removed
        m = Mail(home, 's@a.example', ['x@far.example', 'y@far.example', 'z@near.example']).announce()
        null = Mail(home, '', ['n@far.example']).announce()
        check(wait_for(lambda: lines_of(home, m.id) and '  done' in lines_of(home, m.id)[2] and null.in_mess()), 'mail waits')
        control(home, 'locals', 'nowhere.example') # bounces are remote mail
        equal(said(home, 'queue-rm', '-b', '-d', 'far.example'), '2 messages: 3 recipients removed\n', 'removed, with a bounce')
        check(wait_for(lambda: s.wait_log('^bounce msg %d qp' % m.id) and s.wait_log('^bounce msg %d qp .*to=postmaster@' % null.id)),
              'the sender is told, and the postmaster for the null sender')
        check(wait_for(lambda: len(re.findall('^delivery .*success', s.log(), re.M)) >= 3), 'the bounces go out')
        text = b''.join(open(p, 'rb').read() for p in glob.glob(home + '/queue/free/*'))
        for piece in (b'The administrator of this mail server removed the message from its queue. (#5.0.0)', b'Status: 5.0.0', b'<x@far.example>',
                      b'<y@far.example>'):
            check(piece in text, 'the bounce says: ' + piece.decode())
        check(b'<z@near.example>:' not in text, 'and nothing of who got it')
        s.stop()
    finally:
        queued.terminate()
        queued.wait()

def test_many():
    """A thousand messages that a restart finds on disk; the loop goes on meanwhile."""
    home = fresh_home()
    ms = [Mail(home, 's%d@a.example' % (i % 10), ['later%d@far.example' % i]) for i in range(1000)]
    s = start(home)
    equal(said(home, 'hold', '-d', 'far.example'), 'domain far.example is held\n', 'a thousand messages on disk are held')
    check(wait_for(lambda: len(set(re.findall(r'^new msg (\d+)$', s.log(), re.M))) >= 900, 20), 'they are found')
    s.stop(signal.SIGKILL)
    s = start(home)
    p = as_account([BIN + '/pipit-queue-rm', '-s', 's3@a.example'], env=dict(os.environ, PIPIT_HOME=home), stdout=subprocess.PIPE, text=True)
    fresh = Mail(home, 's@a.example', ['quick@near.example']).announce()
    check(wait_for(fresh.finished, 5), 'new mail is not held up')
    equal(p.communicate(timeout=60)[0], '100 messages: 100 recipients removed\n', 'a hundred of them are removed by sender, at once after a restart')
    equal(said(home, 'queue-rm', '-d', 'far.example'), '900 messages: 900 recipients removed\n', 'the others by domain')
    kill_all(s)
    s = start(home)
    said(home, 'release', '-d', 'far.example')
    check(wait_for(lambda: not live_files(home), 20), 'and gone after everything was killed')
    equal([r for r in s.answers.seen if 'far' in r], [], 'none was ever tried')
    s.stop()

def test_kills():
    """A command that was answered has its effect, whoever is killed then."""
    home = fresh_home()
    for victim in ('send', 'keeper', 'both'):
        def hit(s):
            if victim == 'both': return kill_all(s)
            if victim == 'keeper':
                os.kill(s.children()[0], signal.SIGKILL)
                check(s.wait_log('the keeper died'), 'the keeper dies')
            else: os.kill(s.pid, signal.SIGKILL)
            s.stop()
        s = start(home)
        equal(said(home, 'hold', '-d', 'far.example'), 'domain far.example is held\n', 'held')
        hit(s)
        m = Mail(home, 's@a.example', ['x@far.example', 'later@near.example'])
        s = start(home)
        equal(said(home, 'hold', '-l'), 'domain far.example\n', 'still held after a kill of ' + victim)
        check(wait_for(lambda: 'later@near.example' in s.answers.seen), 'the rest is tried')
        hit(s)
        s = start(home)
        s.give(signal.SIGALRM)
        check(wait_for(lambda: 'later@near.example' in s.answers.seen), 'and tried')
        equal(s.answers.count('x@far.example'), 0, 'the held one is not')
        status, out, err = tool(home, 'release', '-d', 'far.example')
        equal((status, err), (0, ''), 'released')
        os.kill(s.pid, signal.SIGSTOP) # before the delivery is over
        os.kill(s.pid, signal.SIGKILL)
        s.stop()
        s = start(home)
        equal(said(home, 'hold', '-l'), '', 'still released after a kill')
        check(wait_for(lambda: s.give(signal.SIGALRM) or '  done\tremote\tx@far.example' in lines_of(home, m.id), step=0.2), 'and delivered')
        n = Mail(home, 's@a.example', ['later@third.example', 'later2@third.example']).announce()
        check(wait_for(lambda: s.answers.count('later2@third.example')), 'another message waits')
        equal(said(home, 'queue-rm', '-d', 'third.example'), '1 message: 2 recipients removed\n', 'it is removed')
        hit(s)
        s = start(home)
        s.give(signal.SIGALRM)
        check(wait_for(n.finished), 'and gone after a kill of ' + victim)
        equal(s.answers.count('later@third.example') + s.answers.count('later2@third.example'), 0, 'it was not tried again')
        said(home, 'queue-rm', 'all')
        s.stop()

def test_disk():
    """Nothing is answered before the keeper has it on disk."""
    home = fresh_home()
    s = start(home)
    m = Mail(home, 's@a.example', ['later@far.example']).announce()
    check(wait_for(lambda: os.path.exists(m.name('state'))), 'a message waits')
    keeper = s.children()[0]
    for args in (['hold', '-d', 'b.example'], ['release', '-d', 'b.example'], ['queue-rm', '-d', 'far.example']):
        os.kill(keeper, signal.SIGSTOP)
        p = as_account([os.path.join(reachable(BIN), 'pipit-' + args[0]), *args[1:]], env=dict(os.environ, PIPIT_HOME=home), stdout=subprocess.PIPE)
        if args[0] == 'queue-rm': check(s.wait_log('^remove msg %d ' % m.id), 'the message is removed')
        time.sleep(0.3)
        equal(p.poll(), None, 'pipit-%s waits for the disk' % args[0])
        os.kill(keeper, signal.SIGCONT)
        equal(p.wait(10), 0, 'and is answered then')
    s.stop()

# The socket itself.

def connect(home):
    c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    c.connect(home + '/queue/lock/control')
    c.settimeout(10)
    return c

def ask(home, packet):
    c = connect(home)
    try: c.send(packet)
    except BrokenPipeError: pass # refused at once: the answer is there
    try: return c.recv(2000)
    except ConnectionResetError: return c.recv(2000) # told once, before what is there
    finally: c.close()

def test_socket():
    home = fresh_home()
    s = start(home)
    path = home + '/queue/lock/control'
    equal('%o' % (os.stat(path).st_mode & 0o7777), '660', "the socket's mode")
    for packet in (b'X', b'T', b'H', b'Lx', b'Tz', b'Tax', b'Td', b'Ti1x', b'Td\0', b'Hd' + b'x' * 1003, b'Hs' + b'x' * 60000, b'R\xff\xff'):
        answer = ask(home, packet)
        check(answer[:1] == b'D' and 3 < len(answer) < 256, 'nonsense is answered with D: %r %r' % (packet[:10], answer))
    silent = [connect(home) for _ in range(8)]
    equal(ask(home, b'L'), b'Ztoo many commands at a time', 'a ninth connection is told that there are too many')
    m = Mail(home, 's@a.example', ['x@near.example']).announce()
    check(wait_for(m.finished, 3), 'mail goes on')
    check(wait_for(lambda: ask(home, b'L')[:1] == b'K', 10, 0.2), 'who says nothing is dropped')
    equal([c.recv(10) for c in silent], [b''] * 8, 'all of them')
    # Who gives commands and takes no answers.
    ends = []
    for i in range(200):
        said(home, 'hold', '-s', '%d-%s@a.example' % (i, 'x' * 900))
        c = connect(home)
        c.send(b'L')
        time.sleep(0.01)
        packets = list(iter(lambda: c.recv(2000), b''))
        c.close()
        ends.append((len(packets), packets[-1][:1]))
    equal(ends, [(i + 2, b'K') for i in range(200)], 'a list that is taken late has its end, wherever its socket is full')
    slow = [connect(home) for _ in range(4)]
    for c in slow: c.send(b'L')
    m = Mail(home, 's@b.example', ['x@near.example']).announce()
    check(wait_for(m.finished, 3), 'those who take no answer hold up nothing')
    equal(said(home, 'hold', '-l').count('\n'), 200, 'others get theirs')
    gone = [connect(home) for _ in range(50)]
    for i, c in enumerate(gone):
        try:
            if i % 3: c.send((b'L', b'Taz', b'Bdnowhere.example')[i % 3])
        except OSError: pass
        c.close()
    check(wait_for(lambda: ask(home, b'L')[:1] in b'LK', 10, 0.2), 'those who go away leave their place')
    for i in range(800): ask(home, b'Hi%d' % (i + 1))
    status, out, err = tool(home, 'hold', '-d', 'far.example')
    check(status == 111 and 'too much is held' in err, 'a thousand at most are held')
    before = open('/proc/%d/stat' % s.pid).read().split()[13:15]
    time.sleep(0.5)
    after = open('/proc/%d/stat' % s.pid).read().split()[13:15]
    check(sum(map(int, after)) - sum(map(int, before)) < 10, 'and it is idle then')
    equal(s.stop(), 0, 'TERM')
    status, out, err = tool(home, 'flush', 'all')
    equal(status, 111, 'nobody listens afterwards')

def test_peers():
    """Who may ask, where the directories let everybody in."""
    if not ROOT: return skip('other accounts: needs root')
    home = fresh_home()
    s = start(home)
    for d in ('', '/queue', '/queue/lock'): os.chmod(home + d, 0o755)
    os.chmod(home + '/queue/lock/control', 0o666)
    code = '''
import os, socket, sys
os.setgroups([int(g) for g in sys.argv[3].split(',') if g]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); c.connect(sys.argv[4]); 
try: c.send(b'L')
except OSError: pass
try: answer = c.recv(2000)
except ConnectionResetError: answer = c.recv(2000)
print(answer.decode('latin1'), end='')
'''
    def as_uid(uid, gid, groups=''):
        return subprocess.run([sys.executable, '-c', code, str(uid), str(gid), groups, home + '/queue/lock/control'], capture_output=True, text=True).stdout
    for uid, gid, groups in ((65532, 65532, ''), (1, 1, ''), (65532, ACCOUNT.pw_gid, ''), (65532, 65532, str(ACCOUNT.pw_gid)), (1000, 0, '0')):
        equal(as_uid(uid, gid, groups)[:13], 'Dnot permitted'[:13], 'uid %d, gid %d, groups %s: refused' % (uid, gid, groups))
    equal(as_uid(0, 65532)[:1], 'K', 'root may')
    equal(as_uid(ACCOUNT.pw_uid, 65532)[:1], 'K', 'the owner may')
    s.stop()

def test_faults():
    home = fresh_home()
    prefix = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=renameat', '-e', 'inject=renameat:error=ENOSPC:when=2+']
    s = Send(home, prefix=prefix)
    equal(said(home, 'hold', '-d', 'a.example'), 'domain a.example is held\n', 'held')
    status, out, err = tool(home, 'hold', '-d', 'b.example')
    check(status == 111 and 'No space left' in err and 'until pipit-send is restarted' in err, 'a hold that cannot be written down: 111: %r' % err)
    check(s.wait_log('^warning: unable to write lock/holds error="No space left on device"$'), 'the log tells')
    status, out, err = tool(home, 'release', '-d', 'a.example')
    check(status == 111 and 'still held' in err, 'so does a release: %r' % err)
    equal(said(home, 'hold', '-l'), 'domain b.example\ndomain a.example\n', 'both are held')
    s.stop(signal.SIGKILL)
    s = start(home)
    equal(said(home, 'hold', '-l'), 'domain a.example\n', 'what was written down is held after a restart')
    s.stop()
    path = home + '/queue/lock/holds'
    whole = open(path, 'rb').read()
    for damaged in (whole[:-5], whole.replace(b'a.ex', b'b.ex'), b'', whole + b'x', whole.split(b'\n')[0] + b'\n'):
        with open(path, 'wb') as f: f.write(damaged)
        s = Send(home, patience=3)
        if damaged == whole + b'x':
            check(s.ready, 'a torn end does no harm')
            s.stop()
            continue
        check(s.wait_log('^alert: cannot start: unable to read queue/lock/holds.*mend: remove it'), 'damaged: it does not start, and says what to do')
        equal(s.process.wait(10), 111, 'exit 111')
        status, out, err = tool(home, 'qread')
        check(status == 111 and 'lock/holds' in err, 'pipit-qread names it')

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]):
        print('# ' + name, flush=True)
        test()
done()
