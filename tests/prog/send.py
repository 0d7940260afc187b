"""send.py - pipit-send with stub spawners: jobs, retries, bounces, signals, deaths, odd files"""
import email, email.policy, os, signal, struct, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from sender import *
from syscalls import *
from queuefile import BUSY

JOB_BODY_MAX = 49152 # bytes of a message that goes in a job's packet

def succeed(j):
    j.all('K', 'did it\n')

def states(home):
    return [p for p in glob.glob(home + '/queue/state/[0-9]*/*')]

def test_success():
    home = fresh_home()
    s = Send(home)
    check(s.ready, 'it says when it is ready')
    body = b'Subject: x\n\n' + os.urandom(200000)
    m = Mail(home, 's@a.example', ['Joe@HOST.example'], body, extras=['BODY=8BITMIME']).announce()
    j = s.local.job()
    equal((j.id, j.host, j.sender, j.rcpts, j.extras, j.length),
          (m.id, 'HOST.example', 's@a.example', ['Joe@HOST.example'], ['BODY=8BITMIME'], len(body)),
          'a local job has its id, host, sender, recipient, extras and length')
    check(j.read() == body, 'just the message comes out of the pipe')
    j.all('K', 'did 1+0+0/\n')
    check(wait_for(lambda: not m.in_mess()) and not m.finished(), 'a finished file over 64 KiB is removed')
    id = m.id
    check(s.wait_log('^end msg %d$' % id), 'the end is logged')
    lines = s.log().splitlines()
    for line in ['status: local 0/10 remote 0/20', 'new msg %d' % id,
                 'info msg %d: bytes %d from <s@a.example> qp %d uid 1234 rcpts=1' % (id, len(body), id),
                 'starting delivery 1: msg %d to local Joe@HOST.example' % id,
                 'status: local 1/10 remote 0/20',
                 'delivery 1: success: did_1+0+0// id=%d rcpt=Joe@HOST.example' % id]:
        check(line in lines, 'log: ' + line.replace(str(id), 'N'))
    equal(states(home), [], 'a message that goes out at once leaves no state file')
    for size in (0, 1, 4096, JOB_BODY_MAX, JOB_BODY_MAX + 1):
        m = Mail(home, '', ['joe@host.example'], os.urandom(size), extras=['A=' + 'x' * 500]).announce()
        j = s.local.job()
        equal((j.read() == m.msg, j.fd == -1), (True, size <= JOB_BODY_MAX), 'a local job with %d bytes: whole, %s' % (size,
              'in the packet, without any descriptor' if size <= JOB_BODY_MAX else 'in a pipe'))
        j.all('K')
    wait_for(lambda: not m.in_mess())
    m = Mail(home, 's@a.example', ['a@X.example', 'b@y.example', 'c@x.Example'], extras=['RET=HDRS']).announce()
    jobs = [s.remote.job(), s.remote.job()]
    equal([(j.host.lower(), j.rcpts, j.extras) for j in jobs],
          [('x.example', ['a@X.example', 'c@x.Example'], ['RET=HDRS']), ('y.example', ['b@y.example'], ['RET=HDRS'])],
          'recipients of one message at one domain go in one job')
    check(jobs[0].read() == m.msg and os.lseek(jobs[0].fd, 0, os.SEEK_CUR) == 0, 'a remote job has the message file')
    try:
        os.write(jobs[0].fd, b'x')
        check(False, 'for reading only')
    except OSError: check(True, 'for reading only')
    jobs[0].result('K', '192.0.2.1 accepted message.\nRemote host said: 250 2.0.0 ok\n', 1)
    jobs[0].result('K', '', 0)
    jobs[0].end()
    jobs[1].all('K')
    check(s.wait_log('^end msg %d$' % m.id), 'it ends when all have it')
    check(m.finished(), 'and its file goes to the pool')
    check(s.wait_log(r'^delivery \d: success: .* id=%d rcpt=c@x.Example ip=192.0.2.1 code=250 status=2.0.0$' % m.id),
          'log: code, status and ip out of the report')
    m = Mail(home, 's@a.example', []).announce()
    check(wait_for(m.finished), 'a message without recipients ends at once')
    equal(s.stop(), 0, 'TERM: exit 0')
    check(s.has('status: exiting'), 'log: status: exiting')

def test_unfinished():
    """The end of a message cannot be made: nobody gets it twice."""
    if not can_trace(): return skip('system calls cannot be made to fail here')
    home = fresh_home()
    s = Send(home, local=succeed)
    t = Tracer(Fault('flock', 1, 'ENOLCK', True))
    t.attach(*s.children())
    m = Mail(home, 's@a.example', ['a@host.example', 'b@host.example']).announce()
    check(s.wait_log('trouble marking message finished'), 'a finished message that cannot be marked so: that is logged')
    equal(len(re.findall('success', s.log())), 2, 'both recipients have it')
    check(wait_for(lambda: states(home), 5), 'what was done is on disk then')
    for _ in range(4):
        s.give(signal.SIGALRM)
        time.sleep(0.3)
    check(m.in_mess(), 'it is still there')
    t.detach()
    def finished():
        s.give(signal.SIGALRM)
        return m.finished()
    check(wait_for(finished, 20, 0.2), 'when that works again it ends')
    equal(len(re.findall('success', s.log())), 2, 'and nobody got it twice')
    s.stop()

