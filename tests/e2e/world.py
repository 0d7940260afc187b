"""A world of next hops that are fast, slow, dead, strict or mad: sent = delivered + bounced + waiting

A seeded schedule of messages to some sixty destinations; rspawn's workers are killed in between. Every
recipient has an address of its own, so that a ledger can be kept. With WORLD=long in the environment:
hundreds of destinations, ten minutes, and send and rspawn are killed as well. SEED=n repeats a run.
"""
import sys
sys.path.insert(0, 'tests')
import collections, email, random, statistics
from instance import *
from dnsserver import DNSServer
from queuefile import Message, crc32c
from sink import Close, Sink, Slow

LONG = os.environ.get('WORLD') == 'long'
SEED = int(os.environ.get('SEED', '0')) or int(time.time())
EACH = 60 if LONG else 6        # destinations of each kind
MESSAGES = 20000 if LONG else 500
SECONDS = 600 if LONG else 8    # of load
CAP = 3                         # connections, where a line of concurrencydomains says so
ROOM = 4                        # connections that a strict host takes
FAST_SECONDS = 2                # that most mail for a fast host may need
PATIENCE = 600 if LONG else 60  # seconds until all is settled
rng = random.Random(SEED)
print('SEED=%d' % SEED)

class Host(Sink):
    """A destination: counts what is open at the same time, and when what arrived."""
    def __init__(self, address, port, kind):
        self.kind, self.mad, self.open, self.most, self.seen, self.when = kind, True, 0, 0, set(), {}
        self.rng = random.Random('%d %s' % (SEED, address))
        self.repeatable = 0 # transactions whose answer the client did not get
        super().__init__(address, port, **{s: self.script_of(s) for s in ('greeting', 'mail', 'rcpt', 'data', 'dot')})

    def script_of(self, stage):
        normal = {'greeting': '220 sink.example ESMTP', 'mail': '250 ok', 'rcpt': '250 ok', 'data': '354 go', 'dot': '250 ok'}[stage]
        def act(session, line):
            if stage == 'greeting': return self.greet(session, normal)
            if self.kind == 'refusing' and stage == 'rcpt':
                self.seen.add(line)
                return '550 5.1.1 nobody of that name'
            if self.kind == 'greylist' and stage == 'rcpt' and line not in self.seen:
                self.seen.add(line)
                return '450 4.7.1 greylisted'
            if self.kind == 'dropping' and self.mad and self.rng.random() < 0.12:
                if stage == 'dot': self.repeatable += 1
                return Close()
            if self.kind == 'slow' and stage == 'dot': return Slow(self.rng.uniform(0.1, 0.6), normal)
            if self.kind == 'capped' and stage == 'dot': return Slow(0.05, normal)
            return normal
        return act

    def greet(self, session, normal):
        if self.kind == 'storm' and self.mad: return Close('421 4.3.2 not now')
        live = sum(not s.closed for s in self.sessions)
        with self.lock: self.most = max(self.most, live)
        if self.kind == 'strict' and live > ROOM: return Close('421 4.7.0 too many connections')
        return normal

    def taken(self, t):
        super().taken(t)
        with self.lock:
            for r in t.rcpts: self.when.setdefault(address(r), time.monotonic())

def address(command):
    return re.search(r'<(.*)>', command).group(1)

