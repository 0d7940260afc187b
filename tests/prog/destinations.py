"""destinations.py - pipit-send's next hops with stub spawners: dead ones, shared ones, caps, rates, retries"""
import os, re, signal, struct, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from sender import *

DEAD_AFTER = 5  # failures in a row that make a next hop dead
START = 5       # jobs at a time to begin with
DEAD_MAIL = 3000
LIVE_MAIL = 400

def states(home):
    return glob.glob(home + '/queue/state/[0-9]*/*')

def memory(pid):
    """Kilobytes of a process's own memory."""
    return int(re.search(r'^RssAnon:\s+(\d+)', open('/proc/%d/status' % pid).read(), re.M).group(1))

class World:
    """Answers for jobs, by domain: a function of the job. Counts what runs at the same time."""
    def __init__(self, **how):
        self.how, self.lock = how, threading.Lock()
        self.running, self.most, self.jobs, self.times = {}, {}, {}, {}
        self.together = () # domains of which it counts what runs at the same time, as <both>
        self.both = self.all = 0

    def __call__(self, j):
        domain = j.host.lower()
        with self.lock:
            n = self.running[domain] = self.running.get(domain, 0) + 1
            self.most[domain] = max(n, self.most.get(domain, 0))
            self.all = max(self.all, sum(self.running.values()))
            self.both = max(self.both, sum(self.running.get(d, 0) for d in self.together))
            self.jobs[domain] = self.jobs.get(domain, 0) + 1
            self.times.setdefault(domain, []).append(time.monotonic())
        def over():
            with self.lock: self.running[domain] -= 1
        seconds, what = self.how[domain.split('.')[0]]
        def act():
            over()
            what(j)
        if seconds: threading.Timer(seconds, act).start()
        else: act()

def succeed(j): j.all('K', '192.0.2.1 accepted message.\n')
def trouble(j): j.host_trouble()

def processor(pid):
    """Seconds that the first thread of a process has run: what else the machine does is not in them."""
    with open('/proc/%d/schedstat' % pid) as f: return int(f.read().split()[0]) / 1e9

def live_cost(s, home, world):
    """What a message to live.example costs send, in microseconds of its processor time; None when not all go out."""
    before, spent = world.jobs.get('live.example', 0), processor(s.pid)
    for _ in range(LIVE_MAIL): Mail(home, 's@a.example', ['x@live.example']).announce()
    ok = wait_for(lambda: world.jobs.get('live.example', 0) >= before + LIVE_MAIL, 60)
    return (processor(s.pid) - spent) / LIVE_MAIL * 1e6 if ok else None

def test_dead():
    home = fresh_home()
    world = World(live=(0, succeed), dead=(0, trouble))
    s = Send(home, remote=world)
    alone = live_cost(s, home, world)
    for _ in range(DEAD_MAIL):
        Mail(home, 's@a.example', ['x@dead.example'], where=None).announce()
    line = s.wait_log(r'^destination dead: dead\.example failures=5 waiting=\d+ probe=(\d+) reply="Sorry, I wasn')
    check(line and 60 <= int(line.group(1)) <= 66, 'a host that fails five times in a row is dead: logged, with the first probe')
    check(wait_for(lambda: s.log().count('info msg') >= LIVE_MAIL + DEAD_MAIL, 60), 'its mail is taken in')
    time.sleep(0.3)
    equal(world.jobs['dead.example'], DEAD_AFTER, 'and is not tried')
    beside = live_cost(s, home, world)
    check(alone and beside and beside < alone * 4, 'a message to the live one costs no more work beside them: %s of %s' % (beside, alone))
    check(wait_for(lambda: len(states(home)) == DEAD_AFTER), 'of what waits nothing is written to disk')
    equal(len(re.findall('deferral', s.log())), DEAD_AFTER, 'nor logged')
    log = len(s.log())
    time.sleep(1)
    check('dead.example' not in s.log()[log:], 'nothing is said of it while it waits')
    s.give(signal.SIGALRM)
    check(wait_for(lambda: world.jobs['dead.example'] > DEAD_AFTER), 'ALRM: it is probed now')
    time.sleep(0.5)
    equal(world.jobs['dead.example'], DEAD_AFTER + 1, 'by one job')
    world.how['dead'] = 0, succeed
    s.give(signal.SIGALRM)
    check(s.wait_log(r'^destination alive: dead\.example seconds=\d+ waiting=\d+$'), 'when a probe succeeds it is alive')
    if not check(wait_for(lambda: s.log().count('end msg') == 2 * LIVE_MAIL + DEAD_MAIL, 60), 'and all its mail goes out'):
        left = set(re.findall(r'info msg (\d+)', s.log())) - set(re.findall(r'end msg (\d+)', s.log()))
        print('\n'.join([l for l in s.log().splitlines() if re.search('^destination|' + '|'.join(left), l)][-20:]))
    check(world.most['dead.example'] <= 20, 'at most concurrencyremote at a time')
    equal(s.stop(), 0, 'exit 0')

