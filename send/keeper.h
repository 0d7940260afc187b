/* keeper.h - the child of send that does everything that touches the disk
 *
 * It marks finished files and moves them to the pool, writes state files and
 * the journal and syncs them once a second, builds bounces and hands them to
 * queued, and sets damaged files aside. keeper_link.h has what it is asked.
 */
#ifndef PIPIT_SEND_KEEPER_H
#define PIPIT_SEND_KEEPER_H

#include <stddef.h>
#include <stdint.h>

#include "bounce.h"
#include "journal.h"
#include "pool.h"

#define KEEPER_BUCKETS   1024
#define KEEPER_TICK      1000 /* milliseconds that progress is kept back, and between two syncs */
#define KEEPER_STATEPOOL 100  /* state files kept for use again */
#define KEEPER_STATESIZE 65536 /* bytes: a larger one is unlinked */

struct open_state { /* progress of one message that was not written yet */
  struct open_state *hash_next;
  struct open_state *prev, *next; /* in the order of their first line */
  uint64_t id;
  char nonce[QFILE_NONCE];
  uint64_t seq;   /* of the first line */
  uint64_t since; /* clock_ms() of the first line */
  stralloc lines; /* payloads, each with a newline */
};

struct finished { /* a message that the journal calls finished */
  uint64_t id;
  char nonce[QFILE_NONCE];
};

struct heavy { /* something that takes its time: one at a time, between the rest */
  struct heavy *next;
  char type; /* 'F', 'W' or 'C' */
  uint64_t id, place;
  char nonce[QFILE_NONCE];
};

struct keeper {
  int sock, queuefd;
  int eof; /* send is gone */
  int hurry; /* somebody waits for the next sync */
  int worked_in; /* the journal is: what is found may be delivered */
  unsigned int split;
  uint64_t seq;     /* of the last packet */
  uint64_t covered; /* told to send */
  uint64_t tick_at; /* clock_ms() of the next sync */
  struct journal journal;
  struct pool pool;
  int list; /* of free files: freelist.h; -1 while it cannot be had */
  unsigned int statepool; /* files state/free/0 ... */
  struct open_state *buckets[KEEPER_BUCKETS];
  struct open_state *first, *last;
  struct heavy *heavy, *heavy_last;
  struct finished *finished; /* sorted by id */
  size_t nfinished, finished_room;
};

/* The keeper's process, for the queue at <queuefd>. Returns its exit code. */
extern int keeper_run(int sock, int queuefd, unsigned int split);

/* keeper_state.c: state files. */

/* Note a payload. 1, or 0 with ENOMEM. */
extern int kstate_note(struct keeper *k, uint64_t id, char const *nonce, char const *payload,
                       size_t len);
/* Write what is older than KEEPER_TICK, or with <all> everything. */
extern void kstate_flush(struct keeper *k, int all);
/* Write what was noted for this message. 1, or 0 with errno. */
extern int kstate_write(struct keeper *k, uint64_t id);
/* Forget what was noted, and recycle or remove the file. */
extern void kstate_remove(struct keeper *k, uint64_t id);
/* Open the state file for reading; -1 with errno. */
extern int kstate_open(struct keeper *k, uint64_t id);
/* Remove the files of state/<n> whose messages are gone: a keeper was killed in between. Only
 * while no message is in free/. */
extern void kstate_clean(struct keeper *k, unsigned int n);
/* Make state/free/ fit to use. */
extern void kstate_init(struct keeper *k);

/* keeper_files.c: message files. */

struct kfile { /* a message that is open and locked */
  int fd;
  uint64_t place; /* its name in free/; 0: it lies in mess/ */
  char path[QFILE_NAME_MAX];
  struct qfile q;
};

/* Open and lock the message <id>, which lies at <place> or in mess/, and check
 * that it is the one with this nonce. 1, or 0 with errno (ENOENT: there is no
 * such message any more, EAGAIN: somebody holds it). */
extern int kfile_open(struct keeper *k, struct kfile *f, uint64_t id, uint64_t place,
                      char const *nonce);
/* Mark the message finished and put its file into the pool. 1, or 0 with errno. */
extern int kfile_end(struct keeper *k, uint64_t id, uint64_t place, char const *nonce);
/* Look at the file at <path> (below queue/). 1 it is mail, in mess/ now, <*id>;
 * 2 it is a finished file, in the pool now, by the name <*id>; 0 anything else. */
extern int kfile_look(struct keeper *k, char const *path, uint64_t *id);
/* Is there no message <id> any more, neither in mess/ nor in bad/? */
extern int kfile_is_gone(struct keeper *k, uint64_t id);
/* Move a damaged message to bad/, and say so in the log. */
extern void kfile_bad(struct keeper *k, char const *path, uint64_t id, char const *why);
/* Look through the pool: list it anew, count it, adopt mail, remove what is too much. */
extern void kfile_scan_pool(struct keeper *k);

/* keeper_bounce.c */

/* Send the report at a message's end, or of delays. The message is open at <fd>. 1 sent or none
 * is due; 0 not now. */
extern int kbounce(struct keeper *k, int fd, struct qfile const *q, enum bounce_time time);

/* keeper_hold.c */

/* Change what is held, as data[0..len) of a packet H says, and answer. */
extern void khold_change(struct keeper *k, char const *data, size_t len);

/* Answer send. */
extern void keeper_answer(struct keeper *k, char type, uint64_t id, uint64_t num);

#endif
