#!/usr/bin/python3
"""rspawn.py - pipit-rspawn and its workers: jobs in, results out, connections kept"""
import os, shutil, signal, socket, subprocess, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from instance import reachable
from pipit import *
from jobs import children, rspawn
import peers
from sink import Close, Raw, Silent, Sink

home = make_home()
LOG = os.path.join(SCRATCH, 'log')
OK = 'K127.0.0.1 accepted message.\nRemote host said: 250 2.0.0 taken\n'

def route(sink, **controls):
    control(home, 'smtproutes', ':[127.0.0.1]:%d' % sink.port)
    for name in ('timeoutremote',): control(home, name, None)
    for name, value in controls.items(): control(home, name, str(value))

def start(*args, **kw): return rspawn(home, LOG, *args, **kw)

def closes(r, why):
    equal(r.close(), 0, why + ': exit 0 at the end of descriptor 0')

def reuse():
    with Sink(rcpt=['250 ok', '550 no', '250 ok']) as s:
        route(s)
        r = start()
        check(r.max and 1 <= r.max <= 1000, 'hello with the number of jobs at once')
        equal(r.run('b.example', 's@a', ['x@b', 'y@b']), [OK, 'D127.0.0.1 does not like recipient.\nRemote host said: 550 no\n'],
              'one result for each recipient')
        for i in range(5): r.run('b.example', 's@a', ['x@b'])
        equal((len(s.sessions), len(s.transactions)), (1, 6), 'six messages on one connection')
        equal(s.sessions[0].commands.count('RSET'), 0, 'no RSET after a message that was sent')
        equal(s.transactions[0].message, b'Subject: x\r\n\r\nbody\r\n', 'the message alone is sent, not what lies around it')
        r.run('c.example', 's@a', ['x@c'])
        equal(len(s.sessions), 2, 'another host: another connection')
        r.run('B.example', 's@a', ['x@b'])
        equal(len(s.sessions), 2, 'the first connection is still there')
        check(wait_for(lambda: all(x.closed for x in s.sessions), 8), 'idle connections are closed')
        equal([x.commands[-1] for x in s.sessions], ['QUIT', 'QUIT'], 'with QUIT')
        check(wait_for(lambda: not children(r.process.pid)), 'and no worker is left')
        equal(r.run('b.example', 's@a', ['x@b']), [OK], 'a new one for the next job')
        closes(r, 'rspawn')
        check(wait_for(lambda: s.sessions[-1].closed and s.sessions[-1].commands[-1] == 'QUIT'), 'the worker says QUIT then')
    with Sink(mail=['250 ok', '550 no', '250 ok'], rcpt=['550 no', '250 ok'], data=['451 later', '354 go']) as s:
        route(s)
        r = start()
        got = [r.run('b.example', 's@a', ['x@b'])[0][0] for i in range(4)]
        equal((got, len(s.sessions)), (['D', 'D', 'Z', 'K'], 1), 'refusals of all kinds on one connection')
        check(b'RSET\r\nMAIL' in s.sessions[0].raw and s.sessions[0].commands.count('RSET') == 3, 'RSET after each, in the next pipeline')
        r.close()
    with Sink(ehlo='250 plain', rcpt=['550 no', '250 ok']) as s:
        route(s)
        r = start()
        got = [r.run('b.example', 's@a', ['x@b'])[0][0] for i in range(2)]
        equal((got, len(s.sessions), s.sessions[0].commands.count('RSET')), (['D', 'K'], 1, 1), 'RSET without PIPELINING')
        r.close()
    with Sink() as s:
        route(s)
        r = start()
        for i in range(101): r.run('b.example', 's@a', ['x@b'])
        equal([len([c for c in x.commands if c == 'DATA']) for x in s.sessions], [100, 1], '100 messages on a connection, then a new one')
        many = r.run('b.example', 's@a', ['rcpt%d@b.example' % i for i in range(1000)])
        equal((len(many), set(many)), (1000, {OK}), 'a job with 1000 recipients')
        for extras, body in ((['BODY=8BITMIME'], True), (['ENVID=x', 'BODY=8BITMIME'], True), (['BODY=7BIT'], False)):
            r.run('b.example', 's@a', ['x@b'], extras=extras)
            equal('BODY=8BITMIME' in s.transactions[-1].mail, body, 'a message with %s' % extras)
        r.close()

