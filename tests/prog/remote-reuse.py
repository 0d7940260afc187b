#!/usr/bin/python3
"""remote-reuse.py - one connection for many messages: jobs in flight, servers that drop it, limits

SEED= repeats a run of the random peer.
"""
import os, random, re, signal, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from dnsserver import DNSServer
from jobs import children, remote, rspawn
from sink import Close, Reset, Silent, Sink, Slow

LONG = os.environ.get('CRASH') == 'long'
SEED = int(os.environ.get('SEED') or random.randrange(1 << 30))
print('SEED=%d' % SEED)
home = make_home()
HOST = 'b.example'
PLAIN = '250 sink.example'
DUPLICATE = 'Possible duplicate!'

def route(sink, **controls):
    control(home, 'smtproutes', ':[127.0.0.1]:%d' % sink.port)
    for name in ('timeoutremote', 'connectionmessages', 'resolvers'): control(home, name, None)
    control(home, 'connectionidle', '60') # no connection goes away because the machine is slow
    for name, value in controls.items(): control(home, name, str(value))

def start(sink, **controls):
    route(sink, **controls)
    return rspawn(home, os.path.join(SCRATCH, 'log'))

def give(r, n, rcpts=('x@' + HOST,), waits=False, host=HOST, extras=()):
    return r.give_text(host, 's@a.example', list(rcpts), b'Subject: %d\n\nbody\n' % n, waits=waits, extras=extras)

def give_all(r, s, count, **kw):
    """Jobs of which each may wait for the one before; no message goes out before all are there."""
    go = threading.Event()
    if 'held' not in s.script: s.script['held'] = s.script['data']
    s.script['data'] = lambda session, line: s.reply('held') if go.wait(10) else Close()
    nums = [give(r, n, waits=n > 0, **kw) for n in range(count)]
    go.set()
    return nums

def in_flight(r, s, count, **kw):
    return [r.finish(num) for num in give_all(r, s, count, **kw)]

def letters(results): return ''.join(x[0] for got in results for x in got or ['-'])

def subjects(sink): return [int(re.search(rb'Subject: (\d+)', t.message)[1]) for t in sink.transactions]

def ahead():
    with Sink() as s:
        r = start(s)
        check(r.ahead in (1, 2), 'rspawn says how many jobs may wait for another one')
        got = in_flight(r, s, 3)
        equal((letters(got), len(s.sessions), subjects(s)), ('KKK', 1, [0, 1, 2]), 'three jobs in flight on one connection')
        writes = s.sessions[0].writes
        equal([w.count(b'\r\n.\r\nMAIL FROM:') + 10 * w.count(b'DATA\r\n') for w in writes], [0, 10, 11, 11, 0],
              'the next envelope is in one write with the end of the message before')
        check(writes[-1].endswith(b'\r\n.\r\n') and s.sessions[0].commands.count('RSET') == 0, 'the last message ends alone')
        r.close()
    big = b'line of a message\n' * 20000
    with Sink() as s:
        r = start(s)
        nums = [r.give_text(HOST, 's@a', ['x@b'], big + b'%d\n' % n, waits=n > 0) for n in range(3)]
        equal((letters([r.finish(n) for n in nums]), [t.message == (big + b'%d\n' % n).replace(b'\n', b'\r\n') for n, t in enumerate(s.transactions)]),
              ('KKK', [True] * 3), 'large messages in flight arrive whole')
        r.close()
    with Sink(ehlo=PLAIN) as s:
        r = start(s)
        got = in_flight(r, s, 3)
        equal((letters(got), len(s.sessions), [c for w in s.sessions[0].writes for c in [w.count(b'\r\n')] if b'Subject' not in w and c != 1]),
              ('KKK', 1, []), 'without PIPELINING: each command waits for the answer to the one before')
        r.close()
    rcpts = ['rcpt%d-%s@%s' % (i, 'x' * 40, HOST) for i in range(900)]
    lines = b'\n' * 32768 # twice as much when they are sent
    long_reply = '\n'.join(['250-' + 'x' * 400] * 9 + ['250 ok'])
    with Sink(rcvbuf=2304, rcpt=long_reply, dot='250 ok') as s:
        r = start(s)
        nums = [r.give_text(HOST, 's@a', rcpts, lines, waits=n > 0) for n in range(2)]
        equal((letters([r.finish(n) for n in nums]), len(s.sessions)), ('K' * 1800, 1),
              'an envelope ahead that fills all buffers: no deadlock, and no reply taken for another')
        r.close()

