/* worker.h - take job after job from pipit-rspawn (lib/job.h) */
#ifndef PIPIT_REMOTE_WORKER_H
#define PIPIT_REMOTE_WORKER_H

/* Serve until the socket <sock> ends, or no job has come for a while
 * (control/connectionidle); then say QUIT. Returns the exit code. A job that is
 * still in the socket then was not looked at. */
extern int worker_run(int sock);

#endif
