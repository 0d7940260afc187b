"""notices.py - delivery status notifications, for tests: send mail that asks for them, read what comes

send(port, sender, rcpts, data, mail='') gives a message to a server by SMTP; rcpts are
"address PARAMETERS". Notice takes a report apart with Python's email package.
"""
import re, socket
from email import message_from_bytes, policy

DSN_SINK = '250-sink.example\n250-PIPELINING\n250-DSN\n250-8BITMIME\n250 SIZE 0'

def send(port, sender, rcpts, data=b'Subject: x\n\nhello\n', mail=''):
    """The codes of the replies to MAIL, each RCPT, and the end of the message."""
    with socket.create_connection(('127.0.0.1', port), 20) as s:
        f = s.makefile('rwb')
        def reply():
            while True:
                l = f.readline()
                if l[3:4] != b'-': return l.decode('latin-1').rstrip()
        def say(line):
            f.write(line if isinstance(line, bytes) else line.encode('latin-1') + b'\r\n')
            f.flush()
            return reply()
        reply()
        say('EHLO client.example')
        codes = [say('MAIL FROM:<%s>%s' % (sender, mail and ' ' + mail))]
        for r in rcpts:
            address, _, params = r.partition(' ')
            codes.append(say('RCPT TO:<%s>%s' % (address, params and ' ' + params)))
        say('DATA')
        codes.append(say(data.replace(b'\n', b'\r\n') + b'.\r\n'))
        say('QUIT')
    return codes

class Notice:
    def __init__(self, raw):
        self.raw = raw
        self.message = message_from_bytes(raw, policy=policy.default)
        self.to = str(self.message['To'])
        parts = list(self.message.iter_parts()) if self.message.is_multipart() else []
        self.types = [p.get_content_type() for p in parts]
        self.text = parts[0].get_content() if parts else ''
        blocks = [dict((k, re.sub(r'\n[ \t]', ' ', str(v))) for k, v in b.items()) for b in parts[1].get_payload()] if len(parts) > 1 else [{}]
        self.about = blocks[0]
        self.rcpts = blocks[1:]
        self.original = parts[2].as_bytes() if len(parts) > 2 else b''
        self.defects = [d for p in self.message.walk() for d in p.defects]

    def rcpt(self, address):
        """The fields of this recipient, without their types."""
        for b in self.rcpts:
            if b.get('Final-Recipient', '').partition(';')[2].strip() == address: return b
        return {}

    def actions(self):
        return {b['Final-Recipient'].partition(';')[2].strip(): b['Action'] for b in self.rcpts}