def test_commands():
    """The tools reach what waits for a dead host."""
    home = fresh_home()
    world = World(dead=(0, trouble), live=(0, succeed))
    s = Send(home, remote=world)
    def jobs(): return world.jobs.get('dead.example', 0)
    def run(name, *args):
        status, out, err = tool(home, name, *args)
        if status or err: print(status, out, err)
        return out
    first = [Mail(home, 's@a.example', ['x@dead.example']).announce() for _ in range(DEAD_AFTER)]
    check(s.wait_log('^destination dead: '), 'a host is dead')
    parked = [Mail(home, 's@a.example', ['x@dead.example']).announce() for _ in range(20)]
    both = Mail(home, 't@a.example', ['x@dead.example', 'y@live.example']).announce()
    check(s.wait_log('delivery .*: success'), 'a message to it and to a live one is delivered there')
    check(wait_for(lambda: s.log().count('info msg') == DEAD_AFTER + 21), 'all is taken in')
    time.sleep(0.3)
    before = jobs()
    equal(run('flush', 'dead.example'), '26 messages made due\n', 'pipit-flush finds all that waits for it')
    check(wait_for(lambda: jobs() == before + 1), 'and probes it at once')
    time.sleep(0.3)
    equal(jobs(), before + 1, 'with one job')
    equal(run('queue-rm', '-i', str(parked[0].id)), '1 message: 1 recipient removed\n', 'pipit-queue-rm removes one that waits')
    check(s.wait_log('^end msg %d$' % parked[0].id), 'which comes to its end')
    run('hold', '-d', 'dead.example')
    world.how['dead'] = 0, succeed
    s.give(signal.SIGALRM)
    time.sleep(0.5)
    equal(jobs(), before + 1, 'pipit-hold holds what waits: nothing is tried, though all is due')
    run('release', '-d', 'dead.example')
    check(s.wait_log('^destination alive: dead'), 'pipit-release lets it go: the host is probed, and alive')
    check(wait_for(lambda: s.log().count('end msg') == DEAD_AFTER + 21, 30), 'and all goes out')
    check(all(s.log().count('info msg %d:' % m.id) == 1 for m in [*first, *parked, both]), 'each is in the log once')
    equal(s.stop(), 0, 'exit 0')

