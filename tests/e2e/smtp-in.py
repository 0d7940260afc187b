"""Mail that comes in by SMTP lies in the Maildir byte for byte, below its trace fields"""
import sys
sys.path.insert(0, 'tests')
from instance import *

i = Instance()
i.mailbox('joe')
i.start()
swaks_plain = b'From: Ann <ann@sender.example>\nTo: joe@mail.example\nSubject: plain\n\nHello.\n.\n..two dots\n.one\n'

def swaks(*args, data):
    """Its exit status. It sends an empty line after the data."""
    path = os.path.join(SCRATCH, 'data')
    with open(path, 'wb') as f: f.write(data)
    p = subprocess.run(['swaks', '--server', '127.0.0.1', '--port', str(i.port), '--helo', 'sender.example',
                        '--data', '@' + path, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=60)
    if p.returncode: print(p.stdout.decode(errors='replace'))
    return p.returncode

if not shutil.which('swaks'): skip('swaks is not installed')
else:
    equal(swaks('--from', 'ann@sender.example', '--to', 'joe@mail.example', data=swaks_plain), 0,
          'swaks is served')
    mails = i.wait_mails('joe', 1)
    equal([strip_trace(m) for m in mails], [swaks_plain + b'\n'],
          'the message of swaks is unchanged, dots too')
    top = mails[0].splitlines() if mails else [b'', b'']
    equal(top[:2], [b'Return-Path: <ann@sender.example>', b'Delivered-To: joe@mail.example'],
          'Return-Path and Delivered-To stand first')
    received = re.match(rb'Received: from (.*\n([ \t].*\n)*)', b'\n'.join(top[2:]) + b'\n')
    check(received and b'sender.example' in received[1] and b'127.0.0.1' in received[1]
          and b'by mail.example' in received[1], 'the Received field names the client and this host')

    i.mailbox('many')
    for n in range(60): i.dot_qmail('many%d' % n, './many/\n')
    rcpts = ['many%d@mail.example' % n for n in range(60)]
    equal(swaks('--from', 'ann@sender.example', '--to', ','.join(rcpts), data=swaks_plain), 0,
          'sixty recipients in one transaction are taken')
    mails = i.wait_mails('many', 60)
    equal(sorted(re.search(rb'Delivered-To: (.*)', m)[1].decode() for m in mails), sorted(rcpts),
          'each of sixty recipients has one copy')

    i.mailbox('pipe')
    eight = 'Subject: Grüße\n\nÄÖÜ äöü ß €\n'.encode() + b'\xff\xfe raw \x80\n'
    equal(swaks('--pipeline', '--from', 'ann@sender.example', '--to', 'pipe@mail.example', data=eight), 0,
          'swaks with PIPELINING is served')
    equal([strip_trace(m) for m in i.wait_mails('pipe', 1)], [eight + b'\n'], '8-bit bytes arrive unchanged')
    equal(swaks('--from', '<>', '--to', 'pipe@mail.example', data=b'Subject: null\n\nn\n'), 0,
          'the null sender is taken')
    check(i.wait_mails('pipe', 2)[-1].startswith(b'Return-Path: <>\n'),
          'the null sender stands in Return-Path')
    check(swaks('--from', 'ann@sender.example', '--to', 'x@elsewhere.example', data=swaks_plain) != 0,
          'mail for elsewhere is refused to a stranger')

# A whole transaction in one packet, answered in order.
i.mailbox('raw')
with socket.create_connection(('127.0.0.1', i.port), 10) as s:
    s.settimeout(20)
    f = s.makefile('rb')
    f.readline()
    s.sendall(b'EHLO c.example\r\n')
    while f.readline()[3:4] == b'-': pass
    s.sendall(b'MAIL FROM:<a@c.example> BODY=8BITMIME SIZE=100\r\nRCPT TO:<raw@mail.example>\r\n'
              b'RCPT TO:<raw@elsewhere.example>\r\nRCPT TO:<RAW@MAIL.EXAMPLE>\r\nDATA\r\n')
    codes = [f.readline()[:3] for _ in range(5)]
    equal(codes, [b'250', b'250', b'553', b'250', b'354'], 'pipelined commands are answered in order')
    s.sendall(b'Subject: a\r\n\r\nfirst\r\n.\r\nMAIL FROM:<b@c.example>\r\nRCPT TO:<raw@mail.example>\r\n'
              b'DATA\r\n')
    codes = [f.readline()[:3] for _ in range(4)]
    equal(codes, [b'250', b'250', b'250', b'354'], 'the next transaction follows on the same connection')
    s.sendall(b'Subject: b\r\n\r\nsecond\r\n.\r\nQUIT\r\n')
    codes = [f.readline()[:3] for _ in range(2)] + [f.read()]
    equal(codes, [b'250', b'221', b''], 'QUIT ends it')
mails = i.wait_mails('raw', 3)
equal(sorted(strip_trace(m) for m in mails), [b'Subject: a\n\nfirst\n'] * 2 + [b'Subject: b\n\nsecond\n'],
      'pipelined messages arrive whole, once for each recipient')

# Sizes around every buffer.
i.mailbox('size')
sent = []
with i.smtp() as s:
    for size in (0, 1, 997, 4095, 4096, 4097, 65535, 65536, 1 << 20, (5 << 20) + 3):
        body = (b'%08d ' % size + bytes(range(33, 127)) + b'\n') * (size // 100 + 1)
        sent.append(b'Subject: size\n\n' + body[:max(size - 1, 0)] + b'\n')
        deliver(s, 'ann@sender.example', 'size@mail.example', sent[-1])
got = i.wait_mails('size', len(sent))
equal(sorted((len(m), hash(m)) for m in map(strip_trace, got)), sorted((len(m), hash(m)) for m in sent),
      'messages of 1 byte to 5 MB arrive unchanged')
check(i.wait_queue_empty(), 'the queue is empty at the end')
equal(i.stop(), [], 'stopping leaves no process')
done()
