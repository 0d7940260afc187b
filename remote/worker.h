/* worker.h - take job after job from pipit-rspawn (lib/job.h) */
#ifndef PIPIT_REMOTE_WORKER_H
#define PIPIT_REMOTE_WORKER_H

/* Serve until the socket <sock> ends; then say QUIT. Returns the exit code. */
extern int worker_run(int sock);

#endif