def test_retry():
    home = fresh_home()
    s = Send(home)
    m = Mail(home, 's@a.example', ['a@x.example', 'b@x.example']).announce()
    j = s.remote.job()
    j.result('K', '', 0)
    j.result('Z', 'Connected to 192.0.2.7 but greeting failed.\nRemote host said: 421 4.3.2 no\x1b[1m\n', 1)
    j.end()
    check(s.wait_log(r'^delivery 2: deferral: Connected_to_192.0.2.7_but_greeting_failed./Remote_host_said:_421_4.3.2_no_\[1m/ '
                     r'id=%d rcpt=b@x.example ip=192.0.2.7 code=421 status=4.3.2$' % m.id), 'a deferral is logged in one line')
    check(s.remote.job(2.5) is None, 'and not tried again at once')
    check(wait_for(lambda: states(home)), 'its progress is on disk after a second or two')
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, ['b@x.example'], 'ALRM: tried now, only the one that is left')
    j.all('Z', 'no\n')
    check(s.wait_log('^delivery 3: deferral: no/ '), 'it is put off again')
    time.sleep(0.2)
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, ['b@x.example'], 'ALRM right after a deferral, before it is on disk: still only that one')
    j.all('Z', 'no\n')
    check(s.wait_log('^delivery 4: deferral'), 'put off')
    n = Mail(home, 's@a.example', ['p@y.example', 'q@y.example']).announce()
    j = s.remote.job()
    j.result('K', '', 0)
    j.result('Z', 'no', 1)
    j.end()
    check(s.wait_log('^delivery 6: deferral'), 'one has it, one has not')
    time.sleep(0.1)
    s.give(signal.SIGALRM)
    jobs = [s.remote.job(), s.remote.job()]
    equal(sorted(j.rcpts for j in jobs if j), [['b@x.example'], ['q@y.example']], 'ALRM before that is on disk repeats nothing')
    for j in jobs: j.all('K' if j.id == n.id else 'Z', 'no')
    check(wait_for(n.finished), 'it ends')
    s.stop()
    s = Send(home)
    check(s.remote.job(2) is None, 'a restart keeps the schedule')
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, ['b@x.example'], 'a restart forgets nothing that is done')
    j.all('K')
    check(wait_for(m.finished), 'it ends')
    check(wait_for(lambda: not states(home)), 'its state file goes away')
    s.stop()

def test_sofar():
    """What a local delivery has done before it failed comes with its next job."""
    home = fresh_home(locals='host.example\n')
    s = Send(home)
    m = Mail(home, 's@a.example', ['a@host.example', 'b@host.example', 'c@x.example'], extras=['RET=HDRS']).announce()
    done = {}
    for j in (s.local.job(), s.local.job()):
        equal(j.extras, ['RET=HDRS'], 'at first nothing is done')
        done[j.rcpts[0]] = 'done-for-' + j.rcpts[0][0]
        j.note('S', 'older')
        j.note('S', done[j.rcpts[0]])
        j.all('Z', 'no\n')
    s.remote.job().all('K')
    def again(why):
        jobs = [s.local.job(), s.local.job()]
        equal([j and j.extras for j in jobs], [['RET=HDRS', '#0', '+SOFAR=' + done[j.rcpts[0]]] for j in jobs if j], why)
        for j in jobs: j.all('Z', 'no\n')
    check(s.wait_log('^delivery 3: success'), 'they are put off')
    s.give(signal.SIGALRM)
    again('what was done comes back with each one\'s job')
    check(wait_for(lambda: states(home) and open(states(home)[0], 'rb').read().count(b' z ') == 4), 'it is on disk after a second or two')
    s.stop(signal.SIGKILL)
    s = Send(home)
    s.give(signal.SIGALRM)
    again('and so after send was killed')
    s.wait_log('^delivery 2: deferral')
    control(home, 'locals', 'mail.example\n')
    s.give(signal.SIGHUP)
    s.give(signal.SIGALRM)
    jobs = [j for j in (s.remote.job(), s.remote.job(0.5)) if j]
    equal([j.extras for j in jobs], [['RET=HDRS']] * len(jobs), 'a remote job has nothing of it')
    for j in jobs: j.all('K')
    check(wait_for(m.finished), 'it ends')
    s.stop()