def test_single_in_time():
    """A big mailing does not delay one message elsewhere."""
    home = fresh_home(concurrencyremote='10')
    world = World(big=(0.2, succeed), slow=(0.2, succeed), one=(0, succeed))
    s = Send(home, remote=world)
    big = Mail(home, 's@a.example', ['u%d@big.example' % i for i in range(100000)]).announce()
    for i in range(1500): Mail(home, 's@a.example', ['x@slow.example']).announce()
    check(wait_for(lambda: world.jobs.get('big.example', 0) > 5 and world.jobs.get('slow.example', 0) > 5), 'a message with 100,000 recipients and 1,500 messages to a slow host are under way')
    def others():
        with world.lock: return world.jobs['big.example'] + world.jobs['slow.example']
    passed = []
    for i in range(3):
        before = others()
        world.how['one%d' % i] = 0, succeed
        Mail(home, 's@a.example', ['x@one%d.example' % i]).announce()
        passed.append(others() - before if wait_for(lambda: world.jobs.get('one%d.example' % i), 20, 0.005) else 9999)
    check(max(passed) < 500, 'three single ones to others leave before nearly all of that (%d)' % max(passed))
    check(memory(s.pid) < 16384, 'memory of send: %d KB' % memory(s.pid))
    s.stop(signal.SIGKILL)

def test_limits():
    home = fresh_home(concurrencydomains='capped.example: connections=3\nfast.example: rate=40 connmessages=7 connidle=9\n.mx.example:connections=4\n')
    def via(j):
        j.group('a.mx.example,b.mx.example')
        succeed(j)
    world = World(capped=(0.04, succeed), fast=(0, succeed), one=(0.04, via), two=(0.04, via), free=(0.04, succeed))
    seen, last = {}, {}
    def answer(j):
        seen.setdefault(j.host, j.connection)
        last[j.host] = j.connection
        world(j)
    s = Send(home, remote=answer)
    for n, d in enumerate(('one', 'two'), 1): # one job may go out before its next hop is known
        Mail(home, 's@a.example', ['x@%s.example' % d]).announce()
        check(wait_for(lambda: s.log().count('end msg') == n), d + ' is known')
    world.together = 'one.example', 'two.example'
    for i in range(60):
        for d in ('capped', 'free', 'one', 'two'): Mail(home, 's@a.example', ['x@%s.example' % d]).announce()
    check(wait_for(lambda: s.log().count('end msg') == 242, 60), 'all arrive')
    equal((world.most['capped.example'], world.both), (3, 4), 'connections= caps a domain, and two domains together by their mail exchangers')
    check(world.most['free.example'] > START, 'without a line it opens further (%d)' % world.most['free.example'])
    began = time.monotonic()
    for i in range(40): Mail(home, 's@a.example', ['x@fast.example']).announce()
    check(wait_for(lambda: world.jobs.get('fast.example') == 40, 20), 'rate=40')
    took = world.times['fast.example'][-1] - began
    check(took > 0.8, '40 messages take a second (%.2f)' % took)
    equal(seen['fast.example'], ['CONNMESSAGES=7', 'CONNIDLE=9', 'NEXTHOP=', 'VIA='], 'what a connection may do is told')
    equal((seen['one.example'][2], last['one.example'][2]), ('NEXTHOP=', 'NEXTHOP=a.mx.example,b.mx.example'), 'and where it leads, once that is known')
    world.how['forged'] = 0, succeed
    Mail(home, 's@a.example', ['x@forged.example'], extras=['NEXTHOP=mx.bank.example', 'CONNIDLE=3600', 'VIA=@bank.example']).announce()
    check(wait_for(lambda: 'forged.example' in seen), 'a message that brings such records of its own')
    equal(seen['forged.example'], ['CONNMESSAGES=', 'CONNIDLE=', 'NEXTHOP=', 'VIA='], 'comes to nothing with them: the first one of a name counts')
    control(home, 'concurrencydomains', 'capped.example: connections=1')
    s.give(signal.SIGHUP)
    time.sleep(0.1)
    wait_for(lambda: not world.running.get('capped.example'))
    world.most['capped.example'] = 0
    for i in range(10): Mail(home, 's@a.example', ['x@capped.example']).announce()
    check(wait_for(lambda: world.jobs['capped.example'] == 70), 'HUP')
    equal(world.most['capped.example'], 1, 'reads it again')
    control(home, 'concurrencydomains', 'capped.example: conections=2')
    s.give(signal.SIGHUP)
    check(s.wait_log('^alert: unable to reread controls, keeping the old values: .*control/concurrencydomains: not limits: '
                     'capped.example: conections=2; write '), 'a bad line: an alert with the file, the line and the mend')
    s.stop()
    broken = Send(home, patience=5)
    equal(broken.process.wait(10), 111, 'at the start: 111')
    check(re.search('^alert: cannot start: .*concurrencydomains: not limits', broken.log(), re.M), 'and which one')

