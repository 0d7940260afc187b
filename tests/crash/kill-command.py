"""kill-command.py - send and its keeper are killed at each of their system calls while commands come, and the power is cut

A command that was answered has its effect afterwards; one that was not may have it or not. What is
held is always one of the sets that the commands made, whole.
"""
import os, signal, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from killsweep import *
import loopdisk

LONG_CUTS, CUTS = 200, 6
os.environ['PIPIT_HOME'] = home = os.path.join(SCRATCH, 'disk' if sys.argv[1:] and sys.argv[1] in loopdisk.KINDS else '.', 'home')

COMMANDS = [('hold', '-d', 'a.example'), ('hold', '-s', '@b.example'), ('release', '-d', 'a.example'), ('queue-rm', '-d', 'gone.example'),
            ('hold', 'all')]
# What is held before, and after each of them.
SETS = [set(), {'domain a.example'}, {'domain a.example', 'sender @b.example'}, {'sender @b.example'}, {'sender @b.example'},
        {'sender @b.example', 'all mail'}]

def never(j):
    """Stubs' deliveries: all of it has to wait."""
    j.read()
    j.all('Z', 'later\n')

def command(args):
    """1 it was answered and is done, 0 not."""
    status, out, err = sender.tool(home, *args, seconds=20)
    if status not in (0, 111): raise AssertionError('%s: %r' % (args, (status, out, err)))
    return status == 0

def held():
    return set(sender.tool(home, 'hold', '-l')[1].splitlines())

def begin_round():
    """An empty set, and a message to remove."""
    for name in ('holds', 'holds.new'):
        try: os.unlink(home + '/queue/lock/' + name)
        except FileNotFoundError: pass
    return sender.Mail(home, 's@c.example', ['x@gone.example', 'later@stays.example'])

def give(until=lambda: False):
    """Give the commands one after the other; how many were answered, and whether the next one was begun."""
    for n, args in enumerate(COMMANDS):
        if until() or not command(args): return n
    return len(COMMANDS)

def judge(mail, done, began):
    """What is wrong, after <done> commands were answered and <began> were given."""
    tried = []
    def take(j):
        tried.extend(j.rcpts)
        never(j)
    s = sender.Send(home, local=take, remote=take)
    if not s.ready: return ['send does not start: ' + s.log()]
    now, wrong = held(), []
    if now not in SETS[done:began + 1]: wrong.append('after %d to %d commands %s is held' % (done, began, now))
    sender.tool(home, 'release', 'all')
    sender.tool(home, 'release', '-s', '@b.example')
    s.give(signal.SIGALRM)
    if not wait_for(lambda: 'later@stays.example' in tried, 10): wrong.append('what was not meant is gone: ' + s.log())
    if done > 3 and 'x@gone.example' in tried: wrong.append('what was removed is tried')
    sender.tool(home, 'queue-rm', 'all')
    if not wait_for(lambda: not list(live_files(home)), 10): wrong.append('left in the queue: %s' % list(live_files(home)))
    s.stop()
    return wrong + (['holds.new is left'] if os.path.exists(home + '/queue/lock/holds.new') and done == len(COMMANDS) else [])

def sweep_of(child):
    def run(stops):
        mail = begin_round()
        k = Killat(stops, child=child)
        s = sender.Send(home, local=never, remote=never, prefix=k.prefix)
        s.pid = s.process.pid
        done = give(lambda: s.process.poll() is not None)
        children = s.children()
        if child and s.process.poll() is None and done < len(COMMANDS): return [k.end(seconds=1)], ['send lives, and does not answer: ' + s.log()]
        for pid in [s.pid, *children]: kill(pid)
        s.stop()
        end = k.end(seconds=2)
        k.done()
        return [end], judge(mail, done, min(done + 1, len(COMMANDS)))
    return run

def prepare():
    make_home(home, me='mail.example')
    begin()

def part(what, child, few):
    def work():
        prepare()
        sweep(what, sweep_of(child), few)
    return work

def power(kind):
    def work():
        reason = loopdisk.trouble(SCRATCH)
        if reason: return skip('power cuts on %s: %s' % (kind, reason))
        disk = loopdisk.Disk(kind, os.path.join(SCRATCH, 'disk'))
        try:
            os.chmod(disk.path, 0o755)
            make_home(home, me='mail.example')
            wrong = []
            for i in range(LONG_CUTS if LONG else CUTS):
                mail = begin_round()
                subprocess.run(['sync', '-f', home], check=True)
                s = sender.Send(home, local=never, remote=never)
                wanted = i % len(COMMANDS) + 1
                done = sum(command(args) for args in COMMANDS[:wanted])
                disk.cut()
                for pid in [s.pid, *s.children()]: kill(pid)
                s.stop()
                disk.remount()
                if done != wanted: wrong.append('a command is not answered: ' + s.log())
                wrong += judge(mail, done, done)
            equal(wrong, [], '%s: what was answered before a power cut has its effect, %d times' % (kind, i + 1))
        finally: disk.remove()
    return work

side_by_side({'keeper': part('its keeper, while commands come', 1, 16), 'send': part('send, while commands come', 0, 9),
              'ext4': power('ext4'), 'xfs': power('xfs')})
