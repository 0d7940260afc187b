#!/usr/bin/python3
"""senderroutes.py - mail goes by its sender: next hops of their own, no shared connection, HUP, local=, a relay that refuses the login"""
import os, re, signal, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from jobs import children, rspawn
from sender import *
from sink import Sink

def extras(j): return dict(x.split('=', 1) for x in j.connection)
def where(j): return (j.sender, extras(j)['NEXTHOP'], extras(j)['VIA'])

def hup(s):
    """Have the files read again; it is done when a message of its own has been given out."""
    s.give(signal.SIGHUP)
    Mail(s.home, 'hup@hup.example', ['hup@local.example']).announce()
    while True:
        j = s.local.job()
        if not j: break
        j.all('K')
        if j.sender == 'hup@hup.example': break

def jobs(s, *mails):
    """Give these (sender, recipient); where their jobs lead to, in order."""
    got = []
    for sender, rcpt in mails:
        Mail(s.home, sender, [rcpt]).announce()
        j = s.remote.job()
        got.append(where(j) if j else None)
        if j: j.all('K', 'ok\n')
    return got

FILES = dict(locals='local.example', smtproutes='far.example:far.relay\n:rest.relay:26',
             senderroutes='joe@a.example:one.relay:587 auth=joe\n@a.example:two.relay\n<>:null.relay\n@mx.example: bind=192.0.2.7\n@none.example:')

def next_hops():
    s = Send(fresh_home(**FILES))
    equal(jobs(s, ('joe@a.example', 'x@b.example'), ('JOE@A.example', 'x@b.example'), ('sue@a.example', 'x@b.example'), ('', 'x@b.example'),
               ('other@c.example', 'x@b.example'), ('joe@a.example', 'x@far.example')),
          [('joe@a.example', 'one.relay:587;auth=joe', 'joe@a.example'), ('JOE@A.example', 'one.relay:587;auth=joe', 'joe@a.example'),
           ('sue@a.example', 'two.relay:25', '@a.example'), ('', 'null.relay:25', '<>'),
           ('other@c.example', 'rest.relay:26', ''), ('joe@a.example', 'far.relay:25', '')], 'senders have next hops of their own; a line for the domain goes before')
    equal(jobs(s, ('x@mx.example', 'x@b.example'), ('x@none.example', 'x@b.example')),
          [('x@mx.example', '', '@mx.example'), ('x@none.example', '', '@none.example')], 'a route without a relay: the mail exchangers, which nobody knows yet')
    Mail(s.home, 'list-@a.example-@[]', ['x@b.example', 'y@b.example']).announce()
    got = sorted(where(j) for j in [s.remote.job(), s.remote.job()] if j and (j.all('K', 'ok\n') or 1))
    equal(got, [('list-%s=b.example@a.example' % u, 'two.relay:25', '@a.example') for u in 'xy'], 'a sender that is expanded for each recipient')
    control(s.home, 'routeorder', 'sender')
    hup(s)
    equal(jobs(s, ('joe@a.example', 'x@far.example'), ('other@c.example', 'x@far.example')),
          [('joe@a.example', 'one.relay:587;auth=joe', 'joe@a.example'), ('other@c.example', 'far.relay:25', '')], 'after HUP: senderroutes first')
    control(s.home, 'senderroutes', '@a.example:three.relay')
    hup(s)
    equal(jobs(s, ('joe@a.example', 'x@b.example'), ('', 'x@b.example')), [('joe@a.example', 'three.relay:25', '@a.example'), ('', 'rest.relay:26', '')], 'after HUP: other lines')
    control(s.home, 'routeorder', 'nobody')
    s.give(signal.SIGHUP)
    check(s.wait_log(r'unable to reread controls, keeping the old values: .*control/routeorder: line 1: write sender or recipient'), 'a malformed file is named')
    control(s.home, 'routeorder', None)
    equal(s.stop(), 0, 'exit 0')

def stale():
    """What is in memory when the files change goes by the new ones, and each sender by its own."""
    home = fresh_home(concurrencyremote='1', **FILES)
    s = Send(home)
    Mail(home, 'first@a.example', ['x@b.example']).announce()
    first = s.remote.job()
    for sender in ('joe@a.example', 'sue@a.example', 'sam@a.example'): Mail(home, sender, ['x@b.example']).announce()
    check(wait_for(lambda: s.log().count('info msg') == 4), 'mail waits for a connection')
    control(home, 'senderroutes', '@a.example:two.relay\nsam@a.example:four.relay')
    hup(s)
    first.all('K', 'ok\n')
    got = {}
    for _ in range(3):
        j = s.remote.job()
        got[j.sender] = where(j)[1:]
        j.all('K', 'ok\n')
    check(all(hop == '' and sender in via for sender, (hop, via) in got.items()) and len(set(got.values())) == 3, 'HUP: it goes by the new lines, and shares no connection: %r' % got)
    equal(jobs(s, ('sam@a.example', 'x@b.example'), ('sue@a.example', 'x@b.example')), [('sam@a.example', 'four.relay:25', 'sam@a.example'), ('sue@a.example', 'two.relay:25', '@a.example')], 'then as usual')
    s.stop()

