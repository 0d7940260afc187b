#!/usr/bin/python3
"""fillpool.py - put finished files into the pool of a queue whose programs do not run, until there are so many

usage: fillpool.py QUEUE COUNT
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests'))
from queuefile import header

SIZE = 8192

queue, count = sys.argv[1], int(sys.argv[2])
count -= len(os.listdir(queue + '/free'))
owner = os.stat(queue)
first = int(time.time() * 1e6) - count
for id in range(first, first + count):
    path = '%s/free/%d' % (queue, id)
    with open(path, 'wb') as f: f.write(header(id=id).ljust(SIZE, b'\0'))
    os.chmod(path, 0o660)
    os.chown(path, owner.st_uid, owner.st_gid)