def test_torn_state():
    home = fresh_home()
    s = Send(home)
    m = Mail(home, 's@a.example', ['a@x.example', 'b@x.example', 'c@x.example']).announce()
    j = s.remote.job()
    j.result('K', '', 0)
    j.result('Z', 'no', 1)
    j.result('Z', 'no', 2)
    j.end()
    check(wait_for(lambda: states(home)), 'there is a state file')
    s.stop()
    path = states(home)[0]
    data = open(path, 'rb').read()
    with open(path, 'wb') as f: f.write(data[:-5])
    s = Send(home)
    check(s.remote.job(1.5) is None, 'a torn state file is mended from the journal')
    s.stop()
    with open(path, 'wb') as f: f.write(data[:-5])
    os.unlink(home + '/queue/lock/done')
    s = Send(home)
    j = s.remote.job()
    equal(j and j.rcpts, ['c@x.example'], 'a torn line at its end: what stands before it counts')
    j.all('K')
    check(s.wait_log('^delivery 1: success'), 'delivered')
    check(wait_for(lambda: b' d 2\n' in open(path, 'rb').read()), 'new lines are written over the torn one')
    s.give(signal.SIGALRM)
    s.remote.job().all('K')
    check(wait_for(m.finished), 'it ends')
    s.stop()
    m = Mail(home, 's@a.example', ['a@x.example'])
    with open(m.name('state'), 'wb') as f: f.write(data)
    own(m.name('state'))
    s = Send(home)
    j = s.remote.job()
    equal(j and j.rcpts, ['a@x.example'], "another message's state file is not believed")
    j.all('K')
    check(wait_for(m.finished), 'it ends')
    s.stop()

def start_queued(home):
    p = as_account([os.path.join(reachable(BIN), 'pipit-queued')], env=dict(os.environ, PIPIT_HOME=home))
    wait_for(lambda: os.path.exists(home + '/run/queue'))
    return p

def stop_queued(p):
    p.terminate()
    p.wait(10)

def parse(j):
    return email.message_from_bytes(j.read(), policy=email.policy.default)

def test_bounce():
    home = fresh_home(bouncefrom='DAEMON', bouncehost='b.example', doublebounceto='root', doublebouncehost='db.example')
    s = Send(home)
    body = b'From: me\nSubject: gr\xc3\xbc\xc3\x9fe\n\nthe body\n'
    m = Mail(home, 'list-@l.example-@[]', ['bad@x.example', 'good@x.example', 'worse@[192.0.2.9]'], body).announce()
    j = s.remote.job()
    equal((j.sender, j.rcpts), ('list-bad=x.example@l.example', ['bad@x.example']), 'VERP: a sender for each recipient')
    j.all('D', '192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no\r\n\n such\x00 user\x1b\xff\n--x\n'.encode('latin-1'))
    k = [s.remote.job(), s.remote.job()]
    equal(sorted(j.sender for j in k), ['list-good=x.example@l.example', 'list-worse=[192.0.2.9]@l.example'], 'and for the others')
    for j in k: j.all('K' if j.rcpts[0][0] == 'g' else 'D', 'x\n')
    check(s.wait_log('^warning: trouble injecting bounce message, will try later id=%d ' % m.id), 'no queued: the bounce waits')
    check(m.in_mess(), 'and the message stays')
    q = start_queued(home)
    s.give(signal.SIGALRM)
    line = s.wait_log(r'^bounce msg %d qp (\d+) to=list-@l.example$' % m.id)
    check(line, 'the bounce of a VERP sender goes to the list')
    check(wait_for(m.finished) and s.wait_log('^end msg %d$' % m.id), 'then the message ends')
    j = s.remote.job()
    equal((j.sender, j.rcpts, j.id), ('', ['list-@l.example'], int(line.group(1))), 'it has the null sender')
    text = parse(j)
    raw = text.as_bytes()
    equal([text['From'], text['To'], text['Subject'], text['Auto-Submitted'], text.get_content_type(), text.get_param('report-type')],
          ['DAEMON@b.example', 'list-@l.example', 'failure notice', 'auto-replied', 'multipart/report', 'delivery-status'], 'header of a bounce')
    check(text['Date'] and text['Message-ID'] and text['MIME-Version'] == '1.0', 'it has date, Message-ID, MIME-Version')
    parts = list(text.iter_parts())
    equal([p.get_content_type() for p in parts], ['text/plain', 'message/delivery-status', 'message/rfc822'], 'its three parts')
    words = parts[0].get_content()
    check(words.startswith('Hi. This is the pipit-send program at b.example.\n'), "qmail's first words")
    check('<bad@x.example>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no?\n such? user??\n--x\n' in words,
          'the report, cleaned')
    check('good@x.example' not in words and '<worse@[192.0.2.9]>:\n' in words, 'only those that failed')
    status = list(parts[1].iter_parts())
    equal(status[0]['Reporting-MTA'], 'dns; b.example', 'Reporting-MTA')
    equal([(p['Final-Recipient'], p['Action'], p['Status'], p['Remote-MTA']) for p in status[1:]],
          [('rfc822; bad@x.example', 'failed', '5.1.1', 'dns; [192.0.2.1]'), ('rfc822; worse@[192.0.2.9]', 'failed', '5.0.0', None)],
          'fields for machines')
    check(status[1]['Diagnostic-Code'].startswith('smtp; 550 5.1.1 no'), 'Diagnostic-Code')
    check('grüße' in parts[2].get_content()['Subject'] or b'gr\xc3\xbc\xc3\x9fe' in j.read(), 'the original is in it')
    equal(j.extras, ['BODY=8BITMIME'], '8-bit: said so')
    # that bounce bounces
    j.all('D', 'none here\n')
    line = s.wait_log(r'^bounce msg %d qp (\d+) to=root@db.example$' % j.id)
    check(line, 'a double bounce goes to doublebounceto')
    j2 = s.remote.job()
    equal((j2.sender, j2.rcpts), ('#@[]', ['root@db.example']), 'with the sender #@[]')
    check('the bounce bounced!' in parse(j2).get_body().get_content(), 'and says so')
    j2.all('D', 'none here either\n')
    check(s.wait_log('^triple bounce: discarding bounce/%d$' % j2.id) and s.wait_log('^end msg %d$' % j2.id), 'a triple bounce is dropped')
    big = b'Subject: big\nX: y\n\n' + b'x' * 70 + b'\n' * 60000
    m = Mail(home, 'me@a.example', ['bad@x.example'], big).announce()
    s.remote.job().all('D', 'no\n')
    j = s.remote.job()
    last = list(parse(j).iter_parts())[-1]
    equal((last.get_content_type(), j.length < 5000), ('text/rfc822-headers', True), 'of a large message only the header comes back')
    j.all('K')
    Mail(home, 'me@a.example', ['"' * 900 + '@x.example']).announce()
    s.remote.job().all('D', 'no\n')
    j = s.remote.job()
    check(max(map(len, j.read().splitlines())) <= 998, 'no line of a bounce is longer than a line may be, whatever the address')
    j.all('K')
    control(home, 'queuelifetime', '0')
    s.give(signal.SIGHUP)
    m = Mail(home, 'me@a.example', ['slow@x.example'], birth=(int(time.time()) - 5) * 1000000).announce()
    s.remote.job().all('Z', 'busy\n')
    number = s.wait_log(r'^starting delivery (\d+): msg %d ' % m.id)[1]
    check(s.wait_log('^delivery %s: deferral: busy/ id=%d' % (number, m.id)), 'too old, but one attempt is none')
    s.give(signal.SIGALRM)
    s.remote.job().all('Z', 'busy\n')
    check(s.wait_log("failure: busy/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long./ id=%d " % m.id),
          'the second one fails for good')
    j = s.remote.job()
    check('Status: 4.4.7' in j.read().decode() and j.rcpts == ['me@a.example'], 'the bounce says that it was too long in the queue')
    j.all('K')
    wait_for(lambda: not glob.glob(home + '/queue/mess/*/*'))
    equal(glob.glob(home + '/queue/mess/*/*'), [], 'nothing is left')
    s.stop()
    stop_queued(q)