def dropped():
    """The server ends a connection that is kept: nothing may come of it."""
    def once(reply):
        seen = []
        def f(session, line):
            seen.append(1)
            return reply if len(seen) == 2 else '250 ok'
        return f
    for why, reply in (('closes at MAIL', Close()), ('answers 421 to MAIL', Close('421 4.4.2 idle'))):
        with Sink(mail=once(reply)) as s:
            route(s)
            r = start()
            got = [r.run('b.example', 's@a', ['x@b']) for i in range(3)]
            equal((got, len(s.sessions)), ([[OK]] * 3, 2), 'a kept connection %s: the job goes out on a new one' % why)
            r.close()
    for why, last in (('closes', b''), ('says 421 and closes', b'421 4.4.2 idle\r\n'), ('says 421', b'421 4.4.2 idle\r\n')):
        with Sink() as s:
            route(s)
            r = start()
            r.run('b.example', 's@a', ['x@b'])
            conn = s.sessions[0].conn
            conn.sendall(last)
            try:
                if 'closes' in why: conn.shutdown(2)
            except OSError: pass # 421 alone was enough
            check(wait_for(lambda: s.sessions[0].closed, 2), 'a server that %s while nothing happens is let go' % why)
            equal((r.run('b.example', 's@a', ['x@b']), len(s.sessions)), ([OK], 2), 'and the next job goes out on a new connection')
            r.close()
    with Sink(rcpt=['250 ok', Close('421 bye'), '250 ok']) as s:
        route(s)
        r = start()
        got = [r.run('b.example', 's@a', ['x@b'])[0][0] for i in range(3)]
        equal((got, len(s.sessions)), (['K', 'K', 'K'], 2), 'a kept connection lost after MAIL: the same')
        r.close()

def parallel():
    together = threading.Barrier(10)
    def wait_for_all(session, line):
        try: together.wait(20)
        except threading.BrokenBarrierError: return '451 they wait for each other'
        return '250 ok'
    with Sink(dot=wait_for_all) as s:
        route(s)
        r = start()
        nums = [r.give_text('b.example', 's@a', ['x@b']) for i in range(5)] + [r.give_text('h%d.example' % i, 's@a', ['x']) for i in range(5)]
        for n in nums: r.finish(n)
        check(all(r.results[n][0][0] == 'K' for n in nums) and len(s.sessions) == 10, 'jobs go on side by side, and do not wait for each other')
        r.close()
    with Sink() as s:
        route(s)
        r = start(['/bin/sh', '-c', 'ulimit -n 22; exec "$0"', BIN + '/pipit-rspawn'])
        equal(r.max, 2, 'few descriptors: few jobs at once')
        for host in 'abcde': equal(r.run(host + '.example', 's@a', ['x@b']), [OK], 'at the cap another idle worker makes room (%s)' % host)
        check(len(children(r.process.pid)) <= 4, 'workers do not pile up')
        r.close()
    with Sink(data=Silent) as s:
        route(s, timeoutremote=3)
        r = start(['/bin/sh', '-c', 'ulimit -n 20; exec "$0"', BIN + '/pipit-rspawn'])
        one, two = r.give_text('b.example', 's@a', ['x@b']), r.give_text('c.example', 's@a', ['x@b'])
        equal(r.finish(two, 2)[0][0], 'Z', 'more jobs than were said: not now')
        equal(r.finish(one)[0][0], 'Z', 'and the first one has its own answer')
        r.close()

