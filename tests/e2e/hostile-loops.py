"""Mail that goes in circles ends: by one bounce, in bounded time, with an empty queue

Forwards to oneself, a ring of ten, lists that hold each other, programs that send on what they get,
two hosts that each take the other for the right one, and senders that bounce themselves. And signals
in crowds to every process of the system meanwhile: nothing is lost.
"""
import sys
sys.path.insert(0, 'tests')
import random
from instance import *
from measure import LONG

SIGNALS = 100000 if LONG else 4000
i = Instance(options=('-a', '127.0.0.1'))
j = Instance('second', me='second.example', options=('-a', '127.0.0.1'))
for n in (i, j):
    n.control('concurrencysmtpdclient', '200')
    n.control('rcpthosts', 'mail.example\nsecond.example\nloop.example')
i.control('smtproutes', 'loop.example:[127.0.0.1]:%d\nsecond.example:[127.0.0.1]:%d' % (j.port, j.port))
j.control('smtproutes', 'loop.example:[127.0.0.1]:%d\nmail.example:[127.0.0.1]:%d' % (i.port, i.port))
i.mailbox('ann'); i.mailbox('owner'); i.mailbox('postmaster'); i.mailbox('joe')
i.dot_qmail('self', '&self@mail.example\n')
for n in range(10): i.dot_qmail('ring%d' % n, '&ring%d@mail.example\n' % ((n + 1) % 10))
i.dot_qmail('list1', '&list2@mail.example\n'); i.dot_qmail('list2', '&list1@mail.example\n')
for n in (1, 2): i.dot_qmail('list%d-owner' % n, '&owner@mail.example\n')
i.dot_qmail('program', '|"%s/bin/sendmail" -i -f "$SENDER" program@mail.example\n' % i.home)
i.dot_qmail('mutual', '|"%s/bin/sendmail" -i -f "$SENDER" mutual@second.example\n' % i.home)
j.dot_qmail('mutual', '|"%s/bin/sendmail" -i -f "$SENDER" mutual@mail.example\n' % j.home)
i.dot_qmail('refuse', '|exit 100\n')
i.start(); j.start()

def bounces(local): return len(i.mails(local))
def ends(rcpt, why, mailbox='ann', sender='ann@mail.example', most=1, seconds=90):
    """One message there: it ends, and makes one bounce."""
    before = {m: bounces(m) for m in ('ann', 'owner', 'postmaster', 'joe')}
    i.send(sender, rcpt, b'Subject: round\n\nand round\n')
    check(wait_for(lambda: not i.queue() and not j.queue() and (not most or bounces(mailbox) > before[mailbox]), seconds, 0.1), why + ': it ends')
    time.sleep(0.3)
    got = {m: bounces(m) - before[m] for m in before}
    equal((got, len(i.queue()), len(j.queue())), ({**dict.fromkeys(before, 0), mailbox: most}, 0, 0), why + ': %d bounce, no more' % most)

ends('self@mail.example', 'a forward to itself')
ends('ring0@mail.example', 'a ring of ten forwards')
ends('list1@mail.example', 'two lists on each other', mailbox='owner')
ends('x@loop.example', 'two hosts that pass a message to and fro')
ends('program@mail.example', 'a program that sends it on to itself')
ends('mutual@mail.example', 'programs on two hosts')
ends('refuse@mail.example', 'a sender that refuses, too', mailbox='postmaster', sender='refuse@mail.example')
ends('refuse@mail.example', 'a message of the null sender', mailbox='postmaster', sender='')
i.control('doublebounceto', 'refuse')
ends('refuse@mail.example', 'where the postmaster refuses as well', sender='refuse@mail.example', most=0)
i.control('doublebounceto', None)
log = [l for s in i.logs().values() for l in s]
check(any('too_many_hosts' in l for l in log) and any('too many hops' in l or 'too_many_hops' in l for l in log), 'the log says why')
equal(j.stop(), [], 'stopping leaves no process')

# Signals to everybody, while mail comes in by SMTP and by sendmail and goes out.
taken, stop, failed = [], [], []
def feed(how):
    n = 0
    while not stop:
        n += 1
        subject = '%s-%d' % (how, n)
        try:
            if how == 'smtp': i.send('ann@mail.example', 'joe@mail.example', b'Subject: %s\n\nx\n' % subject.encode())
            else:
                code, text = i.sendmail('-f', 'ann@mail.example', 'joe@mail.example', input=b'Subject: %s\n\nx\n' % subject.encode())
                if code == 100: failed.append(text)
                if code: continue
            taken.append(subject)
        except (OSError, smtplib.SMTPException) as e:
            if getattr(e, 'smtp_code', 400) >= 500: failed.append(str(e))
threads = [threading.Thread(target=feed, args=(how,)) for how in ('smtp', 'sendmail')]
for t in threads: t.start()
SENT = {'pipit-send': (signal.SIGALRM, signal.SIGHUP, signal.SIGCHLD), 'pipit-queued': (signal.SIGHUP, signal.SIGCHLD), 'pipit-lspawn': (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD),
        'pipit-rspawn': (signal.SIGCHLD,), 'pipit-smtpd': (signal.SIGHUP, signal.SIGCHLD)}
said, began, ended = 0, time.monotonic(), 0
while said < SIGNALS and time.monotonic() - began < (1200 if LONG else 15):
    targets = [(p, n) for p, n in i.others().items() if n in SENT]
    main = i.send_pids()
    for _ in range(400):
        pid, name = random.choice(targets)
        sig = random.choice(SENT[name])
        # What has no use for ALRM dies of it, as of any signal that it does not know.
        if sig != signal.SIGALRM or pid in main: kill(pid, sig)
        said += 1
        time.sleep(0.0005)
    if said % 1200 == 0:
        for pid in main: kill(pid, signal.SIGTERM)
        ended += 1
stop.append(1)
for t in threads: t.join()
check(wait_for(lambda: i.ready(), START_SECONDS), 'after %d signals, %d of them to end send, everything runs' % (said, ended))
i.alrm()
check(wait_for(lambda: (i.alrm(), not i.queue())[1], 60, 1), 'and the queue becomes empty')
arrived = [re.search(rb'Subject: (\S+)', m)[1].decode() for m in i.mails('joe')]
check(len(taken) > 10 and not failed, '%d messages were taken meanwhile, none refused' % len(taken)) or print(failed[:3])
equal(sorted(set(taken) - set(arrived)), [], 'each of them arrived')
equal([l for s in i.logs().values() for l in s if re.search('crash|signal=(?!15)|Sanitizer', l)], [], 'nobody crashed')
print('# %d signals, %d messages, %d arrived twice' % (said, len(taken), len(arrived) - len(set(arrived))))
equal(i.stop(), [], 'stopping leaves no process')
done()