PORT = free_port()
KINDS = ['fast', 'slow', 'dead', 'refusing', 'greylist', 'dropping', 'strict', 'storm', 'capped']
hosts, routes, domains, zone = {}, [], {}, {}
for k, kind in enumerate(KINDS):
    for n in range(EACH):
        domain, ip = '%s%d.example' % (kind, n), '127.%d.%d.%d' % (20 + k, n // 200, 1 + n % 200)
        domains[domain] = kind
        if kind != 'dead': hosts[domain] = Host(ip, PORT, kind).start()
        routes.append('%s:[%s]:%d' % (domain, ip, PORT))
# Two that share their mail exchanger, and two whose names cannot be looked up for a while.
shared = Host('127.40.0.1', PORT, 'capped').start()
for domain in ('shared1.example', 'shared2.example', 'names1.example', 'names2.example'):
    domains[domain] = domain[:-9]
    hosts[domain] = shared if domain[0] == 's' else Host('127.41.0.%s' % domain[5], PORT, 'fast').start()
    routes.append('%s::%d' % (domain, PORT)) # mail exchangers, on our port
    mx = 'mx.shared.example' if domain[0] == 's' else 'mx.' + domain
    zone[mx] = {'A': [hosts[domain].address]}
    zone[domain] = {'MX': ['10 ' + mx]} if domain[0] == 's' else {'MX': 'servfail'}
dns = DNSServer(zone).start()

i = Instance(me='mail.example')
i.control('smtproutes', '\n'.join(routes))
i.control('rcpthosts', '\n'.join(['mail.example', *domains]))
i.control('resolvers', dns.resolver)
i.control('concurrencyremote', '40')
i.control('concurrencydomains', 'mx.shared.example:connections=%d\n' % CAP +
          ''.join('[%s]:connections=%d\n' % (hosts['capped%d.example' % n].address, CAP) for n in range(EACH)))
i.mailbox('ann')
SPLIT = len([n for n in os.listdir(i.home + '/queue/mess') if n.isdigit()])
i.start()

sent, running = {}, True

def load(first):
    """Messages with one recipient or some, at any destinations; what was answered with 250 counts."""
    r, number = random.Random('%d %d' % (SEED, first)), first
    pause = 3 * SECONDS / MESSAGES
    while running and number < MESSAGES:
        try:
            with i.smtp() as s:
                for _ in range(10):
                    rcpts = ['m%d.%d@%s' % (number, n, r.choice(list(domains))) for n in range(r.choice([1] * 8 + [3, 20]))]
                    began = time.monotonic()
                    deliver(s, 'ann@mail.example', rcpts, b'Subject: %d\n\n%s\n' % (number, b'x' * r.randrange(3000)))
                    for a in rcpts: sent[a] = began
                    number += 3
                    time.sleep(r.uniform(0, 2 * pause))
        except (OSError, smtplib.SMTPException): number += 3

threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
for t in threads: t.start()
killed = collections.Counter()
names = ['pipit-remote'] * 8 + (['pipit-send', 'pipit-rspawn'] if LONG else [])
while any(t.is_alive() for t in threads):
    name = rng.choice(names)
    pids = i.send_pids() if name == 'pipit-send' else i.pids(name)
    if pids and kill(rng.choice(pids)): killed[name] += 1
    if rng.random() < 0.15: i.alrm()
    if rng.random() < 0.05: i.hup()
    time.sleep(rng.uniform(0.1, 0.6))
print('# %d recipients; killed: %s' % (len(sent), dict(killed)))
check(len(sent) > MESSAGES / 2 and killed['pipit-remote'] > 5, 'mail was taken in while workers were killed')

def delivered():
    return {a for h in set(hosts.values()) for a in list(h.when)}

def bounced():
    found = []
    for text in i.mails('ann'):
        found += re.findall(rb'^Final-Recipient: rfc822; *(\S+)', text, re.M)
    return collections.Counter(a.decode() for a in found)

def left():
    """Recipients that no host has taken or refused."""
    refused = {address(line.decode()) for h in set(hosts.values()) if h.kind == 'refusing' for line in list(h.seen)}
    return set(sent) - delivered() - refused

# The world calms down: storms end, names can be looked up.
for h in hosts.values(): h.mad = h.kind == 'dropping'
for n in '12': zone['names%s.example' % n] = {'MX': ['10 mx.names%s.example' % n]}
began = time.monotonic()
while time.monotonic() < began + PATIENCE and any(domains[a.split('@')[1]] != 'dead' for a in left()):
    i.alrm()
    wait_for(lambda: all(domains[a.split('@')[1]] == 'dead' for a in left()), 1.5, 0.3)
    if time.monotonic() > began + PATIENCE / 3:
        for h in hosts.values(): h.mad = False

def fates(m):
    """What the state file of a message (send/lines.h, state.h) says: (recipient, d or f, which a report of a failure is). Its lines end where a sum
    does not hold: what follows is of the message that had the file before."""
    try: title, *lines = open('%s/queue/state/%d/%d' % (i.home, m.id % SPLIT, m.id), 'rb').read().split(b'\n')
    except FileNotFoundError: return
    if title.split()[1] != m.nonce.hex().encode(): return
    for l in lines:
        if l[:8] != b'%08x' % crc32c(m.nonce + l[9:]): return
        words = l.split(b' ')
        if words[1] == b'd' or words[1] == b'r' and words[3] == b'f': yield int(words[2]), words[3] if words[1] == b'r' else b'd'

def in_queue():
    """Recipients of what is in the queue, by its files: those that wait, and those that will be in a bounce."""
    wait, fail = [], []
    for id, path in live_files(i.home):
        try: m = Message(path)
        except FileNotFoundError: continue # it has gone meanwhile
        rcpts = [r[1:].decode() for r in m.env.split(b'\0') if r[:1] == b'T']
        fate = dict(fates(m))
        wait += [r for n, r in enumerate(rcpts) if n not in fate]
        fail += [r for n, r in enumerate(rcpts) if fate.get(n) == b'f']
    return wait, fail

def settle():
    """A host that took a message may not have said so: that is tried again."""
    while time.monotonic() < began + 2 * PATIENCE and any(domains[a.split('@')[1]] != 'dead' for a in in_queue()[0]):
        i.alrm()
        time.sleep(1 + 4 * LONG)

dead = [a for a in sent if domains[a.split('@')[1]] == 'dead']
check(left() == set(dead), 'everything arrives but what is for dead hosts (%s)' % sorted(left() - set(dead))[:5])
settle()
wait_for(lambda: not i.pids('pipit-local'))
log = i.log('send')
equal(i.stop(), [], 'stopping leaves no process')

(wait, due), got, back = in_queue(), delivered(), bounced()
equal(sorted(wait), sorted(dead), 'the queue holds exactly the recipients at dead hosts, each once')
refused = sorted(a for a in sent if domains[a.split('@')[1]] == 'refusing')
equal(sorted([*back, *due]), refused, 'exactly what was refused has bounced, or will with the last of its message')
check(back and due, 'there is both')
if not killed['pipit-send']: equal(set(back.values()), {1}, 'once')
equal(len(sent), len(got & set(sent)) + len(back) + len(due) + len(wait), 'sent = delivered + bounced + waiting')
check(not got & set(wait + due) and not got & set(back), 'nobody is in two of them')
copies = collections.Counter(address(r) for h in set(hosts.values()) for t in h.transactions for r in t.rcpts)
extra = sum(copies.values()) - len(copies)
bound = sum(h.repeatable for h in set(hosts.values())) * 20 + sum(killed.values()) * 50
check(extra <= bound, 'repeated are at most those whose answer was lost (%d)' % extra)

if not LONG: # a killed worker's connection is open at the host for a moment longer
    for n in range(EACH):
        h = hosts['capped%d.example' % n]
        check(h.most <= CAP + killed['pipit-remote'], 'connections to %s: %d' % (h.address, h.most))
check(shared.most <= CAP + 1 + killed['pipit-remote'], 'connections to what two domains share: %d' % shared.most)
fast = sorted(hosts[a.split('@')[1]].when[a] - began for a, began in sent.items() if domains[a.split('@')[1]] == 'fast')
print('# mail for fast hosts: median %.3f s, 90 %% within %.3f s' % (statistics.median(fast), fast[len(fast) * 9 // 10]))
check(fast[len(fast) * 9 // 10] < FAST_SECONDS, 'mail for fast hosts is not delayed by the others')
states = [l for l in log if ' destination dead: ' in l or l.startswith('destination dead: ')]
check(all('[127.%d.' % (20 + KINDS.index('dead')) not in l for l in log if 'destination alive: ' in l), 'no dead host came alive')
check(len(states) >= EACH, '%d next hops were found dead' % len(states))
for h in set(hosts.values()): h.stop()
dns.stop()
done()
