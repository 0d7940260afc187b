"""kill-queue.py - whatever takes messages in is killed at each of its system calls

What was acknowledged is in the queue, whole; what was not is there whole or not at all; the queue
cleans itself.
"""
import itertools, os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from killsweep import *

home = make_home()
os.environ['PIPIT_HOME'] = home
begin()
number = itertools.count(1)

def writer(size, files, nameless=True):
    """The child of queued that serves a connection, at its second message."""
    def run(stops):
        control(home, 'queuepool', files)
        k = Killat(stops, child=2, nameless=nameless) # the first one is the filler
        q = Queued(home, k.prefix)
        acked, ends = [], []
        if files != '0': wait_for(lambda: len(pool()) > 2 * len(stops))
        for i in range(len(stops)):
            acked += hand_in(home, [next(number), next(number)], size)
            ends.append(k.end(i + 1))
        wrong = [] if all(ends) else ['a child did not end']
        if not stops[0] and len(acked) != 2: wrong.append('not acknowledged without a kill: %s' % acked)
        if q.stop() != 0: wrong.append('queued did not end well')
        k.done()
        return ends, wrong + settle(home, acked)
    return run

def pool():
    return [path for path in glob.glob(home + '/queue/free/*') if is_usable(path)]

def resident(child):
    """queued itself from its start to its end, or its filler."""
    def run(stops):
        acked, ends, wrong = [], [], []
        for stop in stops:
            for path in pool(): os.unlink(path)
            control(home, 'queuepool', str(len(os.listdir(home + '/queue/free')) + 4)) # the rest is mail
            first, second = next(number), next(number)
            k = Killat([stop], child=child)
            q = Queued(home, k.prefix)
            wait_for(lambda: k.so_far() or len(pool()) >= 4)
            acked += hand_in(home, [first], 1000)
            if child and first not in acked: wrong.append('a message was not taken')
            q.stop()
            ends.append(k.end())
            k.done()
            q = Queued(home)
            if not q.ready: wrong.append('queued does not start again')
            acked += hand_in(home, [second], 1000)
            if second not in acked: wrong.append('queued does not take a message')
            q.stop(signal.SIGKILL)
        return ends, wrong + settle(home, acked)
    return run

def client(*argv, envelope=None, size=1000):
    """A program that hands a message in, with queued running."""
    def run(stops):
        control(home, 'queuepool', None)
        q = Queued(home)
        acked, ends = [], []
        for stop in stops:
            n = next(number)
            k = Killat([stop])
            out, e = subprocess.DEVNULL, None
            if envelope is not None:
                out, w = os.pipe()
                os.write(w, envelope)
                os.close(w)
            p = as_account([*k.prefix, *argv], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE,
                           env=dict(os.environ, USER='joe'))
            if envelope is not None: os.close(out)
            said = p.communicate(numbered(n, size), 60)[1]
            if p.returncode == 0: acked.append(n)
            ends.append(k.end())
            k.done()
        wrong = [] if stops[0] or acked else ['not acknowledged without a kill: %d %r' % (p.returncode, said)]
        if q.stop() != 0: wrong.append('queued did not end well')
        return ends, wrong + settle(home, acked)
    return run

ENVELOPE = b'Fme@mail.example\0Tbox@mail.example\0\0'
queue, inject, sendmail = [os.path.join(BIN, 'pipit-' + p) for p in ('queue', 'inject', 'sendmail')]
sweep("queued's writer, a recycled file", writer(1000, None), few=100, batch=20)
sweep("queued's writer, a new file", writer(1000, '0'), batch=20)
sweep("queued's writer, a large message", writer(300000, None), batch=20)
sweep("queued's writer, no files without a name", writer(300000, '0', nameless=False), batch=20)
sweep("queued's filler", resident(1), few=16, batch=20)
sweep('queued itself', resident(0), few=16, batch=20)
sweep('pipit-queue', client(queue, envelope=ENVELOPE), batch=20)
sweep('pipit-queue, a large message', client(queue, envelope=ENVELOPE, size=300000), batch=20)
sweep('pipit-inject', client(inject, '-a', 'box@mail.example'), batch=20)
sweep('pipit-sendmail', client(sendmail, '-i', 'box@mail.example'), batch=20)
end_of_sweeps()