def test_relay():
    """Domains that go to one relay are one next hop, and so are those of one LMTP server."""
    relayed('smtproutes', '[192.0.2.9]:26', '[192.0.2.9]')
    relayed('lmtproutes', '/run/Store/lmtp', '/run/Store/lmtp')

def relayed(file, server, name):
    home = fresh_home(concurrencydomains=name + ':connections=2', **{file: '.relayed.example:%s\n' % server})
    world = World(**{x: (0.03, succeed) for x in 'abcd'})
    s = Send(home, remote=world)
    m = [Mail(home, 's@a.example', ['x@%s.relayed.example' % d for d in 'abcd']).announce() for _ in range(10)]
    check(wait_for(lambda: all(x.finished() for x in m), 60) and world.all == 2, 'its limit holds for all of them')
    equal(set(world.jobs), {d + '.relayed.example' for d in 'abcd'}, 'a job has one domain')
    world.how.update({x: (0, trouble) for x in 'abcd'})
    for d in 'abcdabcd': Mail(home, 's@a.example', ['x@%s.relayed.example' % d]).announce()
    check(s.wait_log(r'^destination dead: %s ' % re.escape(server)), 'it is dead for all')
    equal(len(re.findall('^destination dead', s.log(), re.M)), 1, 'once')
    control(home, file, '')
    s.give(signal.SIGHUP)
    world.how.update({x: (0, succeed) for x in 'abcd'})
    n = Mail(home, 's@a.example', ['x@a.relayed.example']).announce()
    check(wait_for(n.finished), 'HUP without that route: a domain of it goes elsewhere')
    s.stop()

def test_expire():
    home = fresh_home(queuelifetime='100000', queuelifetimedomains='dead.example:2')
    world = World(dead=(0, trouble), sick=(0, trouble))
    s = Send(home, remote=world)
    for _ in range(20): Mail(home, '#@[]', ['x@dead.example']).announce()
    for _ in range(20): Mail(home, '#@[]', ['x@sick.example']).announce()
    check(s.wait_log('^destination dead: dead') and s.wait_log('^destination dead: sick'), 'two are dead')
    time.sleep(3.2)
    check('failure: ' not in s.log(), 'nothing is given up for its age alone')
    for n in (1, 2):
        # Once is not enough where the probe before has not ended.
        wait_for(lambda: s.give(signal.SIGALRM) or world.jobs['dead.example'] >= DEAD_AFTER + n, 20, 0.3)
        time.sleep(0.3)
    check(wait_for(lambda: len(re.findall(r'failure: .*too_long.*rcpt=x@dead.example', s.log())) >= 20 - DEAD_AFTER - 1, 20),
          'after two failed probes what waits and is too old is, by queuelifetimedomains')
    check('rcpt=x@sick.example' not in ''.join(re.findall('failure.*', s.log())), 'the others wait on')
    equal(s.stop(), 0, 'exit 0')