def test_kill():
    """kill -9 at several points: what was finished is not repeated, the rest is."""
    home = fresh_home()
    s = Send(home)
    rcpts = ['r%d@d%d.example' % (i, i % 7) for i in range(60)]
    m = Mail(home, 's@a.example', rcpts).announce()
    done = []
    for n in range(3):
        j = s.remote.job()
        done += j.rcpts
        j.all('K')
    j = s.remote.job()
    check(wait_for(lambda: s.log().count(': success: ') == len(done)), 'some have it')
    kids = s.children()
    s.stop(signal.SIGKILL)
    check(not any(alive(p) for p in kids), 'the keeper and the feeder end with send')
    s = Send(home)
    again = []
    while len(again) + len(done) < 60:
        j = s.remote.job(5)
        if not j: break
        again += j.rcpts
        j.all('K')
    equal(sorted(again + done), sorted(rcpts), 'kill -9 of send: each of the others once, none twice')
    check(wait_for(m.finished), 'it ends')
    m = Mail(home, 's@a.example', ['a@x.example', 'b@y.example']).announce()
    j = s.remote.job()
    j.all('K')
    keeper = s.children()[0]
    os.kill(keeper, signal.SIGKILL)
    check(s.wait_log('^warning: the keeper died, starting another one$'), 'kill -9 of the keeper: it is told')
    k = s.remote.job()
    first = j.rcpts
    k.result('Z', 'no', 0)
    k.end()
    check(wait_for(lambda: any(b' d %d\n' % (0 if first == ['a@x.example'] else 1) in open(p, 'rb').read() for p in states(home))),
          'the next keeper hears what the first one did not write')
    s.stop(signal.SIGKILL)
    s = Send(home)
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, k.rcpts, 'and nothing is repeated')
    j.all('K')
    check(wait_for(m.finished), 'it ends')
    m = Mail(home, 's@a.example', ['a@x.example', 'b@y.example']).announce()
    s.remote.job().all('K')
    j = s.remote.job()
    rest = j.rcpts
    keeper = s.children()[0]
    os.kill(keeper, signal.SIGSTOP)
    s.give(signal.SIGTERM)
    j.all('Z', 'no')
    time.sleep(0.3)
    os.kill(keeper, signal.SIGKILL)
    equal(s.stop(), 0, 'kill -9 of the keeper while send stops: it stops well')
    s = Send(home)
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, rest, 'and nothing is repeated')
    j.all('K')
    check(wait_for(m.finished), 'it ends')
    body = b'x' * 500000
    m = Mail(home, 's@a.example', ['joe@host.example'], body).announce()
    j = s.local.job()
    feeder = s.children()[1]
    os.kill(feeder, signal.SIGKILL)
    check(s.wait_log('^warning: the feeder died, starting another one$'), 'kill -9 of the feeder: it is told')
    check(len(j.read()) < len(body), 'the reader gets too few bytes')
    j.all('Z', 'short\n')
    check(s.wait_log('deferral: short'), 'and defers')
    wait_for(lambda: len(s.children()) == 2)
    s.give(signal.SIGALRM)
    j = s.local.job()
    check(j and j.read() == body, 'the next feeder serves')
    j.all('K')
    check(wait_for(lambda: not m.in_mess()), 'it ends')
    s.stop()

