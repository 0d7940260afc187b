"""One message can be followed through the logs by its id, from smtpd's line to the end"""
import sys
sys.path.insert(0, 'tests')
import shlex
from instance import *
from sink import Sink

i = Instance()
sink = Sink().start()
i.control('smtproutes', 'far.example:[127.0.0.1]:%d' % sink.port)
i.control('rcpthosts', 'mail.example\nfar.example')
i.mailbox('joe')
i.dot_qmail('refuse', '|echo go away; exit 100\n')
i.start()

def pairs(line):
    """The key=value pairs of a line, in order."""
    return re.findall(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)

def about(text, service):
    """The lines of a service that name <text>, without their time stamps."""
    return [l.split(' ', 1)[1] for l in i.log(service) if text in l]

before = int(time.time())
with i.smtp(local_hostname='client.example') as s:
    s.ehlo('client.example')
    reply = deliver(s, 'ann@sender.example', ['joe@mail.example', 'x@far.example'], b'Subject: followed\n\nx\n')
m = re.fullmatch(r'2\.0\.0 ok (\d+) qp (\d+)', reply)
check(m and before <= int(m[1]) <= int(time.time()) and abs(int(m[2]) // 1000000 - before) < 60,
      'the reply is "2.0.0 ok <unixtime> qp <id>", the id in microseconds: %s' % reply)
id = m[2] if m else 'none'
check(wait_for(lambda: about('end msg ' + id, 'send')), 'the message ends')

lines = about('id=' + id, 'smtpd')
equal(len(lines), 1, 'smtpd has one line for the transaction')
got = pairs(lines[0]) if lines else []
want = [('id', id), ('ip', '127.0.0.1'), ('helo', 'client.example'), ('from', '<ann@sender.example>'),
        ('rcpt', '<joe@mail.example>'), ('rcpt', '<x@far.example>'), ('code', '250')]
equal([p for p in want if p not in got], [], 'it has id, ip, helo, from, each rcpt and code')
check('session' in dict(got) and id in dict(got).get('reply', ''), 'and the session and the reply')
session = dict(got).get('session', 'none')
check(any(' end ' in l for l in about('session=' + session, 'smtpd')),
      "the session's end is logged with the same session id")

lines = about(id, 'send')
check(lines and lines[0] == 'new msg ' + id, 'send: new msg')
check(any(re.match(r'info msg %s: bytes \d+ from <ann@sender\.example> qp %s uid \d+( |$)' % (id, id), l) for l in lines),
      'send: info msg')
for kind, rcpt, text in (('local', 'joe@mail.example', r'did_1\+0\+0/'),
                         ('remote', 'x@far.example', r'127\.0\.0\.1_accepted_message\./Remote_host_said:_250_2\.0\.0_taken/')):
    start = [re.match(r'starting delivery (\d+): msg %s to %s %s( |$)' % (id, kind, re.escape(rcpt)), l) for l in lines]
    number = [x[1] for x in start if x]
    equal(len(number), 1, 'send: starting delivery to %s' % kind)
    result = [l for l in lines if re.match(r'delivery %s: success: %s ' % (number and number[0], text), l)]
    equal(len(result), 1, 'send: delivery to %s: success' % kind)
    equal([p for p in (('id', id), ('rcpt', rcpt)) if result and p not in pairs(result[0])], [],
          'its line has id and rcpt')
check(lines and lines[-1] == 'end msg ' + id, 'send: end msg')
check(any(re.match(r'status: local \d+/\d+ remote \d+/\d+$', l) for l in about('status:', 'send')),
      'send: status lines')

# A failure, and the bounce that follows it
reply = i.send('joe@mail.example', 'refuse@mail.example', b'Subject: refused\n\nx\n')
id = reply.split()[-1]
check(wait_for(lambda: about('end msg ' + id, 'send')), 'a message that fails ends')
lines = about(id, 'send')
check(any(re.match(r'delivery \d+: failure: go_away/ ', l) for l in lines), 'send: delivery: failure')
bounce = [re.match(r'bounce msg %s qp (\d+)' % id, l) for l in lines]
bounce = [x[1] for x in bounce if x]
equal(len(bounce), 1, 'send: bounce msg, with the id of the report')
check(bounce and wait_for(lambda: any(' to local joe@mail.example' in l for l in about(bounce[0], 'send'))),
      'which can be followed in turn')

# Refused recipients, and peers that try to forge lines
with i.smtp() as s:
    s.ehlo('evil.example')
    s.mail('ann@sender.example')
    equal(s.rcpt('x@elsewhere.example')[0], 553, 'a recipient is refused')
wait_for(lambda: about('x@elsewhere.example', 'smtpd'))
lines = about('x@elsewhere.example', 'smtpd')
check(any(('code', '553') in pairs(l) and ('rcpt', '<x@elsewhere.example>') in pairs(l) for l in lines),
      'smtpd logs the refusal with rcpt and code')
i.dot_qmail('forge', '|printf "one\\nend msg 1\\r\\033[2J %% two\\377"; exit 111\n')
i.send('ann@sender.example', 'forge@mail.example', b'Subject: forge\n\nx\n')
check(wait_for(lambda: any('deferral: ' in l for l in i.log('send'))), 'a report full of control characters')
with socket.create_connection(('127.0.0.1', i.port), 10) as s:
    s.sendall(b'HELO a" code=250 x=\x1b[2J\r\nMAIL FROM:<a"\\ b=c@sender.example>\r\nQUIT\r\n')
    while s.recv(4096): pass
time.sleep(0.5)
every = [l for lines in i.logs().values() for l in lines]
equal([l for l in every if re.search(r'[^\x20-\x7e]', l)], [], 'every line is printable ASCII')
equal([l for l in every if not re.match(r'@[0-9a-f]{24} \S', l)], [],
      'every line has a time stamp, none was forged')
check(not any(re.match(r'\S+ end msg 1$', l) for l in every), 'in particular not this one')
sink.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