def health():
    """A login that is refused makes that next hop dead at once, and no other one."""
    home = fresh_home(**FILES)
    s = Send(home)
    for _ in range(20): Mail(home, 'joe@a.example', ['x@b.example']).announce()
    j = s.remote.job()
    check(wait_for(lambda: s.log().count('info msg') == 20) and not s.remote.job(0.5), 'a next hop with a login begins with one connection')
    j.host_trouble('Unable to log in at 192.0.2.1. (#4.7.0)\n', kind='l')
    check(s.wait_log(r'^destination dead: one\.relay:587;auth=joe failures=5 waiting=19 probe=\d+ reply="Unable to log in'), 'it is dead after one login that was refused')
    check(not s.remote.job(0.5), 'and not tried again')
    equal(jobs(s, ('sue@a.example', 'x@b.example'), ('x@c.example', 'x@b.example')), [('sue@a.example', 'two.relay:25', '@a.example'), ('x@c.example', 'rest.relay:26', '')],
          'mail of others to that domain goes on')
    equal(tool(home, 'flush', '-s', 'joe@a.example')[1], '20 messages made due\n', 'pipit-flush')
    j = s.remote.job()
    check(j and not s.remote.job(0.5), 'one probe')
    j.all('K', 'ok\n')
    check(s.wait_log(r'^destination alive: one\.relay:587;auth=joe '), 'it is alive')
    for _ in range(19):
        j = s.remote.job()
        if j: j.all('K', 'ok\n')
    check(wait_for(lambda: s.log().count('end msg') == 22), 'all goes out')
    s.stop()

def local():
    home = fresh_home(locals='local.example', smtproutes='lab.example:local=box\nhere.example:local=\nold.example:error=5.1.2 Gone', senderroutes='@test.example:local=test')
    s = Send(home)
    got = []
    for sender, rcpt in (('x@a.example', 'Joe@Lab.example'), ('x@a.example', 'joe@here.example'), ('x@test.example', 'joe@far.example')):
        Mail(home, sender, [rcpt]).announce()
        j = s.local.job()
        got.append(j and j.rcpts)
        if j: j.all('K')
    equal(got, [['box-Joe@Lab.example'], ['joe@here.example'], ['test-joe@far.example']], 'local=: mail is for this host, by recipient or by sender')
    equal(jobs(s, ('x@a.example', 'x@old.example')), [('x@a.example', '', '')], 'an error is for pipit-remote to tell')
    s.stop()

def connections():
    """The same from rspawn on: who shares a connection."""
    home = make_home(os.path.join(SCRATCH, 'rspawn'))
    with Sink() as s:
        control(home, 'smtproutes', ':[127.0.0.1]:%d' % s.port)
        control(home, 'connectionidle', '60')
        control(home, 'senderroutes', '@one.example:[127.0.0.1]:%d bind=127.0.0.2\n@two.example:[127.0.0.1]:%d\n' % (s.port, s.port))
        r = rspawn(home, os.path.join(SCRATCH, 'log'))
        hop = '[127.0.0.1]:%d' % s.port
        def give(sender, nexthop, via, host='b.example', **kw):
            return r.give_text(host, sender, ['x@' + host], extras=('NEXTHOP=' + nexthop, 'VIA=' + via), **kw)
        def ends(*nums): return ''.join(x[0] for n in nums for x in r.finish(n) or ['-'])
        equal(ends(give('x@one.example', hop + ';bind=127.0.0.2', '@one.example')), 'K', 'one sender')
        equal((ends(give('x@two.example', hop, '@two.example')), len(s.sessions)), ('K', 2), 'another one to the same domain: another connection')
        equal((ends(give('y@one.example', hop + ';bind=127.0.0.2', '@one.example')), len(s.sessions)), ('K', 2), 'the first line again: its connection')
        equal((ends(give('x@two.example', hop, '@two.example', host='c.example')), len(s.sessions)), ('K', 2), 'another domain by the second line: the connection to its next hop')
        equal((ends(give('x@c.example', hop, '')), len(s.sessions)), ('K', 2), 'without a line, but to the same next hop: that one too')
        equal((ends(give('x@one.example', '', 'by now')), len(s.sessions)), ('K', 3), 'a line that is not known, and no next hop: a new one')
        held = [give('x@one.example', '', '@one.example'), give('x@two.example', '', '@two.example', waits=True)]
        equal(ends(*held), 'KK', 'no job waits behind one of another line')
        by = {t.session: set() for t in s.transactions}
        for t in s.transactions: by[t.session].add(t.mail.split('@')[1].split('>')[0])
        check(not any({'one.example'} < x for x in by.values()), 'mail of the first line never shared a connection: %r' % list(by.values()))
        r.close()

next_hops(); stale(); health(); local(); connections()
done()