def test_files():
    home = fresh_home()
    bad = Mail(home, 's@a.example', ['bad@x.example'], b'Subject: x\n\nwhole\n')
    with open(bad.path, 'r+b') as f:
        f.seek(140)
        f.write(b'!')
    in_free = Mail(home, 's@a.example', ['free@x.example'], where=home + '/queue/free/12345')
    wrong = Mail(home, 's@a.example', ['wrong@x.example'], where=home + '/queue/mess/0/999')
    locked = Mail(home, 's@a.example', ['locked@x.example'])
    lock = open(locked.path, 'rb')
    fcntl.flock(lock, fcntl.LOCK_EX)
    done = Mail(home, 's@a.example', ['done@x.example'], state=DONE)
    cut = Mail(home, 's@a.example', ['cut@x.example'])
    with open(cut.path, 'wb') as f: f.write(b'\0' * 300)
    broken = Mail(home, 's@a.example', ['broken@x.example'])
    with open(broken.path, 'r+b') as f:
        f.seek(50)
        f.write(b'!!')
    os.symlink('/etc/passwd', home + '/queue/mess/1/1')
    os.mkfifo(home + '/queue/mess/2/2')
    os.mkdir(home + '/queue/mess/0/3')
    open(home + '/queue/mess/0/.new', 'w').close()
    ended = Mail(home, 's@a.example', ['x@x.example'])
    os.unlink(ended.path)
    kept = [m.name('state') for m in (bad, locked)]
    for path in [ended.name('state'), done.name('state'), *kept]:
        open(path, 'w').close()
        own(path)
    s = Send(home)
    got = []
    for _ in range(2):
        j = s.remote.job()
        if j:
            got.append(j.rcpts[0])
            j.all('K')
    equal(sorted(got), ['free@x.example', 'wrong@x.example'], 'headers, not names, say what is mail: a live file in free/, one under a wrong name')
    check(wait_for(wrong.finished) and wait_for(in_free.finished), 'they end in the pool, under their own ids')
    check(wait_for(lambda: os.path.exists('%s/queue/bad/%d' % (home, bad.id))), 'a damaged body: set aside')
    equal(len(re.findall('^alert: damaged message set aside id=%d file=bad/%d error="the sum does not match"$' % (bad.id, bad.id), s.log(), re.M)), 1,
          'one alert line for it')
    check(wait_for(done.finished), 'a finished file under mess/ goes to the pool')
    check(s.remote.job(0.5) is None and locked.in_mess(), 'a locked file is not judged')
    check(cut.in_mess() and broken.in_mess(), 'a young file without header is let alone')
    check(wait_for(lambda: not any(os.path.exists(m.name('state')) for m in (ended, done))),
          'what was tried of a message that is gone or finished is removed')
    check(all(os.path.exists(p) for p in kept), 'not that of one that is there, or is in bad/')
    lock.close()
    s.stop()
    for f in (cut, broken): os.utime(f.path, (0, time.time() - 100))
    s = Send(home)
    j = s.remote.job()
    equal(j and j.rcpts, ['locked@x.example'], 'unlocked, it is mail')
    j.all('K')
    check(wait_for(lambda: not cut.in_mess()), 'an old file without header is removed')
    check(wait_for(lambda: os.path.exists('%s/queue/bad/%d' % (home, broken.id))), 'one with a damaged header is set aside')
    m = Mail(home, 's@a.example', ['over@x.example'])
    open(home + '/queue/lock/overflow', 'w').close()
    own(home + '/queue/lock/overflow')
    j = s.remote.job(10)
    equal(j and j.rcpts, ['over@x.example'], 'lock/overflow: a scan')
    check(not os.path.exists(home + '/queue/lock/overflow'), 'it is removed')
    j.all('K')
    m = Mail(home, 's@a.example', ['late@x.example'], body=b'x')
    m.announce(); m.announce()
    j = s.remote.job()
    check(j and s.remote.job(0.5) is None, 'an id that comes twice is one message')
    os.unlink(m.path)
    j.all('Z', 'no')
    s.give(signal.SIGALRM)
    check(s.remote.job(1) is None, 'a message that was removed by hand is forgotten')
    s.stop()

