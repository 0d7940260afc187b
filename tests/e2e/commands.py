"""The queue's commands as their users give them: hold, mail comes in, restart, release; flush; queue-only; remove and bounce"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from sink import Sink

up = {'ok': False}
def rcpt(session, line): return '250 2.1.5 ok' if up['ok'] else '450 4.2.0 come again'
moody = Sink(rcpt=rcpt).start()
other = Sink().start()
i = Instance()
i.control('smtproutes', 'moody.example:[127.0.0.1]:%d\n:[127.0.0.1]:%d' % (moody.port, other.port))
i.control('rcpthosts', 'mail.example\nmoody.example\nother.example')
i.mailbox('box')
i.start()

def pipit(name, *args):
    status, out = i.run('pipit-' + name, *args)
    return out if status == 0 else (status, out)

def send(sender, rcpts, text):
    reply = i.send(sender, rcpts, b'Subject: %s\n\nhello\n' % text.encode())
    return re.search(r'qp (\d+)', reply)[1]

def taken(sink): return sorted(re.search('<(.*)>', r)[1] for t in sink.transactions for r in t.rcpts)
def subjects(sink): return sorted(re.search(rb'Subject: (\S*)', t.message)[1].decode() for t in sink.transactions)

def restart():
    """As an administrator does it."""
    before = i.send_pids()
    equal(i.run('s6-svc', '-r', i.home + '/service/send')[0], 0, 's6-svc -r')
    check(wait_for(lambda: i.send_pids() and i.send_pids() != before and i.run('pipit-hold', '-l')[0] == 0, 20), 'send is there again')

# A domain is held; others go on; over a restart.
equal(pipit('hold', '-d', 'other.example'), 'domain other.example is held\n', 'pipit-hold -d')
held = send('s@c.example', ['a@other.example', 'box@mail.example'], 'held')
equal(len(i.wait_mails('box', 1)), 1, 'the local recipient has his mail')
check(wait_for(lambda: '  held\tremote\ta@other.example\n' in pipit('qread')), 'pipit-qread shows who is held')
restart()
i.alrm()
held2 = send('s@c.example', 'b@other.example', 'held2')
check(wait_for(lambda: pipit('qread').count('  held\t') == 2), 'held after the restart, and new mail too')
equal(other.transactions, [], 'nothing has gone there')
equal(pipit('release', '-d', 'other.example'), '2 messages made due\n', 'pipit-release')
other.wait(2)
equal(taken(other), ['a@other.example', 'b@other.example'], 'it goes out')
check(i.wait_queue_empty(), 'the queue is empty')

# A host that puts mail off is well again.
late = send('s@c.example', 'c@moody.example', 'late')
check(wait_for(lambda: [l for l in i.log('send') if 'deferral' in l]), 'the next host says: come again')
check(wait_for(lambda: glob.glob(i.home + '/queue/state/[0-9]*/' + late)), 'its mail waits')
up['ok'] = True
equal(pipit('flush', 'moody.example'), '1 message made due\n', 'pipit-flush')
equal(len(moody.wait(1)), 1, 'it goes out at once')
check(i.wait_queue_empty(), 'the queue is empty')
equal(subjects(moody), ['late'], 'once')

# Queue-only.
equal(pipit('hold', 'all'), 'all mail is held\n', 'pipit-hold all')
ids = [send('s%d@c.example' % (n % 2), ['x%d@moody.example' % n, 'box@mail.example'], 'q%d' % n) for n in range(4)]
equal(i.sendmail('-f', 'me@mail.example', 'y@other.example', input=b'Subject: q4\n\nx\n')[0], 0, 'mail is taken in from everywhere')
check(wait_for(lambda: pipit('qread').count('  held\t') == 9), 'and held')
restart()
check(wait_for(lambda: pipit('qread').count('  held\t') == 9), 'also after a restart')
equal((len(i.mails('box')), len(moody.transactions), len(other.transactions)), (1, 1, 2), 'nothing is delivered')

# Remove some of it, and tell a sender of this machine.
equal(pipit('queue-rm', ids[0]), '1 message: 2 recipients removed\n', 'pipit-queue-rm ID')
equal(pipit('queue-rm', '-s', 's1@c.example'), '2 messages: 4 recipients removed\n', 'pipit-queue-rm -s')
mine = i.sendmail('-f', 'box@mail.example', 'z@moody.example', input=b'Subject: mine\n\nx\n')
check(wait_for(lambda: pipit('qread').count('  held\t') == 4), 'another message')
equal(pipit('queue-rm', '-b', '-s', 'box@mail.example'), '1 message: 1 recipient removed\n', 'pipit-queue-rm -b')
check('made due' in pipit('release', 'all'), 'pipit-release all')
check(i.wait_queue_empty(), 'the queue is empty')
equal((subjects(moody), subjects(other)), (['late', 'q2'], ['held', 'held2', 'q4']), 'what was not removed has arrived, once')
mails = i.wait_mails('box', 3)
equal(sorted(re.search(rb'(?i)Subject: (.*)', m)[1].decode() for m in mails), ['failure notice', 'held', 'q2'], 'also here, with one bounce')
bounce = b'\n'.join(m for m in mails if b'failure notice' in m)
check(b'The administrator of this mail server removed the message' in bounce and b'z@moody.example' in bounce, 'which says why')
equal(pipit('hold', '-l'), '', 'nothing is held at the end')
moody.stop()
other.stop()
equal(i.stop(), [], 'stopping leaves no process')
status, out = i.run('pipit-flush', 'all')
check(status == 111 and 'is it running?' in out, 'a command to a server that does not run: 111')
done()