def crashes():
    with Sink(rcpt=['250 ok', Silent]) as s:
        route(s)
        r = start()
        num = r.give_text('b.example', 's@a', ['x@b', 'y@b'])
        check(wait_for(lambda: s.sessions and 'RCPT TO:<y@b>' in s.sessions[0].commands), 'a job is under way')
        for pid in children(r.process.pid): os.kill(pid, signal.SIGKILL)
        got = r.finish(num, 5)
        check(got and [g[0] for g in got] == ['Z', 'Z'] and 'crashed' in got[0], 'a worker that is killed: not now for every recipient')
        s.script['rcpt'] = '250 ok'
        equal(r.run('b.example', 's@a', ['x@b'])[0][0], 'K', 'and the next job gets a new worker')
        for pid in children(r.process.pid): os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not children(r.process.pid))
        equal(r.run('b.example', 's@a', ['x@b'])[0][0], 'K', 'a worker killed while it is idle is not missed')
        closes(r, 'after crashes')
    lonely = os.path.join(SCRATCH, 'lonely')
    os.mkdir(lonely)
    os.chmod(lonely, 0o755)
    shutil.copy(BIN + '/pipit-rspawn', lonely)
    r = start(program=lonely + '/pipit-rspawn', PIPIT_HOME=lonely)
    got = r.run('b.example', 's@a', ['x@b', 'y@b'])
    check(got and [g[0] for g in got] == ['Z', 'Z'] and '(#4.3.0)' in got[0], 'no pipit-remote: not now')
    check('unable to run' in open(LOG).read(), 'and the log says so')
    # A worker that breaks the rules: what it says about this job, another, twice, nonsense.
    liar = os.path.join(lonely, 'pipit-remote')
    for why, code in (('another job', "b'R'+struct.pack('>II',n+1,0)+b'K'"), ('a recipient that is none', "b'R'+struct.pack('>II',n,7)+b'K'"),
                      ('a letter that is none', "b'R'+struct.pack('>II',n,0)+b'X'"), ('nonsense', "b'??'"), ('the end only', "b'E'+struct.pack('>I',n)")):
        with open(liar, 'w') as f:
            f.write('#!/usr/bin/python3\nimport socket,struct,time\ns=socket.socket(fileno=0)\np=s.recv(65536)\n'
                    'n=struct.unpack(">I",p[1:5])[0]\ns.send(%s)\ntime.sleep(3)\n' % code)
        os.chmod(liar, 0o755)
        got = r.run('%d.example' % abs(hash(why)), 's@a', ['x@b', 'y@b'])
        check(got and [g[0] for g in got] == ['Z', 'Z'], 'a worker that answers with %s: not now' % why)
    r.close()
    with Sink() as s:
        route(s)
        r = start()
        fd = os.open('/etc/passwd', os.O_RDONLY)
        size = os.fstat(fd).st_size
        for length, why in ((size + 1, 'small'), (200000, 'large')):
            got = r.finish(r.give('b.example', 's@a', ['x@b'], fd, 0, length))
            check(got and got[0].startswith('ZUnable to read message.'), 'a file shorter than the message (%s): not now' % why)
        os.close(fd)
        check(not s.transactions and not any(x.raw.endswith(b'\r\n.\r\n') for x in s.sessions), 'and the server sees no end of a message')
        equal(r.run('b.example', 's@a', ['x@b']), [OK], 'the next job is served')
        r.close()
    null = os.open('/dev/null', os.O_RDONLY)
    r = start()
    r.sock.sendmsg([b'J nonsense'], [])
    equal(r.process.wait(10), 111, 'nonsense from send: exit 111')
    os.close(null)

def faults():
    strace = shutil.which('strace')
    if not strace or subprocess.run([strace, '-o', '/dev/null', 'true'], stderr=subprocess.DEVNULL).returncode:
        return skip('no strace here')
    for call, error in (('clone,fork,vfork,clone3', 'EAGAIN'), ('socketpair', 'EMFILE')):
        with Sink() as s:
            route(s)
            r = start([strace, '-qq', '-o', '/dev/null', '-e', 'trace=' + call, '-e', 'inject=%s:error=%s' % (call, error)],
                      ASAN_OPTIONS='detect_leaks=0')
            got = r.run('b.example', 's@a', ['x@b', 'y@b'])
            check(got and [g[0] for g in got] == ['Z', 'Z'], '%s fails with %s: not now' % (call.split(',')[0], error))
            r.close()