def listed(home):
    """The names on the list of free files, in a set; the list stays empty."""
    fd = os.open(home + '/queue/lock/pool', os.O_RDWR | os.O_NONBLOCK)
    try: data = os.read(fd, 65536)
    except BlockingIOError: data = b''
    os.close(fd)
    return set(struct.unpack('>%dQ' % (len(data) // 8), data))

def test_places():
    """Messages that queued has written into files of free/."""
    home = fresh_home()
    s = Send(home)
    in_free = lambda n, rcpt, **kw: Mail(home, 's@a.example', [rcpt], where='%s/queue/free/%d' % (home, n), **kw)
    is_done = lambda m: os.path.exists(m.path) and open(m.path, 'rb').read(12)[8:] == DONE
    m = Mail(home, 's@a.example', ['first@x.example']).announce()
    s.remote.job().all('K')
    check(wait_for(m.finished), 'when the keeper ends a message it has looked through free/')
    m = in_free(501, 'once@x.example').announce()
    s.remote.job().all('K')
    check(wait_for(lambda: is_done(m)), 'a message that goes out at once is finished where it lies')
    check(wait_for(lambda: 501 in listed(home)), 'and its file is on the list of free files')
    m = in_free(502, 'later@x.example').announce()
    s.remote.job().all('Z')
    check(wait_for(m.in_mess) and not os.path.exists(m.path), 'one that has to wait is moved to mess/')
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and (j.rcpts, os.pread(j.fd, 1000, j.offset)[:j.length]), (['later@x.example'], m.msg), 'and is tried again')
    j.all('K')
    check(wait_for(m.finished) and wait_for(lambda: m.id in listed(home)), 'it goes back under its own id, and on the list')
    m = in_free(504, 'moved@x.example')
    os.rename(m.path, m.name('mess'))
    m.announce()
    j = s.remote.job()
    equal(j and j.rcpts, ['moved@x.example'], 'one that was moved meanwhile is found')
    j.all('K')
    check(wait_for(m.finished), 'and finished')
    m = in_free(505, 'gone@x.example')
    os.unlink(m.path)
    m.announce()
    m = in_free(506, 'after@x.example').announce()
    j = s.remote.job()
    equal(j and j.rcpts, ['after@x.example'], 'one that is gone is passed over')
    s.stop(signal.SIGKILL)
    busy, writing = in_free(507, 'b@x.example', state=BUSY), in_free(508, 'w@x.example', state=BUSY)
    with open(writing.path, 'rb') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        s = Send(home)
        j = s.remote.job()
        equal(j and j.rcpts, ['after@x.example'], 'a message in free/ is found again after a kill')
        check(m.in_mess(), 'in mess/ by then')
        j.all('K')
        check(wait_for(m.finished), 'and finished')
        check(not os.path.exists(busy.path), 'what a killed writer has left is removed')
        check(os.path.exists(writing.path), 'what somebody writes is let alone')
        s.stop()

def test_journal():
    """As after a power cut: marks, moves and state files are lost, the journal is not."""
    home = fresh_home()
    s = Send(home)
    ms = [Mail(home, 's@a.example', ['a%d@x.example' % i]).announce() for i in range(3)]
    for m in ms: s.remote.job().all('K')
    n = Mail(home, 's@a.example', ['p@y.example', 'q@y.example']).announce()
    j = s.remote.job()
    j.result('K', '', 0)
    j.result('Z', 'no', 1)
    j.end()
    check(wait_for(lambda: all(m.finished() for m in ms) and states(home)), 'three end, one is tried again')
    time.sleep(1.5)
    s.stop(signal.SIGKILL)
    for m, where in zip(ms, (ms[0].name('mess'), '%s/queue/free/%d' % (home, ms[1].id), home + '/queue/free/77')):
        os.unlink('%s/queue/free/%d' % (home, m.id))
        with open(where, 'wb') as f: f.write(m.data)
        own(where)
    for p in states(home): os.unlink(p)
    os.rename(n.path, home + '/queue/free/78')
    s = Send(home, prefix=inject('pwrite64:delay_enter=200000') or ())
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, ['q@y.example'], 'a lost state file comes back, before its message, which lay in free/, is tried')
    check(s.remote.job(1) is None, 'a message whose mark was lost is not delivered again, wherever it stands')
    check(ms[0].finished() and ms[1].finished(), 'it is marked again')
    j.all('K')
    check(wait_for(n.finished), 'the other one ends')
    s.stop()

def test_lies():
    home = fresh_home()
    s = Send(home)
    m = Mail(home, 's@a.example', ['a@x.example', 'b@x.example', 'c@x.example']).announce()
    j = s.remote.job()
    j.result('K', '', 7)
    check(s.wait_log('^warning: internal error: delivery report out of range$'), 'an index out of range')
    j.result('K', '', 0, num=j.num + 4096)
    j.result('Q', 'what', 0)
    check(s.wait_log('^delivery 1: report mangled, will defer id=%d rcpt=a@x.example$' % m.id), 'a wrong letter')
    j.result('K', '', 1)
    j.result('D', 'changed my mind', 1)
    s.remote.send(b'garbage')
    s.remote.send(b'E' + struct.pack('>I', 77))
    j.end()
    check(s.wait_log('^delivery 3: report mangled, will defer '), 'no result at all')
    check(wait_for(lambda: s.log().count('warning: internal error: delivery report') == 5), 'an unknown job, a second result, garbage')
    s.give(signal.SIGALRM)
    j = s.remote.job()
    equal(j and j.rcpts, ['a@x.example', 'c@x.example'], 'those two are tried again')
    j.all('K')
    check(wait_for(m.finished), 'it ends')
    s.remote.sock.shutdown(socket.SHUT_RDWR)
    equal(s.process.wait(20), 111, 'a lost spawner: exit 111')
    check(s.has('alert: oh no! lost spawn connection! dying...'), "qmail's alert")
    s.stop()

def test_signals():
    home = fresh_home(concurrencyremote='3')
    s = Send(home)
    second = Send(home)
    equal(second.process.wait(10), 111, 'a second send refuses')
    check(second.has('alert: cannot start: pipit-send is already running'), 'and says why')
    for i in range(5): Mail(home, 's@a.example', ['a@d%d.example' % i]).announce()
    jobs = [s.remote.job() for _ in range(3)]
    check(all(jobs) and s.remote.job(0.5) is None, 'concurrencyremote is kept')
    control(home, 'concurrencyremote', '4')
    control(home, 'virtualdomains', 'd9.example:virt')
    s.give(signal.SIGHUP)
    jobs.append(s.remote.job())
    check(jobs[3], 'HUP: concurrencyremote is read again')
    Mail(home, 's@a.example', ['x@d9.example']).announce()
    j = s.local.job()
    equal(j and j.rcpts, ['virt-x@d9.example'], 'HUP: virtualdomains is read again')
    j.all('K')
    control(home, 'concurrencyremote', 'many')
    control(home, 'virtualdomains', '')
    s.give(signal.SIGHUP)
    check(s.wait_log('^alert: unable to reread controls, keeping the old values: .*control/concurrencyremote: line 1: not a whole number; write digits only$'),
          'HUP with a broken file: one alert line, with file, line and mend')
    Mail(home, 's@a.example', ['x@d9.example']).announce()
    j = s.local.job()
    equal(j and j.rcpts, ['virt-x@d9.example'], 'and all the old values stay')
    j.all('K')
    check(s.remote.job(0.5) is None, 'the limit too')
    s.give(signal.SIGTERM)
    check(s.wait_log('^status: local 0/10 remote 4/4 exitasap$'), 'TERM: exitasap')
    Mail(home, 's@a.example', ['new@d9.example']).announce()
    check(s.local.job(0.5) is None, 'nothing new is started')
    check(s.process.poll() is None, 'running deliveries are awaited')
    for j in jobs: j.all('K')
    equal(s.process.wait(10), 0, 'then it exits 0')
    s.stop()
    control(home, 'concurrencyremote', 'many')
    broken = Send(home)
    equal(broken.process.wait(10), 111, 'a broken control file at the start: 111')
    check(re.search('^alert: cannot start: .*concurrencyremote: line 1', broken.log(), re.M), 'and which one')
    r = subprocess.run([os.path.join(BIN, 'pipit-send'), '-x'], stderr=subprocess.PIPE)
    equal((r.returncode, len(r.stderr.splitlines())), (100, 1), 'wrong usage: 100 and one line')

def inject(*faults):
    """strace, to make system calls of pipit-send and its children fail; None where that cannot be."""
    prefix = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'signal=none']
    for f in faults: prefix += ['-e', 'inject=' + f]
    try: r = subprocess.run(prefix + ['true'], stderr=subprocess.DEVNULL).returncode
    except FileNotFoundError: r = 1
    return prefix if r == 0 else None

