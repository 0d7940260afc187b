"""kill-send.py - pipit-send, its keeper and its feeder are killed at each of their system calls

Every message is delivered whole to every recipient, or bounced where it was refused. A kill of send
repeats what was in flight, one of its children nothing but a bounce. The queue cleans itself. Also
when it was just working in what an earlier crash had left.
"""
import itertools, os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from killsweep import *

home = os.path.join(SCRATCH, 'home')
queue = home + '/queue'
os.environ['PIPIT_HOME'] = home
number = itertools.count(1)

def prepare():
    make_home(home, me='mail.example')
    control(home, 'queuepool', '0')
    begin()

class Round:
    """Three messages on their way, and what the stub spawners see of them."""
    def __init__(self):
        self.plain, self.later, self.refused = [next(number) for _ in range(3)]
        self.seen, self.wrong = [], [] # (number, recipient, letter)
        self.defer = True
        self.sent = {
            self.plain: ['box@mail.example', 'a@far.example', 'b@other.example'],
            self.later: ['later@mail.example', 'later@far.example', 'c@far.example'],
            self.refused: ['never@far.example', 'd@far.example', 'e@mail.example'],
        }

    def queue(self):
        self.mails = {n: sender.Mail(home, 'me@mail.example', rcpts, numbered(n, 100000 if n == self.plain else 500))
                      for n, rcpts in self.sent.items()}

    def answer(self, j):
        data = j.read()
        n = whole(data)
        if not j.sender: n = next((n for n in self.sent if numbered(n, 500) in data and data.endswith(b'--\n')), None)
        for i, r in enumerate(j.rcpts):
            letter = 'K'
            if len(data) < j.length: letter = 'Z' # as pipit-local does
            elif r.startswith('later@') and self.defer and (n, r, 'Z') not in self.seen: letter = 'Z'
            elif r.startswith('never@'): letter = 'D'
            if len(data) == j.length and n is None or len(data) > j.length:
                self.wrong.append('partial or foreign: %r to %s' % (data[:200], r))
            self.seen.append((n, r, letter) if j.sender else (n, 'bounce to ' + r, letter))
            j.result(letter, 'said\n', i)
        j.end()

    def check(self, child, expected=None):
        """Each delivery happens once, and once more where it was in flight: with send (child 0 was killed)
        all may have been; a bounce that is handed in is in flight with the keeper (child 1)."""
        if expected is None:
            expected = [(n, r, 'D' if r.startswith('never@') else 'K') for n, rcpts in self.sent.items() for r in rcpts]
            expected += [(self.refused, 'bounce to me@mail.example', 'K')]
        final = [x for x in self.seen if x[2] != 'Z']
        most = lambda x: 2 if child == 0 or child == 1 and x[1].startswith('bounce') else 1
        wrong = ['%s times %s' % (final.count(x), x) for x in expected if not 1 <= final.count(x) <= most(x)]
        return self.wrong + wrong + ['unexpected: %s' % (x,) for x in set(final) - set(expected)]

def start(k, r):
    s = sender.Send(home, local=r.answer, remote=r.answer, prefix=k.prefix)
    s.pid = s.process.pid
    return s

def gone(pids):
    return [] if wait_for(lambda: not any(sender.alive(p) for p in pids), 25) else ['a process of send stays']

def finish(k, s, r, child, expected=None):
    """Stop what runs, and let all that is left come to its end."""
    children, status = s.children(), s.stop()
    end = k.end()
    k.done()
    wrong = gone(children)
    if end and not was_killed(end) and status: wrong.append('exit status %d' % status)
    r.defer = False
    wrong += run_down(home, r.answer, queued=False)
    return [end], wrong + r.check(child if end and was_killed(end) else None, expected)

def scheduler(child, tick):
    """With <tick>, progress is written while send runs, and a child that was killed is replaced; otherwise
    it stops after the first attempts."""
    def run(stops):
        r = Round()
        r.queue()
        k = Killat(stops, child=child)
        s = start(k, r)
        def tried():
            return all(any(x[:2] == (n, to) for x in r.seen) for n in r.sent for to in r.sent[n])
        def over():
            if s.process.poll() is None: s.give(signal.SIGALRM)
            return s.process.poll() is not None or not list(live_files(home))
        wrong = []
        wait_for(lambda: k.so_far() or tried(), 15, 0.01)
        if tick:
            wait_for(lambda: k.so_far() or glob.glob(queue + '/state/?/*'), 5, 0.01)
            if not wait_for(over, 20, 0.05):
                wrong.append('send does not go on: %s\n%s' % (list(live_files(home)), s.log()))
        ends, more = finish(k, s, r, child)
        return ends, wrong + more
    return run

class Recovery:
    """What a power cut may leave: progress only in the journal, not where it was made."""
    def __init__(self):
        self.round = r = Round()
        del r.sent[r.refused]
        r.queue()
        live = {n: open(m.path, 'rb').read() for n, m in r.mails.items()}
        s = sender.Send(home, local=r.answer, remote=r.answer)
        wait_for(lambda: r.mails[r.plain].finished() and glob.glob(queue + '/state/?/*'))
        time.sleep(1.2) # until the next sync
        for pid in [s.pid, *s.children()]: kill(pid)
        s.stop()
        for path in glob.glob(queue + '/free/*') + glob.glob(queue + '/state/?/*'): os.unlink(path)
        for n, m in r.mails.items():
            with open(m.path, 'wb') as f: f.write(live[n])
            os.chmod(m.path, 0o660)
            own(m.path)
        subprocess.run(['cp', '-a', queue, home + '/kept'], check=True)

    def target(self, child):
        def run(stops):
            shutil.rmtree(queue)
            subprocess.run(['cp', '-a', home + '/kept', queue], check=True)
            r = Round()
            r.sent, r.later = self.round.sent, self.round.later
            r.seen = [(r.later, to, 'Z') for to in r.sent[r.later]] # they were put off before
            k = Killat(stops, child=child)
            s = start(k, r)
            def over():
                if s.process.poll() is None: s.give(signal.SIGALRM)
                return k.so_far() or not unfinished(home)
            wait_for(over, 15, 0.01)
            return finish(k, s, r, child, [(r.later, to, 'K') for to in r.sent[r.later] if to.startswith('later@')])
        return run

def with_queued(*sweeps):
    """queued takes the bounces."""
    def part():
        prepare()
        q = Queued(home)
        for s in sweeps: sweep(*s)
        equal(q.stop(), 0, 'queued ends well')
    return part

def after_power_cut():
    prepare()
    after = Recovery()
    sweep('send after a power cut', after.target(0), 8)
    sweep('its keeper after a power cut', after.target(1), 8)

side_by_side({
    'send': with_queued(('send, which stops soon', scheduler(0, False), 14)),
    'send-on': with_queued(('send, which goes on', scheduler(0, True), 10)),
    'keeper': with_queued(('its keeper, which stops soon', scheduler(1, False), 14),
                          ('its feeder, which stops soon', scheduler(2, False), 8)),
    'keeper-on': with_queued(('its keeper, which goes on', scheduler(1, True), 6),
                             ('its feeder, which goes on', scheduler(2, True), 3)),
    'power-cut': after_power_cut,
})
