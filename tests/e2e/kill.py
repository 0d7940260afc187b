"""Processes are killed under load: what was acknowledged is delivered, whole, and the system recovers"""
import sys
sys.path.insert(0, 'tests')
import random
from instance import *
from numbered import numbered, whole
try: from relayhost import RelayHost
except ImportError:
    skip('python3-aiosmtpd is not installed')
    done()

SEED = int(os.environ.get('SEED', '0')) or int(time.time())
TARGETS = ['pipit-queued', 'pipit-send', 'pipit-lspawn', 'pipit-rspawn', 'pipit-smtpd', 'pipit-local',
           'pipit-remote'] # pipit-start has become pipit-send
SECONDS = 22     # of load with kills; up to three times that, until each target had its turn
KILL_EVERY = 0.25
rng = random.Random(SEED)
print('SEED=%d' % SEED)

host = RelayHost()
i = Instance()
i.control('smtproutes', ':[127.0.0.1]:%d' % host.port)
i.control('rcpthosts', 'mail.example\nfar.example')
i.mailbox('box')
i.mailbox('slow')
i.dot_qmail('slow', '|sleep 0.2\n./slow/\n') # so that there is a pipit-local to kill
i.start()

acked, lock, running = {}, threading.Lock(), True

def make(number):
    size = 65 * (1 + number % 300)
    return numbered(number, size * 100 if number // 10 % 15 == 0 else size) # that is more than a pipe or a socket holds

def ack(number, rcpts):
    with lock: acked[number] = rcpts

def smtp_load(first):
    """Messages over SMTP, a few on each connection; only what was answered with 250 counts."""
    number = first
    while running:
        try:
            with i.smtp() as s:
                for _ in range(5):
                    rcpts = [['box@mail.example'], ['x@far.example'], ['box@mail.example', 'y@far.example'],
                             ['slow@mail.example']][number // 10 % 4]
                    deliver(s, 'load@sender.example', rcpts, make(number))
                    ack(number, rcpts)
                    number += 10
                    time.sleep(0.02)
        except (OSError, smtplib.SMTPException): time.sleep(0.1)
        number += 10 # never the same number again: it may have been taken without our seeing the answer

def sendmail_load(first):
    number = first
    while running:
        code, text = i.sendmail('-f', 'load@mail.example', 'box@mail.example', input=make(number))
        if code == 0: ack(number, ['box@mail.example'])
        number += 10
        time.sleep(0.05)

def retry():
    """Deferrals of the turmoil do not wait for their time."""
    while running:
        i.alrm()
        time.sleep(3)

threads = [threading.Thread(target=smtp_load, args=(n,)) for n in range(4)] + \
          [threading.Thread(target=sendmail_load, args=(n,)) for n in (8, 9)]
for t in threads: t.start()
killed = dict.fromkeys(TARGETS, 0)
began = time.monotonic()
while time.monotonic() < began + (SECONDS if all(killed.values()) else 3 * SECONDS):
    name = rng.choice(TARGETS)
    pids = i.pids(name)
    if pids and kill(rng.choice(pids)): killed[name] += 1
    time.sleep(rng.uniform(0, 2 * KILL_EVERY))
# All of them at once.
for pid in [p for name in TARGETS for p in i.pids(name)]: kill(pid)
time.sleep(3)
# And all of them with their supervisors and loggers, as when the machine is reset.
while i.others():
    for pid in i.others(): kill(pid)
running = False
for t in threads: t.join()
i.scan.wait()
i.start()
print('killed: %s; acknowledged: %d' % (killed, len(acked)))
check(all(killed.values()), 'processes of every kind were killed')
check(len(acked) > 100, 'mail was taken in between')
check(wait_for(i.ready, START_SECONDS), 'all of it runs again')
for _ in range(20):
    i.alrm()
    if i.wait_queue_empty(3): break
equal(i.queue(), [], 'the queue is empty at the end')
check('0' in ''.join(os.listdir(os.path.join(i.home, 'queue', 'mess'))) and
      not os.listdir(os.path.join(i.home, 'queue', 'bad')), 'no message was found damaged')

local = [whole(m) for m in i.mails('box') + i.mails('slow')]
remote = [(whole(m[2]), m[1]) for m in host.mails]
equal(local.count(None), 0, 'no message in the Maildir is partial')
equal([n for n, r in remote].count(None), 0, 'no message at the next host is partial')
here = set(local)
there = {(n, r) for n, rcpts in remote for r in rcpts}
lost = [(n, r) for n, rcpts in acked.items() for r in rcpts
        if (n not in here if r.endswith('@mail.example') else (n, r) not in there)]
equal(lost, [], 'every acknowledged message was delivered')
extra = len(local) - len(here) + sum(len(r) for n, r in remote) - len(there)
print('delivered %d here, %d elsewhere; %d repeated' % (len(here), len(there), extra))
# A killed process repeats at most the deliveries in flight: 10 here and 20 elsewhere.
check(extra <= 30 * (killed['pipit-send'] + killed['pipit-lspawn'] + killed['pipit-rspawn'] + 2) + killed['pipit-local'] +
      killed['pipit-remote'],
      'no more are repeated than were in flight when something was killed')
equal(i.mails('Maildir'), [], 'nothing bounced')
host.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