def test_faults():
    home = fresh_home()
    if inject('pipe2:error=EMFILE') is None: return skip('faults of system calls: needs strace and ptrace')
    s = Send(home, prefix=inject('pipe2:error=EMFILE:when=1', 'fdatasync:error=EIO:when=2..3'))
    m = Mail(home, 's@a.example', ['joe@host.example'], b'x' * (JOB_BODY_MAX + 1)).announce()
    check(s.wait_log(r'^delivery 1: deferral: Unable_to_make_a_pipe_for_the_message._\(#4.3.0\)/ '), 'no pipe: deferred')
    check(s.wait_log('^warning: unable to sync lock/done error="Input/output error"$'), 'the journal cannot be synced: told')
    check(wait_for(lambda: states(home)), 'the progress is written all the same')
    s.give(signal.SIGALRM)
    j = s.local.job()
    equal(j and j.rcpts, ['joe@host.example'], 'and it is tried again')
    j.all('K')
    check(wait_for(m.finished), 'it ends')
    s.stop()
    s = Send(home, prefix=inject('pwrite64:error=ENOSPC:when=2+'))
    m = Mail(home, 's@a.example', ['joe@host.example']).announce()
    s.local.job().all('K')
    check(s.wait_log('^warning: trouble marking message finished, will try later id=%d error="No space left on device"$' % m.id),
          'a mark that cannot be written: told')
    check(m.in_mess(), 'the message stays')
    Mail(home, 's@a.example', ['jim@host.example']).announce()
    j = s.local.job()
    check(j, 'and deliveries go on')
    j.all('Z', 'no')
    check(s.wait_log('^warning: unable to write state/'), 'a state file that cannot be written: told')
    s.stop()
    q = start_queued(home)
    s = Send(home, prefix=inject('pwrite64:error=EDQUOT:when=2'))
    m = Mail(home, 's@a.example', ['bad@x.example']).announce()
    s.remote.job().all('D', 'no such user\n')
    check(s.wait_log('^warning: trouble injecting bounce message, will try later id=%d error="Disk quota exceeded"$' % m.id),
          'a failure that cannot be written down: told')
    s.give(signal.SIGALRM)
    j = s.remote.job()
    check(j and b'no such user' in j.read(), 'its bounce waits, and tells of it')
    s.stop()
    stop_queued(q)
    for fault, line in (('socketpair:error=EMFILE', 'unable to fork error="Too many open files"'),
                        ('flock:error=ENOLCK', 'unable to lock mutex error="No locks available"'),
                        ('syncfs:error=EIO', None)):
        s = Send(home, prefix=inject(fault), patience=3)
        if line:
            check(s.wait_log('^alert: cannot start: ' + line), 'at the start: ' + line)
            equal(s.process.wait(10), 111, 'exit 111')
        else:
            check(s.wait_log('^alert: unable to work in lock/done error="Input/output error"$'), 'the journal cannot be worked in: told')
            check(s.wait_log('^warning: the keeper died, starting another one$') and not s.ready, 'and tried again')
            s.stop()

