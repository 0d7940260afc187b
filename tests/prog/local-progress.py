"""local-progress.py - a message whose delivery failed half way: what is done is not done again

pipit-lspawn and pipit-local, with a pipit-send of our own that gives back what it was told.
"""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from deliveries import *

HOME = make_home()
ALIAS = HOME + '/alias'
QUEUE = os.path.join(SCRATCH, 'myqueue') # the queue that forwards go to; it takes none while "full" is there
RECORD = r'[0-9a-f]{16}[.!]'

def qmail(name, text): write('%s/.qmail-%s' % (ALIAS, name), text)

def lines(name):
    """Of a file that programs write to."""
    try: return open(os.path.join(ALIAS, name)).read().splitlines()
    except FileNotFoundError: return []

def touch(*names):
    for n in names: write(os.path.join(ALIAS, n), '')

class Message:
    """One message for one address, attempt after attempt."""
    def __init__(self, s, local, sofar=None):
        self.s, self.rcpt, self.sofar = s, local + '@host.example', sofar

    def attempt(self):
        """The result, and how many instructions were told to be done (None: nothing was told)."""
        letter, text = self.s.job(self.rcpt, extras=['#0', '+SOFAR=' + self.sofar] if self.sofar is not None else [])
        told = [n[1:] for n in self.s.notes if n[0] == 'S']
        assert len(told) <= 1 and all(re.fullmatch('(%s)+' % RECORD, t) for t in told), told
        if told: self.sofar = told[0]
        return letter, text, len(told[0]) // 17 if told else None

def steps(s):
    make_maildir(ALIAS + '/Maildir')
    qmail('steps', './Maildir/\n|echo x >>first; test -e open1\n&a@b.example\n./box\n|echo x >>second; test -e open2 || { yes | head -c 9000; exit 111; }\n')
    m = Message(s, 'steps')
    def counts(): return len(new(ALIAS + '/Maildir')), len(lines('first')), len([l for l in lines('box') if l == 'hello']), len(lines('second')), len(lines('queued'))
    equal((m.attempt(), counts()), (('Z', '', 1), (1, 1, 0, 0, 0)), 'a line fails: the one before is told to be done')
    equal((m.attempt(), counts()), (('Z', '', None), (1, 2, 0, 0, 0)), 'and is left out at the next attempt')
    touch('open1')
    letter, text, told = m.attempt()
    equal((letter, len(text), told, counts()), ('Z', 3000, 3, (1, 3, 1, 1, 0)), 'a later line fails, with a report that is cut: all before it are done')
    touch('open2', 'full')
    letter, text, told = m.attempt()
    equal((letter, 'Unable to forward' in text, told, counts()), ('Z', True, 4, (1, 3, 1, 2, 0)), 'the forward fails')
    os.unlink(ALIAS + '/full')
    letter, text, told = m.attempt()
    equal((letter, re.sub(r'qp \d+', 'qp N', text), told, counts()), ('K', 'did 2+1+2\nqp N\n', None, (1, 3, 1, 2, 1)),
          'in the end each has it once, and the report counts all')
    equal(Message(s, 'steps').attempt()[0], 'K', 'another message')
    equal(counts(), (2, 4, 2, 3, 2), 'goes everywhere')

def stop(s):
    qmail('stop', '&a@b.example\n|echo x >>stopped; exit 99\n|echo x >>never\n')
    touch('full')
    m, before = Message(s, 'stop'), len(lines('queued'))
    equal(m.attempt()[::2], ('Z', 1), 'a program says to stop, and the forward fails')
    os.unlink(ALIAS + '/full')
    equal((m.attempt()[0], len(lines('queued')) - before, lines('stopped'), lines('never')), ('K', 1, ['x'], []),
          'the next attempt stops there without running it')

def edited(s):
    def n(): return len(new(ALIAS + '/Maildir'))
    start = n()
    qmail('edited', './Maildir/\n|echo x >>one\n|exit 111\n')
    m = Message(s, 'edited')
    m.attempt()
    qmail('edited', '|echo x >>new\n|echo x >>one\n|exit 111\n./Maildir/\n')
    equal((m.attempt()[2], lines('new'), lines('one'), n() - start), (3, ['x'], ['x'], 1), 'the file was edited: a new line is followed, the others are known wherever they stand')
    qmail('edited', './Maildir/\n./Maildir/\n')
    equal((m.attempt(), n() - start), (('K', 'did 2+0+0\n', None), 2), 'a line that stands there twice counts twice')
    qmail('edited', './Maildir/\n|exit 111\n')
    m = Message(s, 'edited')
    m.attempt()
    qmail('edited', './Maildir/\n')
    equal((m.attempt(), n() - start), (('K', 'did 1+0+0\n', None), 3), 'only what is done is left: there is nothing to do')
    qmail('other', './Maildir/\n')
    equal((Message(s, 'other', m.sofar).attempt()[0], n() - start), ('K', 4), 'for another address the same line is another one')
    for bad in ('', 'x', m.sofar[:-1], m.sofar + 'x', m.sofar.upper(), m.sofar[:-1] + '?', m.sofar * 33):
        before = n()
        equal((Message(s, 'edited', bad).attempt()[0], n() - before), ('K', 1), 'progress that does not hold is none: %.20r' % bad)
    qmail('single', './Maildir/\n')
    s.job('single@host.example')
    equal(s.notes, [], 'where nothing more can fail nothing is told')

def many(s):
    qmail('many', './many\n' * 40 + '|exit 111\n')
    m = Message(s, 'many')
    equal(m.attempt()[2], 32, 'progress has an end')
    m.attempt()
    equal(len([l for l in lines('many') if l == 'hello']), 48, 'what lies beyond is done again')

def ends():
    """Deliveries that are ended."""
    control(HOME, 'timeoutlocal', '1')
    s = Lspawn(HOME)
    def n(): return len(new(ALIAS + '/Maildir'))
    for why, line in (('a time limit', 'sleep 60'), ('a crash', 'kill -9 $PPID')):
        start = n()
        qmail('ends', './Maildir/\n|%s\n' % line)
        m = Message(s, 'ends')
        equal((m.attempt()[::2], n() - start), (('Z', 1), 1), 'ended by %s: what was done is told' % why)
        qmail('ends', './Maildir/\n|true\n')
        equal((m.attempt()[0], n() - start), ('K', 1), 'and not done again')
    s.end()
    control(HOME, 'timeoutlocal', None)

def lists(s):
    wishes = ['BODY=8BITMIME', 'RET=HDRS', '#0', 'NOTIFY=SUCCESS', 'ORCPT=rfc822;x']
    qmail('list', '&a@b.example\n')
    s.job('list@host.example', extras=wishes)
    equal((s.notes, lines('envelope')), ([], ['Fme@there.example\0Ta@b.example\0\0']),
          'a forward to a QMAILQUEUE program: it gets nothing of what the sender had asked for, and nothing is noted')
    qmail('list-owner', '')
    s.job('list@host.example', extras=wishes)
    equal(s.notes, ['L'], 'of a mailing list it is noted that it is one')

make_maildir(ALIAS + '/Maildir')
write(QUEUE, '#!/bin/sh\ntest -e %s/full && exit 71\ncat >/dev/null; cat <&1 >%s/envelope; echo x >>%s/queued\n' % (ALIAS, ALIAS, ALIAS), 0o755)
s = Lspawn(HOME, env={'QMAILQUEUE': QUEUE})
for f in (steps, stop, edited, many, lists):
    print('# ' + f.__name__)
    f(s)
s.end()
ends()
done()
