"""privatepostfix.py - a Postfix of this test's own: its configuration, queue, port and log; for root, with private mounts

    add_account()                        once, before the first one
    p = Postfix(peer, routes, **settings)  peer: peers.postfix(), reachable(); routes: domain -> port of an SMTP server
"""
import atexit, glob, os, pwd, re, shutil, socket, subprocess
from pipit import *

def add_account(user='postfix', uid=64280, groups='postdrop:x:64281:\n'):
    """Postfix wants users and groups of its own: where the machine has none, this test alone sees them."""
    for kind, lines in (('passwd', '%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n' % (user, uid, uid)), ('group', '%s:x:%d:\n%s' % (user, uid, groups))):
        text = open('/etc/' + kind).read()
        new = ''.join(l for l in lines.splitlines(True) if not re.search('^%s:' % l.split(':')[0], text, re.M))
        if not new: continue
        with open(os.path.join(SCRATCH, kind), 'w') as f: f.write(text + new)
        subprocess.run(['mount', '--bind', os.path.join(SCRATCH, kind), '/etc/' + kind], check=True)

MASTER = '''127.0.0.1:%d inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''

class Postfix:
    """One Maildir gets everything for mail.example."""
    def __init__(self, peer, root, routes, **more):
        self.top, self.port = os.path.join(SCRATCH, 'postfix'), free_port()
        for d in 'etc data boxes queue/active queue/bounce queue/corrupt queue/defer queue/deferred queue/flush queue/hold queue/incoming ' \
                 'queue/private queue/saved queue/trace queue/maildrop queue/public queue/pid'.split():
            path = os.path.join(self.top, d)
            os.makedirs(path)
            if d in ('data', 'boxes') or d.startswith('queue/') and d != 'queue/pid': shutil.chown(path, 'postfix')
        for d, mode in (('maildrop', 0o730), ('public', 0o710)):
            shutil.chown(os.path.join(self.top, 'queue', d), 'postfix', 'postdrop')
            os.chmod(os.path.join(self.top, 'queue', d), mode)
        uid = pwd.getpwnam('postfix').pw_uid
        settings = dict(compatibility_level='3.6', queue_directory=self.top + '/queue', data_directory=self.top + '/data',
                        daemon_directory=root + '/usr/lib/postfix/sbin', command_directory=root + '/usr/sbin',
                        shlib_directory=root + '/usr/lib/postfix', meta_directory=self.top + '/etc', mail_owner='postfix',
                        setgid_group='postdrop', inet_interfaces='127.0.0.1', inet_protocols='ipv4', myhostname='mail.example',
                        mydestination='', mynetworks='127.0.0.0/8', smtpd_relay_restrictions='permit_mynetworks, reject',
                        virtual_mailbox_domains='mail.example', virtual_mailbox_base=self.top + '/boxes', virtual_mailbox_maps='static:all/',
                        virtual_uid_maps='static:%d' % uid, virtual_gid_maps='static:%d' % pwd.getpwnam('postfix').pw_gid, virtual_minimum_uid='1',
                        transport_maps='inline:{%s}' % ', '.join('%s=smtp:[127.0.0.1]:%d' % r for r in routes.items()),
                        smtp_dns_support_level='disabled', alias_maps='', alias_database='', maillog_file=self.top + '/log',
                        maillog_file_prefixes=self.top, import_environment='MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH')
        settings.update(more)
        with open(self.top + '/etc/main.cf', 'w') as f: f.writelines('%s = %s\n' % x for x in settings.items())
        with open(self.top + '/etc/master.cf', 'w') as f: f.write(MASTER % self.port)
        env = dict(os.environ, LD_LIBRARY_PATH=root + '/usr/lib/postfix:' + peer.env['LD_LIBRARY_PATH'], MAIL_CONFIG=self.top + '/etc')
        self.master = subprocess.Popen([root + '/usr/lib/postfix/sbin/master', '-c', self.top + '/etc', '-d'], env=env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd='/')
        atexit.register(self.stop)

    def ready(self):
        with socket.socket() as s: return s.connect_ex(('127.0.0.1', self.port)) == 0

    def idle(self):
        """Is its queue empty?"""
        return not any(files for q in ('active', 'incoming', 'deferred', 'maildrop') for _, _, files in os.walk(os.path.join(self.top, 'queue', q)))

    def mails(self):
        return [open(f, 'rb').read() for f in glob.glob(self.top + '/boxes/all/new/*')]

    def log(self):
        try: return open(self.top + '/log', errors='replace').read()
        except FileNotFoundError: return ''

    def stop(self):
        if self.master.poll() is None: self.master.terminate()
        self.master.wait(20)