def test_restart():
    home = fresh_home()
    world = World(dead=(0, trouble), live=(0, succeed))
    s = Send(home, remote=world)
    mails = [Mail(home, 's@a.example', ['x@dead.example', 'y@live.example']).announce() for _ in range(300)]
    check(s.wait_log('^destination dead') and wait_for(lambda: world.jobs.get('live.example') == 300, 20), 'recipients at a live and at a dead host: the live one has them all')
    s.stop(signal.SIGKILL)
    world = World(dead=(0, trouble), live=(0, succeed))
    s = Send(home, remote=world)
    check(s.wait_log('^destination dead', 20), 'after a kill: dead again')
    n = Mail(home, 's@a.example', ['z@live.example']).announce()
    check(wait_for(n.finished, 5), 'the live one is served')
    world.how['dead'] = 0, succeed
    s.give(signal.SIGALRM)
    check(wait_for(lambda: all(m.finished() for m in mails), 30), 'when it is back everything goes out')
    check(world.jobs['dead.example'] <= 300 + DEAD_AFTER + 2, 'once each')
    s.stop()

def test_reply_aware():
    home = fresh_home()
    answers = {'grey': '192.0.2.1 does not like recipient.\nRemote host said: 450 4.7.1 Greylisted, come back\n',
               'full': '192.0.2.1 does not like recipient.\nRemote host said: 452 4.2.2 mailbox full\n',
               'plain': '192.0.2.1 does not like recipient.\nRemote host said: 451 4.3.0 busy\n'}
    s = Send(home, remote=lambda j: j.all('Z', answers[j.host.split('.')[0]]))
    for d in answers:
        m = Mail(home, 's@a.example', ['x@%s.example' % d]).announce()
        check(wait_for(lambda: os.path.exists(m.name('state'))), d)
        age, wait = map(int, re.search(rb' z 0 \d+ \d+ \d+ (\d+) (\d+)', open(m.name('state'), 'rb').read()).groups())
        base = {'grey': 310, 'full': 3600, 'plain': 400 - age}[d]
        expected = base + base * 5 * (m.id * 0x9e3779b97f4a7c15 % 2**64 >> 48) // 6553600
        equal(wait, expected, '%s: tried again after %d seconds and its jitter' % (d, base))
    s.stop()

def test_odd():
    """Packets of rspawn that make no sense, names that cannot be looked up, and replies that are no host's fault."""
    home = fresh_home()
    s = Send(home)
    m = Mail(home, 's@a.example', ['x@a.example']).announce()
    j = s.remote.job()
    s.remote.send(b'G' + struct.pack('>I', j.num + 1) + b'mx')
    s.remote.send(b'G' + struct.pack('>I', j.num) + b'a b')
    s.remote.send(b'C' + struct.pack('>I', j.num) + b'?')
    check(wait_for(lambda: s.log().count('warning: internal error: delivery report') == 3), 'an unknown job, a bad name, a bad class')
    j.group('mx.example')
    j.group('other.example')
    j.host_trouble('no names\n', 'n')
    check(s.wait_log('^delivery 1: deferral: no_names'), 'put off')
    for i in range(2 * DEAD_AFTER):
        s.give(signal.SIGALRM)
        j = s.remote.job()
        j.group('mx.example')
        j.host_trouble('no names\n', 'n') if i % 2 else j.all('Z', 'no\n')
        s.wait_log('^delivery %d: deferral' % (i + 2))
    check('destination dead' not in s.log(), 'names that cannot be looked up, and answers, kill no mail exchanger')
    for i in range(DEAD_AFTER):
        s.give(signal.SIGALRM)
        j = s.remote.job()
        if not check(j, 'tried'): break
        j.group('mx.example')
        j.host_trouble()
        s.wait_log('^delivery %d: deferral' % (2 * DEAD_AFTER + 2 + i))
    check(s.wait_log('^destination dead: mx.example '), 'failures of the host do')
    s.give(signal.SIGALRM)
    j = s.remote.job()
    j.all('Z', 'greylisted\n')
    check(s.wait_log('^destination alive: mx.example '), 'an answer that takes nothing shows that it lives')
    s.stop()

for name, test in list(globals().items()):
    if name.startswith('test_') and (len(sys.argv) < 2 or name[5:] in sys.argv[1:]):
        print('# ' + name, flush=True)
        test()
done()
