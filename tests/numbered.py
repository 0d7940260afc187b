"""numbered.py - messages that can be told apart, and of which it can be told whether they are whole"""
import hashlib, re

def numbered(number, size=1000):
    """The message <number>, with a body of about <size> bytes; LF line ends."""
    line = hashlib.sha256(str(number).encode()).hexdigest() + '\n'
    body = line * (size // len(line) + 1)
    return ('Subject: load\nX-Id: %s\nX-Sum: %s\n\n%s' % (number, hashlib.md5(body.encode()).hexdigest(), body)).encode()

def whole(message):
    """The number of a message that is complete, with whatever was added at its top, or None."""
    message = message.replace(b'\r\n', b'\n')
    m = re.search(rb'^X-Id: (\d+)\n(?:[^\n]+\n)*?X-Sum: (\S+)\n(?:[^\n]+\n)*\n', message, re.M)
    if not m or hashlib.md5(message[m.end():]).hexdigest().encode() != m[2]: return None
    return int(m[1])