def test_limits():
    """The spawner's own limit; a slow reader does not stop the others; fairness."""
    home = fresh_home()
    s = Send(home, max=2)
    ms = [Mail(home, 's@a.example', ['u%d@host.example' % i], b'x' * 300000).announce() for i in range(4)]
    a, b = s.local.job(), s.local.job()
    check(a and b and s.local.job(0.5) is None, "the spawner's hello limits too")
    check(len(b.read()) == 300000, 'a reader that does not read stops nobody else')
    os.close(a.fd)
    a.fd = os.open('/dev/null', os.O_RDONLY)
    a.all('Z', 'gone')
    b.all('K')
    c, d = s.local.job(), s.local.job()
    check(c and d and c.read() == d.read() == b'x' * 300000, 'a reader that goes away is no error')
    c.all('K'); d.all('K')
    for i in range(30): Mail(home, 's@a.example', ['u%d@busy.example' % i]).announce()
    time.sleep(0.3)
    Mail(home, 's@a.example', ['one@quiet.example']).announce()
    seen = []
    jobs = [s.remote.job(), s.remote.job()]
    time.sleep(0.3)
    while 'quiet.example' not in seen and len(seen) < 31:
        j = jobs.pop(0)
        seen.append(j.host)
        j.all('K')
        jobs.append(s.remote.job())
    check(len(seen) <= 6, 'destinations take turns: the quiet one waits for %d others' % len(seen))
    s.stop(signal.SIGKILL)

def test_ahead():
    """Jobs that wait for a connection: only where all are in use, and quick; so many for each, and only for its destination."""
    home = fresh_home(concurrencyremote='2')
    s = Send(home)
    s.remote.send(b'A' + struct.pack('>I', 2))
    def mail(count, host='busy.example'):
        for i in range(count): Mail(home, 's@a.example', ['u%d@%s' % (i, host)]).announce()
    def jobs(seconds=0.3): # all that come by themselves
        return [*iter(lambda: s.remote.job(seconds), None)]
    mail(4)
    first = jobs()
    equal([j.waits for j in first], [False] * 2, 'nothing waits where it is not known how long')
    time.sleep(0.6)
    first[0].all('K')
    slow = jobs()
    equal([j.waits for j in slow], [False], 'nor where it takes long')
    for j in first[1:] + slow + jobs(): j.all('K')
    for j in jobs(): j.all('K')
    def quick():
        mail(12)
        flying = [s.remote.job(), s.remote.job()]
        for j in flying: j.all('K')
        flying = jobs(0.2)
        if len(flying) > 2: return flying
        while flying: # the machine was too busy to be quick
            for j in flying: j.all('K')
            flying = jobs()
    flying = wait_for(quick, 60)
    check(len(flying) == 6 and sum(j.waits for j in flying) >= 4, 'two connections have six jobs, of which four wait')
    check(s.wait_log('^status: local 0/10 remote 2/2$'), 'the status counts connections')
    mail(1, 'quiet.example')
    quiet = None
    while flying and not quiet:
        flying.pop(0).all('Z', 'later')
        for j in jobs(0.1):
            if j.host == 'quiet.example': quiet = j
            else: flying.append(j)
    check(quiet and not quiet.waits and flying, 'another destination gets a connection before all is done')
    control(home, 'concurrencyremote', '1')
    s.give(signal.SIGHUP)
    def known():
        Mail(home, 's@a.example', ['joe@host.example']).announce()
        s.local.job().all('K')
        return re.search('^status: local ./10 remote 2/1$', s.log(), re.M)
    check(wait_for(known), 'a lower concurrencyremote is known')
    mail(6)
    flying += jobs()
    for j in flying: j.all('K')
    equal(s.remote.job(0.5), None, 'and obeyed')
    quiet.all('K')
    equal([j.waits for j in jobs()][:1], [False], 'there is one again when it may be')
    s.stop(signal.SIGKILL)

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]):
        print('# ' + name, flush=True)
        test()
done()