def refused():
    """The envelope that went ahead is refused: its own job's verdict, and nobody else's."""
    for why, script, want in (
            ('MAIL 5yz', dict(mail=['250 ok', '550 no', '250 ok']), 'KDK'), ('MAIL 4yz', dict(mail=['250 ok', '450 no', '250 ok']), 'KZK'),
            ('RCPT 5yz', dict(rcpt=['250 ok', '550 no', '250 ok']), 'KDK'), ('RCPT 4yz', dict(rcpt=['250 ok', '450 no', '250 ok']), 'KZK'),
            ('DATA 5yz', dict(data=['354 go', '554 no', '354 go']), 'KDK'), ('DATA 4yz', dict(data=['354 go', '451 no', '354 go']), 'KZK'),
            ('the message before 5yz', dict(dot=['554 spam', '250 ok']), 'DKK'), ('the message before 4yz', dict(dot=['451 no', '250 ok']), 'ZKK')):
        with Sink(**script) as s:
            r = start(s)
            got = in_flight(r, s, 3)
            equal((letters(got), len(s.sessions), len(s.transactions)), (want, 1, want.count('K')), 'in flight: ' + why)
            r.close()
    with Sink(rcpt=['250 ok', '550 no', '250 ok'], always_354=True) as s:
        r = start(s)
        equal((letters(in_flight(r, s, 3)), len(s.sessions)), ('KDK', 2), 'in flight: 354 for nobody ends the connection, and costs the next job nothing')
        check(not any(t.data == b'.\r\n' for t in s.transactions), 'and no empty message is left')
        r.close()
    def size(n): return '250-sink.example\n250-PIPELINING\n250 SIZE %d' % n
    with Sink(ehlo=size(1000)) as s:
        r = start(s)
        nums = [r.give_text(HOST, 's@a', ['x@b'], b'x' * n + b'\n', waits=n > 1) for n in (1, 5000, 2)]
        equal((letters([r.finish(n) for n in nums]), len(s.sessions), len(s.transactions)), ('KDK', 1, 2), 'in flight: one is too large')
        r.close()

DROPS = (('closes', Close()), ('resets', Reset), ('says 421', Close('421 4.4.2 bye')), ('says 421 in lines', Close('421-4.4.2 so\n421 4.4.2 long')),
         ('says 421 and stays', '421 4.4.2 bye'))

def dropped():
    """Each way of ending a connection, in each place."""
    ok = dict(greeting='220 sink', ehlo='250-sink\n250 PIPELINING', mail='250 ok', rcpt='250 ok', data='354 go', dot='250 ok')
    for name, drop in DROPS:
        for stage in ok:
            with Sink(**dict(ok, **{stage: drop})) as s:
                route(s)
                p = remote(home, HOST, 's@a.example', 'x@' + HOST)
                equal((p.letters, DUPLICATE in p.text, len(s.transactions) and stage != 'dot'), ('rZ', stage == 'dot', 0), 'a server that %s at %s: not now' % (name, stage))
        for ehlo in (ok['ehlo'], PLAIN):
            for stage in ('mail', 'rcpt', 'data', 'dot'):
                lost = 'KZ' if stage == 'dot' else 'KK'
                kind = 'with' if 'PIPE' in ehlo else 'without'
                with Sink(**dict(ok, ehlo=ehlo, **{stage: [ok[stage], drop, ok[stage]]})) as s:
                    r = start(s)
                    got = [r.finish(give(r, n)) for n in range(2)]
                    equal((letters(got), len(s.sessions), DUPLICATE in str(got)), (lost, 1 + (lost == 'KK'), lost == 'KZ'),
                          'a kept connection (%s PIPELINING), and the server %s at %s' % (kind, name, stage))
                    r.close()
                with Sink(**dict(ok, ehlo=ehlo, **{stage: [ok[stage], drop, ok[stage]]})) as s:
                    r = start(s)
                    got = in_flight(r, s, 3)
                    equal((letters(got), len(s.sessions), subjects(s)[-1]), (lost + 'K', 2, 2),
                          'in flight (%s PIPELINING), and the server %s at %s' % (kind, name, stage))
                    r.close()
    with Sink(dot=[Close(), '250 ok']) as s:
        r = start(s)
        got = in_flight(r, s, 2)
        equal((letters(got), DUPLICATE in got[0][0], len(s.sessions)), ('ZK', True, 2), 'lost after the text: not now for that job, and the one behind it goes on')
        r.close()
    with Sink(mail=['250 ok', Close()], ehlo='250 PIPELINING') as s:
        r = start(s)
        got = in_flight(r, s, 2)
        equal((letters(got), DUPLICATE in got[1][0], len(s.sessions)), ('KZ', False, 2), 'lost on the new connection as well: not now, without a third one')
        r.close()

