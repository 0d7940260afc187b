"""Mail out over TLS from a whole instance: what send's log tells, connections used again, pipit-tlsd killed meanwhile"""
import sys
sys.path.insert(0, 'tests')
from instance import *
from tlssink import *

ca = CA('ca')
pair = ca.issue('mail.example', '127.0.0.1')
i = Instance()
i.control('serverca.pem', open(ca.pem).read())
i.start()

def route(sink, policy):
    i.control('smtproutes', ':[127.0.0.1]:%d' % sink.port)
    i.control('tlsdestinations', policy)
    i.hup()

def send(n, to='x@far.example'):
    i.sendmail('-f', 'a@mail.example', to, input=b'Subject: %d\n\n%s' % (n, b'body\n' * 100))

def last(word, to='x@far.example'):
    """The last line of send's log on such a delivery, once there is one."""
    found = lambda: [l for l in i.log('send') if word in l and 'rcpt=%s ' % to in l]
    wait_for(found)
    return (found() or [''])[-1]

with TlsSink(pair) as s:
    route(s, 'far.example:verify\nother.example:none\n:encrypt')
    send(1)
    check(re.search(r' tls=TLSv1\.3 cipher=TLS_\S+ verified=yes$', last(': success: ')), 'verified: %r' % last(': success: '))
    send(2, 'x@other.example')
    line = last(': success: ', 'x@other.example')
    check(line and ' tls=' not in line, 'none: nothing is said of TLS: %r' % line)
with TlsSink(pair, offer=False) as s:
    route(s, ':may')
    send(3, 'x@may.example')
    check(last(': success: ', 'x@may.example').endswith(' tls=no'), 'in clear')
    i.control('tlsdestinations', ':encrypt')
    i.hup()
    send(4, 'x@must.example')
    line = last(': deferral: ', 'x@must.example')
    check('it_does_not_offer_TLS,_which_is_required' in line and ' status=4.7.4' in line, 'encrypt: deferred: %r' % line)
i.run(i.home + '/bin/pipit-queue-rm', 'all')

# pipit-tlsd is killed with all its sessions, again and again: all mail arrives, over TLS.
COUNT = 60
def is_client(pid):
    try: return b'-c' in open('/proc/%d/cmdline' % pid, 'rb').read().split(b'\0')
    except OSError: return False # it has just ended
def client(): return [p for p in i.pids('pipit-tlsd') if is_client(p)]
with TlsSink(pair, dot=Slow(0.02, '250 taken')) as s:
    route(s, ':encrypt')
    for n in range(COUNT): send(100 + n)
    for kills in range(3):
        wait_for(lambda: len(s.transactions) > 5 * kills)
        for p in client():
            try: os.kill(p, signal.SIGKILL)
            except ProcessLookupError: pass
    def all_there():
        i.alrm()
        return {int(re.search(rb'Subject: (\d+)', t.message)[1]) for t in s.transactions} == set(range(100, 100 + COUNT))
    check(wait_for(all_there, 60, 0.5), 'all %d messages arrive' % COUNT)
    check(i.wait_queue_empty(30), 'the queue is empty')
    equal(sum(1 for t in s.transactions if not t.session.secure), 0, 'none in clear')
    check(len(s.transactions) - COUNT <= 3 * 20, 'and no more than what was under way comes twice: %d' % (len(s.transactions) - COUNT))
    equal([l for l in i.log('send') if ': failure: ' in l], [], 'nothing bounced')
    check(len(s.sessions) < COUNT + 60, 'connections are used again: %d' % len(s.sessions))
done()
