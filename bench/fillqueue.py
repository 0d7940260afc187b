#!/usr/bin/python3
"""fillqueue.py - put messages for one address into a queue whose programs do not run

usage: fillqueue.py QUEUE COUNT RECIPIENT

Each has a few bytes, and arrived just now.
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests'))
from queuefile import LIVE, crc32c, header

queue, count, rcpt = sys.argv[1], int(sys.argv[2]), sys.argv[3]
owner = os.stat(queue)
split = len(os.listdir(queue + '/mess'))
message = b'Subject: waiting\n\nwaiting\n'
envelope = b'Fsender@bench.test\0T' + rcpt.encode() + b'\0'
sum = crc32c(b'n' * 16 + message + envelope)
first = int(time.time() * 1e6) - count
os.umask(0o117)
for id in range(first, first + count):
    fd = os.open('%s/mess/%d/%d' % (queue, id % split, id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660)
    os.write(fd, header(LIVE, id, len(message), len(envelope), rcpts=1, sum=sum) + message + envelope)
    os.fchown(fd, owner.st_uid, owner.st_gid)
    os.close(fd)