def many():
    """Servers that take only so many recipients at once."""
    def at_most(n, reply, after=()):
        def f(session, line):
            return '250 ok' if len(session.trans.rcpts) < n and line not in after else reply
        return f
    rcpts = ['r%d@%s' % (i, HOST) for i in range(5)]
    for reply in ('452 4.5.3 too many', '452 too many', '552 too many', '452-4.5.3 too\n452 4.5.3 many'):
        for ehlo in ('250-sink\n250 PIPELINING', PLAIN):
            with Sink(ehlo=ehlo, rcpt=at_most(2, reply)) as s:
                r = start(s)
                got = [r.finish(give(r, n, rcpts)) for n in range(2)]
                equal((letters(got), len(s.sessions), [len(t.rcpts) for t in s.transactions]), ('K' * 10, 1, [2, 2, 1] * 2),
                      'a server that takes two at once (%r, %s)' % (reply, ehlo[-10:]))
                equal(sorted(x for t in s.transactions[:3] for x in t.rcpts), ['RCPT TO:<%s>' % x for x in rcpts], 'each of them once')
                r.close()
    with Sink(rcpt='452 4.5.3 too many') as s:
        r = start(s)
        got = r.finish(give(r, 0, rcpts))
        equal((letters([got]), s.sessions[0].commands.count('DATA'), len(s.sessions)), ('Z' * 5, 1, 1), 'a server that refuses everybody with 452: not now, once')
        r.close()
    with Sink(rcpt=at_most(1, '452 4.2.2 full')) as s:
        r = start(s)
        equal((letters([r.finish(give(r, 0, rcpts))]), len(s.transactions)), ('KZZZZ', 1), 'a mailbox that is full is not one too many')
        r.close()
    with Sink(rcpt=at_most(1, '452 4.5.3 too many')) as s:
        r = start(s)
        got = letters([r.finish(give(r, 0, ['r%d@b' % i for i in range(40)]))])
        equal((got, len(s.transactions)), ('K' * 21 + 'Z' * 19, 21), 'there is an end to further transactions')
        r.close()
    with Sink(rcpt=at_most(2, '452 4.5.3 too many'), dot=['250 first', Close(), '250 third']) as s:
        r = start(s)
        got = r.finish(give(r, 0, rcpts))
        equal((letters([got]), len(s.sessions)), ('KKZZK', 2), 'each transaction has its own result; the rest goes out on a new connection')
        equal([('first' in x, DUPLICATE in x, 'third' in x) for x in got], [(True, False, False)] * 2 + [(False, True, False)] * 2 + [(False, False, True)], 'and text')
        r.close()
    with Sink(rcpt=at_most(1, '452 4.5.3 too many'), dot=Close()) as s:
        r = start(s)
        equal((letters([r.finish(give(r, 0, rcpts))]), len(s.sessions)), ('ZZZZZ', 2), 'a server that breaks off each time is not asked for each of them')
        r.close()
    with Sink(rcpt=at_most(2, '452 4.5.3 too many'), dot=['250 ok', '554 spam', '250 ok']) as s:
        route(s)
        p = remote(home, HOST, 's@a.example', *rcpts)
        equal((p.letters, p.rcpts[0][1], 'spam' in p.rcpts[2][1]), ('rrhhrK', '', True), 'the report of one command: r, h or s for each, K for the message')
    with Sink(rcpt=at_most(2, '452 4.5.3 too many'), mail=['250 ok', Close(), '250 ok']) as s:
        r = start(s)
        got = letters([r.finish(give(r, 0, rcpts))])
        equal((got, len(s.sessions), [len(t.rcpts) for t in s.transactions]), ('KKKKK', 2, [2, 2, 1]), 'a connection that is lost between them costs nothing')
        r.close()

