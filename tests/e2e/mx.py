"""Mail for elsewhere goes to the mail exchangers that DNS names, on port 25, by IPv4 and IPv6

Runs in a network namespace of its own, in which any account may listen on port
25 and every address of the documentation prefixes is at hand.
"""
import sys
sys.path.insert(0, 'tests')
import errno, shutil, subprocess, os

SETUP = '''ip link set lo up && ip route add local 192.0.2.0/24 dev lo && ip -6 route add local 2001:db8::/64 dev lo &&
echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start || exit 77
'''
if os.environ.get('IN_NAMESPACE') != 'yes':
    env = dict(os.environ, IN_NAMESPACE='yes')
    if os.geteuid() == 0: command = ['unshare', '-n', 'sh', '-c', SETUP + 'exec "$@"', 'sh']
    else: command = ['unshare', '-Urn', 'sh', '-c', SETUP + 'exec unshare -U --map-user=%d --map-group=%d "$@"'
                     % (os.geteuid(), os.getegid()), 'sh']
    p = subprocess.run(command + ['true'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) \
        if shutil.which('unshare') and shutil.which('ip') else None
    if p and p.returncode == 0: os.execvpe(command[0], command + [sys.executable, *sys.argv], env)
    print('skip - a network namespace of its own: ' + (p.stdout.strip() if p else 'unshare or ip is missing'))
    sys.exit(0)

from instance import *
from notices import Notice
try:
    from relayhost import RelayHost
    from dnsserver import DNSServer
except ImportError as e:
    skip('%s is missing' % e.name)
    done()

def refuse(code):
    return lambda address: code
first = RelayHost(port=25, host='192.0.2.1')
second = RelayHost(port=25, host='192.0.2.2')
six = RelayHost(port=25, host='2001:db8::6')
busy = RelayHost(port=25, host='192.0.2.3', rcpt=refuse('450 4.2.0 later'))
dns = DNSServer({
    'one.example': {'MX': ['10 mx1.example', '20 mx2.example']},
    'mx1.example': {'A': ['192.0.2.1']}, 'mx2.example': {'A': ['192.0.2.2']},
    'backup.example': {'MX': ['10 dead.example', '20 mx2.example']},
    'dead.example': {'A': ['192.0.2.99']},
    'six.example': {'MX': ['10 mx6.example']}, 'mx6.example': {'AAAA': ['2001:db8::6']},
    'bare.example': {'A': ['192.0.2.1']},
    'null.example': {'MX': ['0 .']},
    'sick.example': {'MX': 'servfail'},
    'slow.example': {'MX': 'timeout', 'A': 'timeout', 'AAAA': 'timeout'},
    'busy.example': {'MX': ['10 mx3.example']}, 'mx3.example': {'A': ['192.0.2.3']},
}).start()
i = Instance()
i.control('resolvers', dns.resolver)
i.mailbox('ann')
i.start()

def send(rcpt):
    code, text = i.sendmail('-f', 'ann@mail.example', rcpt, input=b'Subject: to %s\n\nx\n' % rcpt.encode())
    if code: print(text)

def got(host, rcpt, why):
    check(wait_for(lambda: any(rcpt in m[1] for m in host.mails), 20), why)

send('a@one.example'); got(first, 'a@one.example', 'the best MX gets the mail')
send('b@backup.example'); got(second, 'b@backup.example', 'the next MX gets it when the best one is not there')
send('c@six.example'); got(six, 'c@six.example', 'an MX that has only an IPv6 address gets it')
send('d@bare.example'); got(first, 'd@bare.example', 'a domain without MX is its own')
equal(second.mails and [m[1] for m in second.mails], [['b@backup.example']],
      'nothing else went to the second MX')

send('e@null.example')
mails = i.wait_mails('ann', 1)
check(mails and b'e@null.example' in mails[0] and b'5.1.10' in mails[0],
      'a null MX bounces at once, with 5.1.10')
send('f@nothing.example')
mails = i.wait_mails('ann', 2)
check(len(mails) == 2 and b'f@nothing.example' in mails[1], 'a domain that does not exist bounces')

for domain in ('sick', 'slow', 'busy'): send('g@%s.example' % domain)
check(wait_for(lambda: sum('deferral: ' in l for l in i.log('send')) >= 3, 40, 0.2),
      'SERVFAIL, timeout and 450 defer')
equal((len(i.queue()), len(i.mails('ann'))), (3, 2), 'and do not bounce')
dns.zone['sick.example'] = dns.zone['slow.example'] = {'MX': ['10 mx1.example']}
busy.rcpt = None
for _ in range(20):
    i.alrm()
    if i.wait_queue_empty(2): break
got(first, 'g@sick.example', 'SERVFAIL: delivered when the name server works again')
got(first, 'g@slow.example', 'timeout: delivered when the name server answers')
got(busy, 'g@busy.example', '450: delivered when the host takes it')
equal(len(i.mails('ann')), 2, 'nothing more has bounced')
busy.rcpt = refuse('550 5.1.1 nobody')
send('h@busy.example')
n = Notice((i.wait_mails('ann', 3) + [b''])[2])
equal([n.rcpt('h@busy.example').get(f) for f in ('Remote-MTA', 'Diagnostic-Code')], ['dns; mx3.example', 'smtp; 550 5.1.1 nobody'], 'a report names the server')
check('192.0.2.3 does not like recipient.\nRemote host is mx3.example.\nRemote host said: 550 ' in n.text, 'in its text, too, and its address')
for host in (first, second, six, busy): host.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
