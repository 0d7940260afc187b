"""What cannot be delivered comes back as an RFC 3464 report; a report that cannot, to the postmaster"""
import sys
sys.path.insert(0, 'tests')
from email import message_from_bytes, policy
from instance import *
try: from relayhost import RelayHost
except ImportError:
    skip('python3-aiosmtpd is not installed')
    done()

def rcpt(address):
    if address.startswith('gone'): return '550 5.1.1 no <such> user here'
def data(envelope):
    if envelope.rcpt_tos[0].startswith('big'): return '552 5.3.4 too big for us'
host = RelayHost(rcpt=rcpt, data=data)
i = Instance()
i.control('smtproutes', 'far.example:[127.0.0.1]:%d' % host.port)
i.control('rcpthosts', 'mail.example\nfar.example\nvirtual.example\n')
i.control('virtualdomains', 'virtual.example:shop')
i.dot_qmail('shop-default', '|echo "the shop is closed"; exit 100\n')
i.mailbox('ann')
i.mailbox('postmaster')
i.dot_qmail('refuse', '|exit 100\n')
i.start()
original = 'Subject: Grüße\nX-Mark: original\n\nthe body of the original\n'.encode()

def report(local, why):
    """The next report in a mailbox: the message, its delivery-status fields, its three parts."""
    report.seen.setdefault(local, 0)
    report.seen[local] += 1
    mails = i.wait_mails(local, report.seen[local])
    equal(len(mails), report.seen[local], why)
    raw = mails[-1] if mails else b''
    m = message_from_bytes(raw, policy=policy.default)
    parts = list(m.iter_parts()) if m.is_multipart() else []
    blocks = parts[1].get_payload() if len(parts) > 1 else []
    return raw, m, parts, blocks
report.seen = {}

# One recipient refused, one taken.
i.send('ann@mail.example', ['gone@far.example', 'fine@far.example'], original)
raw, m, parts, blocks = report('ann', 'the sender gets a report of the refused recipient')
check(raw.startswith(b'Return-Path: <>\n'), 'its envelope sender is null')
equal((m.get_content_type(), m.get_param('report-type')), ('multipart/report', 'delivery-status'),
      'it is a multipart/report of delivery-status')
equal([p.get_content_type() for p in parts][:2], ['text/plain', 'message/delivery-status'],
      'its first parts are text and status')
check(len(parts) == 3 and parts[2].get_content_type() in ('message/rfc822', 'text/rfc822-headers'),
      'its third part is the original or its header')
check('ann@mail.example' in str(m['To']) and m['From'] and m['Date'] and m['Message-ID'] and m['Subject'],
      'it has From, To, Date, Message-ID and Subject')
equal((m['Auto-Submitted'] or '').split(';')[0], 'auto-replied', 'nobody answers it by machine')
text = parts[0].get_content() if parts else ''
check('gone@far.example' in text and 'no <such> user here' in text,
      'its text names the recipient and the reason')
check('fine@far.example' not in text, 'and not the recipient that was served')
equal(len(blocks), 2, 'the status has one block for the message and one for the recipient')
if len(blocks) == 2:
    check(blocks[0]['Reporting-MTA'] and 'mail.example' in blocks[0]['Reporting-MTA'],
          'Reporting-MTA is this host')
    equal(blocks[1]['Final-Recipient'].replace(' ', ''), 'rfc822;gone@far.example', 'Final-Recipient')
    equal(blocks[1]['Action'], 'failed', 'Action')
    equal(blocks[1]['Status'], '5.1.1', "Status is the server's")
    check((blocks[1]['Diagnostic-Code'] or '').replace(' ', '').startswith('smtp;550'),
          "Diagnostic-Code is the server's reply")
if len(parts) == 3: check(b'X-Mark: original' in parts[2].as_bytes(), 'the header of the original is in it')
equal([x[1] for x in host.mails], [['fine@far.example']], 'the other recipient has the message')

# Refused after DATA; refused by a local program; no such virtual mailbox.
i.send('ann@mail.example', 'big@far.example', original)
raw, m, parts, blocks = report('ann', 'a message refused after DATA comes back')
check(len(blocks) == 2 and blocks[1]['Status'] == '5.3.4', 'with the status of that reply')
i.send('ann@mail.example', 'tea@virtual.example', original)
raw, m, parts, blocks = report('ann', 'a program that exits 100 makes a bounce')
text = parts[0].get_content() if parts else ''
check('the shop is closed' in text, 'with what the program said')
check('tea@virtual.example' in text and 'shop-tea' not in text, "the virtual domain's prefix is not shown")
check(len(blocks) == 2 and (blocks[1]['Final-Recipient'] or '').endswith('tea@virtual.example'),
      'nor in Final-Recipient')

# Both fail: one report with both.
i.send('ann@mail.example', ['gone1@far.example', 'gone2@far.example', 'refuse@mail.example'], original)
mails = i.wait_mails('ann', 4)
check(wait_for(lambda: not i.queue()), 'all failures are reported')
raw = b''.join(i.mails('ann')[3:])
check(all(x in raw for x in (b'gone1@far.example', b'gone2@far.example', b'refuse@mail.example')),
      'every one of three')
report.seen['ann'] = len(i.mails('ann'))

# A report that cannot be delivered goes to the postmaster; that one, if it fails, nowhere.
i.send('gone@far.example', 'refuse@mail.example', original)
raw, m, parts, blocks = report('postmaster', 'the postmaster gets what could not be returned')
check(b'gone@far.example' in raw and b'X-Mark: original' in raw, 'he sees whose mail it was')
check(raw.startswith(b'Return-Path: <#@[]>\n'), 'its sender is #@[]')
i.send('', 'refuse@mail.example', original)
report('postmaster', 'a failed message of the null sender is a double bounce too')
i.control('doublebounceto', 'refuse')
i.stop(); i.start()
i.send('gone@far.example', 'refuse@mail.example', original)
check(wait_for(lambda: any('triple bounce: discarding' in l for l in i.log('send'))),
      'a triple bounce is logged')
check(i.wait_queue_empty(), 'and discarded')

# Too old: the deferral becomes a bounce, with two attempts at least in this run.
host.rcpt = lambda address: '450 4.7.1 not now'
i.control('queuelifetime', '1')
i.stop(); i.start()
i.send('ann@mail.example', 'old@far.example', original)
wait_for(lambda: any('450_4.7.1' in l for l in i.log('send')))
time.sleep(1.1)
for _ in range(40):
    if len(i.mails('ann')) > report.seen['ann']: break
    i.alrm()
    time.sleep(0.7)
raw, m, parts, blocks = report('ann', 'after queuelifetime the sender gets a report')
check(b'450 4.7.1 not now' in raw and len(blocks) == 2 and blocks[1]['Action'] == 'failed',
      'with the last answer')
check(i.wait_queue_empty(), 'the queue is empty at the end')
host.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()