def limits():
    def offer(text): return '250-sink\n250-PIPELINING\n250 LIMITS ' + text
    rcpts = ['r%d@%s' % (i, HOST) for i in range(5)]
    with Sink(ehlo=offer('RCPTMAX=2')) as s:
        r = start(s)
        equal((letters([r.finish(give(r, 0, rcpts))]), len(s.sessions), [len(t.all_rcpts) for t in s.transactions]), ('KKKKK', 1, [2, 2, 1]), 'RCPTMAX is obeyed')
        r.close()
    with Sink(ehlo=offer('MAILMAX=2 RCPTMAX=2')) as s:
        r = start(s)
        equal((letters([r.finish(give(r, 0, rcpts))]), [x.commands.count('DATA') for x in s.sessions]), ('KKKKK', [2, 1]), 'RCPTMAX and MAILMAX together')
        r.close()
    def most(counts, total, limit):
        check(sum(counts) == total and max(counts) == limit, 'no connection has more messages than it may, and one has as many') or print(counts)
    for kind, jobs in (('in flight', in_flight), ('one by one', lambda r, s, n: [r.finish(give(r, i)) for i in range(n)])):
        with Sink(ehlo=offer('MAILMAX=2')) as s:
            r = start(s)
            equal(letters(jobs(r, s, 5)), 'KKKKK', 'MAILMAX, %s' % kind)
            most([len([c for c in x.commands if 'MAIL' in c]) for x in s.sessions], 5, 2)
            r.close()
        with Sink() as s:
            r = start(s, connectionmessages=3)
            equal(letters(jobs(r, s, 7)), 'K' * 7, 'connectionmessages, %s' % kind)
            most([x.commands.count('DATA') for x in s.sessions], 7, 3)
            full = next((x for x in s.sessions if x.commands.count('DATA') == 3), s.sessions[0])
            check(wait_for(lambda: full.closed and full.commands[-1] == 'QUIT'), 'a connection that is used up ends with QUIT')
            r.close()
    with Sink(ehlo=offer('RCPTDOMAINMAX=1')) as s:
        route(s)
        p = remote(home, HOST, 's@a.example', 'a@b', 'b@B', 'c@c', 'd@c', 'e@b')
        equal((p.letters, [t.rcpts for t in s.transactions], len(s.sessions)),
              ('rrrrrK', [['RCPT TO:<a@b>', 'RCPT TO:<b@B>'], ['RCPT TO:<c@c>', 'RCPT TO:<d@c>'], ['RCPT TO:<e@b>']], 3), 'RCPTDOMAINMAX is obeyed')
    with Sink(ehlo=offer('RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX')) as s:
        r = start(s)
        equal((letters([r.finish(give(r, 0, rcpts))]), len(s.transactions)), ('KKKKK', 1), 'LIMITS that make no sense are none')
        r.close()
    for idle, least, most in ((0, 0, 1.5), (1, 0.9, 2.8)):
        with Sink() as s:
            r = start(s, connectionidle=idle)
            for tries in range(5): # a busy machine takes its time; not each time
                n, began = len(s.sessions), time.monotonic()
                equal(letters([r.finish(give(r, 0))]), 'K', 'connectionidle=%d' % idle)
                done = time.monotonic()
                check(wait_for(lambda: s.sessions[n].closed, 30), 'an idle connection is closed')
                over = time.monotonic()
                if over - done < most: break
            check(over - began >= least and over - done < most and s.sessions[n].commands[-1] == 'QUIT',
                  'after connectionidle=%d seconds, with QUIT' % idle) or print(over - began, over - done)
            r.close()
    limits = ['CONNMESSAGES=2', 'CONNIDLE=1'] # as send tells them for a next hop of concurrencydomains
    with Sink() as s:
        r = start(s, connectionmessages=5, connectionidle=9)
        equal(letters([r.finish(give(r, n, extras=limits)) for n in range(4)]), 'KKKK', 'jobs that bring limits of their own')
        equal([x.commands.count('DATA') for x in s.sessions], [2, 2], 'their messages of a connection count')
        equal(letters([r.finish(give(r, 0, extras=limits))]), 'K', 'one more')
        check(wait_for(lambda: len(s.sessions) == 3 and s.sessions[2].closed, 7), 'and so do their idle seconds')
        r.close()
    with Sink() as s:
        for name, value in (('connectionmessages', '0'), ('connectionmessages', 'many'), ('connectionmessages', '1000001'),
                            ('connectionidle', '-1'), ('connectionidle', '3601'), ('connectionidle', '')):
            r = start(s, **{name: value})
            got = r.finish(give(r, 0))
            check(got and got[0][0] == 'Z' and 'control/%s: line 1: ' % name in got[0] and not s.sessions, '%s=%r: not now, and the text says why' % (name, value)) or print(got)
            r.close()

