"""authsink.py - the server's side of AUTH for a Sink, made of hashlib and hmac

    logins = Logins({'joe': 'secret'}, fault=None)
    Sink(**logins.script('PLAIN', 'SCRAM-SHA-256'))   offers these; TlsSink as well
    logins.used                 (mechanism, user, in) of each try
    logins.heard                every line of every try
<fault>: what a server does wrong: 'signature', 'early' (235 without one), 'nonce', 'rounds', 'long' (asks
for ever), 'garbage' (no base64), 'lines' (a challenge of two), or a reply that it has for all.
"""
import base64, hashlib, hmac, os, subprocess, time
from pipit import *

def b64(s): return base64.b64encode(s if isinstance(s, bytes) else s.encode()).decode()
def unb64(s): return base64.b64decode(s, validate=True)

class Cancelled(Exception): pass

class Logins:
    def __init__(self, users, fault=None, refusal='535 5.7.8 no such user with this password'):
        self.users, self.fault, self.refusal = users, fault, refusal
        self.used, self.heard = [], []

    def script(self, *mechanisms, more=()):
        lines = ['sink.example', 'PIPELINING', *more, 'AUTH ' + ' '.join(mechanisms)]
        ehlo = '\n'.join('250%s%s' % ('-' if i < len(lines) - 1 else ' ', l) for i, l in enumerate(lines))
        return dict(ehlo=ehlo, other=self.command, mail=lambda session, line: '250 ok' if getattr(session, 'user', None) else '530 5.7.0 log in first')

    def command(self, session, line):
        words = line.decode('latin-1').split(' ')
        if words[0] != 'AUTH': return '502 5.5.1 what'
        self.heard.append(line.decode('latin-1'))
        if isinstance(self.fault, str) and self.fault[:1].isdigit(): return self.fault
        first = unb64('' if words[2] == '=' else words[2]) if len(words) > 2 else None
        name = words[1].upper()
        try: user = getattr(self, name.replace('-', '_').lower())(session, first)
        except Cancelled: return '501 5.7.0 cancelled'
        ok = user is not None
        self.used.append((name, user, ok))
        session.user = user
        return '235 2.7.0 welcome' if ok else self.refusal

    def ask(self, session, challenge):
        session.put('334 ' + b64(challenge))
        line = session.line().decode('latin-1')
        session.commands.append(line)
        self.heard.append(line)
        if line == '*': raise Cancelled
        return unb64(line)

    def known(self, user, password):
        return user if self.users.get(user) == password else None

    def plain(self, session, first):
        text = self.ask(session, '') if first is None else first
        who, user, password = text.decode().split('\0')
        return self.known(user, password) if not who else None

    def login(self, session, first):
        while self.fault == 'long': self.ask(session, 'More:')
        user = first if first is not None else self.ask(session, 'Username:')
        return self.known(user.decode(), self.ask(session, 'Password:').decode())

    def cram_md5(self, session, first):
        if self.fault == 'garbage':
            session.put('334 not base64!')
            session.commands.append(session.line().decode('latin-1'))
            if session.commands[-1] == '*': raise Cancelled
        if self.fault == 'lines':
            session.put('334-%s\n334 %s' % (b64('<1@x>'), b64('<2@x>')))
            raise Cancelled
        challenge = '<%d.%s@sink.example>' % (time.time(), os.urandom(4).hex())
        user, sum = self.ask(session, challenge).decode().rsplit(' ', 1)
        password = self.users.get(user)
        good = password and hmac.compare_digest(hmac.new(password.encode(), challenge.encode(), 'md5').hexdigest(), sum)
        return user if good else None

    def scram_sha_256(self, session, first):
        if first is None: first = self.ask(session, '')
        assert first[:3] == b'n,,', first
        bare = first[3:].decode()
        fields = dict(f.split('=', 1) for f in bare.split(','))
        user = fields['n'].replace('=2C', ',').replace('=3D', '=')
        salt, rounds = os.urandom(16), 10 if self.fault == 'rounds' else 4096
        nonce = ('x' if self.fault == 'nonce' else fields['r']) + b64(os.urandom(12))
        server_first = 'r=%s,s=%s,i=%d' % (nonce, b64(salt), rounds)
        final = self.ask(session, server_first).decode()
        without, proof = final.rsplit(',p=', 1)
        assert without == 'c=biws,r=' + nonce, final
        salted = hashlib.pbkdf2_hmac('sha256', self.users.get(user, 'x').encode(), salt, rounds)
        def mac(key, s): return hmac.new(key, s.encode() if isinstance(s, str) else s, 'sha256').digest()
        stored = hashlib.sha256(mac(salted, 'Client Key')).digest()
        message = ','.join((bare, server_first, without))
        key = bytes(a ^ b for a, b in zip(unb64(proof), mac(stored, message)))
        if user not in self.users or hashlib.sha256(key).digest() != stored: return None
        if self.fault == 'early': return user
        signature = mac(mac(salted, 'Server Key'), message)
        if self.fault == 'signature': signature = bytes([signature[0] ^ 1]) + signature[1:]
        assert self.ask(session, 'v=' + b64(signature)) == b''
        return user

class Authc:
    """pipit-authc on a test's home."""
    def __init__(self, home, *args):
        r, w = os.pipe()
        self.log = open(os.path.join(SCRATCH, 'authc.log'), 'w+')
        self.p = as_account([os.path.join(BIN, 'pipit-authc'), '-d', str(w), *args], pass_fds=[w], stdin=subprocess.DEVNULL,
                            stderr=self.log, env=dict(os.environ, PIPIT_HOME=home))
        os.close(w)
        os.read(r, 1)
        os.close(r)

    def text(self):
        with open(self.log.name) as f: return f.read()

    def children(self):
        return open('/proc/%d/task/%d/children' % (self.p.pid, self.p.pid)).read().split()

    def stop(self):
        self.p.terminate()
        return self.p.wait(20)

def credentials(home, text, mode=0o600):
    path = home + '/control/smtpcredentials'
    control(home, 'smtpcredentials', text)
    if text is None: return
    os.chmod(path, mode)
    own(path)
