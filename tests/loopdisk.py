"""loopdisk.py - a file system in a file, mounted, whose power can be cut

Needs root. The mounts are this process's own, and vanish with it.
"""
import fcntl, glob, os, struct, subprocess, time
from instance import private_mounts

KINDS = {'ext4': ['mkfs.ext4', '-q', '-F', '-N', '20000', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
         'xfs': ['mkfs.xfs', '-q', '-f']}
OPTIONS = {'ext4': 'loop,commit=300', 'xfs': 'loop'} # no commit comes just because five seconds are over
SIZE = 400 << 20 # xfs wants 300 MB; the file has holes
SHUTDOWN = 0x8004587d # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN
NO_LOG_FLUSH = struct.pack('I', 2)
BUSY_SECONDS = 30

def trouble(scratch):
    """Why there are no such disks here, or None."""
    if not private_mounts(): return 'needs root, and mounts of its own'
    try:
        d = Disk('ext4', os.path.join(scratch, 'probe'))
        d.cut()
        d.remount()
        d.remove()
    except (OSError, subprocess.CalledProcessError) as e: return str(e)

class Disk:
    """A mounted file system; what is in it stands below .path."""
    def __init__(self, kind, where):
        self.kind, self.image, self.path = kind, where + '.img', where
        os.makedirs(where, exist_ok=True)
        with open(self.image, 'wb') as f: f.truncate(SIZE)
        subprocess.run([*KINDS[kind], self.image], check=True, capture_output=True)
        self.mount()

    def mount(self):
        subprocess.run(['mount', '-o', OPTIONS[self.kind], '-t', self.kind, self.image, self.path], check=True, capture_output=True)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

    def cut(self):
        """From now on nothing reaches the disk, and what is only in memory or in the log's buffer never will."""
        fcntl.ioctl(self.fd, SHUTDOWN, NO_LOG_FLUSH)

    def unmount(self):
        if self.fd == -1: return
        os.close(self.fd)
        self.fd = -1
        end = time.monotonic() + BUSY_SECONDS
        while True: # somebody killed may not have died yet
            p = subprocess.run(['umount', self.path], capture_output=True, text=True)
            if p.returncode == 0: return
            if time.monotonic() > end: raise OSError(p.stderr.strip() + ', by ' + self.holders())
            time.sleep(0.01)

    def holders(self):
        """Who has something of it."""
        found = set()
        for link in (*glob.glob('/proc/[0-9]*/fd/*'), *glob.glob('/proc/[0-9]*/cwd')):
            try:
                if os.readlink(link).startswith(self.path): found.add(link + ' ' + open(link.split('/fd/')[0].removesuffix('/cwd') + '/cmdline').read().replace('\0', ' '))
            except OSError: pass # it has gone
        return ', '.join(sorted(found)) or 'nobody who can be seen'

    def remount(self):
        """The machine comes up again: what the disk holds is seen."""
        self.unmount()
        self.mount()

    def remove(self):
        self.unmount()
        os.unlink(self.image)
        os.rmdir(self.path)