def crashes():
    for before, third in (0, 'Z'), (1, 'K'): # a worker that never did anything is no reason to start another one
        with Sink(dot=['250 ok'] * before + [Silent, '250 ok']) as s:
            r = start(s)
            for n in range(before): r.finish(give(r, n))
            nums = give_all(r, s, 3)
            check(wait_for(lambda: s.sessions and any(b'.\r\nMAIL' in w for w in s.sessions[0].writes)), 'a message is out, with an envelope behind it')
            for pid in children(r.process.pid): os.kill(pid, signal.SIGKILL)
            got = [r.finish(n) for n in nums]
            check(letters(got[:2]) == 'ZZ' and all('crashed' in x[0] for x in got[:2]), 'a worker killed with two jobs in flight: not now for both')
            equal(letters(got[2:]), third, 'a job that it had not looked at, after %d that it had done' % before)
            equal(letters([r.finish(give(r, 4))]), 'K', 'and the next job is served')
            equal(r.close(), 0, 'rspawn ends')
    go = threading.Event()
    def wait(session, line): return '354 go' if go.wait(10) else Close()
    with Sink(data=[wait, '354 go']) as s: # before the end of the first message nobody looks at the next
        r = start(s)
        nums = [give(r, 0), give(r, 1, waits=True)]
        check(wait_for(lambda: s.sessions and 'DATA' in s.sessions[0].commands), 'a job is stuck')
        equal((letters([r.finish(give(r, 2))]), len(s.sessions)), ('K', 2), 'another one does not wait')
        equal((letters([r.finish(nums[1], 5)]), len(s.sessions)), ('K', 2), 'and when that has ended, what waits is done there')
        go.set()
        equal(letters([r.finish(nums[0])]), 'K', 'the first one has its own result')
        r.close()
    for killed in (False, True):
        go = threading.Event()
        with Sink(data=[wait, '354 go']) as s:
            r = start(s)
            first = give(r, 0)
            wait_for(lambda: s.sessions and 'DATA' in s.sessions[0].commands)
            equal(r.finish(give(r, 1, waits=True), 0.5), None, 'a job that may wait does')
            if killed: r.process.kill()
            else: r.sock.close()
            equal(r.process.wait(10), -9 if killed else 0, 'rspawn is stopped with jobs in flight')
            go.set()
            check(wait_for(lambda: s.sessions[0].closed), 'its worker ends when it has done its job')
            equal(subjects(s), [0], 'and begins no other')
            if killed: r.sock.close()

def random_peer():
    """Whatever a server does: one result for each recipient, one end for each job, and a true one."""
    rnd, count = random.Random(SEED), 3000 if LONG else 300
    def any_of(stage, good, bad):
        def f(session, line):
            with lock: x = rnd.random()
            return good if x < 0.88 else bad[int(x * 10007) % len(bad)]
        return f
    lock = threading.Lock()
    drops = [d for _, d in DROPS]
    refusals = ['450 4.2.0 later', '550 5.1.1 no', '452 4.5.3 too many', '552 5.5.3 too many']
    script = dict(greeting=any_of('greeting', '220 hi', drops + ['450 x']), mail=any_of('mail', '250 ok', drops + refusals[:2]),
                  ehlo=any_of('ehlo', '250-x\n250 PIPELINING', drops + ['250 x', '250-x\n250-PIPELINING\n250 LIMITS RCPTMAX=2 MAILMAX=3']),
                  rcpt=any_of('rcpt', '250 ok', drops + refusals * 3), data=any_of('data', '354 go', drops + refusals[:2]),
                  dot=any_of('dot', '250 ok', drops + refusals[:2]), rset=any_of('rset', '250 ok', drops))
    with Sink(**script) as s:
        r = start(s, timeoutremote=5)
        jobs, open_jobs, wrong = {}, set(), []
        def drain(most):
            while len(open_jobs) > most:
                if not r.read(30): return wrong.append('no end of %s' % sorted(open_jobs))
                open_jobs.difference_update(r.ended)
        for n in range(count):
            rcpts = ['j%d-%d@h.example' % (n, i) for i in range(rnd.choice((1, 1, 2, 5)))]
            num = give(r, n, rcpts, waits=rnd.random() < 0.7, host='h%d.example' % rnd.randrange(3))
            jobs[num] = rcpts
            open_jobs.add(num)
            if rnd.random() < 0.02:
                for pid in children(r.process.pid)[:1]: os.kill(pid, signal.SIGKILL)
            drain(rnd.choice((0, 5, 11)))
        drain(0)
        r.close()
        taken = {}
        for t in s.transactions:
            for x in t.rcpts: taken.setdefault(x[9:-1], []).append(t.message)
        for num, rcpts in jobs.items():
            got = r.results[num]
            if sorted(got) != list(range(len(rcpts))): wrong.append('results of %d: %s' % (num, sorted(got)))
            for i, x in got.items():
                n = len(taken.get(rcpts[i], []))
                if x[0] == 'K' and n != 1 or x[0] != 'K' and n and DUPLICATE not in x and 'crashed' not in x or n > 1:
                    wrong.append('%s: %r, and the server has it %d times' % (rcpts[i], x, n))
                if x[0] == 'D' and ' 5' not in x and 'Giving up' not in x: wrong.append('%s: %r' % (rcpts[i], x))
        if not check(not wrong and len(jobs) == count, '%d jobs and a server that does anything: true results, one each' % count): print(wrong[:10])
        print('# %d connections, %s' % (len(s.sessions), {l: sum(x[0] == l for g in r.results.values() for x in g.values()) for l in 'KZD'}))

