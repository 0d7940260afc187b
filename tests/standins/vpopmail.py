#!/usr/bin/python3
"""vpopmail.py - calls qmail as vpopmail does: its vadddomain and its vdelivermail

usage: vpopmail.py vadddomain QMAILDIR VPOPDIR DOMAIN UID GID USER...
       vpopmail.py vdelivermail VPOPDIR '' bounce-no-mailbox      (in a dot-qmail file)

PS_COMMAND lists processes; without it "ps ax". With so many domains as RCPTHOSTS_MAX (50) in
rcpthosts a new one goes to morercpthosts. A user whose name begins with "full" is over
quota, the directory of one called "away" is not there.
"""
import os, signal, subprocess, sys

def replace(path, change):
    """As vpopmail edits qmail's files: beside the file, under a lock file, then renamed."""
    open(path + '.lock', 'a').close()
    try: lines = open(path).read().splitlines()
    except FileNotFoundError: lines = []
    with open('%s.%d' % (path, os.getpid()), 'w') as f: f.writelines(l + '\n' for l in change(lines))
    os.chmod(f.name, 0o644)
    os.rename(f.name, path)

def signal_process(name, sig):
    """Everything that ps shows the name of, but supervision and loggers."""
    lines = subprocess.run(os.environ.get('PS_COMMAND', 'ps ax'), shell=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    column = lines[0].split().index('PID')
    for line in lines[1:]:
        if name in line and not any(w in line for w in ('supervise', 'multilog', 'svscan')):
            pid = int(line.split()[column])
            if pid != os.getpid(): os.kill(pid, sig)

def make(path, uid, gid, text=None):
    if text is None: os.makedirs(path, 0o700, exist_ok=True)
    else:
        with open(path, 'w') as f: f.write(text)
        os.chmod(path, 0o600)
    os.chown(path, uid, gid)

def vadddomain(qmail, vpop, domain, uid, gid, *users):
    uid, gid, home = int(uid), int(gid), '%s/domains/%s' % (vpop, domain)
    for d in (vpop, vpop + '/domains', home): make(d, uid, gid)
    for user in users:
        for d in ('', '/Maildir', '/Maildir/tmp', '/Maildir/new', '/Maildir/cur'): make('%s/%s%s' % (home, user, d), uid, gid)
    make(home + '/vpasswd', uid, gid, ''.join(u + ':x\n' for u in users + ('away',)))
    make(home + '/.qmail-default', uid, gid, "| %s vdelivermail %s '' bounce-no-mailbox\n" % (os.path.abspath(__file__), vpop))
    entry = '+%s-:%s:%d:%d:%s:-::' % (domain, domain, uid, gid, home)
    replace(qmail + '/users/assign', lambda l: [x for x in l if x != '.'] + [entry, '.'])
    if subprocess.run([qmail + '/bin/qmail-newu'], umask=0o022).returncode: sys.exit('qmail-newu failed')
    full = len(open(qmail + '/control/rcpthosts').readlines()) >= int(os.environ.get('RCPTHOSTS_MAX', 50))
    replace(qmail + '/control/' + 'more' * full + 'rcpthosts', lambda l: l + [domain])
    if full and subprocess.run([qmail + '/bin/qmail-newmrh'], umask=0o022).returncode: sys.exit('qmail-newmrh failed')
    replace(qmail + '/control/virtualdomains', lambda l: l + ['%s:%s' % (domain, domain)])
    signal_process('qmail-send', signal.SIGHUP)

def vdelivermail(vpop, empty, no_mailbox):
    user, home = os.environ['EXT'].lower(), '%s/domains/%s' % (vpop, os.environ['HOST'])
    if os.getcwd() != home: sys.exit(111)
    if user not in [l.split(':')[0] for l in open(home + '/vpasswd')]:
        print('Sorry, no mailbox here by that name. vpopmail (#5.1.1)')
        sys.exit(100)
    if user.startswith('full'):
        print('user is over quota')
        sys.exit(100)
    name = '%d.vpopmail' % os.getpid()
    os.lseek(0, 0, os.SEEK_SET)
    try: f = open('%s/%s/Maildir/tmp/%s' % (home, user, name), 'wb')
    except OSError: sys.exit(111)
    f.write(os.environ['RPLINE'].encode() + os.environ['DTLINE'].encode() + sys.stdin.buffer.read())
    f.close()
    os.rename(f.name, '%s/%s/Maildir/new/%s' % (home, user, name))

sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