def programs():
    prog = os.path.join(SCRATCH, 'qmail-remote')
    def run(script, rcpts=('x@b', 'y@b', 'z@b'), message=b'Subject: m\n\nbody\n'):
        with open(prog, 'w') as f: f.write('#!/bin/sh\n' + script)
        os.chmod(prog, 0o755)
        r = start(QMAILREMOTE=prog)
        got = r.run('b.example', 's@a', list(rcpts), message)
        r.close()
        return got
    out = os.path.join(SCRATCH, 'out')
    os.mkdir(out)
    own(out)
    equal(run('cat >%s/m; printf "%%s\\n" "$@" >%s/a; printf "r\\0hno\\0slater\\0Kfine\\0"' % (out, out)), ['Kfine', 'Dno', 'Zlater'],
          'QMAILREMOTE: r, h and s for each recipient')
    equal(open(out + '/m').read(), 'Subject: m\n\nbody\n', 'QMAILREMOTE: it has the message, and nothing of the envelope')
    equal(open(out + '/a').read(), 'b.example\ns@a\nx@b\ny@b\nz@b\n', 'QMAILREMOTE: host, sender and recipients')
    run("head -c 3 >/dev/null; (lseek=1; cat) >%s/m; printf 'r\\0Kfine\\0'" % out, ['x@b'], b'a' * 300000)
    equal(os.path.getsize(out + '/m') > 200000, True, 'QMAILREMOTE: a large message')
    for letter in 'KZD': equal(run("printf 'r\\0%swhy\\0'" % letter, ['x@b']), [letter + 'why'], 'QMAILREMOTE: r counts as the message (%s)' % letter)
    for why, script in (('exits with 111', 'exit 111'), ('exits with 100', "printf 'r\\0Kok\\0'; exit 100"), ('is killed', 'kill -9 $$'),
                        ('says nothing', 'exit 0'), ('says half a report', "printf 'r\\0Kok'"), ('says nonsense', "printf 'what\\0ever\\0'"),
                        ('forgets the message', "printf 'r\\0r\\0r\\0'")):
        got = run(script)
        check(got and [g[0] for g in got] == ['Z'] * 3 and all(len(g) > 5 for g in got), 'QMAILREMOTE: a program that %s: not now' % why)
    equal([g[0] for g in run("printf 'r\\0Kok\\0'")], ['K', 'Z', 'Z'], 'QMAILREMOTE: recipients without a result: not now')
    equal(run("printf 'r\\0Ka\\033b\\rc\\0'", ['x@b']), ['Ka?b?c'], 'QMAILREMOTE: control characters go no further')
    os.unlink(prog)
    r = start(QMAILREMOTE=prog)
    got = r.run('b.example', 's@a', ['x@b'])
    check(got and got[0][0] == 'Z', 'QMAILREMOTE: no such program: not now')
    check('unable to run' in open(LOG).read(), 'and the log says so')
    closes(r, 'QMAILREMOTE')

def foreign():
    """Postfix's smtp-sink, with all that it can be told to be."""
    try: postfix = peers.Peer(reachable(peers.postfix().root))
    except (peers.Unavailable, OSError) as e: return skip('no smtp-sink here: %s' % e)
    rights = dict(user=ACCOUNT.pw_uid, group=ACCOUNT.pw_gid, extra_groups=[]) if ROOT else {}
    for options, want in (([], 'K'), (['-p'], 'K'), (['-e'], 'K'), (['-8'], 'K'), (['-f', 'rcpt'], 'D'), (['-r', 'rcpt'], 'Z'),
                          (['-f', 'mail'], 'D'), (['-r', 'data'], 'Z'), (['-f', '.'], 'D'), (['-r', '.'], 'Z'), (['-q', 'data'], 'Z'),
                          (['-Q', 'connect'], 'Z')):
        port = free_port()
        sink = postfix.start('usr/sbin/smtp-sink', *options, '127.0.0.1:%d' % port, '100', stderr=subprocess.DEVNULL, **rights)
        try:
            if not wait_for(lambda: sink.poll() is not None or listens(port)) or sink.poll() is not None:
                skip('smtp-sink does not start')
                continue
            control(home, 'smtproutes', ':[127.0.0.1]:%d' % port)
            r = start()
            got = [r.run('b.example', 's@a.example', ['x@b.example', 'y@b.example']) for i in range(40 if want == 'K' else 3)]
            check(all(g and [x[0] for x in g] == [want] * 2 for g in got), 'smtp-sink %s: %s' % (' '.join(options), want)) or print(got[:1])
            r.close()
        finally:
            sink.terminate()
            sink.wait()

def listens(port):
    with socket.socket() as s: return s.connect_ex(('127.0.0.1', port)) == 0

def usage():
    p = subprocess.run([BIN + '/pipit-rspawn', 'x'], stdin=subprocess.DEVNULL, stderr=-1)
    check(p.returncode == 100 and p.stderr.count(b'\n') == 1, 'wrong usage: one line, exit 100')

for test in (usage, reuse, dropped, parallel, crashes, faults, programs, foreign): test()
done()