def other_hosts():
    """A connection is for all hosts that lead to the same place."""
    def hosts(r, s, jobs):
        return letters([r.finish(give(r, n, host=h, rcpts=['x@' + h], extras=['NEXTHOP=' + hop])) for n, (h, hop) in enumerate(jobs)])
    with Sink() as s:
        r = start(s)
        relay = '[127.0.0.1]:%d' % s.port
        equal(hosts(r, s, [('a.example', relay), ('b.example', relay), ('c.example', relay)]), 'KKK', 'jobs for three hosts behind one relay')
        equal((len(s.sessions), subjects(s)), (1, [0, 1, 2]), 'one connection')
        equal((hosts(r, s, [('d.example', ''), ('e.example', 'elsewhere:25')]), len(s.sessions)), ('KK', 3), 'each that may lead elsewhere has its own')
        nums = give_all(r, s, 1, host='a.example', extras=['NEXTHOP=' + relay]) + [give(r, 9, host='b.example', waits=True, extras=['NEXTHOP=' + relay])]
        equal(letters([r.finish(n) for n in nums]), 'KK', 'a job that may wait, and one for another host under way')
        r.close()
    with Sink() as s, Sink('127.0.0.2', s.port) as backup, Sink('127.0.0.3', s.port) as third:
        zone = {d + '.example': {'MX': ['10 mx.example', '20 backup.' + d + '.example']} for d in 'abc'}
        zone.update({'mx.example': {'A': ['127.0.0.1']}, **{'backup.%s.example' % d: {'A': ['127.0.0.2']} for d in 'ac'},
                     'backup.b.example': {'A': ['127.0.0.3']}})
        dns = DNSServer(zone).start()
        r = start(s, resolvers=dns.resolver)
        control(home, 'smtproutes', '::%d' % s.port)
        mx = 'mx.example:%d' % s.port
        equal(hosts(r, s, [('a.example', '')]), 'K', 'a job by MX')
        equal(r.groups[-1], mx, 'tells where it leads')
        equal((hosts(r, s, [('b.example', mx)]), len(s.sessions)), ('K', 1), 'a host with the same best mail exchanger has its connection')
        equal((hosts(r, s, [('c.example', '')]), len(s.sessions)), ('K', 2), 'one of which that is not known gets its own')
        check(wait_for(lambda: s.sessions[0].closed and s.sessions[0].commands[-1] == 'QUIT', 2), 'in place of the idle one')
        s.script['greeting'] = Close('421 not now')
        r.close()
        r = start(s, resolvers=dns.resolver)
        control(home, 'smtproutes', '::%d' % s.port)
        equal((hosts(r, s, [('a.example', mx), ('b.example', mx)]), len(backup.transactions), len(third.transactions)), ('KK', 1, 1),
              'a connection to the second best is for its own host only')
        r.close()
        dns.stop()

for test in (other_hosts, ahead, refused, dropped, many, limits, crashes, random_peer): test()
done()
