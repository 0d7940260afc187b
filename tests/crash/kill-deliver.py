"""kill-deliver.py - whatever delivers mail is killed at each of its system calls

A delivery that was reported as done has left one whole copy; any other one none or one. Never is
there a part of a message (but in an mbox, of one that takes several writes: see dot-qmail(5)), and
never an answer that is for good. Tried again it succeeds, which makes two copies at most.
"""
import itertools, os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from killsweep import *
from jobs import Remote, Spawner
from sink import Sink

home = os.path.join(SCRATCH, 'home')
user = os.path.join(home, 'alias')
os.environ['PIPIT_HOME'] = home
number = itertools.count(1)
PROGRAM = '|f=$(mktemp prog/.XXXXXXXX) && cat >$f && mv $f prog/${f#prog/.}'

def prepare():
    make_home(home, me='mail.example')
    for d in ('Maildir', 'Maildir/tmp', 'Maildir/new', 'Maildir/cur', 'prog'):
        os.mkdir(os.path.join(user, d), 0o700)
        own(os.path.join(user, d))
    begin()

def instructions(*lines):
    path = os.path.join(user, '.qmail-box')
    with open(path, 'w') as f: f.write('\n'.join(lines) + '\n')
    os.chmod(path, 0o644)
    own(path)

def read(path):
    with open(path, 'rb') as f: return f.read()

def copies():
    """What is there: {place: [number, or None where it is not whole]}."""
    found = {'Maildir': [whole(read(p)) for p in glob.glob(user + '/Maildir/new/*')],
             'prog': [whole(read(p)) for p in glob.glob(user + '/prog/*')]}
    if os.path.exists(user + '/box'):
        found['box'] = [whole(m[:-1]) for m in re.split(rb'(?m)^From me@mail.example .*\n', read(user + '/box'))[1:]]
    return found

def judge(numbers, acked, places, parts=0):
    """What is wrong with the copies of <numbers>, all delivered in the end, <acked> at once. <parts> of
    messages may be there."""
    wrong, found = [], copies()
    for place in places:
        have = found.get(place, [])
        wrong += ['%d not whole in %s' % (have.count(None), place)] if have.count(None) > parts else []
        wrong += ['%d is %d times in %s' % (n, have.count(n), place) for n in numbers
                  if not 1 <= have.count(n) <= (1 if n in acked else 2)]
    # A lock file goes when it is old; the one that would have become it stays, and does no harm.
    left = {f for f in os.listdir(user) if not f.startswith(('.qmail', 'box.lock.'))} - {'Maildir', 'box', 'prog'}
    wrong += ['left behind: %s' % left] if left else []
    for path in glob.glob(user + '/Maildir/*/*') + glob.glob(user + '/prog/*') + glob.glob(user + '/box'): os.unlink(path)
    return wrong

def alone(others):
    """What was started has ended, all but <others>."""
    return wait_for(lambda: not set(descendants(os.getpid())) - set(others), 20)

