"""New programs under a running system: put in place by renaming, each service restarted by its supervisor under load

A ledger: every message that was acknowledged is delivered, and none twice: TERM lets running deliveries
come to their end. What has to wait, and what is held, waits on.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from numbered import numbered, whole
from sink import Sink, Slow

ROUNDS = 2
CLIENTS = 3

again = {'on': True}
def rcpt(session, line): return '451 4.3.0 later' if b'later@' in line and again['on'] else '250 2.1.5 ok'
sink = Sink(rcpt=rcpt, dot=lambda session, line: Slow(0.01, '250 2.0.0 taken')).start()
i = Instance()
i.control('smtproutes', ':[127.0.0.1]:%d' % sink.port)
i.control('rcpthosts', 'mail.example\nfar.example\nheld.example')
i.mailbox('box')
i.mailbox('slow')
i.dot_qmail('slow', '|sleep 0.1\n./slow/\n')
i.start()
equal(i.run('pipit-hold', '-d', 'held.example')[0], 0, 'a domain is held')

acked, lock, running = {}, threading.Lock(), True
HERE = ['box@mail.example', 'slow@mail.example']
RCPTS = [['box@mail.example'], ['x@far.example'], ['slow@mail.example', 'y@far.example'], ['box@mail.example', 'later@far.example'],
         ['z@far.example', 'w@held.example']]

def ack(number, rcpts):
    with lock: acked[number] = rcpts

def smtp_load(first):
    """A number is used once: a connection that broke may have handed its message in."""
    number = first
    while running:
        try:
            with i.smtp() as s:
                for _ in range(4):
                    rcpts = RCPTS[number // CLIENTS % len(RCPTS)]
                    deliver(s, 'load@sender.example', rcpts, numbered(number, 70000 if number % 20 == 0 else 500))
                    ack(number, rcpts)
                    number += 10
                    time.sleep(0.02)
        except (OSError, smtplib.SMTPException): time.sleep(0.05)
        number += 10

def sendmail_load(first):
    number = first
    while running:
        if i.sendmail('-f', 'load@mail.example', 'box@mail.example', input=numbered(number, 300))[0] == 0: ack(number, ['box@mail.example'])
        number += 10
        time.sleep(0.05)

def install():
    """As make install does it: each program is complete when it gets its name."""
    bindir = os.path.join(i.home, 'bin')
    before = {n: os.stat(os.path.join(bindir, n)).st_ino for n in os.listdir(bindir) if n.startswith('pipit-')}
    for name in before:
        path = os.path.join(bindir, name)
        shutil.copy2(os.path.join(BIN, name), path + '.new')
        with open(path + '.new', 'ab') as f: f.write(b'\n') # another program, to the byte
        own(path + '.new')
        os.rename(path + '.new', path)
    return before

def program_of(name):
    """The files that the processes of a service's program were started from."""
    found = set()
    for pid in i.pids(name):
        try: found.add(os.stat('/proc/%d/exe' % pid).st_ino)
        except OSError: pass
    return found

def more(n):
    """Wait until so many more messages were acknowledged."""
    have = len(acked)
    return wait_for(lambda: len(acked) >= have + n, 20)

threads = [threading.Thread(target=smtp_load, args=(n,)) for n in range(CLIENTS)] + [threading.Thread(target=sendmail_load, args=(9,))]
for t in threads: t.start()
check(more(20), 'mail comes in')
for turn in range(ROUNDS):
    before = install()
    check(more(5), 'new programs, old processes: mail comes in')
    for service, names in (('queued', ['pipit-queued']), ('send', ['pipit-send', 'pipit-lspawn', 'pipit-rspawn']), ('smtpd', ['pipit-smtpd'])):
        equal(i.run('s6-svc', '-r', i.home + '/service/' + service)[0], 0, 'round %d: %s is restarted' % (turn + 1, service))
        new = {os.stat(os.path.join(i.home, 'bin', n)).st_ino for n in names}
        check(wait_for(lambda: {ino for n in names for ino in program_of(n)} == new, 30, 0.05), '%s runs from the new programs' % service)
        check(wait_for(i.ready, 20, 0.05) and more(10), 'mail comes in again')
running = False
for t in threads: t.join()
again['on'] = False
held = sorted(n for n, r in acked.items() if 'w@held.example' in r)
check(wait_for(lambda: i.alrm() or len(i.queue()) == len(held), 30, 0.5), 'only what is held is left: %d of %d messages' % (len(held), len(acked)))
equal(i.run('pipit-release', '-d', 'held.example')[1], '%d messages made due\n' % len(held), 'it is released')
check(i.wait_queue_empty(30), 'the queue is empty')

got = [(n, 'box@mail.example' if box == 'box' else 'slow@mail.example') for box in ('box', 'slow') for n in map(whole, i.mails(box))]
got += [(whole(t.message.replace(b'\r\n', b'\n')), re.search('<(.*)>', r)[1]) for t in sink.transactions for r in t.rcpts]
wanted = [(n, r) for n, rcpts in acked.items() for r in rcpts]
equal([x for x in got if x[0] is None], [], 'every message is whole')
equal(sorted(set(wanted) - set(got)), [], '%d deliveries were promised, none is missing' % len(wanted))
equal(sorted({x for x in got if got.count(x) > 1}), [], 'none happened twice')
unknown = {n for n, r in got} - set(acked)
check(len(unknown) <= 2 * ROUNDS * len(threads), 'beside them, only what was in a connection that a restart cut: %d' % len(unknown))
equal(i.mails('Maildir'), [], 'nothing bounced')
equal([l for l in i.log('send') if 'mangled' in l or 'lost spawn' in l], [], 'and no delivery was cut off')
sink.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
