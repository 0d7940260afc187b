"""The DNS answers SERVFAIL for everything, then refuses, then is not there: nothing bounces, and everything arrives when it is back

With DNS=long in the environment it is also silent for a time, which takes half a minute.
"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from dnsserver import DNSServer
from sink import Sink

DOMAINS, MESSAGES = 40, 120
rcpts = ['m%d@d%d.example' % (n, n % DOMAINS) for n in range(MESSAGES)]
sink = Sink('127.50.0.1').start()
dns = DNSServer({'*': 'servfail'}).start()
i = Instance()
i.control('resolvers', dns.resolver)
i.control('smtproutes', '::%d' % sink.port) # mail exchangers, on our port
i.control('rcpthosts', 'mail.example\n.example')
i.control('concurrencyremote', '100')
i.mailbox('ann')
i.start()

def tried(): return set(re.findall(r'delivery \d+: deferral: .* rcpt=(\S+)', '\n'.join(i.log('send'))))

with i.smtp() as s:
    for n, r in enumerate(rcpts): deliver(s, 'ann@mail.example', [r], b'Subject: %d\n\nbody\n' % n)
check(wait_for(lambda: len({r.split('@')[1] for r in tried()}) == DOMAINS, 30), 'with SERVFAIL for everything every domain is tried')

def calm():
    """What is being tried has ended: a flush would not try that again."""
    return ([l for l in i.log('send') if 'status: ' in l] or [''])[-1].endswith(' remote 0/100')

def again(what, seconds=20):
    """All that waits is tried."""
    check(wait_for(calm, 60, 0.1), 'nothing is under way')
    before = len(i.log('send'))
    equal(i.run('pipit-flush', 'all')[0], 0, 'once more, ' + what)
    check(wait_for(lambda: any('deferral: ' in l for l in i.log('send')[before:]), seconds), 'deferred')

for answer in ('refused', 'formerr') + (('timeout',) if os.environ.get('DNS') == 'long' else ()):
    dns.zone['*'] = answer
    again('with "%s" for everything' % answer, 60)
dns.stop()
again('without any name server')
check(wait_for(calm, 60, 0.1), 'all has been tried')
equal((len(i.queue()), i.mails('ann'), sink.transactions), (MESSAGES, [], []), 'nothing has bounced, nothing has gone')

back = DNSServer({'*': {'MX': ['10 mx.back.test']}, 'mx.back.test': {'A': [sink.address]}}, port=dns.port).start()
equal(i.run('pipit-flush', 'all')[0], 0, 'the name server is back')
check(i.wait_queue_empty(30), 'everything leaves')
equal(sorted(r[9:-1] for t in sink.transactions for r in t.rcpts), sorted(rcpts), 'and has arrived, once each')
equal(i.mails('ann'), [], 'nobody was told of a failure')
log = '\n'.join(i.log('send'))
check('destination dead: ' in log and ': failure: ' not in log, 'the log has dead destinations, and no failure')
back.stop()
sink.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
