"""Postfix's smtp-source hands over hundreds of messages; smtp-sink and the Maildir get each one"""
import sys
sys.path.insert(0, 'tests')
from instance import *
import peers

try: postfix = peers.postfix()
except peers.Unavailable as e:
    skip('Postfix: %s' % e)
    done()

COUNT = 400
sinkport = free_port()
dump = os.path.join(SCRATCH, 'sink')
os.mkdir(dump)
if ROOT: os.chmod(dump, 0o777)
# Each transaction of the sink becomes a file that begins with its envelope.
sink = postfix.start('usr/sbin/smtp-sink', *(('-u', ACCOUNT.pw_name) if ROOT else ()), '-d', dump + '/%H%M.',
                     '127.0.0.1:%d' % sinkport, '100')
i = Instance()
i.control('smtproutes', ':[127.0.0.1]:%d' % sinkport)
i.control('rcpthosts', 'mail.example\nrelayed.example')
i.mailbox('bulk')
i.control('concurrencyremote', '40')
i.control('concurrencysmtpdclient', '100')
i.start()

def source(*args):
    p = postfix.run('usr/sbin/smtp-source', '-s', '20', '-m', str(COUNT), *args, '127.0.0.1:%d' % i.port)
    if p.returncode: print(p.stdout.decode(errors='replace'))
    return p.returncode

def sunk():
    files = glob.glob(dump + '/*')
    return [open(f, 'rb').read() for f in files]

equal(source('-l', '4000', '-f', 'a@b.example', '-t', 'x@relayed.example'), 0,
      'smtp-source is served over 20 connections')
wait_for(lambda: len(glob.glob(dump + '/*')) >= COUNT and not i.queue(), 60, 0.2)
time.sleep(0.5)
got = sunk()
equal(len(got), COUNT, 'smtp-sink has exactly %d messages' % COUNT)
equal({bool(re.search(rb'X-Rcpt-Args: <x@relayed\.example>', m)) for m in got}, {True},
      'each with its recipient')
check(min(map(len, got), default=0) > 4000, 'each whole')
ids = [re.search(rb'Message-Id: (\S+)', m, re.I) for m in got]
equal(len({m[1] for m in ids if m}), COUNT, 'and each another')

equal(source('-l', '2000', '-f', 'a@b.example', '-t', 'bulk@mail.example'), 0,
      'smtp-source sends to the Maildir')
mails = i.wait_mails('bulk', COUNT, 60)
check(i.wait_queue_empty(), 'the queue is empty')
mails = i.mails('bulk')
equal(len(mails), COUNT, 'the Maildir has exactly %d messages' % COUNT)
equal(len({m[1] for m in (re.search(rb'Message-Id: (\S+)', m, re.I) for m in mails) if m}), COUNT,
      'each once')
equal(os.listdir(os.path.join(i.home, 'alias/bulk/tmp')), [], 'nothing is left in its tmp')

equal(source('-d', '-l', '500', '-r', '3', '-f', 'a@b.example', '-t', 'y@relayed.example'), 0,
      'smtp-source keeps its connections, with three recipients a message')
rcpts = lambda: sum(len(re.findall(rb'X-Rcpt-Args: <\d*y@', m)) for m in sunk())
wait_for(lambda: rcpts() >= 3 * COUNT and not i.queue(), 60, 0.2)
equal(rcpts(), 3 * COUNT, 'smtp-sink has exactly %d recipients of them' % (3 * COUNT))
sink.terminate()
sink.wait()
equal(i.stop(), [], 'stopping leaves no process')
done()