def local(places, *lines, size=1000, forwards=False, parts=False):
    """pipit-local by itself. With <parts>, a part may be left by a kill, in front of the whole copy."""
    def deliver(n, prefix=()):
        message = numbered(n, size)
        p = as_account([*prefix, BIN + '/pipit-local', '-l', str(len(message)), '--', 'joe', user, 'box', '-', 'box',
                        'mail.example', 'me@mail.example', './Maildir/'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env=dict(os.environ, PATH='/usr/bin:/bin'))
        return p.communicate(message, 60)[0], p.returncode
    def run(stops, look=lambda: None):
        instructions(*lines)
        q = Queued(home) if forwards else None
        numbers, acked, ends, wrong = [], [], [], []
        for stop in stops:
            n = next(number)
            k = Killat([stop])
            out, status = deliver(n, k.prefix)
            ends.append(k.end())
            k.done()
            if status == 0: acked.append(n)
            elif status != -signal.SIGKILL: wrong.append('exit status %d: %r' % (status, out))
            if not alone(q.pids() if q else []): wrong.append('a process stays')
            if not parts and None in sum(copies().values(), []):
                wrong.append('a part of a message after stop %d: %s' % (stop, copies()))
            if status:
                if os.path.exists(user + '/box.lock'): os.utime(user + '/box.lock', (1, 1))
                out, status = deliver(n)
                if status: wrong.append('once more: exit status %d: %r' % (status, out))
            numbers.append(n)
        look()
        wrong += judge(numbers, acked, places, len(numbers) - len(acked) if parts else 0)
        if q:
            q.stop()
            wrong += settle(home, numbers, extra=1)
        return ends, wrong
    return run

def counted(run):
    """In a Maildir with a quota: what is there is in its sums, too."""
    def stops(these):
        with open(user + '/Maildir/maildirsize', 'w') as f: f.write('100000000S\n0 0\n')
        own(f.name)
        found = []
        ends, wrong = run(these, lambda: found.append(len(glob.glob(user + '/Maildir/new/*'))))
        lines = [tuple(map(int, l.split())) for l in open(user + '/Maildir/maildirsize').read().splitlines()[1:]]
        if sum(l[1] for l in lines) < found[0]: wrong.append('%d messages, counted: %s' % (found[0], lines))
        return ends, wrong
    return stops

def give_local(s, *numbers):
    """Jobs for lspawn, one after the other: the letter of the result of each, or None."""
    return [give_one(s, n) for n in numbers]

def give_one(s, n):
    """The first one of two has its message in the packet, the second one in a pipe."""
    message = numbered(n, 1000)
    args = 'mail.example', 'me@mail.example', ['box@mail.example']
    r, w = os.pipe()
    try: num = s.give(*args, None if n % 2 else r, 0, len(message), body=message if n % 2 else None)
    except OSError: num = None
    os.close(r)
    try:
        with os.fdopen(w, 'wb') as f: f.write(message)
    except BrokenPipeError: pass
    return num and finish(s, num)

def begin_remote(s, n, waits=False):
    """A job for rspawn or a worker: its number, or None."""
    rcpts = ['a@far.example', 'b@far.example']
    try: return s.give_text('far.example', 'me@mail.example', rcpts, numbered(n, 100000), waits=waits)
    except OSError: return None

def give_remote(s, *numbers):
    """Jobs, one after the other: the letters of the results of each, or None."""
    return [num and finish(s, num) for num in (begin_remote(s, n) for n in numbers)]

def in_flight(s, *numbers):
    """The same, each given before the one before has ended."""
    return [num and finish(s, num) for num in [begin_remote(s, n, n != numbers[0]) for n in numbers]]

def finish(s, num):
    try: results = s.finish(num, 30)
    except OSError: return None
    return None if results is None else ''.join(r[:1] for r in results)

def spawner(program, give, good, check, child=0):
    """A spawner or a worker with two jobs; it is killed, or its first child. What was not done is given again."""
    def start(prefix=()):
        s = Spawner([*prefix, *program], dict(os.environ), stderr=subprocess.DEVNULL)
        try:
            if program[-1] != '-w': s.read()
        except OSError: pass
        return s
    def run(stops):
        numbers, acked, ends, wrong = [], [], [], []
        def attempt(s, these):
            said = give(s, *these)
            if any(set(text or '') - set('KZ') for text in said): wrong.append('answered %s' % said)
            return [n for n, text in zip(these, said) if text != good]
        for stop in stops:
            k = Killat([stop], child=child)
            s = start(k.prefix)
            these = [next(number), next(number)]
            numbers += these
            again = attempt(s, these)
            acked += set(these) - set(again)
            rest = attempt(s, again) if child else again # what starts the children goes on
            status = s.close()
            end = k.end()
            ends.append(end)
            k.done()
            if status != (-signal.SIGKILL if end and was_killed(end) and not child else 0):
                wrong.append('exit status %d at stop %d' % (status, stop))
            if again and not (end and was_killed(end)): wrong.append('not done, without a kill')
            if child and rest: wrong.append('not done after the kill')
            if not alone([]): wrong.append('a process stays')
            if not rest: continue
            s = start()
            if attempt(s, rest): wrong.append('not done after a new start')
            if stop == stops[-1] and is_busy([s.process.pid]): wrong.append('something is busy')
            if s.close() != 0: wrong.append('does not end well')
        return ends, wrong + check(numbers, acked)
    return run

def command(sink):
    """pipit-remote from the command line."""
    def run(stops):
        numbers, acked, ends, wrong = [], [], [], []
        def deliver(n, prefix=()):
            r = Remote(home, 'far.example', 'me@mail.example', 'a@far.example', 'b@far.example',
                       message=numbered(n, 100000), before=prefix).result()
            if 'D' in r.letters or 'h' in r.letters: wrong.append('answered %r' % r.raw)
            return r.complete and r.letters == 'rrK'
        for stop in stops:
            n = next(number)
            k = Killat([stop])
            numbers.append(n)
            if deliver(n, k.prefix): acked.append(n)
            ends.append(k.end())
            k.done()
            if n not in acked and not deliver(n): wrong.append('not done when tried again')
        return ends, wrong + received(sink)(numbers, acked)
    return run

def received(sink):
    """Judge what a server has taken."""
    def check(numbers, acked):
        wait_for(lambda: all(s.closed for s in sink.sessions), 10)
        have = [whole(t.message) for t in sink.transactions]
        short = [t.rcpts for t in sink.transactions if len(t.rcpts) != 2]
        sink.transactions.clear()
        sink.sessions.clear()
        wrong = ['a part of a message was taken'] if None in have else []
        wrong += ['for %s only' % r for r in short]
        return wrong + ['%d was taken %d times' % (n, have.count(n)) for n in numbers
                        if not 1 <= have.count(n) <= (1 if n in acked else 2)]
    return check

def local_part():
    prepare()
    def deliver(what, *args, **kw): sweep('pipit-local, ' + what, local(*args, **kw), few=16, batch=10)
    deliver('a Maildir', ['Maildir'], './Maildir/')
    deliver('a Maildir, a large message', ['Maildir'], './Maildir/', size=300000)
    sweep('pipit-local, a Maildir with a quota', counted(local(['Maildir'], './Maildir/')), few=16, batch=10)
    deliver('an mbox', ['box'], './box')
    control(home, 'mboxdotlock', '1')
    deliver('an mbox with a lock file', ['box'], './box')
    control(home, 'mboxdotlock', None)
    deliver('an mbox, a large message', ['box'], './box', size=300000, parts=True)
    deliver('a program', ['prog'], PROGRAM)
    deliver('a forward', [], '&far@far.example', forwards=True)
    deliver('all of them', ['Maildir', 'box', 'prog'], './Maildir/', './box', PROGRAM, '&far@far.example', forwards=True)

def lspawn_part():
    prepare()
    instructions('./Maildir/')
    in_maildir = lambda numbers, acked: judge(numbers, acked, ['Maildir'])
    lspawn = [reachable(BIN) + '/pipit-lspawn', './Maildir/']
    for child, name in ((0, 'pipit-lspawn'), (1, "pipit-lspawn's child, which becomes pipit-local")):
        sweep(name, spawner(lspawn, give_local, 'K', in_maildir, child), few=16, batch=5)

def remote_part():
    prepare()
    with Sink() as sink:
        control(home, 'smtproutes', ':[127.0.0.1]:%d' % sink.port)
        remote, rspawn = [os.path.join(reachable(BIN), p) for p in ('pipit-remote', 'pipit-rspawn')]
        sweep('pipit-remote, the command', command(sink), few=16, batch=5)
        for program, child, name in (([remote, '-w'], 0, 'pipit-remote, the worker'), ([rspawn], 0, 'pipit-rspawn'),
                                     ([rspawn], 1, "pipit-rspawn's child, which becomes the worker")):
            sweep(name, spawner(program, give_remote, 'KK', received(sink), child), few=16, batch=5)
            if program[-1] != '-w' and not child: continue
            sweep(name + ', two jobs in flight', spawner(program, in_flight, 'KK', received(sink), child), few=16, batch=5)

side_by_side({'local': local_part, 'lspawn': lspawn_part, 'remote': remote_part})
