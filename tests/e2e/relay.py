"""Mail for elsewhere: handed over by smtplib, relayed to aiosmtpd as it was, retried after 4xx"""
import sys
sys.path.insert(0, 'tests')
from instance import *
try: from relayhost import RelayHost
except ImportError:
    skip('python3-aiosmtpd is not installed')
    done()

busy = {'on': True}
def rcpt(address):
    if address.startswith('later') and busy['on']: return '450 4.2.1 mailbox busy'
def data(envelope):
    if envelope.mail_from.startswith('slow') and busy['on']: return '451 4.3.0 come back'

sink = RelayHost(rcpt=rcpt, data=data)
i = Instance()
i.control('smtproutes', ':[127.0.0.1]:%d' % sink.port)
i.control('rcpthosts', 'mail.example\nrelayed.example\n.relayed.example\nother.example\n')
i.start()

def taken(why, count, where=lambda m: True):
    wait_for(lambda: len(list(filter(where, sink.mails))) >= count, 20)
    found = list(filter(where, sink.mails))
    equal(len(found), count, why)
    return found

samples = {
    'plain': b'Subject: plain\n\nhello\n',
    'dots': b'Subject: dots\n\n.\n..\n.x\nx.\n.\n',
    'eight': 'Subject: Grüße\n\nä €\n'.encode() + b'\xff\xfe\x80\n',
    'empty': b'Subject: no body\n\n',
    'long': b'Subject: long\n\n' + b'x' * 990 + b'\n' + b'0123456789\n' * 100000,
    'blank': b'Subject: blank lines\n\n\n\n\n',
    'header': b'Subject: folded\n header\nX-A: b\nReceived: from elsewhere\n\tby other; Sat, 21 Nov 2026 00:00:00 +0000\n\nx\n',
}
for name, message in samples.items():
    i.send('%s@sender.example' % name, 'someone@relayed.example', message)
found = taken('every message reaches the next host', len(samples))
for sender, rcpts, content, options in found:
    name = sender.split('@')[0]
    # What pipit adds is one Received field at the top.
    m = re.match(rb'Received:[^\n]*\n([ \t][^\n]*\n)*', lf(content))
    equal(lf(content)[m.end():] if m else None, samples[name], 'the content of "%s" is identical' % name)
    check(content.count(b'\n') == content.count(b'\r\n'), 'every line of "%s" ends with CRLF' % name)
equal({r for s, r, c, o in [(m[0], tuple(m[1]), m[2], m[3]) for m in found]}, {('someone@relayed.example',)},
      'the recipient is unchanged')
check(all(h == 'mail.example' for p, h in sink.sessions), 'EHLO names this host')

# No line end at the end, by sendmail: one is added.
i.sendmail('-f', 'cut@mail.example', 'x@relayed.example', input=b'Subject: cut\n\nno line end')
found = taken('a message without last line end goes out', 1, lambda m: m[0].startswith('cut'))
check(found and found[0][2].endswith(b'\r\n\r\nno line end\r\n'), 'and has one there')

# Several recipients at one domain: one transaction.
before = sink.transactions
rcpts = ['r%d@relayed.example' % n for n in range(5)]
i.send('several@sender.example', rcpts + ['one@other.example'], b'Subject: several\n\nx\n')
wait_for(lambda: len([m for m in sink.mails if m[0].startswith('several')]) >= 2)
found = sorted((sorted(m[1]) for m in sink.mails if m[0].startswith('several')), key=len)
equal(found, [['one@other.example'], rcpts],
      'recipients at one domain share a transaction, another domain has its own')
equal(sink.transactions - before, 2, 'the content was sent twice, not six times')

# 4xx for one recipient: the others are served at once, it after ALRM, and nobody twice.
i.send('mixed@sender.example', ['now@relayed.example', 'later@relayed.example'], b'Subject: mixed\n\nx\n')
taken('the recipient that is welcome is served', 1, lambda m: m[0].startswith('mixed'))
i.send('slow@sender.example', 'x@relayed.example', b'Subject: slow\n\nx\n')
wait_for(lambda: len([l for l in i.log('send') if 'deferral: ' in l]) >= 2)
deferrals = [l for l in i.log('send') if 'deferral: ' in l]
check(any('450_4.2.1_mailbox_busy' in l for l in deferrals), 'the log has the deferral of the recipient')
check(any('451_4.3.0_come_back' in l for l in deferrals), 'the log has the deferral of the message')
equal(len(i.queue()), 2, 'both messages wait in the queue')
i.alrm()
wait_for(lambda: len([l for l in i.log('send') if 'deferral: ' in l]) >= len(deferrals) + 2, 20)
equal(len(i.queue()), 2, 'they wait on while the answer is the same')
busy['on'] = False
check(wait_for(lambda: i.alrm() or not i.queue(), 30, 0.5), 'ALRM delivers them when they are welcome')
equal(sorted(m[1] for m in sink.mails if m[0].startswith('mixed')),
      [['later@relayed.example'], ['now@relayed.example']], 'nobody has the message twice')
equal(len([m for m in sink.mails if m[0].startswith('slow')]), 1,
      'the message deferred after DATA is delivered once')

# A sink that is down: deferred, delivered when it is back.
sink.stop()
i.send('down@sender.example', 'x@relayed.example', b'Subject: down\n\nx\n')
check(wait_for(lambda: any('deferral: ' in l and 'connect' in l.lower() for l in i.log('send')[-4:])) or
      wait_for(lambda: len([l for l in i.log('send') if 'deferral: ' in l]) > 4), 'no connection: deferred')
sink = RelayHost(port=sink.port)
i.stop(); i.start() # a restart tries at once what waits, or ALRM does
i.alrm()
check(i.wait_queue_empty(), 'the message goes out when the host is back, after a restart')
equal([m[0] for m in sink.mails], ['down@sender.example'], 'once')
equal(i.mails('joe'), [], 'nothing bounced into the mailbox')
sink.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
